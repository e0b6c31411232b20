"""A batch in parts on several devices: means over all of it, noise as if it were in one place.

Losses are written as means over the batch at hand; inside `jax.shard_map` they are then means over
the whole batch, wherever it lies. Gradients with respect to parameters, which are the same
everywhere, need no care: `shard_map` knows what varies from device to device and adds them up.
Outside of it these are plain means and plain noise.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray

ArrayTree = TypeVar("ArrayTree")

AXIS = "devices"
"""The mesh axis that batches are split over."""


def mesh(devices: int) -> Mesh:
    """The devices, those of all hosts, that batches are split over."""
    return jax.make_mesh((devices,), (AXIS,), axis_types=(AxisType.Auto,))


def replicate(tree: ArrayTree, devices: int) -> ArrayTree:
    """A tree of arrays in full on each of the devices."""
    if devices == 1:
        return tree
    return jax.device_put(tree, NamedSharding(mesh(devices), PartitionSpec()))


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


def zeros_like(shapes: ArrayTree) -> ArrayTree:
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


def join_hosts(coordinator: str, hosts: int, host: int) -> None:
    """Meet the other hosts; before anything else touches a device.

    Args:
        coordinator: address and port of the first host, such as `10.0.0.1:8476`.
        hosts: how many there are.
        host: which of them this one is, from 0 on.
    """
    jax.distributed.initialize(coordinator, num_processes=hosts, process_id=host)


def is_first_host() -> bool:
    """Whether this host writes."""
    return jax.process_index() == 0


def wait_for_hosts(moment: str) -> None:
    """Go on when all hosts have come to this moment."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(moment)
