"""The curriculum of an expert: rewards, penalties, action noise and discount during training.

`RampCurriculum` is for robots that stand without help. Penalties rise over a ramp, while a share of
the tracking reward with a wide temperature fades: a robot that stands a metre per second short of
its command otherwise feels no slope. `AssistedCurriculum` is for robots that are held up at first.
It has easy rewards until the assistance has ended. Then penalties rise to full. Towards the end
episodes are short, and at last action noise is small and the physics is that of the grading.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bodyplan.envs.environment import StepResult
from bodyplan.experts.assistance import AssistanceProgress
from bodyplan.experts.expert_config import ExpertConfig
from bodyplan.experts.ppo import MAX_LEARNING_RATE, PPOLimits
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP, ExpertSettings, RewardCoefficients

WIDE_TEMPERATURE = 1.0
"""m^2/s^2: temperature of wide tracking; that of the task is 0.25."""
PERFECT_REWARD = 0.06
"""Reward of a perfect step as PPO gets it, whatever the robot's coefficients."""
MIN_STD = 0.05
"""Lower limit of the actions' standard deviation."""
MIN_STEP_REWARD, MAX_STEP_REWARD = -0.2, 1.0
"""Limits of one step's reward in `AssistedCurriculum`, where falls must hurt."""
NOMINAL_JOINT_NOISE = 0.4
"""Action noise of joints that should stay nominal, as a share of the others'."""


class CurriculumStage(NamedTuple):
    """The training settings of one iteration."""

    penalty_scale: float
    """Factor on the task's penalties."""
    wide_share: float
    """Share of wide tracking in the tracking reward."""
    discount: float
    """PPO's gamma."""
    limits: PPOLimits
    """On action noise and learning rate."""
    full_speed_share: float = 0.3
    """Share of random commands at exactly 1 m/s."""
    physics: str | None = None
    """Physics from now on; None leaves it as it is."""
    episode_steps: int | None = None
    """Control steps of an episode from now on; None leaves them as they are."""


class Curriculum(Protocol):
    """The training settings at each moment, and PPO's reward under them."""

    def stage(self, steps: int, assistance: AssistanceProgress | None) -> CurriculumStage:
        """The settings after so many training steps and at this assistance."""
        ...

    def shaped_reward(
        self, stage: CurriculumStage, step: StepResult, command: Float[np.ndarray, "N 3"]
    ) -> Float[np.ndarray, "N"]:
        """PPO's reward for one control step of N robots."""
        ...


@dataclass(frozen=True)
class RampCurriculum:
    """Penalties rise over a ramp while wide tracking fades; then action noise falls."""

    coefficients: RewardCoefficients
    settings: ExpertSettings
    total_steps: int
    """Training steps of the whole run."""
    discount: float
    """PPO's gamma."""
    ramp_steps: int
    """Training steps of the ramp."""
    initial_penalty_scale: float
    """Penalty scale at the start of the ramp; it ends at 1."""
    initial_wide_share: float
    """Share of wide tracking at the start of the ramp; it ends at 0."""
    final_std_ratio: float
    """Upper limit of the action noise at the end, as a share of the initial noise."""

    def stage(self, steps: int, assistance: AssistanceProgress | None) -> CurriculumStage:
        """During the ramp noise stays large; after it noise and learning rate fall together."""
        ramp, settings = min(1.0, steps / self.ramp_steps), self.settings
        decay_end = max(self.ramp_steps + 1, settings.quiet_from * self.total_steps)
        decay = min(1.0, max(0.0, (steps - self.ramp_steps) / (decay_end - self.ramp_steps)))
        max_std = settings.initial_std * (1.0 - (1.0 - self.final_std_ratio) * decay)
        min_std = max(MIN_STD, settings.min_std, settings.initial_std * (1.0 - ramp))
        max_rate = MAX_LEARNING_RATE
        max_rate *= (settings.final_learning_rate / MAX_LEARNING_RATE) ** decay
        limits = (min_std, max(min_std, max_std), max_rate)
        return CurriculumStage(
            penalty_scale=self.initial_penalty_scale + (1.0 - self.initial_penalty_scale) * ramp,
            wide_share=self.initial_wide_share * (1.0 - ramp),
            discount=self.discount,
            limits=PPOLimits(*(jnp.asarray(limit) for limit in limits)),
        )

    def shaped_reward(
        self, stage: CurriculumStage, step: StepResult, command: Float[np.ndarray, "N 3"]
    ) -> Float[np.ndarray, "N"]:
        """The task's reward mixed with wide tracking, in units of `PERFECT_REWARD`."""
        share, best = stage.wide_share, best_reward(self.coefficients)
        wide = CONTROL_STEP * wide_tracking(self.coefficients, step, command)
        return ((1.0 - share) * step.reward + share * wide) * PERFECT_REWARD / best


