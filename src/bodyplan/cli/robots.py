"""The bodies: what is packaged, and what one is made of."""

import sys
from dataclasses import asdict, dataclass
from typing import Any

import tyro

from bodyplan.cli.output import print_json, print_table
from bodyplan.errors import BodyplanError
from bodyplan.robots.registry import list_robots
from bodyplan.robots.robot import Robot


def summary(robot: Robot) -> dict[str, Any]:
    """The figures `robots list` shows."""
    return {
        "name": robot.name,
        "joints": robot.num_joints,
        "feet": robot.num_feet,
        "mass": round(robot.mass, 4),
        "legs": robot.legs,
        "tracking_ceiling": robot.tracking_ceiling,
    }


@dataclass(frozen=True)
class ListRobots:
    """List the packaged robots, and those that installed packages offer."""

    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Print one line a robot."""
        rows, broken = [], []
        for name in list_robots():
            try:
                rows.append(summary(Robot.load(name)))
            except BodyplanError as error:  # another package's robot must not hide all others
                broken.append(f"error: {error}\n")
        if self.json:
            print_json(rows)
        else:
            print_table("Robots", rows)
        sys.stderr.writelines(broken)


@dataclass(frozen=True)
class ShowRobot:
    """Show one robot's figures: joints, feet, gains, reward."""

    robot: tyro.conf.Positional[str]
    """Packaged name, or path of an MJCF with a TOML beside it."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Print everything the task knows of the robot."""
        robot = Robot.load(self.robot)
        joints = [
            {
                "joint": name,
                "nominal": float(robot.nominal[i]),
                "low": float(robot.joint_range[i, 0]),
                "high": float(robot.joint_range[i, 1]),
                "torque": float(robot.torque_limit[i]),
                "velocity": float(robot.max_velocity[i]),
            }
            for i, name in enumerate(robot.joints)
        ]
        rest = {
            "description": robot.description,
            "provenance": robot.provenance,
            "feet_names": [foot.name for foot in robot.feet],
            "kp": robot.kp,
            "kd": robot.kd,
            "action_scale": robot.action_scale,
            "drop_height": robot.drop_height,
            "reward": asdict(robot.reward),
            "termination": asdict(robot.termination),
        }
        if self.json:
            print_json(summary(robot) | rest | {"actuated_joints": joints})
            return
        figures = summary(robot) | {k: v for k, v in rest.items() if not isinstance(v, dict)}
        print_table(robot.name, [{"figure": k, "value": v} for k, v in figures.items()])
        print_table("Joints (rad, N m, rad/s)", joints)
        paid = [{"coefficient": k, "value": v} for k, v in asdict(robot.reward).items()]
        print_table("Reward", paid)
