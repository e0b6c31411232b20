"""Telling: figures, and the page that holds them all."""
