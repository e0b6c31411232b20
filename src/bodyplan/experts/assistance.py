"""Assistance: forces on the trunk that hold a biped up at first and are withdrawn later.

A spring holds the trunk upright, another holds it at its height, and a damper keeps it from
spinning. A robot that stands too well to take a step is also guided, by a force towards the
commanded velocity. The idea is from Yu, Turk and Liu (2018, arXiv 1801.08093).

Each simulated robot gets a random share of the present assistance level, so that the policy meets
every degree of it at once. The critic observes this scale, the policy does not. The level falls
while the robots stay up and rises while they fall. When little is left it ends for good. An
episode ends when the trunk sinks or tilts too far to learn from.
"""

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from bodyplan.envs.rotations import projected_gravity, trunk_to_world, world_to_trunk
from bodyplan.envs.simulator import Simulator
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

MIN_HEIGHT_RATIO = 0.8
"""Share of the nominal height below which a robot in training has fallen."""
MAX_TILT = 0.7
"""rad: tilt of the trunk above which a robot in training has fallen."""
GUIDING_GAIN = 10.0
"""N s/(m kg): force per metre per second of velocity error and kilogram of the robot. At 0.1 m/s
it is a tenth of the weight, which the feet resist by friction."""


@dataclass(frozen=True)
class AssistanceGains:
    """Stiffness and damping of the assistance at full scale."""

    height: float
    """m: trunk height at which the lifting spring is at rest."""
    lift: float
    """N/m: stiffness of the lifting spring."""
    lift_damping: float
    """N s/m: its damping."""
    upright: float
    """N m/rad: stiffness of the spring that keeps the trunk upright."""
    upright_damping: tuple[float, float]
    """N m s/rad: its damping, about the trunk's x and y axes."""
    yaw_damping: float
    """N m s/rad: damping about the trunk's z axis."""
    guidance: float = 0.0
    """N s/m: force per velocity error."""


@dataclass(frozen=True)
class AssistanceSchedule:
    """When the assistance level changes, once in each iteration.

    Episode lengths are expectations, in control steps: one over the fall rate.
    """

    lower_above: float = 300.0
    """Expected episode length above which the level falls."""
    raise_below: float = 150.0
    """Expected episode length below which the level rises."""
    lower_fast_above: float = 600.0
    """Expected episode length above which the level falls fast."""
    inaccurate_above: float = 0.4
    """m/s: velocity error above which the level falls slowly."""
    factor: float = 0.985
    """The level is multiplied by this when it falls, and divided by it when it rises."""
    slow_factor: float = 0.997
    """Factor while the velocity error is large."""
    fast_factor: float = 0.97
    """Factor while episodes are long and the velocity error is small."""
    end_below: float = 0.03
    """Level below which the assistance ends for good."""
    smoothing: float = 0.9
    """Weight of the past in the running means."""


def assistance_gains(robot: Robot) -> AssistanceGains:
    """Gains that hold a robot up whatever its policy does.

    They are stiff in proportion to weight and height. Damping is limited, because a force is held
    during a whole control step: it stays below the effective inertia over the control step.
    """
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_forward(model, data)
    mass_matrix = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, mass_matrix)
    # Effective inertia of the trunk's six degrees of freedom, with all joints free.
    inertia = 1.0 / np.diag(np.linalg.inv(mass_matrix))[:6]
    weight, height = robot.mass * 9.81, robot.drop_height
    upright, lift = 3.0 * weight * height, weight / (0.08 * height)
    roll, pitch = (min(0.12 * upright, 0.35 * inertia[axis] / CONTROL_STEP) for axis in (3, 4))
    return AssistanceGains(
        height=height,
        lift=lift,
        lift_damping=min(1.4 * np.sqrt(lift * robot.mass), 0.4 * inertia[2] / CONTROL_STEP),
        upright=upright,
        upright_damping=(roll, pitch),
        yaw_damping=0.25 * inertia[5] / CONTROL_STEP,
        guidance=GUIDING_GAIN * robot.mass if robot.expert.led else 0.0,
    )


def upright_rotation(qpos: Float[np.ndarray, "N nq"]) -> Float[np.ndarray, "N 3"]:
    """The rotation vector (rad, trunk axes) that would set each trunk upright."""
    x, y, z = projected_gravity(qpos[:, 3:7]).T
    sine = np.hypot(x, y)
    factor = np.arctan2(sine, -z) / np.maximum(sine, 1e-9)
    return np.stack([factor * y, -factor * x, np.zeros(len(x))], axis=1)


