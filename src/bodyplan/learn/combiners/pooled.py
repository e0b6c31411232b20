"""All robots in one step: the mean of their losses, as if they were one data set."""

from dataclasses import dataclass

import optax
from jaxtyping import PRNGKeyArray

from bodyplan.learn.algorithms.algorithm import ActorBatch, Metrics
from bodyplan.learn.combiners.combiner import ActorLosses, ActorState, GroupIndices, mean_step
from bodyplan.learn.networks.architectures import ActorNetwork


@dataclass(frozen=True)
class Pooled:
    """No hyperparameters."""

    def init(self, policy: ActorNetwork, groups: GroupIndices) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def step(
        self,
        actor: ActorState,
        losses: ActorLosses,
        optimiser: optax.GradientTransformation,
        batch: ActorBatch,
        groups: GroupIndices,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """One step on the mean over all robots; the groups do not matter."""
        return mean_step(actor, losses, optimiser, batch, key)
