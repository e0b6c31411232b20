"""The course that makes an expert, from standing still to walking, with snapshots on the way.

What is recorded and graded is the task itself in reference physics. The course may help: cheaper
physics, random starts, penalties that ramp up, and a guide, a share of the tracking reward with a
wide temperature, because a robot that stands a metre per second short of its command otherwise
feels no slope. The guide fades with the ramp, so the course ends on the task's own reward.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bodyplan.datasets.experts import policy_input
from bodyplan.datasets.replay import Chunk, chunk_paths
from bodyplan.envs.conditions import CLEAN, Conditions
from bodyplan.envs.environment import Environment, Step
from bodyplan.envs.walking import CONTROL_STEP, Observation, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.learn import ppo
from bodyplan.learn.checkpoint import restore_tree, save_tree
from bodyplan.learn.ppo import PPOConfig
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_tensors

GUIDE_TEMPERATURE = 1.0
REWARD_UNIT = 0.06
"""Best reward of a step as PPO sees it, whatever the robot's coefficients."""
RECENT = 128
"""Episodes in the moving average."""
MIN_STD = 0.05

Log = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class ExpertConfig:
    """One expert's training run."""

    robot: str
    """Packaged name, or path of an MJCF."""
    command: str = "forward"
    """forward, backward or vx,vy,wz."""
    steps: int | None = None
    """Control steps, all simulated robots together; as the robot needs where not given."""
    episode_steps: int | None = None
    """Control steps after which a robot starts anew; as the robot needs where not given."""
    snapshots: int = 16
    """Policies kept, at equal distances of training steps."""
    seed: int = 0
    """Decides everything."""
    physics: str = "fast"
    """Physics of training; grading is always in reference physics."""
    ramp_steps: int = 2_000_000
    """Steps over which penalties rise to full and the guide fades."""
    first_penalties: float = 0.1
    """Share of the penalties at the start of the ramp."""
    guide: float = 0.5
    """Share of wide-temperature tracking in the reward at the start of the ramp."""
    final_std: float = 0.2
    """Bound on the actions' spread at the end, as a share of the first."""
    checkpoint_every: int = 40
    """Iterations between checkpoints."""
    threads: int | None = None
    """Native threads of the physics (all cores by default); the result does not depend on it."""
    conditions: Conditions = CLEAN
    """What disturbs the robots in training."""
    log_replay: int = 0
    """Robots, of those simulated side by side, whose every step is kept."""
    ppo: PPOConfig = field(default_factory=PPOConfig)