@dataclass(frozen=True)
class AssistedCurriculum:
    """Easy rewards under assistance; then a penalty ramp, then refinement, then a final phase.

    Tuples go from the first value to the last one. Three values hold under assistance, after
    it, and at the end of the refinement.
    """

    coefficients: RewardCoefficients
    initial_std: Float[np.ndarray, "J"]
    """Initial standard deviation of each joint's action."""
    total_steps: int
    """Training steps of the whole run."""
    alive_reward: float = 1.0
    """Coefficient of the reward for staying up."""
    assisted_penalty_scale: float = 0.2
    """Penalty scale under assistance."""
    penalty_ramp_steps: float = 800_000.0
    """Training steps after the assistance during which penalties rise."""
    penalty_scales: tuple[float, float] = (0.3, 1.0)
    """Penalty scale at the start and at the end of the penalty ramp."""
    assisted_max_std: tuple[float, float] = (1.0, 0.35)
    """Upper limit of the noise at full and at no assistance, as a share of the initial noise."""
    refinement_steps: float = 1_600_000.0
    """Training steps of the refinement, which follows the penalty ramp."""
    wide_shares: tuple[float, float, float] = (0.5, 0.25, 0.0)
    """Share of wide tracking."""
    discounts: tuple[float, float, float] = (0.97, 0.98, 0.99)
    """PPO's gamma."""
    full_speed_shares: tuple[float, float, float] = (0.3, 0.3, 1.0)
    """Share of random commands at exactly 1 m/s."""
    max_std: tuple[float, float] = (0.3125, 0.2)
    """Upper limit of the noise before and after the refinement, as a share of the initial noise."""
    short_episodes_from: float = 0.8
    """Share of the run from which on episodes are short, because the remaining falls are at the
    start. It is not later, because learning is slow when noise is small."""
    short_episode_steps: int = 60
    """Control steps of those episodes."""
    final_phase_from: float = 0.92
    """Share of the run from which on noise is small and physics is the reference. Both shift the
    speed, and grading is of the mean action in reference physics."""
    final_phase_max_std: float = 0.075
    """Upper limit of the noise from then on, as a share of the initial noise."""
    min_std: tuple[float, float] = (0.05, 0.04)
    """Lower limit of the noise, under assistance and after it."""
    max_learning_rates: tuple[float, float] = (2e-3, 3e-4)
    """Upper limit of the actor's learning rate, before and after the refinement."""

    def stage(self, steps: int, assistance: AssistanceProgress | None) -> CurriculumStage:
        """The settings at this assistance level, or so many steps after it has ended."""
        if assistance is not None and assistance.ended is None:
            return self._assisted_stage(assistance.level)
        since_end = steps - (assistance.ended or 0 if assistance else 0)
        ramp = min(1.0, since_end / self.penalty_ramp_steps)
        refinement = (since_end - self.penalty_ramp_steps) / self.refinement_steps
        refinement = min(1.0, max(0.0, refinement))
        share_of_run = steps / self.total_steps
        final_phase = share_of_run >= self.final_phase_from
        return CurriculumStage(
            penalty_scale=_interpolate(*self.penalty_scales, ramp),
            wide_share=_interpolate(*self.wide_shares[1:], refinement),
            # It changes only once, because each value compiles a program of its own.
            discount=self.discounts[2 if refinement > 0.0 else 1],
            limits=self._limits(
                self.min_std[1],
                self.final_phase_max_std
                if final_phase
                else _interpolate(*self.max_std, refinement),
                _interpolate(*self.max_learning_rates, refinement),
            ),
            full_speed_share=_interpolate(*self.full_speed_shares[1:], refinement),
            physics="reference" if final_phase else None,
            episode_steps=(
                self.short_episode_steps if share_of_run >= self.short_episodes_from else None
            ),
        )

    def _assisted_stage(self, level: float) -> CurriculumStage:
        return CurriculumStage(
            penalty_scale=self.assisted_penalty_scale,
            wide_share=self.wide_shares[0],
            discount=self.discounts[0],
            limits=self._limits(
                self.min_std[0],
                _interpolate(*self.assisted_max_std, 1.0 - level),
                self.max_learning_rates[0],
            ),
            full_speed_share=self.full_speed_shares[0],
        )

    def _limits(self, min_std: float, max_std_ratio: float, max_rate: float) -> PPOLimits:
        max_std = np.maximum(min_std, max_std_ratio * self.initial_std)
        return PPOLimits(
            jnp.full(len(self.initial_std), min_std, jnp.float32),
            jnp.asarray(max_std, jnp.float32),
            jnp.asarray(max_rate, jnp.float32),
        )

    def shaped_reward(
        self, stage: CurriculumStage, step: StepResult, command: Float[np.ndarray, "N 3"]
    ) -> Float[np.ndarray, "N"]:
        """Tracking, partly wide, plus staying up, less scaled penalties; it may be negative."""
        tracking = step.reward_terms[:, :2].sum(axis=1)
        penalties = step.reward_terms[:, 2:].sum(axis=1)
        wide = wide_tracking(self.coefficients, step, command)
        reward = (1.0 - stage.wide_share) * tracking
        reward += CONTROL_STEP * (stage.wide_share * wide + self.alive_reward)
        reward = reward + stage.penalty_scale * penalties
        reward = reward * PERFECT_REWARD / best_reward(self.coefficients)
        return np.clip(reward, MIN_STEP_REWARD, MAX_STEP_REWARD)


