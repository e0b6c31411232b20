"""The curriculum of an expert: rewards, penalties, noise and discount as training goes on.

`FadingCurriculum` is for robots that stand by themselves: penalties rise over a ramp, and the
guide, a share of the tracking reward with a wide temperature, fades with it. `AssistedCurriculum`
is for robots that must be held first: easy rewards until the help has ended, then penalties up to
full, then short episodes for starts, and at last quiet actions in the physics of the grading.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bodyplan.envs.environment import StepResult
from bodyplan.experts import ppo
from bodyplan.experts.assistance import AssistanceProgress
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP, ExpertSettings, RewardCoefficients

GUIDE_TEMPERATURE = 1.0
REWARD_UNIT = 0.06
"""Best reward of a step as PPO sees it, whatever the robot's coefficients."""
MIN_STD = 0.05
LOWEST_PAY, HIGHEST_PAY = -0.2, 1.0
"""Bounds on the pay of one step where falls must hurt."""
IDLE = 0.4
"""Loudness of joints that should stay nominal, as a share of the others'."""


class CurriculumStage(NamedTuple):
    """What holds during one iteration."""

    penalties: float
    """Share of the task's penalties."""
    guide: float
    """Share of wide-temperature tracking in the pay."""
    discount: float
    bounds: ppo.Bounds
    exact: float = 0.3
    """Share of varied commands at exactly 1 m/s."""
    physics: str | None = None
    """What the task is simulated in from now on, if not in what it was."""
    horizon: int | None = None
    """Control steps after which a robot starts anew from now on, if not as before."""


class Curriculum(Protocol):
    """What holds when, and what a step is worth to PPO."""

    def moment(self, steps: int, help: AssistanceProgress | None) -> CurriculumStage:
        """What holds after so many training steps, and so much help withdrawn."""
        ...

    def pay(
        self, moment: CurriculumStage, step: StepResult, command: Float[np.ndarray, "N 3"]
    ) -> Float[np.ndarray, "N"]:
        """PPO's reward for one control step."""
        ...


@dataclass(frozen=True)
class FadingCurriculum:
    """Full penalties and no guide after a ramp; quiet actions after that."""

    reward: RewardCoefficients
    wants: ExpertSettings
    total_steps: int
    discount: float
    ramp_steps: int
    first_penalties: float
    guide: float
    final_std: float

    def moment(self, steps: int, help: AssistanceProgress | None) -> CurriculumStage:
        """Actions must be loud while the ramp lasts, and learning goes quiet with them."""
        progress, wants = min(1.0, steps / self.ramp_steps), self.wants
        quiet_from = max(self.ramp_steps + 1, wants.quiet_from * self.total_steps)
        along = min(1.0, max(0.0, (steps - self.ramp_steps) / (quiet_from - self.ramp_steps)))
        ceiling = wants.initial_std * (1.0 - (1.0 - self.final_std) * along)
        least = max(MIN_STD, wants.initial_std * (1.0 - progress))
        rate = ppo.MAX_LEARNING_RATE
        rate *= (wants.final_learning_rate / ppo.MAX_LEARNING_RATE) ** along
        return CurriculumStage(
            penalties=self.first_penalties + (1.0 - self.first_penalties) * progress,
            guide=self.guide * (1.0 - progress),
            discount=self.discount,
            bounds=ppo.Bounds(*(jnp.asarray(v) for v in (least, max(MIN_STD, ceiling), rate))),
        )

    def pay(
        self, moment: CurriculumStage, step: StepResult, command: Float[np.ndarray, "N 3"]
    ) -> Float[np.ndarray, "N"]:
        """The task's reward and the guide."""
        share, best = moment.guide, best_reward(self.reward)
        wide = CONTROL_STEP * wide_tracking(self.reward, step, command)
        return ((1.0 - share) * step.reward + share * wide) * REWARD_UNIT / best