class Course:
    """The run's mutable state: learner, simulated robots, running statistics, snapshots."""

    def __init__(self, config: ExpertConfig) -> None:
        self.config = config
        hyper, robot = config.ppo, Robot.load(config.robot)
        self.environment = Environment(
            robot,
            config.command,
            hyper.num_envs,
            config.physics,
            initial_state="random",
            seed=config.seed,
            threads=config.threads,
            horizon=config.episode_steps or robot.expert.episode_steps,
            conditions=config.conditions,
        )
        environment = self.environment
        # Robots start at random points of their episodes, so that time limits do not coincide.
        environment.elapsed[:] = environment.rng.integers(environment.horizon, size=hyper.num_envs)
        observation = environment.observation
        self.learner = ppo.init(
            jax.random.PRNGKey(config.seed),
            hyper,
            policy_input(observation).shape[1],
            critic_input(observation).shape[1],
            environment.robot.num_joints,
            environment.robot.expert.initial_std,
        )
        self.steps = 0
        self.total_steps = config.steps or environment.robot.expert.steps
        self.episode_returns = np.zeros(hyper.num_envs)
        self.recent: list[tuple[float, int]] = []
        self.curve: list[tuple[int, float, float]] = []
        self.taken: list[int] = []
        self.chunk = Chunk(config.log_replay)
        """What was logged since the last checkpoint."""
        self.logged = [0]
        """Training steps between which the log's chunks lie."""
        self.tensors = {
            name: np.zeros((config.snapshots, *tensor.shape), tensor.dtype)
            for name, tensor in snapshot_tensors(self.learner).items()
        }

    @property
    def progress(self) -> float:
        """Along the ramp, 0 to 1."""
        return min(1.0, self.steps / self.config.ramp_steps)

    def bounds(self) -> ppo.Bounds:
        """Actions must be loud while the ramp lasts, and learning goes quiet with them."""
        wants, ramp = self.environment.robot.expert, self.config.ramp_steps
        quiet_from = max(ramp + 1, wants.quiet_from * self.total_steps)
        along = min(1.0, max(0.0, (self.steps - ramp) / (quiet_from - ramp)))
        ceiling = wants.initial_std * (1.0 - (1.0 - self.config.final_std) * along)
        least = max(MIN_STD, wants.initial_std * (1.0 - self.progress))
        rate = ppo.MAX_LEARNING_RATE
        rate *= (wants.final_learning_rate / ppo.MAX_LEARNING_RATE) ** along
        return ppo.Bounds(*(jnp.asarray(v) for v in (least, max(MIN_STD, ceiling), rate)))

    def iterate(self) -> dict[str, float]:
        """Roll out, improve, count."""
        hyper, environment = self.config.ppo, self.environment
        first = self.config.first_penalties
        environment.penalty_scale = first + (1.0 - first) * self.progress
        rollout, bounds = self._roll_out(), self.bounds()
        self.learner, metrics = ppo.improve(hyper, self.learner, rollout, bounds)
        self.steps += hyper.num_envs * hyper.rollout_steps
        returns, lengths = np.array(self.recent or [(0.0, 0)]).T
        self._snap()
        summary = {"return": float(returns.mean()), "length": float(lengths.mean())}
        if self.steps >= len(self.curve) * self.total_steps / 100:
            self.curve.append((self.steps, round(summary["return"], 3), round(summary["length"])))
        return summary | {name: float(value) for name, value in metrics.items()}

    def _roll_out(self) -> ppo.Rollout:
        hyper, environment, learner = self.config.ppo, self.environment, self.learner
        rows: list[tuple[np.ndarray, ...]] = []
        for moment in range(hyper.rollout_steps):
            observation = environment.observation
            senses, privileged = policy_input(observation), critic_input(observation)
            key = jax.random.fold_in(learner.key, moment)
            actions, log_probs = (np.asarray(a) for a in ppo.act(learner, jnp.asarray(senses), key))
            if self.config.log_replay:
                self.chunk.open(observation, environment.descriptor)
            step = environment.step(actions)
            if self.config.log_replay:
                self.chunk.close(actions, step, environment.descriptor)
            done = step.terminated | step.truncated
            rewards = self._training_reward(step)
            late = step.truncated & ~step.terminated
            if late.any():
                beyond = np.asarray(ppo.value(learner, jnp.asarray(critic_input(step.observation))))
                rewards = rewards + hyper.discount * late * beyond
            rows.append((senses, privileged, actions, log_probs, rewards, done))
            self._count(step, done)
        senses, privileged, *others = (np.stack(column) for column in zip(*rows, strict=True))
        last = critic_input(environment.observation)[None]
        parts = (senses, np.concatenate([privileged, last]), *others)
        return ppo.Rollout(*(jnp.asarray(part, jnp.float32) for part in parts))

    def _training_reward(self, step: Step) -> Float[np.ndarray, "N"]:
        pay = self.environment.robot.reward
        error = np.square(step.velocity - self.environment.command)
        wide = pay.tracking_xy * np.exp(-error[:, :2].sum(axis=1) / GUIDE_TEMPERATURE)
        wide += pay.tracking_yaw * np.exp(-error[:, 2] / GUIDE_TEMPERATURE)
        share = self.config.guide * (1.0 - self.progress)
        best = CONTROL_STEP * (pay.tracking_xy + pay.tracking_yaw)
        return ((1.0 - share) * step.reward + share * CONTROL_STEP * wide) * REWARD_UNIT / best

    def _count(self, step: Step, done: np.ndarray) -> None:
        self.episode_returns += step.reward
        if not done.any():
            return
        ended = zip(self.episode_returns[done], self.environment.elapsed[done], strict=True)
        self.recent = [*self.recent, *((float(r), int(n)) for r, n in ended)][-RECENT:]
        self.episode_returns[done] = 0.0
        self.environment.reset(done)

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
            self.chunk = Chunk(self.config.log_replay)
        notes = {
            "config": comparable(self.config),
            "steps": self.steps,
            "rng": self.environment.rng.bit_generator.state,
            "recent": self.recent,
            "curve": self.curve,
            "taken": self.taken,
            "logged": self.logged,
        }
        save_tree(path, self._tree(), {"notes": json.dumps(notes)})

    def resume(self, path: Path) -> None:
        """Continue from what `save` wrote.

        Raises:
            BodyplanError: the file is damaged or belongs to a run with other settings.
        """
        notes = json.loads(read_tensors(path)[1].get("notes", "{}"))
        if notes.get("config") != json.loads(json.dumps(comparable(self.config))):
            raise BodyplanError(
                f"{path} belongs to a run with other settings; "
                "give them again, choose another --out or remove the folder."
            )
        tree = restore_tree(path, self._tree())
        self.learner = eqx.combine(tree["learner"], self.learner)
        self.environment.restore(tree["environment"])
        self.environment.rng.bit_generator.state = notes["rng"]
        self.episode_returns, self.tensors = tree["episode_returns"], tree["tensors"]
        self.steps, self.taken, self.logged = notes["steps"], notes["taken"], notes["logged"]
        self.recent = [(value, length) for value, length in notes["recent"]]
        self.curve = [(steps, value, length) for steps, value, length in notes["curve"]]

    def _tree(self) -> dict[str, Any]:
        return {
            "learner": eqx.filter(self.learner, eqx.is_array),
            "environment": self.environment.snapshot(),
            "episode_returns": self.episode_returns,
            "tensors": self.tensors,
        }


def critic_input(observation: Observation) -> Float[np.ndarray, "N P"]:
    """What the critic sees, flat: everything."""
    hidden = [observation.general[:, :3], observation.general[:, 12:]]
    return np.concatenate([policy_input(observation), *hidden], axis=1)


def snapshot_tensors(learner: ppo.Learner) -> dict[str, np.ndarray]:
    """The present policy in the layout of `Snapshots`, without the snapshot axis."""
    actor, normaliser = learner.actor, learner.actor_normaliser
    tensors = {}
    for index, layer in enumerate(actor.mlp.layers):
        tensors[f"layers.{index}.weight"] = np.asarray(layer.weight, np.float16)
        tensors[f"layers.{index}.bias"] = np.asarray(layer.bias, np.float16)
    return tensors | {
        "log_std": np.log(np.asarray(actor.std())).astype(np.float16),
        "observation_mean": np.asarray(normaliser.mean, np.float32),
        "observation_std": np.asarray(normaliser.std, np.float32),
    }


def comparable(config: ExpertConfig) -> dict[str, Any]:
    """The settings that the result depends on."""
    settings = asdict(config)
    del settings["threads"], settings["checkpoint_every"]
    settings["command"] = command_name(parse_command(config.command))
    return settings
