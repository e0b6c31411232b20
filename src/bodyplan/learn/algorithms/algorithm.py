"""What the loop asks of an offline algorithm; any frozen dataclass that answers is one.

An algorithm is its configuration: a frozen dataclass whose fields are the hyperparameters. Its
methods are pure. Robots come as tuples with one entry each; losses and metrics come back as arrays
`[R]` with one entry each, so that combiners can weigh, group or project robots as they like.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.device_batches import Batch
from bodyplan.learn.distributed import batch_mean, batch_std
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes, TwinQNetwork
from bodyplan.learn.networks.body_batch import Body, bodies_of
from bodyplan.robots.descriptors import RobotDescriptor

Metrics = dict[str, Float[Array, "..."]]
"""Names such as `critic/v_loss` to one number, or to `[R]`, one number a robot."""


def weighted_losses(losses: Float[Array, "R"], batches: Sequence[Batch]) -> Float[Array, "R"]:
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

    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, PyTree]:
        """The actor, and all else that learns: critics, targets, their optimiser states."""
        ...

    def actor_optimiser(self) -> optax.GradientTransformation:
        """What steps the actor."""
        ...

    def critic_update(
        self,
        critic: PyTree,
        actor: ActorNetwork,
        batches: Sequence[Batch],
        descriptors: Sequence[RobotDescriptor],
        key: PRNGKeyArray,
    ) -> tuple[PyTree, tuple[Any, ...], Metrics]:
        """One update of the critics; the new critic, `ActorBatch.targets`, metrics.

        Networks ask whose samples they get; `bodies_of` tells, from the descriptors and the
        batches' `descriptor_ids` or, for next observations, `next_descriptor_ids`. What steps the
        critics is the mean of robots' losses after `weighted_losses`.
        """
        ...

    def actor_losses(
        self, actor: ActorNetwork, critic: PyTree, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Each robot's mean loss of the actor, with metrics `[R]`."""
        ...

    def settle(self, actor: ActorNetwork, critic: PyTree, batch: ActorBatch) -> ActorBatch:
        """The batch with all that its losses take from several robots at once.

        From then on robots can be looked at one by one, and their losses are those of the whole.
        """
        ...

    def move_targets(self, critic: PyTree, actor: ActorNetwork) -> PyTree:
        """The critic with its target networks moved; called once after each turn of the actor."""
        ...

    def act(
        self, actor: ActorNetwork, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch joints"]:
        """Actions without exploration, as in evaluation."""
        ...


class TransitionBatch(NamedTuple):
    """A batch as networks read it: in each field one entry a robot."""

    observations: tuple[Observation, ...]
    bodies: tuple[Body, ...]
    actions: tuple[Float[Array, "B J"], ...]
    rewards: Float[Array, "R B"]
    next_observations: tuple[Observation, ...]
    next_bodies: tuple[Body, ...]
    going_on: Float[Array, "R B"]
    """0 where the robot fell; 1 elsewhere, time limits included: values bootstrap through them."""

    @classmethod
    def of(
        cls, batches: Sequence[Batch], descriptors: Sequence[RobotDescriptor]
    ) -> "TransitionBatch":
        return cls(
            observations=tuple(batch.observation for batch in batches),
            bodies=bodies_of(descriptors, [batch.descriptor_ids for batch in batches]),
            actions=tuple(batch.action for batch in batches),
            rewards=jnp.stack([batch.reward for batch in batches]),
            next_observations=tuple(batch.next_observation for batch in batches),
            next_bodies=bodies_of(descriptors, [batch.next_descriptor_ids for batch in batches]),
            going_on=1.0 - jnp.stack([batch.terminated for batch in batches]),
        )

    def returns(self, gamma: float, next_values: Float[Array, "R B"]) -> Float[Array, "R B"]:
        """r + gamma V(s') where there is a next state."""
        return self.rewards + gamma * self.going_on * next_values


def q_step(
    q: TwinQNetwork,
    state: optax.OptState,
    optimiser: optax.GradientTransformation,
    seen: TransitionBatch,
    batches: Sequence[Batch],
    returns: Float[Array, "R B"],
) -> tuple[TwinQNetwork, optax.OptState, Float[Array, "R 2 B"], Metrics]:
    """Both Q a step towards `returns`, in squares; with what they said before it."""

    def loss(q: TwinQNetwork) -> tuple[Array, tuple[Array, Array]]:
        values = jnp.stack(q.over_robots(seen.observations, seen.actions, seen.bodies))
        losses = batch_mean(jnp.square(values - returns[:, None]).sum(axis=1))
        return weighted_losses(losses, batches).mean(), (losses, values)

    gradient, (losses, values) = jax.grad(loss, has_aux=True)(q)
    q, state = apply_gradients(optimiser, q, gradient, state)
    metrics = {"critic/q_loss": losses, "critic/q_mean": batch_mean(values.mean(axis=1))}
    return q, state, values, metrics


Reduction = Literal["mean", "sum"]
"""Over a robot's joints."""


def imitation_losses(
    actor: ActorNetwork,
    batch: ActorBatch,
    weights: Sequence[Float[Array, "B"] | float],
    reduction: Reduction,
) -> tuple[Float[Array, "R"], Metrics]:
    """-mean(w log pi(a|s)) of each robot, and the spread of its actions."""
    observations = [robot.observation for robot in batch.batches]
    gaussians = actor.over_robots(observations, batch.bodies)
    losses = [
        -batch_mean(own * log_probability(robot.action, *gaussian, reduction))
        for robot, gaussian, own in zip(batch.batches, gaussians, weights, strict=True)
    ]
    spreads = [batch_mean(std, None) for _, std in gaussians]
    return jnp.stack(losses), {"actor/std": jnp.stack(spreads)}


def weight_metrics(weights: Float[Array, "R B"], clip: float) -> Metrics:
    """How unlike a robot's weights are: what tells whether advantages have any say."""
    return {
        "actor/weight_mean": batch_mean(weights),
        "actor/weight_std": batch_std(weights),
        "actor/weight_clipped": batch_mean((weights >= clip).astype(jnp.float32)),
    }


def log_probability(
    action: Float[Array, "B J"],
    mean: Float[Array, "B J"],
    std: Float[Array, "... J"],
    reduction: Reduction,
) -> Float[Array, "B"]:
    """Log-density of a diagonal Gaussian, averaged or summed over the joints."""
    per_joint = -0.5 * jnp.square((action - mean) / std) - jnp.log(std) - 0.5 * np.log(2 * np.pi)
    return per_joint.mean(-1) if reduction == "mean" else per_joint.sum(-1)


Parameters = TypeVar("Parameters")


def clipped_adam(
    learning_rate: float, gradient_clip: float, decay_steps: int = 0
) -> optax.GradientTransformation:
    """Adam whose gradient is first scaled down to a global norm of at most `gradient_clip`.

    The rate falls to 0 as a cosine within `decay_steps`, or stays where none are given.

    It works on all parameters as one vector: few large operations instead of many small ones, which
    are slow to run on a GPU and slow to compile on a CPU.
    """
    rate = optax.cosine_decay_schedule(learning_rate, decay_steps) if decay_steps else learning_rate
    adam = optax.chain(optax.clip_by_global_norm(gradient_clip), optax.adam(rate))
    flat = optax.flatten(adam)
    return optax.GradientTransformation(jax.jit(flat.init), flat.update)


def apply_gradients(
    optimiser: optax.GradientTransformation,
    parameters: Parameters,
    gradient: Parameters,
    state: optax.OptState,
) -> tuple[Parameters, optax.OptState]:
    """One step: the new parameters and the new optimiser state."""
    updates, state = optimiser.update(gradient, state, parameters)
    return optax.apply_updates(parameters, updates), state
