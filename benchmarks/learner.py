"""How fast the learner learns, for the processor time it takes.

    python benchmarks/learner.py            # every case, about fifteen minutes on two cores
    python benchmarks/learner.py --quick    # IQL in both formulations, pooled and in four groups
    python benchmarks/learner.py --cases iql/pooled/optimised bc/pooled/optimised

One JSON object a line; process CPU time throughout, which says the same on shared machines. All
sixteen packaged robots in their own shapes with their own descriptors, transitions of noise, the
paper's network, 64 transitions of each robot; cases take turns, and the quickest turn counts.

- `<algorithm>/<combiner>/<formulation>`: updates a CPU-second, sampling included. `grouped4` are
  four groups of alike bodies. The ratio is to the algorithm's pooled, optimised case.
  `literal` is the paper's formulation (benchmarks/literal.py), compiled by XLA all the same;
  `measured` is one measurement of how far robots' gradients agree, instead of an update;
- `conflicts/every100`: percent of training's time that one measurement every 100 updates takes; the
  ratio is to the goal of 3;
- `compile_s/cold`, `compile_s/cached`: seconds of wall time in a process of its own to trace and
  compile IQL in four groups, with nothing on disk and with what that run left there; the ratio is
  to the goals of 30 and 5 seconds;
- `gemm/large`, `gemm/core`: GFLOP a CPU-second of float32 products, 2048 x 2048 x 2048 and those of
  a core's second layer on this batch;
- `iql/pooled/optimised` in `gflop_per_cpu_second`: the same of IQL's updates, operations as XLA
  counts them in the compiled program; the ratio is to the large product;
- `peak_memory`: the process's, in MB, of all cases together.

benchmarks/against_d3rlpy.py tells how plain networks compare with d3rlpy's.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import literal
import numpy as np
import optax
import outcome
from jaxtyping import PRNGKeyArray

from bodyplan.datasets.episodes import Episodes
from bodyplan.envs.walking_task import Observation
from bodyplan.grouping.robot_groups import embodiment_groups
from bodyplan.learn.algorithms.algorithm import Algorithm, apply_gradients
from bodyplan.learn.combiners.combiner import GroupIndices
from bodyplan.learn.compilation import enable_compilation_cache
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.batches import RobotBatch
from bodyplan.learn.data.builds import BodySize, build_order
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.gradient_conflict import ConflictMeter
from bodyplan.learn.learner import Learner, LearnerState
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.registry import ALGORITHMS, COMBINERS
from bodyplan.robots import registry
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.robot import Robot

say = partial(outcome.say, "learner")

QUICK = ["iql/pooled/optimised", "iql/pooled/literal", "iql/grouped4/optimised"]
STEPS = 256
"""Of each robot's data: enough to sample from, few enough to hold padded."""

TURN = 4
"""Iterations of an optimised turn: a run's intervals have many more, of which each is the same."""

Turn = Callable[[], object]


def all_cases() -> list[str]:
    """Every algorithm pooled, in both formulations, and IQL with every combiner there is."""
    pooled = [
        f"{name}/pooled/{form}" for name in ALGORITHMS.names() for form in ("optimised", "literal")
    ]
    others = [name for name in COMBINERS.names() if name not in ("pooled", "grouped")]
    combined = [f"iql/{name}/optimised" for name in ("grouped4", "grouped13", *others)]
    return (
        sorted(pooled, key=lambda case: not case.startswith("iql"))
        + combined
        + ["iql/pooled/measured"]
    )


def noise(robots: Mapping[str, Robot] | None = None, steps: int = STEPS) -> TrainingData:
    """Random transitions of robots, by default all packaged ones, in build order."""
    if robots is None:
        robots = {name: Robot.load(name) for name in registry.packaged_robots()}
    rng, names = np.random.default_rng(0), list(robots)
    sizes = [BodySize(own.num_joints, own.num_feet) for own in robots.values()]
    order, _ = build_order(sizes, names)
    chosen = {names[place]: robots[names[place]] for place in order}

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    episodes = tuple(
        Episodes(
            draw(steps + 1, robot.num_joints, 3),
            draw(steps + 1, robot.num_feet, 2),
            draw(steps + 1, 13),
            draw(steps, robot.num_joints),
            draw(steps),
            rng.random(steps) < 0.01,
            np.zeros(steps, bool),
            np.array([steps]),
            RobotDescriptor(*(np.asarray(part)[None] for part in robot.descriptor)),
        )
        for robot in chosen.values()
    )
    return TrainingData(
        robots=tuple(chosen),
        episodes=episodes,
        descriptors=tuple(robot.descriptor for robot in chosen.values()),
        reward_scales=(1.0,) * len(chosen),
        observation_scale=None,
    )


