"""The examples run as they are printed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bodyplan.envs.environment import Environment
from bodyplan.robots.registry import packaged_robots
from bodyplan.robots.robot import Robot
from bodyplan.robots.validation.check_robot import check_robot

EXAMPLES = Path(__file__).parents[1] / "examples"
STARFISH = EXAMPLES / "starfish" / "starfish.xml"


def run(script, *arguments):
    command = [sys.executable, "-W", "error", str(EXAMPLES / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_my_robot_is_checked_stepped_and_compared():
    ran = run("my_robot.py")
    assert ran.returncode == 0, ran.stderr
    assert "15 joints, 5 feet, 4.7 kg" in ran.stdout
    assert "descriptor, joints: (15, 23)" in ran.stdout
    assert "4 of 4 stand" in ran.stdout
    distances = [line for line in ran.stdout.splitlines() if line.startswith("distance to")]
    nearest = [line.split()[2].rstrip(":") for line in distances]
    assert len(nearest) == 3
    assert set(nearest) <= set(packaged_robots())


def test_my_robot_reports_a_missing_file(tmp_path):
    ran = run("my_robot.py", tmp_path / "gone.xml")
    assert ran.returncode == 2
    assert "does not exist" in ran.stdout


def test_the_starfish_has_no_fault_and_stands():
    assert [own.severity for own in check_robot(STARFISH).problems] == ["note"]
    robot = Robot.load(STARFISH)
    environment = Environment(robot, threads=1)
    for _ in range(250):
        step = environment.step(np.zeros((1, robot.num_joints)))
        assert not step.terminated[0]
    assert environment.qpos[0, 2] == pytest.approx(robot.drop_height, abs=0.01)


def test_the_legs_of_the_starfish_are_alike():
    robot = Robot.load(STARFISH)
    legs = robot.joint_range.reshape(5, 3, 2)
    np.testing.assert_allclose(legs, np.broadcast_to(legs[0], legs.shape))
    feet = robot.descriptor.feet[:, :2] * robot.box_size[:2] / 2
    feet += robot.box_min[:2] + robot.box_size[:2] / 2
    angles = np.degrees(np.arctan2(feet[:, 1], feet[:, 0])) % 360.0
    np.testing.assert_allclose(angles, 72.0 * np.arange(5), atol=0.5)
