"""The course that makes an expert, from standing still to walking, with snapshots on the way.

What is recorded and graded is the task itself in reference physics. The course may help: cheaper
physics, random starts, penalties that ramp up, and a guide, a share of the tracking reward with a
wide temperature, because a robot that stands a metre per second short of its command otherwise
feels no slope (`syllabus.py`). Robots that fall before they can learn get an action prior
(`prior.py`) and hands on the trunk (`assistance.py`); their figures say so. The course ends on the
task as it is, without help.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from bodyplan.datasets.policy_snapshots import policy_input
from bodyplan.datasets.replay_log import ReplayChunk, chunk_paths
from bodyplan.envs.environment import Environment, StepResult
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.experts import ppo
from bodyplan.experts.action_prior import action_prior
from bodyplan.experts.assistance import Assistance
from bodyplan.experts.command_sampling import Commands
from bodyplan.experts.curriculum import (
    AssistedCurriculum,
    Curriculum,
    CurriculumStage,
    FadingCurriculum,
    first_spread,
)
from bodyplan.experts.expert_config import ExpertConfig, comparable_settings, hyperparameters
from bodyplan.experts.expert_observations import critic_input, mirror_maps
from bodyplan.experts.export_snapshot import snapshot_tensors
from bodyplan.learn.checkpoint import restore_tree, save_tree
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import ExpertSettings
from bodyplan.storage import read_tensors

RECENT = 128
"""Episodes in the moving average."""
OnIteration = Callable[[int, dict[str, float]], None]


class PPORunner:
    """The run's mutable state: learner, simulated robots, running statistics, snapshots."""

    def __init__(self, config: ExpertConfig) -> None:
        self.robot = robot = Robot.load(config.robot)
        wants = robot.expert
        hyper = hyperparameters(config, robot.expert)
        self.config = replace(config, ppo=hyper)
        self.hyper = hyper
        self.commands = Commands.parse(config.command)
        self.horizon = config.episode_steps or wants.episode_steps
        self.environment = environment = self._environment(config.physics)
        self.assistance = (
            Assistance(robot, hyper.num_envs, environment.rng) if wants.assisted else None
        )
        self.steps = 0
        self.total_steps = config.steps or wants.steps
        self.syllabus = self._syllabus(wants)
        self.moment = self._present()
        if self.commands.varied:
            everyone = np.ones(hyper.num_envs, bool)
            environment.reset(everyone, self._drawn(everyone))
        self._limit(self.horizon)
        senses = policy_input(environment.observation)
        self.prior = action_prior(robot, senses.shape[1])
        self.learner = ppo.init_ppo(
            jax.random.PRNGKey(config.seed),
            hyper,
            senses.shape[1],
            self._privileged(environment.observation).shape[1],
            robot.num_joints,
            first_spread(robot) if wants.assisted else wants.initial_std,
            mirror_maps(robot) if wants.symmetric else None,
        )
        self.episode_returns = np.zeros(hyper.num_envs)
        self.recent: list[tuple[float, int]] = []
        self.curve: list[tuple[int, float, float]] = []
        self.taken: list[int] = []
        self.chunk = ReplayChunk(config.log_replay)
        """What was logged since the last checkpoint."""
        self.logged = [0]
        """Training steps between which the log's chunks lie."""
        self.tensors = {
            name: np.zeros((config.snapshots, *tensor.shape), tensor.dtype)
            for name, tensor in snapshot_tensors(self.learner).items()
        }

    def _environment(self, physics: str) -> Environment:
        config, wants = self.config, self.robot.expert
        return Environment(
            self.robot,
            self.commands.graded[0],
            self.hyper.num_envs,
            physics,
            initial_state="varied" if wants.poised else "random",
            seed=config.seed,
            threads=config.threads,
            horizon=self.horizon,
            disturbances=config.disturbances,
        )

    def _move_to(self, physics: str) -> None:
        """The same robots at the same moment, in other physics."""
        before, self.environment = self.environment, self._environment(physics)
        self.environment.load_state_dict(before.state_dict())
        self.environment.rng, self.environment.horizon = before.rng, before.horizon

    def _limit(self, horizon: int) -> None:
        """Episodes of so many steps from now on, whose time limits do not coincide."""
        environment = self.environment
        environment.horizon = horizon
        environment.elapsed_steps[:] = environment.rng.integers(horizon, size=environment.num_envs)

    def _syllabus(self, wants: ExpertSettings) -> Curriculum:
        config, robot = self.config, self.robot
        if wants.assisted:
            return AssistedCurriculum(robot.reward, first_spread(robot), self.total_steps)
        return FadingCurriculum(
            robot.reward,
            wants,
            self.total_steps,
            self.hyper.discount,
            config.ramp_steps,
            config.first_penalties,
            config.guide,
            config.final_std,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """All that the run depends on: what was asked for, and the robot's figures where not."""
        resolved = {"steps": self.total_steps, "episode_steps": self.horizon}
        return asdict(self.robot.expert) | comparable_settings(self.config) | resolved

    def _present(self) -> CurriculumStage:
        progress = None if self.assistance is None else self.assistance.progress
        return self.syllabus.moment(self.steps, progress)

    def iterate(self) -> dict[str, float]:
        """Roll out, improve, count."""
        moment = self.moment = self._present()
        if moment.physics not in (None, self.environment.physics):
            self._move_to(moment.physics)
        if moment.horizon not in (None, self.environment.horizon):
            self._limit(moment.horizon)
        self.environment.penalty_scale = moment.penalties
        rollout, helped = self._roll_out(moment)
        hyper = replace(self.hyper, discount=moment.discount)
        self.learner, metrics = ppo.ppo_update(hyper, self.learner, rollout, moment.bounds)
        self.steps += hyper.num_envs * hyper.rollout_steps
        # Where episodes are shorter than they were, what they come to is told as before.
        longer = self.horizon / self.environment.horizon
        returns, lengths = longer * np.array(self.recent or [(0.0, 0)]).T
        self._snap()
        summary = {"return": float(returns.mean()), "length": float(lengths.mean())}
        if self.steps >= len(self.curve) * self.total_steps / 100:
            self.curve.append((self.steps, round(summary["return"], 3), round(summary["length"])))
        return summary | helped | {name: float(value) for name, value in metrics.items()}

    def _roll_out(self, moment: CurriculumStage) -> tuple[ppo.Rollout, dict[str, float]]:
        environment, learner, logging = self.environment, self.learner, self.config.log_replay
        rows: list[tuple[np.ndarray, ...]] = []
        falls, errors = 0, 0.0
        for turn in range(self.hyper.rollout_steps):
            observation = environment.observation
            senses, privileged = policy_input(observation), self._privileged(observation)
            key = jax.random.fold_in(learner.key, turn)
            actions, log_probs = (
                np.asarray(a) for a in ppo.sample_actions(learner, jnp.asarray(senses), key)
            )
            if logging:
                self.chunk.add_observation(observation, environment.descriptor)
            step = self._step(actions, senses)
            if logging:
                self.chunk.add_step(actions, step, environment.descriptor)
            done = step.terminated | step.truncated
            rewards = self.syllabus.pay(moment, step, environment.command)
            late = step.truncated & ~step.terminated
            if late.any():
                beyond = jnp.asarray(self._privileged(step.observation))
                rewards = rewards + moment.discount * late * np.asarray(
                    ppo.predict_values(learner, beyond)
                )
            rows.append((senses, privileged, actions, log_probs, rewards, done))
            falls += int(step.terminated.sum())
            missed = step.velocity[:, :2] - environment.command[:, :2]
            errors += float(np.linalg.norm(missed, axis=1).mean())
            self._count(step, done)
        senses, privileged, *others = (np.stack(column) for column in zip(*rows, strict=True))
        last = self._privileged(environment.observation)[None]
        parts = (senses, np.concatenate([privileged, last]), *others)
        rollout = ppo.Rollout(*(jnp.asarray(part, jnp.float32) for part in parts))
        return rollout, self._withdraw(falls / privileged[..., 0].size, errors / len(rows))

    def _step(
        self, actions: Float[np.ndarray, "N J"], senses: Float[np.ndarray, "N I"]
    ) -> StepResult:
        """One control step under the policy's actions, with all the help the robots get."""
        environment, assistance = self.environment, self.assistance
        now, commands = self.moment, environment.command
        self.commands.redraw(environment.rng, commands, now.exact)
        given = actions if self.prior is None else self.prior.added(actions, senses)
        if assistance is None:
            return environment.step(given)
        environment.simulator.wrench = assistance.wrench(environment.simulator, commands)
        step = environment.step(given)
        return step._replace(terminated=step.terminated | assistance.lost(environment.simulator))

    def _withdraw(self, falls: float, error: float) -> dict[str, float]:
        if self.assistance is None:
            return {}
        self.assistance.withdraw(falls, error, self.steps)
        now = self.assistance.progress
        return {"help": now.level, "life": 1.0 / max(now.falls, 1e-9), "error": now.error}

    def _privileged(self, observation: Observation) -> Float[np.ndarray, "N P"]:
        helped = None if self.assistance is None else self.assistance.given
        return critic_input(observation, helped)

    def _count(self, step: StepResult, done: Bool[np.ndarray, "N"]) -> None:
        self.episode_returns += step.reward
        if not done.any():
            return
        environment = self.environment
        ended = zip(self.episode_returns[done], environment.elapsed_steps[done], strict=True)
        self.recent = [*self.recent, *((float(r), int(n)) for r, n in ended)][-RECENT:]
        self.episode_returns[done] = 0.0
        if self.assistance is not None:
            self.assistance.redraw(done, environment.rng)
        environment.reset(done, self._drawn(done) if self.commands.varied else None)

    def _drawn(self, mask: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "N 3"]:
        """Commands with new ones for the robots of `mask`."""
        commands, rng = self.environment.command.copy(), self.environment.rng
        now, count = self.moment, int(mask.sum())
        commands[mask] = self.commands.draw(rng, count, now.exact)
        return commands

    def _snap(self) -> None:
        count = self.config.snapshots
        if self.steps < (len(self.taken) + 1) * self.total_steps / count:
            return
        for name, tensor in snapshot_tensors(self.learner).items():
            self.tensors[name][len(self.taken)] = tensor
        self.taken.append(self.steps)

    def save(self, path: Path) -> None:
        """Write all that the rest of the run depends on, after what it has logged."""
        if self.config.log_replay:
            self.logged.append(self.steps)
            self.chunk.save(
                chunk_paths(path.parent, self.logged)[-1], self.steps >= self.total_steps
            )
            self.chunk = ReplayChunk(self.config.log_replay)
        notes = {
            "config": self.settings,
            "steps": self.steps,
            "horizon": self.environment.horizon,
            "rng": self.environment.rng.bit_generator.state,
            "recent": self.recent,
            "curve": self.curve,
            "taken": self.taken,
            "logged": self.logged,
            "assistance": self.assistance and self.assistance.notes(),
        }
        save_tree(path, self._tree(), {"notes": json.dumps(notes)})

    def resume(self, path: Path) -> None:
        """Continue from what `save` wrote.

        Raises:
            BodyplanError: the file is damaged or belongs to a run with other settings.
        """
        notes = json.loads(read_tensors(path)[1].get("notes", "{}"))
        if notes.get("config") != json.loads(json.dumps(self.settings)):
            raise BodyplanError(
                f"{path} belongs to a run with other settings, or other [expert] figures; "
                "give them again, choose another --out or remove the folder."
            )
        tree = restore_tree(path, self._tree())
        self.learner = eqx.combine(tree["learner"], self.learner)
        self.environment.load_state_dict(tree["environment"])
        self.environment.rng.bit_generator.state = notes["rng"]
        self.environment.horizon = notes["horizon"]
        self.episode_returns, self.tensors = tree["episode_returns"], tree["tensors"]
        self.steps, self.taken, self.logged = notes["steps"], notes["taken"], notes["logged"]
        self.recent = [(value, length) for value, length in notes["recent"]]
        self.curve = [(steps, value, length) for steps, value, length in notes["curve"]]
        if self.assistance is not None:
            self.assistance.resume(notes["assistance"], tree["assistance"])

    def _tree(self) -> dict[str, Any]:
        helped = {} if self.assistance is None else {"assistance": self.assistance.shares}
        return helped | {
            "learner": eqx.filter(self.learner, eqx.is_array),
            "environment": self.environment.state_dict(),
            "episode_returns": self.episode_returns,
            "tensors": self.tensors,
        }