@dataclass(frozen=True)
class AssistedCurriculum:
    """Easy pay while there is help; then penalties up to full; then the task itself, quietly."""

    reward: RewardCoefficients
    spread: Float[np.ndarray, "J"]
    """First standard deviation of each joint's actions."""
    total_steps: int
    """Of the whole run."""
    alive: float = 1.0
    """Pay for staying up, as a coefficient of the reward."""
    helped_penalties: float = 0.2
    hardening: float = 800_000.0
    """Training steps after the help over which penalties rise."""
    penalties: tuple[float, float] = (0.3, 1.0)
    """At the start and at the end of the hardening."""
    helped_ceilings: tuple[float, float] = (1.0, 0.35)
    """Bound on the spread under full help and as it ends, as a share of the first."""
    refining: float = 1_600_000.0
    """Training steps after that over which all that follows goes from first to last."""
    guides: tuple[float, float, float] = (0.5, 0.25, 0.0)
    """Under help, without it, and at the end; so are the others."""
    discounts: tuple[float, float, float] = (0.97, 0.98, 0.99)
    exact: tuple[float, float, float] = (0.3, 0.3, 1.0)
    ceilings: tuple[float, float] = (0.3125, 0.2)
    starting: float = 0.8
    """Share of the run from which on episodes are short, because whoever still falls falls at the
    start. Not later, because a quiet policy learns slowly."""
    short: int = 60
    """Control steps of those episodes."""
    settled: float = 0.92
    """Share of the run from which on actions are quiet and physics is that of the task: both shift
    the speed, and it is the mean action in reference physics that counts."""
    quiet: float = 0.075
    """Bound on the spread from then on, as a share of the first."""
    least_std: tuple[float, float] = (0.05, 0.04)
    """Under help and after it."""
    learning_rates: tuple[float, float] = (2e-3, 3e-4)
    """Bound on the actor's, until the refining and at its end."""

    def moment(self, steps: int, help: AssistanceProgress | None) -> CurriculumStage:
        """As far as the help has been withdrawn, or as long as it is gone."""
        if help is not None and help.ended is None:
            return CurriculumStage(
                penalties=self.helped_penalties,
                guide=self.guides[0],
                discount=self.discounts[0],
                bounds=self._bounds(
                    self.least_std[0],
                    _between(*self.helped_ceilings, 1.0 - help.level),
                    self.learning_rates[0],
                ),
                exact=self.exact[0],
            )
        alone = steps - (help.ended or 0 if help else 0)
        hard = min(1.0, alone / self.hardening)
        fine = min(1.0, max(0.0, (alone - self.hardening) / self.refining))
        along = steps / self.total_steps
        settled = along >= self.settled
        return CurriculumStage(
            penalties=_between(*self.penalties, hard),
            guide=_between(*self.guides[1:], fine),
            # In steps, because each value of it is compiled anew.
            discount=self.discounts[2 if fine > 0.0 else 1],
            bounds=self._bounds(
                self.least_std[1],
                self.quiet if settled else _between(*self.ceilings, fine),
                _between(*self.learning_rates, fine),
            ),
            exact=_between(*self.exact[1:], fine),
            physics="reference" if settled else None,
            horizon=self.short if along >= self.starting else None,
        )

    def _bounds(self, least: float, ceiling: float, rate: float) -> ppo.Bounds:
        return ppo.Bounds(
            jnp.full(len(self.spread), least, jnp.float32),
            jnp.asarray(np.maximum(least, ceiling * self.spread), jnp.float32),
            jnp.asarray(rate, jnp.float32),
        )

    def pay(
        self, moment: CurriculumStage, step: StepResult, command: Float[np.ndarray, "N 3"]
    ) -> Float[np.ndarray, "N"]:
        """Tracking, half of it forgiving, and life, less penalties; below zero where they win."""
        tracking, penalties = (
            step.reward_terms[:, :2].sum(axis=1),
            step.reward_terms[:, 2:].sum(axis=1),
        )
        wide = wide_tracking(self.reward, step, command)
        earned = (1.0 - moment.guide) * tracking
        earned += CONTROL_STEP * (moment.guide * wide + self.alive)
        paid = (earned + moment.penalties * penalties) * REWARD_UNIT / best_reward(self.reward)
        return np.clip(paid, LOWEST_PAY, HIGHEST_PAY)


def _between(first: float, last: float, along: float) -> float:
    return first + (last - first) * along


def best_reward(reward: RewardCoefficients) -> float:
    """Of one step: perfect tracking without a penalty."""
    return CONTROL_STEP * (reward.tracking_xy + reward.tracking_yaw)


def wide_tracking(
    reward: RewardCoefficients, step: StepResult, command: Float[np.ndarray, "N 3"]
) -> Float[np.ndarray, "N"]:
    """Tracking as the task pays it, but for errors of a metre per second that still count."""
    error = np.square(step.velocity - command)
    wide = reward.tracking_xy * np.exp(-error[:, :2].sum(axis=1) / GUIDE_TEMPERATURE)
    wide += reward.tracking_yaw * np.exp(-error[:, 2] / GUIDE_TEMPERATURE)
    return wide


def first_spread(robot: Robot) -> Float[np.ndarray, "J"]:
    """Standard deviation of a beginner's actions, joint by joint."""
    idle = np.isin(robot.joints, robot.reward.nominal_pose_joints)
    return robot.expert.initial_std * np.where(idle, IDLE, 1.0)
