"""Plain networks on one robot: our learners beside single-file JAX learners, updates a second.

    python benchmarks/flat.py                  # BC, IQL and TD3+BC, two minutes on two cores
    python benchmarks/flat.py --quick          # BC alone, fewer turns
    taskset -c 0 python benchmarks/flat.py     # the same on one core

Two hidden layers of 256, batches of 256, a robot of twelve joints, transitions of noise. Ours run
through `Learner.compile_interval`, with sampling, clipping and metrics. The single files are in
benchmarks/single_file.py: plain JAX of the published shape, with neither clipping nor metrics. All
run in one process and take turns; of each the quickest turn counts. One JSON object a line:

- `<algorithm>/scan`: a single file whose updates are one `lax.scan`;
- `<algorithm>/loop`: the same with one dispatch an update, as such files are mostly written;
- `<algorithm>/bodyplan`: ours; the ratio is to the quicker of the two.

Each is told in `updates_per_second`, of wall time, and in `updates_per_cpu_second`. What d3rlpy
learns and how fast is in benchmarks/against_d3rlpy.py.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import outcome
import single_file
from learner import noise

from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.mlp import FlatSizes
from bodyplan.learn.registry import ALGORITHMS
from bodyplan.robots.robot import Robot

say = partial(outcome.say, "flat")

ROBOT, STEPS = "unitree_go1", 20_000
UPDATES = 500
"""In a turn, and in a dispatch but for `loop`."""
SETTINGS: dict[str, dict[str, Any]] = {
    "bc": {"log_probability": "sum"},
    "iql": {"log_probability": "sum"},
    "td3_bc": {"alpha": single_file.ALPHA, "max_action": 1.0},
}
"""Where the single files differ from our defaults."""

Turn = Callable[[], object]


def transitions() -> TrainingData:
    """Random transitions of the robot, its actions within 1."""
    data = noise({ROBOT: Robot.load(ROBOT)}, STEPS)
    (steps,) = data.episodes
    return replace(data, episodes=(replace(steps, actions=np.tanh(steps.actions)),))


def as_rows(data: TrainingData) -> single_file.Buffer:
    """The same as single files hold them: an observation and the next one side by side."""
    (steps,) = data.episodes
    parts = (steps.joints, steps.feet, steps.general)
    frames = np.concatenate([part.reshape(STEPS + 1, -1) for part in parts], axis=1)
    alive = 1.0 - steps.terminated.astype(np.float32)
    rows = single_file.Buffer(frames[:-1], steps.actions, steps.rewards, frames[1:], alive)
    return jax.tree.map(jnp.asarray, rows)


def ours(name: str, data: TrainingData) -> Turn:
    """A turn of the library's learner, with the reading of its batches."""
    (steps,) = data.episodes
    sizes = FlatSizes(
        joints=steps.joints.shape[1],
        feet=steps.feet.shape[1],
        hidden=single_file.HIDDEN,
        squash=None if name == "td3_bc" else 1.0,  # TD3+BC brings its own
    )
    algorithm = ALGORITHMS.make(name, SETTINGS[name])
    learner = Learner(algorithm, Pooled(), ((0,),), single_file.BATCH)
    loader = BatchLoader.of(data, single_file.BATCH, algorithm.actor_every)
    state, update = learner.init(0, sizes), 0
    key = np.array(state.key)

    def turn() -> object:
        nonlocal state, update
        for chunk in loader.chunks(key, update, UPDATES):
            program = learner.compile_interval(state, learner.numbers, loader.table, chunk)
            state, _ = program(state, learner.numbers, loader.table, chunk)
        update += UPDATES
        return state

    return turn


def single(name: str, buffer: single_file.Buffer, scanned: bool) -> Turn:
    """A turn of a single file."""
    update, every = single_file.UPDATES[name]
    state, dispatches = single_file.first_state(name, buffer), UPDATES // every

    def scan(state: single_file.State, buffer: single_file.Buffer) -> single_file.State:
        return jax.lax.scan(lambda s, _: (update(s, buffer), None), state, length=dispatches)[0]

    program = jax.jit(scan if scanned else update, donate_argnums=0)

    def turn() -> object:
        nonlocal state
        for _ in range(1 if scanned else dispatches):
            state = program(state, buffer)
        return state

    return turn


def rates(turns: dict[str, Turn], rounds: int) -> dict[str, tuple[float, float]]:
    """Updates a second of each one's quickest turn, by the wall and by the processor's clock."""
    best = dict.fromkeys(turns, (np.inf, np.inf))
    for turn in turns.values():
        jax.block_until_ready(turn())  # compiles, and warms the caches
    for _ in range(rounds):
        for name, turn in turns.items():
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(turn())
            took = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = tuple(map(min, best[name], took))
    return {name: (UPDATES / wall, UPDATES / cpu) for name, (wall, cpu) in best.items()}


def measure(algorithms: Sequence[str], rounds: int) -> None:
    """Runs and prints."""
    data = transitions()
    buffer = as_rows(data)
    for name in algorithms:
        turns = {
            "scan": single(name, buffer, scanned=True),
            "loop": single(name, buffer, scanned=False),
            "bodyplan": ours(name, data),
        }
        found = rates(turns, rounds)
        for clock, metric in enumerate(("updates_per_second", "updates_per_cpu_second")):
            quickest = max(found["scan"][clock], found["loop"][clock])
            for who, both in found.items():
                baseline = quickest if who == "bodyplan" else None
                say(f"{name}/{who}", metric, both[clock], "1/s", baseline)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithms", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--rounds", type=int, default=12, help="turns of each")
    parser.add_argument("--quick", action="store_true", help="BC alone, three turns")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.algorithms, arguments.rounds = ["bc"], 3
    measure(arguments.algorithms, arguments.rounds)


if __name__ == "__main__":
    main()
