"""The base class of offline algorithms, and the update steps that they share.

An algorithm is its configuration: a frozen dataclass whose fields are the hyperparameters. Its
methods are pure functions of parameters and a batch. Robots come as tuples with one entry each;
losses and metrics come back as arrays `[R]` with one entry each, so that combiners can weigh, group
or project robots as they like.

To write your own, subclass `Algorithm` and give `init`, `critic_update` and `actor_losses`
(examples/my_algorithm.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.batches import Batch, Body, batch_mean, batch_std, bodies_of
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes, TwinQNetwork
from bodyplan.robots.descriptors import RobotDescriptor

Metrics = dict[str, Float[Array, "..."]]
"""Names such as `critic/v_loss` to one number, or to `[R]`, one number for each robot."""

Parameters = TypeVar("Parameters")


class ActorState(NamedTuple):
    """All that an actor update changes."""

    policy: ActorNetwork
    optimiser: optax.OptState
    combiner: PyTree
    """The combiner's own memory; `()` where it needs none."""


class ActorBatch(NamedTuple):
    """What actor losses are computed from; in every field one entry for each robot."""

    batches: tuple[Batch, ...]
    descriptors: tuple[RobotDescriptor, ...]
    """Each robot's one descriptor set, or all of its sets on a leading axis."""
    aux: tuple[Any, ...]
    """What the critic update leaves for the actor, such as IQL's weights `[B]`."""

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Each robot's observations."""
        return tuple(batch.observation for batch in self.batches)

    @property
    def bodies(self) -> tuple[Body, ...]:
        """The bodies that the observations are of."""
        return bodies_of(self.descriptors, [batch.descriptor_ids for batch in self.batches])

    def select(self, robots: Sequence[int]) -> "ActorBatch":
        """The same for some of the robots."""
        return ActorBatch(
            batches=tuple(self.batches[robot] for robot in robots),
            descriptors=tuple(self.descriptors[robot] for robot in robots),
            aux=tuple(self.aux[robot] for robot in robots),
        )


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """One offline algorithm and its hyperparameters; the defaults are the paper's."""

    learning_rate: float = 3e-4
    """Adam's, for all networks alike."""
    gradient_clip: float = 0.5
    """Largest global norm of each network's gradient."""
    actor_decay: int = 0
    """Actor steps (updates times groups) in which its rate falls to 0 as a cosine; 0: constant."""

    actor_every: ClassVar[int] = 1
    """Critic updates before each actor update."""

    @abstractmethod
    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, PyTree]:
        """The actor, and all else that learns: critics, target networks, their optimiser states."""

    @abstractmethod
    def critic_update(
        self,
        critic: PyTree,
        actor: ActorNetwork,
        batches: Sequence[Batch],
        descriptors: Sequence[RobotDescriptor],
        key: PRNGKeyArray,
    ) -> tuple[PyTree, tuple[Any, ...], Metrics]:
        """One update of the critics; returns the new critic, `ActorBatch.aux`, and metrics."""

    @abstractmethod
    def actor_losses(
        self, actor: ActorNetwork, critic: PyTree, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Each robot's mean actor loss, with metrics `[R]`."""

    def actor_step(
        self, actor: ActorState, critic: PyTree, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[ActorState, Metrics]:
        """One optimiser step of the actor on the mean over the batch's robots."""

        def mean_loss(policy: ActorNetwork) -> tuple[Array, Metrics]:
            losses, metrics = self.actor_losses(policy, critic, batch, key)
            return weighted_losses(losses, batch.batches).mean(), {"actor/loss": losses, **metrics}

        gradient, metrics = jax.grad(mean_loss, has_aux=True)(actor.policy)
        policy, state = apply_gradients(
            self.actor_optimiser(), actor.policy, gradient, actor.optimiser
        )
        return ActorState(policy, state, actor.combiner), metrics

    def fix_batch_statistics(
        self, actor: ActorNetwork, critic: PyTree, batch: ActorBatch
    ) -> ActorBatch:
        """The batch with all statistics over several robots fixed, such as TD3+BC's scale of Q.

        Afterwards each robot's loss can be computed alone, and the losses are those of the whole.
        """
        return batch

    def update_targets(self, critic: PyTree, actor: ActorNetwork) -> PyTree:
        """The critic with its target networks moved; called once after each actor update."""
        return critic

    def act(
        self, actor: ActorNetwork, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[Array, "batch joints"]:
        """Actions without exploration, as in evaluation: the Gaussian's mean."""
        return actor(observation, descriptor)[0]

    def actor_optimiser(self) -> optax.GradientTransformation:
        """The optimiser of the actor."""
        return clipped_adam(self.learning_rate, self.gradient_clip, self.actor_decay)

    def critic_optimiser(self) -> optax.GradientTransformation:
        """The optimiser of each critic."""
        return clipped_adam(self.learning_rate, self.gradient_clip)


class TransitionBatch(NamedTuple):
    """A batch of transitions as networks read it: in each field one entry for each robot."""

    observations: tuple[Observation, ...]
    bodies: tuple[Body, ...]
    actions: tuple[Float[Array, "B J"], ...]
    rewards: Float[Array, "R B"]
    next_observations: tuple[Observation, ...]
    next_bodies: tuple[Body, ...]
    not_done: Float[Array, "R B"]
    """0 where the robot fell, else 1. Time limits count as 1: values bootstrap through them."""

    @classmethod
    def of(
        cls, batches: Sequence[Batch], descriptors: Sequence[RobotDescriptor]
    ) -> "TransitionBatch":
        """The transitions of these robots' batches."""
        return cls(
            observations=tuple(batch.observation for batch in batches),
            bodies=bodies_of(descriptors, [batch.descriptor_ids for batch in batches]),
            actions=tuple(batch.action for batch in batches),
            rewards=jnp.stack([batch.reward for batch in batches]),
            next_observations=tuple(batch.next_observation for batch in batches),
            next_bodies=bodies_of(descriptors, [batch.next_descriptor_ids for batch in batches]),
            not_done=1.0 - jnp.stack([batch.terminated for batch in batches]),
        )

    def td_targets(self, gamma: float, next_values: Float[Array, "R B"]) -> Float[Array, "R B"]:
        """r + gamma V(s'), without the second term where the episode terminated."""
        return self.rewards + gamma * self.not_done * next_values


def twin_q_step(
    q: TwinQNetwork,
    state: optax.OptState,
    optimiser: optax.GradientTransformation,
    transitions: TransitionBatch,
    batches: Sequence[Batch],
    td_targets: Float[Array, "R B"],
) -> tuple[TwinQNetwork, optax.OptState, Float[Array, "R 2 B"], Metrics]:
    """One step of both Q on their squared TD errors; also returns Q(s, a) before the step."""

    def loss(q: TwinQNetwork) -> tuple[Array, tuple[Array, Array]]:
        values = jnp.stack(
            q.over_robots(transitions.observations, transitions.actions, transitions.bodies)
        )
        losses = batch_mean(jnp.square(values - td_targets[:, None]).sum(axis=1))
        return weighted_losses(losses, batches).mean(), (losses, values)

    gradient, (losses, values) = jax.grad(loss, has_aux=True)(q)
    q, state = apply_gradients(optimiser, q, gradient, state)
    metrics = {"critic/q_loss": losses, "critic/q_mean": batch_mean(values.mean(axis=1))}
    return q, state, values, metrics


Reduction = Literal["mean", "sum"]
"""Over a robot's joints."""


def log_likelihood_losses(
    actor: ActorNetwork,
    batch: ActorBatch,
    weights: Sequence[Float[Array, "B"] | float],
    reduction: Reduction,
) -> tuple[Float[Array, "R"], Metrics]:
    """-mean(w log pi(a|s)) of each robot, and the standard deviation of its actions."""
    gaussians = actor.over_robots(batch.observations, batch.bodies)
    losses = [
        -batch_mean(weight * log_probability(robot.action, *gaussian, reduction))
        for robot, gaussian, weight in zip(batch.batches, gaussians, weights, strict=True)
    ]
    stds = [batch_mean(std, None) for _, std in gaussians]
    return jnp.stack(losses), {"actor/std": jnp.stack(stds)}


def log_probability(
    action: Float[Array, "B J"],
    mean: Float[Array, "B J"],
    std: Float[Array, "... J"],
    reduction: Reduction,
) -> Float[Array, "B"]:
    """Log-density of a diagonal Gaussian, averaged or summed over the joints."""
    per_joint = -0.5 * jnp.square((action - mean) / std) - jnp.log(std) - 0.5 * np.log(2 * np.pi)
    return per_joint.mean(-1) if reduction == "mean" else per_joint.sum(-1)


def weight_metrics(weights: Float[Array, "R B"], clip: float) -> Metrics:
    """How much a robot's weights differ: this tells whether advantages have any effect."""
    return {
        "actor/weight_mean": batch_mean(weights),
        "actor/weight_std": batch_std(weights),
        "actor/weight_clipped": batch_mean((weights >= clip).astype(jnp.float32)),
    }


def weighted_losses(losses: Float[Array, "R"], batches: Sequence[Batch]) -> Float[Array, "R"]:
    """Robots' losses, each times the weight of its batch."""
    weights = [batch.weight for batch in batches]
    return losses if None in weights else losses * jnp.array(weights)


class AdamState(NamedTuple):
    """What Adam remembers."""

    steps: Int[Array | np.ndarray, ""]
    """How many were done."""
    mean: PyTree
    """Of each parameter's gradients, weighted towards the latest."""
    square: PyTree
    """The same of their squares."""


def clipped_adam(
    learning_rate: Float[Array, ""] | float,
    gradient_clip: Float[Array, ""] | float,
    decay_steps: Float[Array, ""] | float = 0,
) -> optax.GradientTransformation:
    """Adam whose gradient is first scaled down to a global norm of at most `gradient_clip`.

    The rate falls to 0 as a cosine within `decay_steps`, or stays where they are 0. All three may
    be arguments of a compiled program. Adam's other numbers are optax's.

    Each array has its own moments. On a CPU, packing all of them into one vector and taking it
    apart again costs more than the small operations that it saves (docs/speed.md). The corrections
    of both moments are in the rate, so that an array is read once.
    """

    def init(parameters: PyTree) -> AdamState:
        def zeros() -> PyTree:  # NumPy's, for which nothing is compiled
            return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), parameters)

        return AdamState(np.zeros((), np.int32), zeros(), zeros())

    def update(
        gradient: PyTree, state: AdamState, parameters: PyTree = None
    ) -> tuple[PyTree, AdamState]:
        norm = optax.tree.norm(gradient)
        scale = jnp.minimum(1.0, gradient_clip / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny))
        clipped = jax.tree.map(lambda g: scale * g, gradient)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state.mean, clipped)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state.square, clipped)
        done = jnp.minimum(state.steps / jnp.maximum(decay_steps, 1), 1.0)
        decay = jnp.where(jnp.asarray(decay_steps) > 0, 0.5 * (1.0 + jnp.cos(jnp.pi * done)), 1.0)
        steps = state.steps + 1
        root = jnp.sqrt(1.0 - 0.999**steps)
        rate = learning_rate * decay * root / (1.0 - 0.9**steps)
        moves = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + 1e-8 * root), mean, square)
        return moves, AdamState(steps, mean, square)

    return optax.GradientTransformation(init, update)


def apply_gradients(
    optimiser: optax.GradientTransformation,
    parameters: Parameters,
    gradient: Parameters,
    state: optax.OptState,
) -> tuple[Parameters, optax.OptState]:
    """One step: the new parameters and the new optimiser state."""
    updates, state = optimiser.update(gradient, state, parameters)
    return optax.apply_updates(parameters, updates), state
