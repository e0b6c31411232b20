"""The scale of a robot's scores: what counts as 0, and what counts as 1.

    score = (return - floor) / (reference - floor)

The floor is the return of standing still, from the same initial states. The reference is the
return of the packaged expert's mean action. A robot without one has its tracking ceiling, which no
robot reaches. Raw returns stay beside every score, because the paper's tables are raw.
"""

from dataclasses import dataclass
from typing import Literal

from bodyplan.datasets.policy_snapshots import Snapshots, snapshot_path
from bodyplan.envs.environment import Environment
from bodyplan.envs.standing_return import standing_return
from bodyplan.envs.walking_task import HORIZON, Command
from bodyplan.robots.fingerprint import is_packaged
from bodyplan.robots.robot import Robot

LEAST_SPAN = 0.02
"""Share of the tracking ceiling by which a reference must exceed the floor to be a reference."""


@dataclass(frozen=True)
class ScoreScale:
    """The returns that give a robot's scores their scale."""

    floor: float
    """Return of standing still."""
    expert: float | None
    """Return of the packaged expert; None where the robot or the command has none."""
    ceiling: float
    """Return of perfect tracking without any penalty."""

    @property
    def reference(self) -> Literal["expert", "ceiling"] | None:
        """What 1 is; None where nothing is clearly better than standing still."""
        named: Literal["expert", "ceiling"] = "ceiling" if self.expert is None else "expert"
        top = self.ceiling if self.expert is None else self.expert
        return named if top - self.floor >= LEAST_SPAN * self.ceiling > 0.0 else None

    @property
    def top(self) -> float | None:
        """The reference's return; None without a reference."""
        return {"expert": self.expert, "ceiling": self.ceiling, None: None}[self.reference]

    def normalise(self, value: float) -> float | None:
        """The score of a return: 0 for standing still, 1 for the reference."""
        top = self.top
        return None if top is None else (value - self.floor) / (top - self.floor)


def score_scale(
    robot: Robot, command: Command, initial_state: str = "random", threads: int | None = None
) -> ScoreScale:
    """The scale of a robot's scores under a command, in the task without disturbances.

    Args:
        robot: the robot.
        command: vx, vy (m/s) and yaw rate (rad/s).
        initial_state: `random` or `nominal`; of floor and expert alike.
        threads: threads of a simulation that may be needed.

    Raises:
        BodyplanError: the expert's file is damaged.
    """
    floor = standing_return(robot, command, initial_state, threads).return_mean
    expert = expert_return(robot, command, initial_state)
    return ScoreScale(floor, expert, robot.tracking_ceiling)


def expert_return(robot: Robot, command: Command, initial_state: str = "random") -> float | None:
    """Return of the packaged expert's mean action; None where there is no expert.

    A robot of your own has no expert, even if it has a packaged robot's name. From random states
    the return is that of the expert's card. From the nominal state it is simulated here.

    Raises:
        BodyplanError: the expert's file is damaged.
    """
    if not snapshot_path(robot.name, command).is_file() or not is_packaged(robot):
        return None
    snapshots = Snapshots.load(robot.name, command)
    if initial_state == "random":
        return float(snapshots.card["expert"]["return_mean"])
    policy, environment = snapshots.policy(-1), Environment(robot, command, 1, threads=1)
    total = 0.0
    for _ in range(HORIZON):
        step = environment.step(policy.mean(environment.observation))
        total += float(step.reward[0])
        if step.terminated[0]:
            break
    return total
