"""The `robots` commands: list, show, draw, check, adapt and generate robots."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from bodyplan.cli.output import Column, print_json, print_line, print_table
from bodyplan.errors import BodyplanError
from bodyplan.robots.registry import list_robots
from bodyplan.robots.robot import Robot

_ROBOTS = (
    Column("name"),
    Column("joints"),
    Column("feet"),
    Column("mass", unit="kg", digits=2),
    Column("legs"),
    Column("tracking_ceiling", "ceiling of\nthe return", digits=1),
)
_JOINTS = (
    Column("joint"),
    Column("nominal", unit="rad", digits=3),
    Column("low", unit="rad", digits=3),
    Column("high", unit="rad", digits=3),
    Column("torque", unit="N m", digits=1),
    Column("velocity", unit="rad/s", digits=1),
)

_UNITS = {
    "mass": ", kg",
    "kp": ", N m/rad",
    "kd": ", N m s/rad",
    "action_scale": ", rad",
    "drop_height": ", m",
}


def robot_summary(robot: Robot) -> dict[str, Any]:
    """One row of `robots list`."""
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
    """List the packaged robots, and those of installed packages."""

    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Print one line for each robot."""
        rows, broken = [], []
        for name in list_robots():
            try:
                rows.append(robot_summary(Robot.load(name)))
            except BodyplanError as error:  # one broken robot must not hide the others
                broken.append(f"error: {error}\n")
        if self.json:
            print_json(rows)
        else:
            print_table("Robots", rows, _ROBOTS)
        sys.stderr.writelines(broken)


@dataclass(frozen=True)
class ShowRobot:
    """Show one robot's parameters: joints, feet, gains, reward."""

    robot: tyro.conf.Positional[str]
    """Name of a robot, or path of an MJCF with a TOML beside it."""
    allow_path: tuple[Path, ...] = ()
    """Folders besides the MJCF's own whose files it may name."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Print the parameters that the task uses."""
        robot = Robot.load(self.robot, allow_paths=self.allow_path)
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
            print_json(robot_summary(robot) | rest | {"actuated_joints": joints})
            return
        plain = robot_summary(robot) | {k: v for k, v in rest.items() if not isinstance(v, dict)}
        parameters = [
            {"parameter": f"{name.replace('_', ' ')}{_UNITS.get(name, '')}", "value": value}
            for name, value in plain.items()
        ]
        print_table(robot.name, parameters)
        print_line("")
        print_table("Joints", joints, _JOINTS)
        print_line("")
        coefficients = [{"coefficient": k, "value": v} for k, v in asdict(robot.reward).items()]
        print_table("Reward", coefficients)
