"""Pooled training: one actor step on the mean of all robots' losses."""

from dataclasses import dataclass

from jaxtyping import PRNGKeyArray, PyTree

from bodyplan.learn.algorithms.algorithm import ActorState, Algorithm, Metrics
from bodyplan.learn.combiners.combiner import Combiner, GroupIndices
from bodyplan.learn.data.batches import Batch


@dataclass(frozen=True, kw_only=True)
class Pooled(Combiner):
    """Pooled training has no hyperparameters."""

    def step(
        self,
        algorithm: Algorithm,
        actor: ActorState,
        critic: PyTree,
        batch: Batch,
        groups: GroupIndices,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """One step on the mean over all robots; the groups do not matter."""
        gradient, metrics = algorithm.actor_gradient(actor.policy, critic, batch, key)
        metrics |= algorithm.gradient_metrics(gradient)
        return algorithm.actor_step(actor, gradient), metrics
