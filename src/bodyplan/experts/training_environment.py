"""The environment an expert trains in: the walking task with assistance, prior and commands.

Datasets and grading use the plain task in reference physics. Training may use cheaper physics,
random starts, scaled penalties, random commands, an action prior and assistance. The curriculum
decides how much of each holds in an iteration.
"""

import numpy as np
from jaxtyping import Bool, Float

from bodyplan.datasets.policy_snapshots import policy_input
from bodyplan.envs.environment import Environment, StepResult
from bodyplan.envs.walking_task import Observation
from bodyplan.experts.action_prior import make_action_prior
from bodyplan.experts.assistance import Assistance
from bodyplan.experts.command_sampling import CommandSampler
from bodyplan.experts.curriculum import CurriculumStage
from bodyplan.experts.expert_config import ExpertConfig
from bodyplan.experts.expert_observations import critic_input
from bodyplan.robots.robot import Robot


class TrainingEnvironment:
    """N robots that learn to walk at the present stage of their curriculum."""

    def __init__(
        self,
        robot: Robot,
        config: ExpertConfig,
        num_envs: int,
        episode_steps: int,
        stage: CurriculumStage,
    ) -> None:
        """Set up and reset; time limits are spread so that episodes do not end together.

        Args:
            robot: the body.
            config: command, seed, physics, threads and disturbances.
            num_envs: N.
            episode_steps: control steps of an episode, unless a stage says otherwise.
            stage: the first stage of the curriculum.

        Raises:
            BodyplanError: the command or the physics is unknown.
        """
        self.robot = robot
        self.config = config
        self.num_envs = num_envs
        self.stage = stage
        self.command_sampler = CommandSampler.parse(config.command)
        self.task = self._make_task(config.physics, episode_steps)
        """The walking task. It changes when the physics does."""
        self.assistance = (
            Assistance(robot, num_envs, self.task.rng) if robot.expert.assisted else None
        )
        if self.command_sampler.is_random:
            all_robots = np.ones(num_envs, bool)
            self.task.reset(all_robots, self._sample_commands(all_robots))
        self._set_episode_steps(episode_steps)
        self.action_prior = make_action_prior(robot, self.policy_input().shape[1])

    def policy_input(self) -> Float[np.ndarray, "N I"]:
        """The actor's inputs at present."""
        return policy_input(self.task.observation)

    def critic_input(self, observation: Observation | None = None) -> Float[np.ndarray, "N P"]:
        """The critic's inputs, of the present observation or of another."""
        observation = self.task.observation if observation is None else observation
        scale = None if self.assistance is None else self.assistance.scale
        return critic_input(observation, scale)

    def enter_stage(self, stage: CurriculumStage) -> None:
        """Apply a stage of the curriculum to physics, episode length and penalties."""
        self.stage = stage
        if stage.physics not in (None, self.task.physics):
            self._change_physics(stage.physics)
        if stage.episode_steps not in (None, self.task.horizon):
            self._set_episode_steps(stage.episode_steps)
        self.task.penalty_scale = stage.penalty_scale

    def step(
        self, actions: Float[np.ndarray, "N J"], observations: Float[np.ndarray, "N I"]
    ) -> StepResult:
        """One control step under the policy's actions, with prior and assistance.

        Args:
            actions: the policy's.
            observations: the actor's inputs they were drawn for.
        """
        task, assistance, commands = self.task, self.assistance, self.task.command
        self.command_sampler.resample(task.rng, commands, self.stage.full_speed_share)
        if self.action_prior is not None:
            actions = self.action_prior.add_to(actions, observations)
        if assistance is None:
            return task.step(actions)
        task.simulator.wrench = assistance.wrench(task.simulator, commands)
        step = task.step(actions)
        return step._replace(terminated=step.terminated | assistance.has_fallen(task.simulator))

    def reset(self, done: Bool[np.ndarray, "N"]) -> None:
        """Start new episodes for the robots of `done`."""
        if self.assistance is not None:
            self.assistance.resample_shares(done, self.task.rng)
        is_random = self.command_sampler.is_random
        self.task.reset(done, self._sample_commands(done) if is_random else None)

    def _make_task(self, physics: str, episode_steps: int) -> Environment:
        config = self.config
        return Environment(
            self.robot,
            self.command_sampler.graded[0],
            self.num_envs,
            physics,
            initial_state="varied" if self.robot.expert.poised else "random",
            seed=config.seed,
            threads=config.threads,
            horizon=episode_steps,
            disturbances=config.disturbances,
        )

    def _change_physics(self, physics: str) -> None:
        """Continue the same episodes in other physics."""
        before = self.task
        self.task = self._make_task(physics, before.horizon)
        self.task.load_state_dict(before.state_dict())
        self.task.rng = before.rng

    def _set_episode_steps(self, episode_steps: int) -> None:
        """Change the time limit, and set robots at random times before it."""
        self.task.horizon = episode_steps
        self.task.elapsed_steps[:] = self.task.rng.integers(episode_steps, size=self.num_envs)

    def _sample_commands(self, mask: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "N 3"]:
        """All commands, with new ones for the robots of `mask`."""
        commands, count = self.task.command.copy(), int(mask.sum())
        commands[mask] = self.command_sampler.sample(
            self.task.rng, count, self.stage.full_speed_share
        )
        return commands
