"""The base class of combiners: how robots' losses become updates of the one actor they share.

A combiner is its configuration, a frozen dataclass, as an algorithm is. Of the algorithm it uses
`actor_losses` (one loss for each robot), `actor_gradient` (of their mean) and `actor_step` (one
optimiser step).
To write your own, subclass `Combiner` and give `step`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import PRNGKeyArray, PyTree

from bodyplan.bounds import require_bounds
from bodyplan.learn.algorithms.algorithm import ActorState, Algorithm, Metrics
from bodyplan.learn.data.batches import Batch
from bodyplan.learn.networks.architectures import ActorNetwork

GroupIndices = tuple[tuple[int, ...], ...]
"""A partition of the robots, as positions in the batch."""


@dataclass(frozen=True, kw_only=True)
class Combiner(ABC):
    """One way for robots to share an actor."""

    def __post_init__(self) -> None:
        require_bounds(self)

    def init(self, policy: ActorNetwork, groups: GroupIndices) -> PyTree:
        """The combiner's own memory at the start; nothing by default."""
        return ()

    @abstractmethod
    def step(
        self,
        algorithm: Algorithm,
        actor: ActorState,
        critic: PyTree,
        batch: Batch,
        groups: GroupIndices,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """One actor update: one or more optimiser steps on this batch; metrics `[R]`."""
