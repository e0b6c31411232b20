"""The training loop of an expert: collect a rollout, update by PPO, keep statistics, checkpoint.

The curriculum (`curriculum.py`) decides what holds in each iteration; the robots live in
`training_environment.py`; the update is in `ppo.py`.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets.replay_log import ReplayChunk, chunk_paths
from bodyplan.errors import BodyplanError
from bodyplan.experts import ppo
from bodyplan.experts.assistance import AssistanceProgress
from bodyplan.experts.curriculum import CurriculumStage, initial_action_std, make_curriculum
from bodyplan.experts.expert_config import ExpertConfig, default_ppo, stored_settings
from bodyplan.experts.expert_observations import mirror_maps
from bodyplan.experts.snapshot_recorder import SnapshotRecorder
from bodyplan.experts.training_environment import TrainingEnvironment
from bodyplan.learn.checkpoint import restore_tree, save_tree
from bodyplan.records import checked_record
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_tensors

LogIteration = Callable[[int, dict[str, float]], None]
"""Takes the training steps so far and the metrics of an iteration."""


class _Notes(TypedDict):
    """What a checkpoint says beside its tensors."""

    config: dict[str, Any]
    steps: int
    horizon: int
    recent: list[tuple[float, float]]
    curve: list[tuple[float, float, float]]
    taken: list[int]
    logged: list[int]
    assistance: dict[str, float | bool | None] | None


class PPORunner:
    """The mutable state of a training run: PPO state, robots, statistics, snapshots, log."""

    def __init__(self, config: ExpertConfig) -> None:
        """Load the robot and start a run at step 0.

        Raises:
            BodyplanError: the robot, the command or the physics is unknown, or a robot that
                should be symmetric is not.
        """
        self.robot = robot = Robot.load(config.robot)
        settings = robot.expert
        self.ppo_config = config.ppo or default_ppo(settings)
        self.config = replace(config, ppo=self.ppo_config)
        self.steps = 0
        """Training steps so far: control steps of all robots together."""
        self.total_steps = config.steps or settings.steps
        self.episode_steps = config.episode_steps or settings.episode_steps
        self.curriculum = make_curriculum(robot, config, self.total_steps, self.ppo_config.discount)
        first_stage = self.curriculum.stage(0, AssistanceProgress() if settings.assisted else None)
        self.environment = TrainingEnvironment(
            robot, self.config, self.ppo_config.num_envs, self.episode_steps, first_stage
        )
        self.state = ppo.init_ppo(
            jax.random.PRNGKey(config.seed),
            self.ppo_config,
            self.environment.policy_input().shape[1],
            self.environment.critic_input().shape[1],
            robot.num_joints,
            initial_action_std(robot) if settings.assisted else settings.initial_std,
            mirror_maps(robot) if settings.symmetric else None,
        )
        self.statistics = EpisodeStatistics(self.ppo_config.num_envs)
        self.curve: list[tuple[int, float, float]] = []
        """About a hundred points: training steps, mean return, mean episode length."""
        self.recorder = SnapshotRecorder(config.snapshots, self.total_steps, self.state)
        self.replay_chunk = ReplayChunk(config.log_replay)
        """What was logged since the last checkpoint."""
        self.replay_cuts = [0]
        """Training steps between which the chunks of the log lie."""

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that the result depends on, with the robot's where none were given."""
        resolved = {"steps": self.total_steps, "episode_steps": self.episode_steps}
        return asdict(self.robot.expert) | stored_settings(self.config) | resolved

    def iterate(self) -> dict[str, float]:
        """One iteration: collect a rollout, update, record. Returns metrics."""
        environment = self.environment
        progress = None if environment.assistance is None else environment.assistance.progress
        stage = self.curriculum.stage(self.steps, progress)
        environment.enter_stage(stage)
        rollout, assistance_metrics = self._collect_rollout(stage)
        config = replace(self.ppo_config, discount=stage.discount)
        self.state, ppo_metrics = ppo.ppo_update(config, self.state, rollout, stage.limits)
        self.steps += self.ppo_config.num_envs * self.ppo_config.rollout_steps
        self.recorder.record(self.steps, self.state)
        # Where episodes are short for a while, report them as if they had the usual length.
        means = self.statistics.means(self.episode_steps / environment.task.horizon)
        if self.steps >= len(self.curve) * self.total_steps / 100:
            self.curve.append((self.steps, round(means["return"], 3), round(means["length"])))
        return (
            means | assistance_metrics | {name: float(value) for name, value in ppo_metrics.items()}
        )

    def _collect_rollout(self, stage: CurriculumStage) -> tuple[ppo.Rollout, dict[str, float]]:
        """Let the robots walk under the present policy; returns also metrics of assistance."""
        environment, state, log_replay = self.environment, self.state, self.config.log_replay
        rows: list[tuple[np.ndarray, ...]] = []
        falls, velocity_errors = 0, 0.0
        for index in range(self.ppo_config.rollout_steps):
            observations = environment.policy_input()
            critic_observations = environment.critic_input()
            key = jax.random.fold_in(state.key, index)
            actions, log_probs = (
                np.asarray(a) for a in ppo.sample_actions(state, jnp.asarray(observations), key)
            )
            task = environment.task
            if log_replay:
                self.replay_chunk.add_observation(task.observation, task.descriptor)
            step = environment.step(actions, observations)
            if log_replay:
                self.replay_chunk.add_step(actions, step, task.descriptor)
            done = step.terminated | step.truncated
            rewards = self.curriculum.shaped_reward(stage, step, task.command)
            out_of_time = step.truncated & ~step.terminated
            if out_of_time.any():
                # A time limit is not the end: r + gamma V(s') (Pardo et al. 2018, 1712.00378).
                after = jnp.asarray(environment.critic_input(step.observation))
                values = np.asarray(ppo.predict_values(state, after))
                rewards = rewards + stage.discount * out_of_time * values
            rows.append((observations, critic_observations, actions, log_probs, rewards, done))
            falls += int(step.terminated.sum())
            error = step.velocity[:, :2] - task.command[:, :2]
            velocity_errors += float(np.linalg.norm(error, axis=1).mean())
            self.statistics.add(step.reward, done, task.elapsed_steps)
            if done.any():
                environment.reset(done)
        rollout = _stack_rollout(rows, environment.critic_input())
        return rollout, self._update_assistance(
            falls / rollout.dones.size, velocity_errors / len(rows)
        )

    def _update_assistance(self, fall_rate: float, velocity_error: float) -> dict[str, float]:
        assistance = self.environment.assistance
        if assistance is None:
            return {}
        assistance.update_level(fall_rate, velocity_error, self.steps)
        now = assistance.progress
        return {
            "assistance": now.level,
            "expected_length": now.expected_length,
            "velocity_error": now.velocity_error,
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint: all that the rest of the run depends on, after the log so far."""
        if self.config.log_replay:
            self.replay_cuts.append(self.steps)
            chunk_path = chunk_paths(path.parent, self.replay_cuts)[-1]
            self.replay_chunk.save(chunk_path, self.steps >= self.total_steps)
            self.replay_chunk = ReplayChunk(self.config.log_replay)
        task, assistance = self.environment.task, self.environment.assistance
        notes = {
            "config": self.settings,
            "steps": self.steps,
            "horizon": task.horizon,
            "rng": task.rng.bit_generator.state,
            "recent": self.statistics.recent,
            "curve": self.curve,
            "taken": self.recorder.steps,
            "logged": self.replay_cuts,
            "assistance": None if assistance is None else assistance.checkpoint_notes(),
        }
        save_tree(path, self._checkpoint_tree(), {"notes": json.dumps(notes)})

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote.

        Raises:
            BodyplanError: the file is damaged or belongs to a run with other settings.
        """
        try:
            notes = json.loads(read_tensors(path)[1]["notes"])
            rng = dict(notes.pop("rng"))  # its whole numbers have 128 bits
        except (*(AttributeError, KeyError, TypeError, ValueError), RecursionError) as error:
            raise BodyplanError(f"the notes of {path} are damaged ({error}); remove it.") from error
        checked_record(f"the notes of {path}", notes, _Notes, "remove it")
        if notes.get("config") != json.loads(json.dumps(self.settings)):
            raise BodyplanError(
                f"{path} belongs to a run with other settings or another [expert] table of the "
                "robot; give the same settings again, choose another --out or remove the folder."
            )
        tree = restore_tree(path, self._checkpoint_tree())
        self.state = eqx.combine(tree["learner"], self.state)
        task, assistance = self.environment.task, self.environment.assistance
        task.load_state_dict(tree["environment"])
        task.rng.bit_generator.state = rng
        task.horizon = notes["horizon"]
        if assistance is not None:
            assistance.resume(notes["assistance"], tree["assistance"])
        self.steps, self.replay_cuts = notes["steps"], notes["logged"]
        self.statistics.returns = tree["episode_returns"]
        self.statistics.recent = [(value, length) for value, length in notes["recent"]]
        self.curve = [(steps, value, length) for steps, value, length in notes["curve"]]
        self.recorder.steps, self.recorder.tensors = notes["taken"], tree["tensors"]

    def _checkpoint_tree(self) -> dict[str, Any]:
        assistance = self.environment.assistance
        shares = {} if assistance is None else {"assistance": assistance.shares}
        return shares | {
            "learner": eqx.filter(self.state, eqx.is_array),
            "environment": self.environment.task.state_dict(),
            "episode_returns": self.statistics.returns,
            "tensors": self.recorder.tensors,
        }


class EpisodeStatistics:
    """Returns and lengths of the episodes that ended last."""

    def __init__(self, num_envs: int, window: int = 128) -> None:
        """No episode yet; means are over the last `window` episodes."""
        self.window = window
        self.returns = np.zeros(num_envs)
        """Return so far of each robot's present episode."""
        self.recent: list[tuple[float, int]] = []
        """Return and length of the last episodes."""

    def add(
        self,
        rewards: Float[np.ndarray, "N"],
        done: Bool[np.ndarray, "N"],
        elapsed: Int[np.ndarray, "N"],
    ) -> None:
        """Add one control step: rewards, which episodes end, and their lengths."""
        self.returns += rewards
        ended = zip(self.returns[done], elapsed[done], strict=True)
        self.recent = [*self.recent, *((float(r), int(n)) for r, n in ended)][-self.window :]
        self.returns[done] = 0.0

    def means(self, scale: float) -> dict[str, float]:
        """Mean return and length, times `scale`; zeros before the first episode ends."""
        returns, lengths = scale * np.array(self.recent or [(0.0, 0)]).T
        return {"return": float(returns.mean()), "length": float(lengths.mean())}


def _stack_rollout(
    rows: list[tuple[np.ndarray, ...]], last_critic_observations: Float[np.ndarray, "N P"]
) -> ppo.Rollout:
    observations, critic_observations, *others = (
        np.stack(column) for column in zip(*rows, strict=True)
    )
    critic_observations = np.concatenate([critic_observations, last_critic_observations[None]])
    parts = (observations, critic_observations, *others)
    return ppo.Rollout(*(jnp.asarray(part, jnp.float32) for part in parts))
