"""Measures how fast datasets are recorded and sampled, and their size on disk.

    python benchmarks/dataset.py            # a million steps; about six minutes on two cores
    python benchmarks/dataset.py --quick    # 50,000 steps and small networks, about 40 seconds

One JSON object a line:

- `build/<robot>`: control steps recorded per second on all cores, with joining and checksums. The
  ratio is to the environment alone on as many threads.
- `disk/<robot>`: bytes of a step in the finished folder. The ratio is to a padded transition of the
  paper's release (two observations of 668 numbers, an action of 24, a reward and two flags).
- `disk/sixteen robots`: gigabytes of a million steps of each robot, computed from the format and
  the measured number of frames per step.
- `sample/device`, `sample/host`: transitions per second in batches of 1,024 of each of the sixteen
  robots, from memory and from memory-mapped files. The ratio is to the transitions that IQL updates
  of the same batch consume in the same time.
- `sample/padded`: the same batches, indexed by NumPy in padded arrays like those of the release.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import outcome

from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import CARD, DATASET_FORMAT
from bodyplan.envs.environment import Environment
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.compilation import enable_compilation_cache
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.data.transitions import FileData, MemoryData
from bodyplan.learn.learner import Learner
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.robots import registry
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.robot import Robot
from bodyplan.storage import write_json

say = partial(outcome.say, "dataset")

BATCH = 1024
KEY = np.zeros(2, np.uint32)
PADDED_OBSERVATION, PADDED_ACTION = 668, 24
PADDED_BYTES = 4 * (2 * PADDED_OBSERVATION + PADDED_ACTION + 1) + 2


def measure_build(name: str, steps: int, folder: Path) -> None:
    """Builds one robot's 70 % suboptimal set."""
    alone = Environment(name, num_envs=256, initial_state="random")
    still = np.zeros((256, alone.robot.num_joints))
    seconds = fastest(lambda: alone.step(still), 20)
    begin = time.perf_counter()
    dataset = build_dataset(folder, [name], "suboptimal70", "forward", steps)
    rate = steps / (time.perf_counter() - begin)
    say(f"build/{name}", "control_steps_per_second", rate, "1/s", 256 / seconds)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    say(f"disk/{name}", "bytes_per_step", size / steps, "B", PADDED_BYTES)
    episodes = dataset.episodes[name].num_episodes / steps
    total = sum(
        1e6 * bytes_per_step(Robot.load(other), episodes) for other in registry.packaged_robots()
    )
    padded = 16e6 * PADDED_BYTES
    say("disk/sixteen robots", "gigabytes", total / 1e9, "GB", padded / 1e9)


def bytes_per_step(robot: Robot, episodes: float) -> float:
    """Of the layout, with so many episodes to a step."""
    frame = 4 * (3 * robot.num_joints + 2 * robot.num_feet + 13)
    return (1.0 + episodes) * frame + 4 * robot.num_joints + 4 + 2 + 8 * episodes


def measure_sampling(folder: Path, steps: int, network: str) -> None:
    """Samples random data of all robots' shapes, and trains on them."""
    dataset = random_data(folder, steps)
    data = TrainingData.of(dataset)
    loaders = {
        "device": BatchLoader.of(data, BATCH, source=MemoryData),
        "host": BatchLoader.of(data, BATCH, source=FileData),
    }
    transitions = BATCH * len(data.robots)
    consumed = transitions / seconds_of_an_update(loaders["device"], network)
    for name, loader in loaders.items():
        seconds = fastest(partial(loader.batch, KEY, 0), 10)
        say(f"sample/{name}", "transitions_per_second", transitions / seconds, "1/s", consumed)

    padded = fastest(padded_sampler(min(steps, 4000), len(data.robots)), 5)
    say("sample/padded", "transitions_per_second", transitions / padded, "1/s", consumed)


def seconds_of_an_update(loader: BatchLoader, network: str) -> float:
    """One IQL update on a batch of all robots."""
    groups = (tuple(range(len(loader.source.robots))),)
    learner = Learner(IQL(), Pooled(), groups, BATCH)
    state = learner.init(0, PRESETS[network])
    (chunk,) = loader.chunks(KEY, 0, 1)
    update = learner.compile_interval(state, learner.numbers, loader.table, chunk)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        state, _ = jax.block_until_ready(update(state, learner.numbers, loader.table, chunk))
        times.append(time.perf_counter() - begin)
    return min(times)


def padded_sampler(steps: int, robots: int) -> Callable[[], object]:
    """NumPy's way with the arrays of the paper's release."""
    rng = np.random.default_rng(0)
    observations = rng.random((steps, robots, PADDED_OBSERVATION), np.float32)
    following = observations[::-1].copy()
    actions = rng.random((steps, robots, PADDED_ACTION), np.float32)
    rewards, terminated = rng.random((steps, robots)), rng.random((steps, robots)) < 0.01
    arrays, columns = (observations, actions, rewards, following, terminated), np.arange(robots)

    def sample() -> list[np.ndarray]:
        rows = rng.integers(steps, size=(BATCH, robots))
        return [array[rows, columns] for array in arrays]

    return sample


def random_data(folder: Path, steps: int) -> Dataset:
    """A dataset of noise, in the shapes of all packaged robots."""
    entries = {}
    for name in registry.packaged_robots():
        robot, rng = Robot.load(name), np.random.default_rng(0)
        ends = np.append(np.arange(500, steps, 500), steps)
        terminated = np.isin(np.arange(steps), ends - 1)
        frames = [(robot.num_joints, 3), (robot.num_feet, 2), (13,)]
        joints, feet, general = (
            rng.random((steps + len(ends), *shape), np.float32) for shape in frames
        )
        episodes = Episodes(
            joints,
            feet,
            general,
            actions=rng.random((steps, robot.num_joints), np.float32),
            rewards=rng.random(steps, np.float32),
            terminated=terminated,
            truncated=np.zeros_like(terminated),
            episode_ends=ends,
            descriptors=RobotDescriptor(*(part[None] for part in robot.descriptor)),
        )
        entries[name] = episodes.write(folder / name)
    write_json(folder / CARD, {"format": DATASET_FORMAT, "recipe": "noise", "robots": entries})
    return Dataset.open(folder)


def fastest(work: Callable[[], object], repetitions: int) -> float:
    """Seconds of the quickest repetition, after one that does not count."""
    work()
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robot", default="unitree_go1", help="whose data are built")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the build")
    parser.add_argument("--quick", action="store_true", help="fewer steps, the small network")
    arguments = parser.parse_args()
    steps, sampled, network = arguments.steps, 100_000, "paper"
    if arguments.quick:
        steps, sampled, network = 50_000, 10_000, "small"
    enable_compilation_cache()
    with tempfile.TemporaryDirectory() as folder:
        measure_build(arguments.robot, steps, Path(folder) / "built")
        measure_sampling(Path(folder) / "random", sampled, network)


if __name__ == "__main__":
    main()
