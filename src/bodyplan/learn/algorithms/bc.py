"""Behaviour cloning (BC) over many robots: maximise the likelihood of the data's actions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.learn.algorithms.algorithm import (
    Algorithm,
    Metrics,
    Reduction,
    log_likelihood_losses,
)
from bodyplan.learn.data.batches import Batch
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes, architecture_of


@dataclass(frozen=True, kw_only=True)
class BC(Algorithm):
    """Hyperparameters of BC, by default the cross-embodiment paper's (arXiv 2602.18025)."""

    log_probability: Reduction = "mean"
    """Over a robot's joints; the sum gives robots with many joints more weight."""

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, tuple[()]]:
        """A fresh policy, and no critic."""
        return architecture_of(sizes).policy(rng, sizes), ()

    def critic_update(
        self,
        critic: tuple[()],
        actor: ActorNetwork,
        batch: Batch,
        key: PRNGKeyArray,
    ) -> tuple[tuple[()], tuple[()], Metrics]:
        """BC has no critic."""
        return (), (), {}

    def actor_losses(
        self, actor: ActorNetwork, critic: tuple[()], batch: Batch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """-mean(log pi(a|s)) of each robot."""
        return log_likelihood_losses(actor, batch, 1.0, self.log_probability)
