"""Where transitions are read from: memory (the device's or the host's), or the dataset's files.

A transition is read packed, in two rows. A frame is all that is observed at one moment; a step is
its action, reward and end. Both sources give the same bits.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import FRAME_ARRAYS
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.batches import Batch, Bodies, BuildBatch
from bodyplan.learn.data.builds import BodySize, Build, builds_of
from bodyplan.learn.data.normalisation import ObservationScale
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import FOOT_OBSERVATION_SIZE, JOINT_OBSERVATION_SIZE

Rows = Int[np.ndarray, "*drawn R B"]
"""Steps of each robot among its own, in the order of the builds."""


class PackedTransitions(NamedTuple):
    """Transitions of one build's robots, as they are read."""

    frames: Float[Array, "*drawn 2 r B frame"]
    """The frame before the step and the one after it."""
    steps: Float[Array, "*drawn r B step"]
    """Actions, then reward and termination."""
    ids: Int[Array, "*drawn 2 r B"] | None
    """The body in each frame, where a robot has several: a row of the build's table."""


class RobotTable(NamedTuple):
    """What a run knows of its robots whatever the batch."""

    bodies: tuple[Bodies, ...]
    """Of each build; where robots have several bodies, all of them."""
    weights: Float[Array, "R"]
    """Factor on each robot's losses, one on average."""
    robot_keys: UInt32[Array, "R"]
    """A number for each robot that follows from its name."""

    @classmethod
    def of(cls, data: TrainingData, weights: Sequence[float] | None = None) -> "RobotTable":
        """The robots of a run's data; all of one weight where none are given."""
        each = weights or [1.0] * len(data.robots)
        return cls(
            tuple(_bodies(data, build) for build in builds_in(data)),
            jax.device_put(np.array(each, np.float32)),
            jax.device_put(np.array([crc32(name.encode()) for name in data.robots], np.uint32)),
        )

    def unpack(self, packed: Sequence[PackedTransitions]) -> Batch:
        """The batch that was read."""
        builds = [_unpack(*each) for each in zip(packed, self.bodies, strict=True)]
        return Batch(tuple(builds), self.weights, self.robot_keys)


class Source(Protocol):
    """Reads transitions."""

    @property
    def robots(self) -> tuple[str, ...]:
        """In the order of the builds."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """Steps of each robot."""
        ...

    def read(self, rows: Rows) -> tuple[PackedTransitions, ...]:
        """The given steps of each robot, build by build."""
        ...


class MemoryData:
    """All transitions in memory: on the accelerator, or on a CPU as NumPy arrays."""

    def __init__(self, data: TrainingData) -> None:
        """Packs and copies everything."""
        self.robots = data.robots
        self.sizes = tuple(episodes.num_steps for episodes in data.episodes)
        """Steps of each robot."""
        self._builds = [_pack(data, build) for build in builds_in(data)]
        self._read = _read
        if jax.default_backend() != "cpu":
            self._builds = jax.device_put(self._builds)
            self._read = jax.jit(_read)

    def read(self, rows: Rows) -> tuple[PackedTransitions, ...]:
        """The given steps of each robot, build by build."""
        parts = np.split(rows, np.cumsum([len(build.starts) for build in self._builds])[:-1], -2)
        return tuple(map(self._read, self._builds, parts))


class FileData:
    """All transitions in the dataset's files, mapped into memory."""

    def __init__(self, data: TrainingData) -> None:
        """Nothing is read yet."""
        self.data, self.robots = data, data.robots
        self.sizes = tuple(episodes.num_steps for episodes in data.episodes)
        """Steps of each robot."""
        self._frames = [episodes.frame_indices() for episodes in data.episodes]
        self._builds = builds_in(data)

    def read(self, rows: Rows) -> tuple[PackedTransitions, ...]:
        """The given steps of each robot, build by build, in NumPy."""
        return tuple(self._read(build, rows) for build in self._builds)

    def _read(self, build: Build, rows: Rows) -> PackedTransitions:
        robots = []
        first_body = _first_bodies(self.data, build)
        for robot in build.robots:
            episodes, factor = self.data.episodes[robot], self.data.reward_scales[robot]
            own = rows[..., robot, :]
            here = self._frames[robot][own]
            frames = np.stack([here, here + 1], axis=-2)
            ids = episodes.descriptor_ids
            robots.append(
                (
                    _packed_frames(build, episodes, self.data.observation_scale, frames),
                    _packed_steps(build, episodes, factor, own),
                    None if ids is None else ids[frames] + next(first_body),
                )
            )
        frames, steps, ids = zip(*robots, strict=True)
        return PackedTransitions._make(
            (
                np.stack(frames, axis=-3),
                np.stack(steps, axis=-3),
                None if ids[0] is None else np.stack(ids, axis=-2),
            )
        )


def builds_in(data: TrainingData) -> tuple[Build, ...]:
    """The builds of robots that are in build order."""
    return builds_of([body_size(episodes) for episodes in data.episodes])


def body_size(episodes: Episodes) -> BodySize:
    """What decides the shapes of a robot's arrays."""
    return BodySize(episodes.joints.shape[1], episodes.feet.shape[1], episodes.num_descriptors > 1)


class _PackedBuild(NamedTuple):
    """All transitions of one build."""

    frames: Float[Array | np.ndarray, "frames frame"]
    steps: Float[Array | np.ndarray, "N step"]
    frame_of_step: Int[Array | np.ndarray, "N"]
    """The frame each step starts from; it leads to the next one."""
    starts: Int[Array | np.ndarray, "r"]
    """Each robot's first step."""
    ids: Int[Array | np.ndarray, "frames"] | None


