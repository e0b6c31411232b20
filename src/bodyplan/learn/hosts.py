"""Several hosts as one learner: all run the same program, the first of them writes.

Each reads the same data, at a path of its own or shared; the run's folder must be shared where a
run is to be continued.
"""

import jax


def join(coordinator: str, hosts: int, host: int) -> None:
    """Meet the other hosts; before anything else touches a device.

    Args:
        coordinator: address and port of the first host, such as `10.0.0.1:8476`.
        hosts: how many there are.
        host: which of them this one is, from 0 on.
    """
    jax.distributed.initialize(coordinator, num_processes=hosts, process_id=host)


def is_first() -> bool:
    """Whether this host writes."""
    return jax.process_index() == 0


def wait_for_all(moment: str) -> None:
    """Go on when all hosts have come to this moment."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(moment)
