"""One robot's log, learned from by d3rlpy and by bodyplan alike: returns, and speed on a CPU.

    pip install --no-deps d3rlpy
    pip install torch tqdm gym click structlog colorama dataclasses-json scikit-learn
    bodyplan data build --robots unitree_go1 --recipe suboptimal70 --steps 100000 --out data/go1
    python benchmarks/against_d3rlpy.py data/go1            # 3 seeds, 5,000 updates each
    python benchmarks/against_d3rlpy.py data/go1 --quick    # 1 seed, 200 updates
    python benchmarks/against_d3rlpy.py data/go1 --algorithms td3_bc --alpha 0.4

Behaviour cloning, TD3+BC and IQL on plain networks (two hidden layers of 256, ReLU), the same
transitions, batches of 256, rates, discounts and target rates. Actions are divided by the largest
in the data before either library sees them, so that both Q read the same numbers, and means go
through a tanh. That shrinks the squared distance to the data's actions by the square of the largest
one, 64 times on the go1, while Q is divided by its mean size; so TD3+BC's alpha is divided by as
much, and means what it means in the robot's units. Observations are standardised unless told
otherwise, rewards are not; gradients are not clipped, spreads begin alike, actors see no linear
velocity and no height. What is left to the libraries: initial values, the spread's parameter, the
data's order; IQL's weights after the critics' step (d3rlpy) or before; and cloning by squares
(d3rlpy) or by a Gaussian's likelihood.

Each run's policy walks 16 episodes from the same random states in the reference physics, with mean
actions. One JSON object a line:

- `<algorithm>/<library>/seed <n>`: a run's mean return; the ratio is to the data's own;
- `<algorithm>/returns`: bodyplan's mean over seeds; the ratio is to d3rlpy's. `interval` and
  `baseline_interval` are 95 % intervals over seeds (Student's t); `agree` says whether they overlap
  so far that each holds the other's mean;
- `<algorithm>/speed`: bodyplan's updates in a second of the process's time, sampling included and
  compiling not; the ratio is to d3rlpy's. Both have one core (the first of those the process may
  use; see `taskset`), and of each the median interval of 100 updates counts.
"""

import argparse
import dataclasses
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import outcome

# Before JAX counts the cores: on several, XLA hands these small operations from thread to thread,
# which takes a multiple of the work's own time wherever other processes want the cores as well.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import numpy as np
from jaxtyping import Float
from scipy import stats

from bodyplan.datasets.dataset import Dataset
from bodyplan.envs.walking_task import Observation
from bodyplan.evaluation.evaluate import evaluate
from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.mlp import FlatSizes
from bodyplan.learn.policy import Policy
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import POLICY_GENERAL

say = partial(outcome.say, "against_d3rlpy")

BATCH, RATE, GAMMA, TAU, HIDDEN = 256, 3e-4, 0.99, 0.005, (256, 256)
EXPECTILE, BETA, WEIGHT_CLIP = 0.7, 3.0, 100.0
NOISE, NOISE_CLIP = 0.2, 0.5
SPREAD = float(np.exp(-1.5))
"""Of actions before training, d3rlpy's."""
INTERVAL = 100
"""Updates in a dispatch of ours, and in an epoch of d3rlpy's."""
MISSING = (
    "d3rlpy and torch are needed: pip install --no-deps d3rlpy, then pip install torch tqdm gym "
    "click structlog colorama dataclasses-json scikit-learn (its own pin of gymnasium is too old)"
)


