"""Hands on the trunk: what keeps a two-legged beginner up, until it needs it no more.

A spring holds the trunk upright, one holds it at its height, and a damper keeps it from spinning.
A robot that stands too well to take a step is also led, by a pull towards the wanted velocity.
Each simulated robot has its own share of that help, so that the policy meets every degree of it at
once; the critic is told, the policy is not. As the robots stay on their feet for longer the help is
withdrawn, as they fall more it comes back, and when little is left it ends for good. A robot is
started anew when its trunk sinks or tilts too far to learn from.
"""

from dataclasses import asdict, dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from bodyplan.envs.rotations import projected_gravity, trunk_to_world, world_to_trunk
from bodyplan.envs.simulator import Simulator
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

LOW_TRUNK = 0.8
"""Share of the nominal height below which a robot in training has fallen."""
TILTED = 0.7
"""rad: tilt of the trunk above which it has."""
LIVELY, FRAIL = 300.0, 150.0
"""Control steps a robot may expect to stay up: from LIVELY help goes, below FRAIL it comes back."""
ASTRAY = 0.4
"""m/s: velocity error above which help goes slowly."""
SURE = 600.0
"""Control steps of expected life from which help goes fast."""
WITHDRAWN, WITHDRAWN_SLOWLY, WITHDRAWN_FAST = 0.985, 0.997, 0.97
"""Factors on the help, an iteration."""
LED = 10.0
"""N s/(m kg): pull for each metre per second that a led robot strays from its command. A tenth of a
metre per second is worth a tenth of the weight, which the feet resist by friction."""
LEAST = 0.03
"""Help below this ends for good."""
SMOOTH = 0.9
"""Weight of the past in what is expected of the robots."""


@dataclass(frozen=True)
class Grip:
    """Stiffness and damping of the full help."""

    height: float
    """m: the trunk's, where the spring is at rest."""
    lift: float
    """N/m."""
    lift_damping: float
    """N s/m."""
    upright: float
    """N m/rad."""
    upright_damping: tuple[float, float]
    """N m s/rad, about the trunk's x and y axes."""
    yaw_damping: float
    """N m s/rad."""
    lead: float = 0.0
    """N s/m."""


def grip(robot: Robot) -> Grip:
    """Firm enough for any policy, soft enough for forces held during a control step."""
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(model, data)
    inertia = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, inertia)
    felt = 1.0 / np.diag(np.linalg.inv(inertia))[:6]
    weight, height = robot.mass * 9.81, robot.drop_height
    upright, lift = 3.0 * weight * height, weight / (0.08 * height)
    roll, pitch = (min(0.12 * upright, 0.35 * felt[axis] / CONTROL_STEP) for axis in (3, 4))
    return Grip(
        height=height,
        lift=lift,
        lift_damping=min(1.4 * np.sqrt(lift * robot.mass), 0.4 * felt[2] / CONTROL_STEP),
        upright=upright,
        upright_damping=(roll, pitch),
        yaw_damping=0.25 * felt[5] / CONTROL_STEP,
        lead=LED * robot.mass if robot.expert.led else 0.0,
    )


def tilt(qpos: Float[np.ndarray, "N nq"]) -> Float[np.ndarray, "N 3"]:
    """The turn (rad, trunk axes) that would set the trunks upright."""
    x, y, z = projected_gravity(qpos[:, 3:7]).T
    sine = np.hypot(x, y)
    factor = np.arctan2(sine, -z) / np.maximum(sine, 1e-9)
    return np.stack([factor * y, -factor * x, np.zeros(len(x))], axis=1)


