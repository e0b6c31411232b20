"""Adaptation of models from elsewhere: servos, fixed roots and nameless feet become a robot."""
