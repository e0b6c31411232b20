"""Batches of many robots: transitions sampled inside the compiled program, and means over them.

A batch is a tuple with one part for each robot, all of the same size and each in its robot's own
shapes. Nothing is padded and no robot outweighs another, however much was logged of it. Next
observations are the frames after the sampled ones.

A batch may be split over several devices (`jax.shard_map`). Losses are written with `batch_mean`,
which is then the mean over all devices. Gradients of parameters need no such care: `shard_map`
knows what differs from device to device and adds it up.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.normalisation import ObservationScale, ObservationScaling, RewardScaling
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.robots.descriptors import RobotDescriptor

ArrayTree = TypeVar("ArrayTree")

AXIS = "devices"
"""The mesh axis that batches are split over."""


class BodyBatch(NamedTuple):
    """The bodies of one robot's samples where they differ."""

    sets: RobotDescriptor
    """Descriptor sets on a leading axis."""
    ids: Int[Array, "batch"] | None
    """The set of each sample; None where each has its own, in the same order."""

    def of_samples(self, values: Float[Array, "sets ..."]) -> Float[Array, "batch ..."]:
        """What was computed of each set, sample by sample."""
        return values if self.ids is None else _pick(values, self.ids)


Body = RobotDescriptor | BodyBatch
"""One body for all samples, or theirs."""


def bodies_of(
    descriptors: Sequence[RobotDescriptor], ids: Sequence[Int[Array, "batch"] | None]
) -> tuple[Body, ...]:
    """The bodies behind a batch, one entry a robot.

    Args:
        descriptors: a set, or a table of K with a leading axis.
        ids: each sample's place in that table; None where there is one set.
    """
    return tuple(
        own if places is None else _specimens(own, places)
        for own, places in zip(descriptors, ids, strict=True)
    )


def _specimens(table: RobotDescriptor, ids: Int[Array, "batch"]) -> BodyBatch:
    if len(table.context) <= len(ids):
        return BodyBatch(table, ids)
    return BodyBatch(RobotDescriptor._make(_pick(jnp.asarray(part), ids) for part in table), None)


def _pick(values: Float[Array, "sets ..."], ids: Int[Array, "batch"]) -> Float[Array, "batch ..."]:
    return values.at[ids].get(mode="promise_in_bounds")


class RobotTransitions(NamedTuple):
    """One robot's steps and frames on the device."""

    joints: Float[Array, "frames J 3"]
    feet: Float[Array, "frames F 2"]
    general: Float[Array, "frames 13"]
    actions: Float[Array, "N J"]
    rewards: Float[Array, "N"]
    terminated: Bool[Array, "N"]
    frames: Int[Array, "N"]
    """The frame each step starts from; it leads to the next one."""
    descriptor_ids: Int[Array, "frames"] | None = None
    """The robot's descriptor set in each frame, where there are several."""


class Batch(NamedTuple):
    """One robot's part of a batch."""

    observation: Observation
    action: Float[Array, "B J"]
    reward: Float[Array, "B"]
    next_observation: Observation
    terminated: Float[Array, "B"]
    """1 where there is no future. Truncated steps count as 0: values bootstrap through them."""
    descriptor_ids: Int[Array, "B"] | None = None
    """The descriptor set of each observation among the robot's, where there are several."""
    next_descriptor_ids: Int[Array, "B"] | None = None
    """The same of each next observation: a body may change in between."""
    weight: float | None = None
    """Factor on this robot's losses, one on average over robots; 1 where not given."""


class BatchSource(Protocol):
    """What a compiled interval reads its batches from."""

    @property
    def descriptors(self) -> tuple[RobotDescriptor, ...]:
        """Each robot's one descriptor set, or all of its sets on a leading axis."""
        ...

    def scanned(self) -> Any:
        """Arrays with a leading axis of iterations, or None."""
        ...

    def batch(
        self, scanned: Any, number: int, key: PRNGKeyArray, batch_size: int
    ) -> tuple[Batch, ...]:
        """The batch of critic update `number` in the iteration that `scanned` belongs to."""
        ...

    def partition(self) -> Any:
        """How the data are laid over devices, for `jax.shard_map`."""
        ...


class DeviceData(eqx.Module):
    """The transitions of R robots, ready to be sampled."""

    robots: tuple[str, ...] = eqx.field(static=True)
    descriptors: tuple[RobotDescriptor, ...]
    """Of each robot the one set, or all of them on a leading axis."""
    transitions: tuple[RobotTransitions, ...]
    reward_scales: tuple[float, ...] = eqx.field(static=True)
    """Factor on each robot's rewards, already applied."""
    observation_scale: ObservationScale | None
    """Scale of all observations, already applied; a policy trained on them needs it to act."""

    @classmethod
    def load(
        cls,
        dataset: Dataset,
        reward_scale: RewardScaling = "none",
        observation_scale: ObservationScaling = "none",
    ) -> "DeviceData":
        """Puts a dataset on the device; arguments and errors are those of `Prepared.of`."""
        return cls.of(TrainingData.of(dataset, reward_scale, observation_scale))

    @classmethod
    def of(cls, data: TrainingData) -> "DeviceData":
        """Put checked data on the device."""
        transitions = [
            _transitions(episodes, factor, data.observation_scale)
            for episodes, factor in zip(data.episodes, data.reward_scales, strict=True)
        ]
        return cls(
            robots=data.robots,
            descriptors=data.descriptors,
            transitions=tuple(transitions),
            reward_scales=data.reward_scales,
            observation_scale=data.observation_scale,
        )

    def sample(self, key: PRNGKeyArray, batch_size: int) -> tuple[Batch, ...]:
        """Draw `batch_size` steps of each robot, uniformly and with replacement.

        Where the batch is split over devices, each gathers its own part of it.
        """
        sizes = [len(steps.rewards) for steps in self.transitions]
        drawn = zip(self.transitions, draw_indices(key, sizes, batch_size), strict=True)
        return tuple(_gather(steps, local_part(rows)) for steps, rows in drawn)

    def chunks(self, key: Any, updates: int) -> Iterator[tuple[Self, int]]:
        """An interval's data and its number of updates: all of it at once."""
        yield self, updates

    def one_batch(self, key: PRNGKeyArray, batch_size: int) -> Self:
        """What one batch of this key is sampled from."""
        return self

    def scanned(self) -> None:
        """Batches are sampled by key, so there is nothing to scan over."""

    def batch(
        self, scanned: None, number: int, key: PRNGKeyArray, batch_size: int
    ) -> tuple[Batch, ...]:
        """A fresh sample for a critic update."""
        return self.sample(key, batch_size)

    def partition(self) -> PartitionSpec:
        """Every device holds all data."""
        return PartitionSpec()