def holding_wrench(
    gains: AssistanceGains, qpos: Float[np.ndarray, "N nq"], qvel: Float[np.ndarray, "N nv"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N 3"]]:
    """Lift (N, vertical) and torque (N m, trunk axes) at full scale."""
    lift = gains.lift * (gains.height - qpos[:, 2]) - gains.lift_damping * qvel[:, 2]
    damping = np.array([*gains.upright_damping, gains.yaw_damping])
    return lift, gains.upright * upright_rotation(qpos) - damping * qvel[:, 3:6]


def guiding_force(
    gains: AssistanceGains,
    qpos: Float[np.ndarray, "N nq"],
    qvel: Float[np.ndarray, "N nv"],
    command: Float[np.ndarray, "N 3"],
) -> Float[np.ndarray, "N 3"]:
    """Force (N, world axes) towards the commanded planar velocity at full scale."""
    orientation = qpos[:, 3:7]
    error = -world_to_trunk(qvel[:, :3], orientation)
    error[:, :2] += command[:, :2]
    error[:, 2] = 0.0
    return gains.guidance * trunk_to_world(error, orientation)


@dataclass
class AssistanceProgress:
    """How far the assistance has been withdrawn, and how well the robots walk."""

    level: float = 1.0
    """0 to 1."""
    fall_rate: float = 0.01
    """Falls per control step and robot, a running mean."""
    velocity_error: float = 1.0
    """m/s, a running mean."""
    ended: int | None = None
    """Training steps at which the assistance ended; None before that."""

    @property
    def expected_length(self) -> float:
        """Control steps a robot may expect to stay up."""
        return 1.0 / max(self.fall_rate, 1e-9)


class Assistance:
    """The assistance of N simulated robots."""

    def __init__(
        self,
        robot: Robot,
        num_envs: int,
        rng: np.random.Generator,
        schedule: AssistanceSchedule | None = None,
    ) -> None:
        """Full level, and a random share of it for each robot."""
        self.robot = robot
        self.gains = assistance_gains(robot)
        self.schedule = schedule or AssistanceSchedule()
        self.progress = AssistanceProgress()
        self.shares = rng.uniform(size=num_envs)
        """Share of the level, 0 to 1, that each robot gets in its present episode."""

    @property
    def scale(self) -> Float[np.ndarray, "N"]:
        """Level times share of each robot, 0 to 1."""
        return self.progress.level * self.shares

    def wrench(
        self, simulator: Simulator, command: Float[np.ndarray, "N 3"]
    ) -> Float[np.ndarray, "N 6"] | None:
        """Force (N, world axes) and torque (N m, trunk axes) on each trunk in the next step.

        None once the assistance has ended.
        """
        if self.progress.level == 0.0:
            return None
        scale, (qpos, qvel) = self.scale[:, None], (simulator.qpos, simulator.qvel)
        lift, torque = holding_wrench(self.gains, qpos, qvel)
        force = guiding_force(self.gains, qpos, qvel, command)
        wrench = np.concatenate([scale * force, scale * torque], axis=1)
        # Lift falls faster, as the square: a robot that hangs on it learns to hang.
        wrench[:, 2] += self.scale**2 * lift
        return wrench

    def has_fallen(self, simulator: Simulator) -> Bool[np.ndarray, "N"]:
        """Which trunks are too low or too tilted to learn from."""
        qpos = simulator.qpos
        too_low = qpos[:, 2] < MIN_HEIGHT_RATIO * self.gains.height
        return too_low | (np.linalg.norm(upright_rotation(qpos), axis=1) > MAX_TILT)

    def resample_shares(self, mask: Bool[np.ndarray, "N"], rng: np.random.Generator) -> None:
        """New shares for the robots of `mask`, whose episodes start."""
        self.shares[mask] = rng.uniform(size=int(mask.sum()))

    def update_level(self, fall_rate: float, velocity_error: float, steps: int) -> None:
        """Lower or raise the level after an iteration.

        Args:
            fall_rate: falls per control step and robot in this iteration.
            velocity_error: m/s, mean distance from the commanded velocity.
            steps: training steps so far.
        """
        now, schedule = self.progress, self.schedule
        past, new = schedule.smoothing, 1.0 - schedule.smoothing
        now.fall_rate = past * now.fall_rate + new * fall_rate
        now.velocity_error = past * now.velocity_error + new * velocity_error
        length = now.expected_length
        if now.level == 0.0:
            return
        if length > schedule.lower_above and now.velocity_error > schedule.inaccurate_above:
            now.level *= schedule.slow_factor
        elif length > schedule.lower_above:
            fast = length > schedule.lower_fast_above
            now.level *= schedule.fast_factor if fast else schedule.factor
        elif length < schedule.raise_below:
            now.level = min(1.0, now.level / schedule.factor)
        if now.level < schedule.end_below:
            now.level, now.ended = 0.0, steps

    def checkpoint_notes(self) -> dict[str, Any]:
        """The progress as a checkpoint stores it; the shares are stored apart."""
        now = self.progress
        return {
            "level": now.level,
            "falls": now.fall_rate,
            "error": now.velocity_error,
            "ended": now.ended,
        }

    def resume(self, notes: dict[str, Any], shares: Float[np.ndarray, "N"]) -> None:
        """Continue from a checkpoint."""
        self.progress = AssistanceProgress(
            notes["level"], notes["falls"], notes["error"], notes["ended"]
        )
        self.shares = shares
