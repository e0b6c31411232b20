"""Several devices and several hosts as one learner."""

import os
from typing import TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from bodyplan.errors import BodyplanError
from bodyplan.learn.data.batches import AXIS

ArrayTree = TypeVar("ArrayTree")


def mesh(devices: int) -> Mesh:
    """The devices, those of all hosts, that batches are split over."""
    return jax.make_mesh((devices,), (AXIS,), axis_types=(AxisType.Auto,))


def replicate(tree: ArrayTree, devices: int) -> ArrayTree:
    """A tree of arrays in full on each of the devices."""
    if devices == 1:
        return tree
    return jax.device_put(tree, NamedSharding(mesh(devices), PartitionSpec()))


def join_hosts(coordinator: str, hosts: int, host: int) -> None:
    """Join the other hosts; call it before anything else touches a device.

    Args:
        coordinator: address and port of the first host, such as `10.0.0.1:8476`.
        hosts: how many there are.
        host: index of this host, from 0 on.
    """
    jax.distributed.initialize(coordinator, num_processes=hosts, process_id=host)


def device_count() -> int:
    """Devices that JAX finds, on all hosts.

    Raises:
        BodyplanError: it does not find the platform that `JAX_PLATFORMS` asks for.
    """
    try:
        return len(jax.devices())
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS")
        raise BodyplanError(
            f"JAX finds no devices of JAX_PLATFORMS={asked} on this machine; unset that variable, "
            "or install the JAX of that platform"
        ) from error


def accelerator(devices: int) -> str | None:
    """What computes beside the processor, such as `NVIDIA H200 x 4`; None where nothing does."""
    first = jax.devices()[0]
    if first.platform == "cpu":
        return None
    return f"{first.device_kind} x {devices}" if devices > 1 else str(first.device_kind)


def is_first_host() -> bool:
    """Whether this host writes."""
    return jax.process_index() == 0


def wait_for_hosts(point: str) -> None:
    """Wait until all hosts have reached this point."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(point)