def _read(build: _PackedBuild, rows: Any) -> PackedTransitions:
    """The same in NumPy and in JAX."""
    numpy: Any = np if isinstance(build.frames, np.ndarray) else jnp
    own = rows + build.starts[:, None]
    here = build.frame_of_step[own]
    both = numpy.stack([here, here + 1], axis=-3)
    ids = None if build.ids is None else build.ids[both]
    return PackedTransitions._make((build.frames[both], build.steps[own], ids))


def _pack(data: TrainingData, build: Build) -> _PackedBuild:
    frames, steps, places, starts, ids = [], [], [], [], []
    first_body = _first_bodies(data, build)
    step = frame = 0
    for robot in build.robots:
        episodes = data.episodes[robot]
        frames.append(_packed_frames(build, episodes, data.observation_scale, slice(None)))
        steps.append(_packed_steps(build, episodes, data.reward_scales[robot], slice(None)))
        places.append(episodes.frame_indices() + frame)
        starts.append(step)
        if episodes.descriptor_ids is not None:
            ids.append(episodes.descriptor_ids + next(first_body))
        step, frame = step + len(steps[-1]), frame + len(frames[-1])
    return _PackedBuild(
        np.concatenate(frames),
        np.concatenate(steps),
        np.concatenate(places).astype(np.int32),
        np.array(starts, np.int32),
        np.concatenate(ids).astype(np.int32) if ids else None,
    )


def _packed_frames(
    build: Build, episodes: Episodes, scale: ObservationScale | None, places: Any
) -> Float[np.ndarray, "*drawn frame"]:
    seen = Observation(*(getattr(episodes, name)[places] for name in FRAME_ARRAYS))
    joints, feet, general = scale(seen) if scale else seen
    padded = _pad(joints, build.size.joints, -2), _pad(feet, build.size.feet, -2)
    rows = [own.reshape(*own.shape[:-2], own.shape[-2] * own.shape[-1]) for own in padded]
    return np.concatenate([*rows, general], axis=-1)


def _packed_steps(
    build: Build, episodes: Episodes, factor: float, places: Any
) -> Float[np.ndarray, "*drawn step"]:
    rewards = episodes.rewards[places] * np.float32(factor)
    ends = episodes.terminated[places].astype(np.float32)
    actions = _pad(episodes.actions[places], build.size.joints, -1)
    return np.concatenate([actions, rewards[..., None], ends[..., None]], axis=-1)


def _unpack(packed: PackedTransitions, bodies: Bodies) -> BuildBatch:
    joints, feet = bodies.joints.shape[-2], bodies.feet.shape[-2]
    here, after = packed.frames[0], packed.frames[1]
    ids = (None, None) if packed.ids is None else (packed.ids[0], packed.ids[1])

    def observation(frames: Float[Array, "r B frame"]) -> Observation:
        rows = frames.shape[:2]
        first, second = joints * JOINT_OBSERVATION_SIZE, feet * FOOT_OBSERVATION_SIZE
        return Observation._make(
            (
                frames[..., :first].reshape(*rows, joints, JOINT_OBSERVATION_SIZE),
                frames[..., first : first + second].reshape(*rows, feet, FOOT_OBSERVATION_SIZE),
                frames[..., first + second :],
            )
        )

    return BuildBatch(
        observation=observation(here),
        action=packed.steps[..., :joints],
        reward=packed.steps[..., joints],
        next_observation=observation(after),
        terminated=packed.steps[..., joints + 1],
        bodies=_specimens(bodies, ids[0]),
        next_bodies=_specimens(bodies, ids[1]),
    )


def _specimens(bodies: Bodies, ids: Int[Array, "r B"] | None) -> Bodies:
    """The bodies of samples; of a table larger than the batch only theirs are described."""
    if ids is None:
        return bodies
    if len(bodies.context) <= ids.size:
        return bodies._replace(ids=ids)
    joints, feet, context = (part[ids.ravel()] for part in bodies[:3])
    places = jnp.arange(ids.size).reshape(ids.shape)
    return Bodies(joints, feet, context, places, bodies.joint_mask, bodies.foot_mask)


def _bodies(data: TrainingData, build: Build) -> Bodies:
    own = [RobotDescriptor._make(map(np.asarray, data.descriptors[at])) for at in build.robots]
    joints, feet = build.size.joints, build.size.feet
    put_together = np.concatenate if build.size.many_bodies else np.stack
    table = (
        put_together([_pad(body.joints, joints, -2) for body in own]),
        put_together([_pad(body.feet, feet, -2) for body in own]),
        put_together([body.context for body in own]),
    )
    masks = (
        _mask([body.joints.shape[-2] for body in own], joints),
        _mask([body.feet.shape[-2] for body in own], feet),
    )
    own_masks = masks if build.padded else (None, None)
    return Bodies._make((*map(jax.device_put, table), None, *own_masks))


def _first_bodies(data: TrainingData, build: Build) -> Iterator[int]:
    """Where each robot's bodies begin in the build's table."""
    first = 0
    for robot in build.robots:
        yield first
        first += data.episodes[robot].num_descriptors


def _mask(counts: Sequence[int], slots: int) -> Float[Array, "r slots"]:
    return jax.device_put((np.arange(slots) < np.array(counts)[:, None]).astype(np.float32))


def _pad(values: np.ndarray, slots: int, axis: int) -> np.ndarray:
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, slots - values.shape[axis])
    return np.pad(values, widths) if widths[axis][1] else values
