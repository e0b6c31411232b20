"""Small datasets and snapshots without a simulator, the same for the same seed.

The data are learnable: a step's reward is highest where the action of each joint equals
`best_action`, one linear function of that joint's state which all robots share. Actions are spread
around it, so that good and bad ones are in the data, and they move the joints a little.
"""

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import DATASET_FORMAT
from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.batches import Batch
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.data.transitions import FileData, MemoryData
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.storage import write_json

COMMAND = (1.0, 0.0, 0.0)
ROBOTS = {"dog": (4, 2), "crab": (6, 4), "biped": (3, 2)}


def descriptor(name: str, joints: int, feet: int) -> RobotDescriptor:
    """A body with figures of its own."""
    rng = np.random.default_rng(crc32(name.encode()))
    shapes = ((joints, 23), (feet, 10), (7,))
    return RobotDescriptor(*(rng.uniform(-1, 1, s).astype(np.float32) for s in shapes))


def best_action(observation: Observation) -> np.ndarray:
    """[..., J]: what earns the highest reward."""
    joints = np.asarray(observation.joints)
    return 0.8 * joints[..., 0] - 0.5 * joints[..., 1]


def synthetic_episodes(
    name: str,
    joints: int,
    feet: int,
    steps: int = 400,
    length: int = 40,
    seed: int = 0,
    bodies: int = 1,
) -> Episodes:
    """Episodes of `length` steps, every second one terminated, the others truncated.

    One of several bodies takes over from another every 11 frames, whoever's episode it is.
    """
    rng = np.random.default_rng([seed, crc32(name.encode())])
    ends = np.append(np.arange(length, steps, length), steps)
    terminated, truncated = np.zeros(steps, bool), np.zeros(steps, bool)
    terminated[ends[::2] - 1] = True
    truncated[ends[1::2] - 1] = True
    actions, rewards = np.zeros((steps, joints), np.float32), np.zeros(steps, np.float32)
    frames: list[Observation] = []
    start = 0
    for end in ends:
        state = _observe(rng, rng.uniform(-1.0, 1.0, (joints, 3)), feet)
        for step in range(start, end):
            frames.append(state)
            best = best_action(state)
            actions[step] = best + rng.normal(0.0, 0.5, joints)
            rewards[step] = 0.1 * np.exp(-np.mean((actions[step] - best) ** 2))
            drift = 0.9 * state.joints[:, :2] + rng.normal(0.0, 0.3, (joints, 2))
            moved = np.column_stack([drift, actions[step] / 10.0])
            state = _observe(rng, moved, feet)
        frames.append(state)
        start = end
    stacked = (np.stack(part) for part in zip(*frames, strict=True))
    names = [name, *(f"{name} {body}" for body in range(1, bodies))]
    sets = zip(*(descriptor(own, joints, feet) for own in names), strict=True)
    ids = (np.arange(len(frames)) // 11 % bodies).astype(np.int32) if bodies > 1 else None
    return Episodes(
        *stacked,
        actions,
        rewards,
        terminated,
        truncated,
        ends,
        RobotDescriptor(*map(np.stack, sets)),
        ids,
    )


def write_dataset(
    path: Path,
    robots: dict[str, tuple[int, int]] | None = None,
    steps: int = 400,
    length: int = 40,
    seed: int = 0,
    bodies: int = 1,
) -> Dataset:
    """A whole dataset on disk; `robots` gives joints and feet by name."""
    entries = {
        name: synthetic_episodes(name, joints, feet, steps, length, seed, bodies).write(path / name)
        for name, (joints, feet) in (robots or ROBOTS).items()
    }
    for entry in entries.values():
        entry["segments"] = [{"snapshot": 0, "steps": steps, "phase": "expert"}]
    card = {
        "format": DATASET_FORMAT,
        "recipe": "expert",
        "command": list(COMMAND),
        "seed": seed,
        "steps": steps,
        "physics": "reference",
        "initial_state": "nominal",
        "versions": {},
        "robots": entries,
    }
    write_json(path / "card.json", card)
    return Dataset.open(path)


def drawn_batch(
    dataset: Dataset,
    batch_size: int,
    update: int = 0,
    key: Sequence[int] = (0, 0),
    source: type[MemoryData] | type[FileData] = MemoryData,
) -> Batch:
    """The batch that a run with this key samples in an update."""
    loader = BatchLoader.of(TrainingData.of(dataset), batch_size, source=source)
    return loader.table.unpack(loader.batch(np.array(key, np.uint32), update))


def synthetic_snapshots(
    robot: str = "dog",
    joints: int = 4,
    feet: int = 2,
    steps: tuple[int, ...] = (100, 200, 300, 400),
    returns: tuple[float, ...] = (5.0, 10.0, 40.0, 50.0),
    seed: int = 0,
    hidden: int = 8,
) -> Snapshots:
    """A run of random policies with the given training steps and returns."""
    rng = np.random.default_rng([seed, crc32(robot.encode())])
    inputs, count = joints * 3 + feet * 2 + 9, len(steps)
    widths = (inputs, hidden, hidden, joints)
    tensors = {
        "log_std": np.full((count, joints), np.log(0.3), np.float16),
        "observation_mean": rng.normal(0.0, 0.1, (count, inputs)).astype(np.float32),
        "observation_std": rng.uniform(0.5, 1.5, (count, inputs)).astype(np.float32),
    }
    for i in range(3):
        shape = (count, widths[i + 1], widths[i])
        weight = rng.normal(0.0, widths[i] ** -0.5, shape)
        tensors[f"layers.{i}.weight"] = weight.astype(np.float16)
        tensors[f"layers.{i}.bias"] = rng.normal(0.0, 0.1, shape[:2]).astype(np.float16)
    expert = {"return_mean": returns[-1], "return_se": 0.1, "length_mean": 1000.0}
    card = {
        "robot": robot,
        "command": list(COMMAND),
        "steps": list(steps),
        "return_mean": list(returns),
        "length_mean": [1000.0] * count,
        "expert": {**expert, "velocity_error": 0.1},
        "curve": [[s, r, 1000.0] for s, r in zip(steps, returns, strict=True)],
        "settings": {},
    }
    return Snapshots(tensors, card)


def _observe(rng: np.random.Generator, joints: np.ndarray, feet: int) -> Observation:
    contact = rng.choice([-1.0, 1.0], (feet, 1))
    sensed = np.concatenate([contact, rng.uniform(-1.0, 1.0, (feet, 1))], axis=1)
    velocity, gravity = rng.uniform(-0.2, 0.2, 6), np.array([0.0, 0.0, -1.0])
    general = np.concatenate([velocity, COMMAND, gravity, rng.uniform(-0.1, 0.1, 1)])
    return Observation(*(part.astype(np.float32) for part in (joints, sensed, general)))