class ComparedPolicy:
    """What `evaluate` asks for, from whoever answers observations with actions in [-1, 1]."""

    def __init__(self, acts: Callable[[Observation, RobotDescriptor], np.ndarray]) -> None:
        self.acts, self.limit = acts, 1.0

    def act(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[np.ndarray, "N J"]:
        """Actions in the robot's units."""
        return self.limit * self.acts(observation, descriptor)


def rows(joints: np.ndarray, feet: np.ndarray, general: np.ndarray) -> Float[np.ndarray, "N W"]:
    """Observations as d3rlpy reads them."""
    count = len(general)
    parts = (joints.reshape(count, -1), feet.reshape(count, -1), general)
    return np.concatenate(parts, axis=1, dtype=np.float32)


def learn_ours(
    name: str, data: TrainingData, seed: int, updates: int, alpha: float
) -> tuple[ComparedPolicy, float]:
    """A policy, and updates a second of process time; alpha is TD3+BC's, for scaled actions."""
    shared: dict[str, Any] = {"learning_rate": RATE, "gradient_clip": 1e9}
    targets: dict[str, Any] = {**shared, "gamma": GAMMA, "tau": TAU}
    noise: dict[str, Any] = {"target_noise": NOISE, "noise_clip": NOISE_CLIP}
    weights: dict[str, Any] = {"beta": BETA, "weight_clip": WEIGHT_CLIP}
    algorithms: dict[str, Algorithm] = {
        "bc": BC(**shared, log_probability="sum"),
        "td3_bc": TD3BC(**targets, **noise, alpha=alpha, max_action=1.0),
        "iql": IQL(**targets, **weights, expectile=EXPECTILE, log_probability="sum"),
    }
    sizes = FlatSizes(
        joints=data.episodes[0].joints.shape[1],
        feet=data.episodes[0].feet.shape[1],
        hidden=HIDDEN,
        squash=None if name == "td3_bc" else 1.0,  # TD3+BC brings its own
        initial_std=SPREAD,
    )
    learner = Learner(algorithms[name], Pooled(), ((0,),), BATCH)
    state, numbers = learner.init(seed, sizes), learner.numbers
    loader, key = BatchLoader.of(data, BATCH, learner.algorithm.actor_every), np.array(state.key)
    program, times = None, []
    for start in range(0, updates, INTERVAL):
        for chunk in loader.chunks(key, start, INTERVAL):
            if program is None:
                program = learner.compile_interval(state, numbers, loader.table, chunk)
                times.append(time.process_time())
            state, report = jax.block_until_ready(program(state, numbers, loader.table, chunk))
            if not np.asarray(report.finite).all():
                raise SystemExit(f"{name} diverged with seed {seed}")
        times.append(time.process_time())
    scale = data.observation_scale
    policy = Policy.of(state.actor.policy, learner.algorithm, sizes, scale)
    return ComparedPolicy(policy.act), rate(times)


def learn_theirs(
    name: str, data: TrainingData, buffer: Any, seed: int, updates: int, alpha: float
) -> tuple[ComparedPolicy, float]:
    """The same by d3rlpy from its own buffer."""
    import d3rlpy
    import torch

    d3rlpy.seed(seed)
    critics: dict[str, Any] = {
        "batch_size": BATCH,
        "gamma": GAMMA,
        "tau": TAU,
        "actor_learning_rate": RATE,
        "critic_learning_rate": RATE,
    }
    if name == "bc":
        config = d3rlpy.algos.BCConfig(batch_size=BATCH, learning_rate=RATE)
    elif name == "td3_bc":
        config = d3rlpy.algos.TD3PlusBCConfig(
            **critics,
            alpha=alpha,
            target_smoothing_sigma=NOISE,
            target_smoothing_clip=NOISE_CLIP,
        )
    else:
        config = d3rlpy.algos.IQLConfig(
            **critics, expectile=EXPECTILE, weight_temp=BETA, max_weight=WEIGHT_CLIP
        )
    learner = config.create(device="cpu:0")
    learner.build_with_dataset(buffer)
    width = data.episodes[0].general.shape[1]
    general = np.isin(np.arange(width), np.r_[POLICY_GENERAL])
    states = buffer.episodes[0].observations.shape[1] - len(general)
    seen = torch.from_numpy(np.concatenate([np.ones(states), general]).astype(np.float32))
    actors = [learner.impl.policy]
    if name == "td3_bc":
        actors.append(learner.impl.modules.targ_policy)
    for actor in actors:
        actor.register_forward_pre_hook(lambda _, inputs: (inputs[0] * seen, *inputs[1:]))
    times = [time.process_time()]
    for _ in learner.fitter(
        buffer,
        n_steps=updates,
        n_steps_per_epoch=INTERVAL,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    ):
        times.append(time.process_time())
    scale = data.observation_scale
    return ComparedPolicy(
        lambda seen, _: learner.predict(rows(*(scale(seen) if scale else seen)))
    ), rate(times)


def rate(times: Sequence[float]) -> float:
    """Updates a second in the median interval."""
    return INTERVAL / float(np.median(np.diff(times)))


def to_d3rlpy(data: TrainingData) -> Any:
    """d3rlpy's buffer of the same steps; an end is a fall to it or a time-out, never both."""
    import d3rlpy

    (episodes,), scale = data.episodes, data.observation_scale
    frames = Observation(*map(np.asarray, (episodes.joints, episodes.feet, episodes.general)))
    seen = rows(*(scale(frames) if scale else frames))
    ends = np.isin(np.arange(episodes.num_steps), np.asarray(episodes.episode_ends) - 1)
    terminated = np.array(episodes.terminated)
    return d3rlpy.dataset.MDPDataset(
        observations=seen[episodes.frame_indices()],
        actions=np.array(episodes.actions),
        rewards=np.array(episodes.rewards),
        terminals=terminated,
        timeouts=ends & ~terminated,
    )


def compare(arguments: argparse.Namespace) -> None:
    """All runs, each told as it ends, then what they come to."""
    import torch

    torch.set_num_threads(1)
    dataset = Dataset.open(arguments.data)
    robot = dataset.robots[0]
    episodes, data_return = dataset[robot], dataset.whole_episodes(robot)["return_mean"]
    limit = float(np.abs(episodes.actions).max())
    scaled = dataclasses.replace(episodes, actions=np.asarray(episodes.actions) / limit)
    dataset = dataclasses.replace(dataset, robots=(robot,), episodes={robot: scaled})
    data = TrainingData.of(dataset, observation_scale=arguments.observation_scale)
    buffer = to_d3rlpy(data)
    command, episodes = tuple(dataset.card["command"]), arguments.episodes
    alpha = arguments.alpha / limit**2

    for name in arguments.algorithms:
        returns: dict[str, list[float]] = {"bodyplan": [], "d3rlpy": []}
        rates: dict[str, list[float]] = {"bodyplan": [], "d3rlpy": []}
        for seed in range(arguments.seeds):
            runs = {
                "bodyplan": learn_ours(name, data, seed, arguments.updates, alpha),
                "d3rlpy": learn_theirs(name, data, buffer, seed, arguments.updates, alpha),
            }
            for library, (policy, speed) in runs.items():
                policy.limit = limit
                found = evaluate(policy, robot, command, episodes=episodes, seed=1)
                returns[library].append(found[robot]["return_mean"])
                rates[library].append(speed)
                case = f"{name}/{library}/seed {seed}"
                say(case, "return", returns[library][-1], "", data_return, speed=round(speed, 1))
        summarise(name, returns, rates)


def summarise(name: str, returns: dict[str, list[float]], rates: dict[str, list[float]]) -> None:
    """Both libraries' runs of one algorithm as two lines."""
    means = {library: float(np.mean(own)) for library, own in returns.items()}
    margins = {library: half_interval(own) for library, own in returns.items()}
    known = [margin for margin in margins.values() if margin is not None]
    apart = abs(means["bodyplan"] - means["d3rlpy"])
    say(
        f"{name}/returns",
        "return",
        means["bodyplan"],
        "",
        means["d3rlpy"],
        interval=margins["bodyplan"],
        baseline_interval=margins["d3rlpy"],
        agree=all(apart <= margin for margin in known) if known else None,
    )
    ours, theirs = (float(np.median(rates[library])) for library in ("bodyplan", "d3rlpy"))
    say(f"{name}/speed", "updates_per_cpu_second", ours, "1/s", theirs)


def half_interval(values: Sequence[float]) -> float | None:
    """Half of the 95 % interval of a mean; None of a single value."""
    if len(values) < 2:
        return None
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return round(float(stats.t.ppf(0.975, len(values) - 1) * error), 3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a dataset; its first robot is taken")
    parser.add_argument("--algorithms", nargs="+", default=["bc", "td3_bc", "iql"])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each algorithm and library")
    parser.add_argument("--updates", type=int, default=5000, help=f"a multiple of {INTERVAL}")
    parser.add_argument("--alpha", type=float, default=2.5, help="of TD3+BC, in the robot's units")
    parser.add_argument("--observation-scale", default="shared", choices=["none", "shared"])
    parser.add_argument("--episodes", type=int, default=16, help="of each run's policy")
    parser.add_argument("--quick", action="store_true", help="one seed, 200 updates, 4 episodes")
    arguments = parser.parse_args()
    if any(importlib.util.find_spec(name) is None for name in ("d3rlpy", "torch")):
        parser.error(MISSING)
    if arguments.quick:
        arguments.seeds, arguments.updates, arguments.episodes = 1, 200, 4
    compare(arguments)


if __name__ == "__main__":
    main()