def full_wrench(
    grip: Grip, qpos: Float[np.ndarray, "N nq"], qvel: Float[np.ndarray, "N nv"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N 3"]]:
    """Lift (N, vertical) and torque (N m, trunk axes) of the full help."""
    lift = grip.lift * (grip.height - qpos[:, 2]) - grip.lift_damping * qvel[:, 2]
    damping = np.array([*grip.upright_damping, grip.yaw_damping])
    return lift, grip.upright * tilt(qpos) - damping * qvel[:, 3:6]


def full_lead(
    grip: Grip,
    qpos: Float[np.ndarray, "N nq"],
    qvel: Float[np.ndarray, "N nv"],
    command: Float[np.ndarray, "N 3"],
) -> Float[np.ndarray, "N 3"]:
    """Pull (N, world axes) of the full help towards the wanted planar velocity of the trunk."""
    orientation = qpos[:, 3:7]
    missing = -world_to_trunk(qvel[:, :3], orientation)
    missing[:, :2] += command[:, :2]
    missing[:, 2] = 0.0
    return grip.lead * trunk_to_world(missing, orientation)


@dataclass
class AssistanceProgress:
    """How far the help has been withdrawn, and what the robots can do."""

    level: float = 1.0
    falls: float = 0.01
    """Per control step and robot, smoothed."""
    error: float = 1.0
    """m/s, smoothed."""
    ended: int | None = None
    """Training steps when the help ended."""


class Assistance:
    """The help that N simulated robots get."""

    def __init__(self, robot: Robot, num_envs: int, rng: np.random.Generator) -> None:
        self.robot = robot
        self.grip = grip(robot)
        self.progress = AssistanceProgress()
        self.shares = rng.uniform(size=num_envs)
        """Of the level, one for each robot and episode."""

    @property
    def given(self) -> Float[np.ndarray, "N"]:
        """Help for each robot, 0 to 1."""
        return self.progress.level * self.shares

    def wrench(
        self, simulator: Simulator, command: Float[np.ndarray, "N 3"]
    ) -> Float[np.ndarray, "N 6"] | None:
        """What the trunks feel in the next control step; None once help has ended."""
        if self.progress.level == 0.0:
            return None
        given, (qpos, qvel) = self.given[:, None], (simulator.qpos, simulator.qvel)
        lift, torque = full_wrench(self.grip, qpos, qvel)
        pull = full_lead(self.grip, qpos, qvel, command)
        wrench = np.concatenate([given * pull, given * torque], axis=1)
        # Lift goes first, as its square: whoever hangs on it learns to hang.
        wrench[:, 2] += self.given**2 * lift
        return wrench

    def lost(self, simulator: Simulator) -> Bool[np.ndarray, "N"]:
        """Who has fallen, in training's strict sense."""
        qpos = simulator.qpos
        low = qpos[:, 2] < LOW_TRUNK * self.grip.height
        return low | (np.linalg.norm(tilt(qpos), axis=1) > TILTED)

    def redraw(self, mask: Bool[np.ndarray, "N"], rng: np.random.Generator) -> None:
        """New shares for those that start an episode."""
        self.shares[mask] = rng.uniform(size=int(mask.sum()))

    def withdraw(self, falls: float, error: float, steps: int) -> None:
        """Once an iteration: less help, or more.

        Args:
            falls: per control step and robot, in this iteration.
            error: m/s, mean distance from the wanted velocity.
            steps: of training, so far.
        """
        now = self.progress
        now.falls = SMOOTH * now.falls + (1.0 - SMOOTH) * falls
        now.error = SMOOTH * now.error + (1.0 - SMOOTH) * error
        life = 1.0 / max(now.falls, 1e-9)
        if now.level == 0.0:
            return
        if life > LIVELY and now.error > ASTRAY:
            now.level *= WITHDRAWN_SLOWLY
        elif life > LIVELY:
            now.level *= WITHDRAWN_FAST if life > SURE else WITHDRAWN
        elif life < FRAIL:
            now.level = min(1.0, now.level / WITHDRAWN)
        if now.level < LEAST:
            now.level, now.ended = 0.0, steps

    def notes(self) -> dict[str, Any]:
        """What a checkpoint says of it, besides the shares."""
        return asdict(self.progress)

    def resume(self, notes: dict[str, Any], shares: Float[np.ndarray, "N"]) -> None:
        """Continue from a checkpoint."""
        self.progress, self.shares = AssistanceProgress(**notes), shares