def optimised(
    algorithm: Algorithm, combiner: str, data: TrainingData, batch_size: int, network: str
) -> tuple[Turn, jax.stages.Compiled]:
    """A turn of the library's own learner, and its program."""
    learner, state, loader = begun(algorithm, combiner, data, batch_size, network)
    chunk = next(loader.chunks(np.array(state.key), 0, TURN * algorithm.actor_every))
    program = learner.compile_interval(state, learner.numbers, loader.table, chunk)

    def turn() -> object:
        nonlocal state
        state, _ = program(state, learner.numbers, loader.table, chunk)
        return state

    return turn, program


def measured(
    algorithm: Algorithm, combiner: str, data: TrainingData, batch_size: int, network: str
) -> Turn:
    """A measurement of how far robots' gradients agree."""
    learner, state, loader = begun(algorithm, combiner, data, batch_size, network)
    meter = ConflictMeter(learner, learner.numbers, loader)
    return lambda: meter(state)


def begun(
    algorithm: Algorithm, combiner: str, data: TrainingData, batch_size: int, network: str
) -> tuple[Learner, LearnerState, BatchLoader]:
    """A learner, its first state, and its batches."""
    how = COMBINERS.make(combiner.rstrip("0123456789"))
    learner = Learner(algorithm, how, groups(combiner, data.robots), batch_size)
    loader = BatchLoader.of(data, batch_size, algorithm.actor_every)
    return learner, learner.init(0, PRESETS[network]), loader


def groups(combiner: str, names: Sequence[str]) -> GroupIndices:
    """As many groups of alike bodies as the combiner's name ends with, or one."""
    count = combiner.removeprefix("grouped")
    if not count.isdigit():
        return (tuple(range(len(names))),)
    found = embodiment_groups(names, int(count))
    return tuple(tuple(sorted(map(names.index, group))) for group in found)


def literally(
    algorithm: Algorithm, data: literal.Transitions, robots: int, batch_size: int, network: str
) -> Turn:
    """The same turn as the paper has it; Adam and its clip on one array after another."""
    adam = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(3e-4))
    actor, critic = algorithm.init(np.random.default_rng(0), PRESETS[network])
    rows = len(data.reward) // robots

    def sample(key: PRNGKeyArray) -> literal.Transitions:
        own, *keys = jax.random.split(key, 3)
        drawn = jax.random.randint(own, (robots, batch_size), 0, rows)
        index = (drawn + rows * jnp.arange(robots)[:, None]).ravel()
        batch = jax.tree.map(lambda array: array[index], data)
        here, following = (jax.random.normal(key, batch.action.shape) for key in keys)
        mask = batch.seen.joint_mask
        return batch._replace(noise=here * mask, next_noise=following * mask)

    def step(networks: dict[str, Any], states: Any, batch: Any, names: Sequence[str]) -> Any:
        parts = literal.parts(algorithm, networks["actor"], networks["critic"], batch)
        for name, (learns, loss) in parts.items():
            if name in names:
                moved, states[name] = apply_gradients(
                    adam, learns, jax.grad(loss)(learns), states[name]
                )
                if name == "actor":
                    networks["actor"] = moved
                else:
                    networks["critic"] = eqx.tree_at(
                        lambda critic, name=name: getattr(critic, name), networks["critic"], moved
                    )
        return networks, states

    def turn(networks: dict[str, Any], states: Any, key: PRNGKeyArray) -> Any:
        key, *keys = jax.random.split(key, 1 + algorithm.actor_every)
        for number, own in enumerate(keys, 1):
            names = ["value", "q"] + ["actor"] * (number == algorithm.actor_every)
            networks, states = step(dict(networks), dict(states), sample(own), names)
        moved = algorithm.update_targets(networks["critic"], networks["actor"])
        return {**networks, "critic": moved}, states, key

    batch = jax.tree.map(lambda array: array[:1], data)
    states = {
        name: adam.init(learns)
        for name, (learns, _) in literal.parts(algorithm, actor, critic, batch).items()
    }
    program = jax.jit(turn)
    carry = program({"actor": actor, "critic": critic}, states, jax.random.PRNGKey(0))

    def run() -> object:
        nonlocal carry
        carry = program(*carry)
        return carry

    return run


def padded(data: TrainingData) -> literal.Transitions:
    """All of the data as the paper's release holds them."""
    batches = [
        RobotBatch(
            Observation(own.joints[:-1], own.feet[:-1], own.general[:-1]),
            own.actions,
            own.rewards,
            Observation(own.joints[1:], own.feet[1:], own.general[1:]),
            own.terminated.astype(np.float32),
            body,
            body,
        )
        for own, body in zip(data.episodes, data.descriptors, strict=True)
    ]
    return literal.pad(batches)