class PreparedBatches(eqx.Module):
    """An interval's batches, drawn beforehand because the data do not fit on the device."""

    descriptors: tuple[RobotDescriptor, ...]
    batches: tuple[Batch, ...]
    """Every array `[iterations, critic updates, B, ...]`."""

    def scanned(self) -> tuple[Batch, ...]:
        """The batches of each iteration."""
        return self.batches

    def batch(
        self, scanned: tuple[Batch, ...], number: int, key: PRNGKeyArray, batch_size: int
    ) -> tuple[Batch, ...]:
        """The batch drawn for critic update `number` of an iteration."""
        return jax.tree.map(lambda array: array[number], scanned)

    def partition(self) -> Any:
        """Every device holds its part of each batch, and all descriptors."""
        everywhere = jax.tree.map(lambda _: PartitionSpec(), self)
        split = jax.tree.map(lambda _: PartitionSpec(None, None, AXIS), self.batches)
        return eqx.tree_at(lambda data: data.batches, everywhere, split)


def draw_indices(
    key: PRNGKeyArray, sizes: Sequence[int], batch_size: int
) -> Iterator[Int[Array, "B"]]:
    """Steps of each robot, uniformly and with replacement; `sizes` are the steps there are."""
    keys = jax.random.split(key, len(sizes))
    # All robots at once: compiling one generator for each takes longer than the network's layers.
    yield from jax.vmap(lambda own, size: jax.random.randint(own, (batch_size,), 0, size))(
        keys, jnp.array(sizes)
    )


def _gather(steps: RobotTransitions, rows: Int[Array, "B"]) -> Batch:
    def pick(array: Array, index: Int[Array, "B"]) -> Array:
        return array.at[index].get(mode="promise_in_bounds")

    here = pick(steps.frames, rows)
    frames, ids = (steps.joints, steps.feet, steps.general), steps.descriptor_ids
    return Batch(
        observation=Observation._make(pick(array, here) for array in frames),
        action=pick(steps.actions, rows),
        reward=pick(steps.rewards, rows),
        next_observation=Observation._make(pick(array, here + 1) for array in frames),
        terminated=pick(steps.terminated, rows).astype(jnp.float32),
        descriptor_ids=None if ids is None else pick(ids, here),
        next_descriptor_ids=None if ids is None else pick(ids, here + 1),
    )


def _transitions(
    episodes: Episodes, factor: float, scale: ObservationScale | None
) -> RobotTransitions:
    frames = Observation(episodes.joints, episodes.feet, episodes.general)
    # Copies: on CPU a device array could otherwise go on reading the mapped file.
    joints, feet, general = map(jnp.array, scale(frames) if scale else frames)
    ids = episodes.descriptor_ids
    return RobotTransitions(
        joints=joints,
        feet=feet,
        general=general,
        actions=jnp.array(episodes.actions),
        rewards=jnp.array(episodes.rewards * np.float32(factor)),
        terminated=jnp.array(episodes.terminated),
        frames=jnp.array(episodes.frame_indices()),
        descriptor_ids=None if ids is None else jnp.array(ids),
    )


def batch_mean(values: Float[Array, "..."], axis: int | None = -1) -> Array:
    """Mean over an axis (or all) that holds equal parts of the batch on each device."""
    mean = values.mean(axis)
    return jax.lax.pmean(mean, AXIS) if _count() > 1 else mean


def batch_std(values: Float[Array, "..."]) -> Array:
    """Standard deviation over the last axis, which holds the batch."""
    centred = values - batch_mean(values)[..., None]
    return jnp.sqrt(batch_mean(jnp.square(centred)))


def local_part(whole: Array) -> Array:
    """What of a batch, known to all devices, is this device's; the batch is the first axis."""
    if _count() == 1:
        return whole
    length = len(whole) // _count()
    return jax.lax.dynamic_slice_in_dim(whole, jax.lax.axis_index(AXIS) * length, length)


def varying_zeros(shapes: ArrayTree) -> ArrayTree:
    """Zeros that may differ from device to device, as a batch does."""

    def zeros(leaf: Array) -> Array:
        nothing = jnp.zeros(leaf.shape, leaf.dtype)
        return jax.lax.pcast(nothing, AXIS, to="varying") if _count() > 1 else nothing

    return jax.tree.map(zeros, shapes)


def normal_like(key: PRNGKeyArray, values: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
    """Standard normal noise for every sample, the same however the batch is split."""
    return local_part(jax.random.normal(key, (len(values) * _count(), *values.shape[1:])))


def _count() -> int:
    """Devices that the batch is split over."""
    try:
        return jax.lax.axis_size(AXIS)
    except NameError:  # not inside a mesh
        return 1
