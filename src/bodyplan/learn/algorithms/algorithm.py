"""What the loop asks of an offline algorithm; any frozen dataclass that answers is one.

An algorithm is its configuration: a frozen dataclass whose fields are the hyperparameters. Its
methods are pure. Robots come as tuples with one entry each; losses and metrics come back as arrays
`[R]` with one entry each, so that combiners can weigh, group or project robots as they like.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bodyplan.datasets.mixture import Batch
from bodyplan.envs.walking import Observation
from bodyplan.learn.networks.families import Policy, Sizes
from bodyplan.learn.networks.specimens import Body, bodies_of
from bodyplan.robots.descriptors import RobotDescriptor

Metrics = dict[str, Float[Array, "..."]]
"""Names such as `critic/v_loss` to one number, or to `[R]`, one number a robot."""


def weigh(losses: Float[Array, "R"], batches: Sequence[Batch]) -> Float[Array, "R"]:
    """Robots' losses, each times what its batch weighs."""
    weights = [batch.weight for batch in batches]
    return losses if None in weights else losses * jnp.array(weights)


class ActorBatch(NamedTuple):
    """What actor losses are computed from; in every field one entry a robot."""

    batches: tuple[Batch, ...]
    descriptors: tuple[RobotDescriptor, ...]
    """Of each robot the one set, or all of them on a leading axis."""
    targets: tuple[Any, ...]
    """What the critic's turn leaves for the actor's, such as IQL's weights `[B]`."""

    @property
    def bodies(self) -> tuple[Body, ...]:
        """Whose observations they are."""
        return bodies_of(self.descriptors, [batch.descriptor_ids for batch in self.batches])

    def select(self, robots: Sequence[int]) -> "ActorBatch":
        """The same for some of the robots."""
        return ActorBatch(
            batches=tuple(self.batches[robot] for robot in robots),
            descriptors=tuple(self.descriptors[robot] for robot in robots),
            targets=tuple(self.targets[robot] for robot in robots),
        )


@runtime_checkable
class Algorithm(Protocol):
    """One offline reinforcement learning algorithm."""

    actor_every: ClassVar[int]
    """Critic updates to each turn of the actor."""

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[Policy, PyTree]:
        """The actor, and all else that learns: critics, targets, their optimiser states."""
        ...

    def actor_optimiser(self) -> optax.GradientTransformation:
        """What steps the actor."""
        ...

    def critic_update(
        self,
        critic: PyTree,
        actor: Policy,
        batches: Sequence[Batch],
        descriptors: Sequence[RobotDescriptor],
        key: PRNGKeyArray,
    ) -> tuple[PyTree, tuple[Any, ...], Metrics]:
        """One update of the critics; the new critic, `ActorBatch.targets`, metrics.

        Networks ask whose samples they get; `bodies_of` tells, from the descriptors and the
        batches' `descriptor_ids` or, for next observations, `next_descriptor_ids`. What steps the
        critics is the mean of robots' losses after `weigh`.
        """
        ...

    def actor_losses(
        self, actor: Policy, critic: PyTree, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Each robot's mean loss of the actor, with metrics `[R]`."""
        ...

    def settle(self, actor: Policy, critic: PyTree, batch: ActorBatch) -> ActorBatch:
        """The batch with all that its losses take from several robots at once.

        From then on robots can be looked at one by one, and their losses are those of the whole.
        """
        ...

    def move_targets(self, critic: PyTree, actor: Policy) -> PyTree:
        """The critic with its target networks moved; called once after each turn of the actor."""
        ...

    def act(
        self, actor: Policy, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch joints"]:
        """Actions without exploration, as in evaluation."""
        ...