def cpu_seconds(turns: dict[str, Turn], rounds: int) -> dict[str, float]:
    """Of each one's quickest turn; they take turns, so that a busy spell meets all of them."""
    best = dict.fromkeys(turns, float("inf"))
    for _ in range(rounds):
        for name, turn in turns.items():
            begin = time.process_time()
            jax.block_until_ready(turn())
            best[name] = min(best[name], time.process_time() - begin)
    return best


def product(rows: int, inner: int, columns: int) -> Turn:
    """A float32 product on the device, a few times over."""
    left, right = jnp.ones((rows, inner)), jnp.ones((inner, columns))
    program = jax.jit(jnp.matmul).lower(left, right).compile()
    return lambda: [program(left, right) for _ in range(2**34 // (2 * rows * inner * columns))]


def measure_rates(cases: Sequence[str], batch_size: int, network: str, rounds: int) -> None:
    """Compiles every case, and lets them run in turn beside plain products."""
    data = noise()
    robots, flops, turns = len(data.robots), 0.0, {}
    wide = padded(data) if any(case.endswith("/literal") for case in cases) else None
    for case in cases:
        name, combiner, form = case.split("/")
        algorithm = ALGORITHMS.make(name)
        if form == "literal":
            turns[case] = literally(algorithm, wide, robots, batch_size, network)
        elif form == "measured":
            turns[case] = measured(algorithm, combiner, data, batch_size, network)
        else:
            turns[case], program = optimised(algorithm, combiner, data, batch_size, network)
            if case == "iql/pooled/optimised":
                flops = program.cost_analysis()["flops"]
    core = (robots * batch_size, *PRESETS[network].core[:2])
    products = {"gemm/large": product(2048, 2048, 2048), "gemm/core": product(*core)}
    seconds = cpu_seconds({**turns, **products}, rounds)
    for case in turns:
        every = ALGORITHMS.make(case.split("/")[0]).actor_every
        seconds[case] /= every * (TURN if case.endswith("/optimised") else 1)
    rates = {case: 1.0 / seconds[case] for case in turns}
    for case, rate in rates.items():
        pooled = rates.get(f"{case.split('/')[0]}/pooled/optimised")
        say(case, "updates_per_cpu_second", rate, "1/s", pooled)
    if {"iql/pooled/measured", "iql/pooled/optimised"} <= seconds.keys():
        share = seconds["iql/pooled/measured"] / seconds["iql/pooled/optimised"]
        say("conflicts/every100", "percent_of_training", share, "%", 3.0)
    gemm = {name: 2**34 / 1e9 / seconds[name] for name in products}
    for name, rate in gemm.items():
        say(name, "gflop_per_cpu_second", rate, "GFLOP/s")
    if flops:
        case = "iql/pooled/optimised"
        rate = flops / 1e9 * rates[case]
        say(case, "gflop_per_cpu_second", rate, "GFLOP/s", gemm["gemm/large"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say("peak_memory", "megabytes", peak, "MB")


def measure_compilation(batch_size: int, network: str) -> None:
    """IQL in four groups, compiled by two processes of which the second finds the first's work."""
    with tempfile.TemporaryDirectory() as folder:
        for case, goal in (("cold", 30.0), ("cached", 5.0)):
            options = ["--batch-size", str(batch_size), "--network", network]
            command = [sys.executable, __file__, "--compile-into", folder, *options]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            say(f"compile_s/{case}", "compile_s", float(answer.stdout), "s", goal)


def compile_once(folder: Path, batch_size: int, network: str) -> None:
    """Prints the seconds that tracing and compiling take."""
    jax.config.update("jax_compilation_cache_dir", str(folder))
    learner, state, loader = begun(ALGORITHMS.make("iql"), "grouped4", noise(), batch_size, network)
    (chunk,) = loader.chunks(np.array(state.key), 0, 1)
    begin = time.perf_counter()
    learner.compile_interval(state, learner.numbers, loader.table, chunk)
    sys.stdout.write(f"{time.perf_counter() - begin}\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=64, help="transitions of each robot")
    parser.add_argument("--network", default="paper", choices=sorted(PRESETS))
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="these alone")
    parser.add_argument("--quick", action="store_true", help="three cases, no cold compilation")
    parser.add_argument("--compile-into", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = arguments.batch_size, arguments.network
    if arguments.compile_into:
        compile_once(arguments.compile_into, *sizes)
        return
    enable_compilation_cache()
    cases = arguments.cases or (QUICK if arguments.quick else all_cases())
    measure_rates(cases, *sizes, rounds=5 if arguments.quick else 12)
    if not (arguments.quick or arguments.cases):
        measure_compilation(*sizes)


if __name__ == "__main__":
    main()
