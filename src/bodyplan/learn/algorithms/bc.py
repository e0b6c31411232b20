"""Behaviour cloning over many robots: the likelihood of the data's actions, good and bad alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.algorithms.algorithm import (
    ActorBatch,
    Metrics,
    Reduction,
    clipped_adam,
    imitation_losses,
)
from bodyplan.learn.data.device_batches import Batch
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes, architecture_of
from bodyplan.robots.descriptors import RobotDescriptor


@dataclass(frozen=True)
class BC:
    """Hyperparameters, by default those of the cross-embodiment paper (arXiv 2602.18025)."""

    learning_rate: float = 3e-4
    """Adam's."""
    gradient_clip: float = 0.5
    """Largest global norm of the gradient."""
    actor_decay: int = 0
    """Actor steps (updates times groups) in which the rate falls to 0 as a cosine; 0: constant."""
    log_probability: Reduction = "mean"
    """Over a robot's joints; the sum gives robots with many joints more weight."""

    actor_every: ClassVar[int] = 1

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, tuple[()]]:
        """A fresh policy, and no critic."""
        return architecture_of(sizes).policy(rng, sizes), ()

    def actor_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.gradient_clip, self.actor_decay)

    def critic_update(
        self,
        critic: tuple[()],
        actor: ActorNetwork,
        batches: Sequence[Batch],
        descriptors: Sequence[RobotDescriptor],
        key: PRNGKeyArray,
    ) -> tuple[tuple[()], tuple[tuple[()], ...], Metrics]:
        """Nothing to value."""
        return (), tuple(() for _ in batches), {}

    def actor_losses(
        self, actor: ActorNetwork, critic: tuple[()], batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """-mean(log pi(a|s)) of each robot."""
        return imitation_losses(actor, batch, [1.0] * len(batch.batches), self.log_probability)

    def settle(self, actor: ActorNetwork, critic: tuple, batch: ActorBatch) -> ActorBatch:
        """The batch as it is: every robot's loss is its own."""
        return batch

    def move_targets(self, critic: tuple[()], actor: ActorNetwork) -> tuple[()]:
        return ()

    def act(
        self, actor: ActorNetwork, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch joints"]:
        """The mean action."""
        return actor(observation, descriptor)[0]