def make_curriculum(
    robot: Robot, config: ExpertConfig, total_steps: int, discount: float
) -> Curriculum:
    """The curriculum of a robot: with assistance where its `[expert]` settings say so.

    Args:
        robot: the robot to train.
        config: gives the ramp of robots without assistance.
        total_steps: training steps of the whole run.
        discount: PPO's gamma for robots without assistance.
    """
    if robot.expert.assisted:
        return AssistedCurriculum(robot.reward, initial_action_std(robot), total_steps)
    return RampCurriculum(
        robot.reward,
        robot.expert,
        total_steps,
        discount,
        config.ramp_steps,
        config.initial_penalty_scale,
        config.initial_wide_share,
        config.final_std_ratio,
    )


def best_reward(coefficients: RewardCoefficients) -> float:
    """The task's reward for one step of perfect tracking without a penalty."""
    return CONTROL_STEP * (coefficients.tracking_xy + coefficients.tracking_yaw)


def wide_tracking(
    coefficients: RewardCoefficients, step: StepResult, command: Float[np.ndarray, "N 3"]
) -> Float[np.ndarray, "N"]:
    """The task's tracking reward with a wide temperature, so that 1 m/s of error still counts."""
    error = np.square(step.velocity - command)
    wide = coefficients.tracking_xy * np.exp(-error[:, :2].sum(axis=1) / WIDE_TEMPERATURE)
    wide += coefficients.tracking_yaw * np.exp(-error[:, 2] / WIDE_TEMPERATURE)
    return wide


def initial_action_std(robot: Robot) -> Float[np.ndarray, "J"]:
    """Initial standard deviation of each joint's action; smaller where it should stay nominal."""
    stays_nominal = np.isin(robot.joints, robot.reward.nominal_pose_joints)
    return robot.expert.initial_std * np.where(stays_nominal, NOMINAL_JOINT_NOISE, 1.0)


def _interpolate(first: float, last: float, share: float) -> float:
    return first + (last - first) * share
