"""Procedural robots: variations of the packaged ones, and new body plans, by seed."""

from bodyplan.robots.procedural.generate import design_robot, generate_robots
from bodyplan.robots.procedural.robot_design import RobotDesign

__all__ = ["RobotDesign", "design_robot", "generate_robots"]
