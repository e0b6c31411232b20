"""The base class of offline algorithms, and the update steps that they share.

An algorithm is its configuration: a frozen dataclass whose fields are the hyperparameters. Its
methods are pure functions of parameters and a batch, which holds all robots, build by build; losses
and metrics come back as arrays `[R]` with one entry each, so that combiners can weigh, group or
project robots as they like. Hyperparameters that are numbers are arguments of the compiled program:
inside it they are JAX's scalars, so Python cannot branch on their values.

To write your own, subclass `Algorithm` and give `init`, `critic_update` and `actor_losses`
(examples/my_algorithm.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from bodyplan.bounds import AboveZero, CountFromZero, LearningRate, require_bounds
from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.batches import Batch, Bodies, batch_mean, batch_std
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


class Judgement(NamedTuple):
    """What an algorithm thinks of each transition of a batch; None where it has no such thing."""

    q: Float[Array, "R B"] | None = None
    """Q(s, a); of twins their mean."""
    value: Float[Array, "R B"] | None = None
    """V(s)."""
    weight: Float[Array, "R B"] | None = None
    """The sample's weight in the actor's loss."""


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """One offline algorithm and its hyperparameters; the defaults are the paper's."""

    learning_rate: LearningRate = 3e-4
    """Adam's, for all networks alike."""
    gradient_clip: AboveZero = 0.5
    """Largest global norm of each network's gradient."""
    actor_decay: CountFromZero = 0
    """Updates in which the actor's learning rate falls to 0 as a cosine, however many steps the
    actor makes in each; 0 for a constant rate."""

    actor_every: ClassVar[int] = 1
    """Critic updates before each actor update."""

    def __post_init__(self) -> None:
        require_bounds(self)

    @abstractmethod
    def init(self, rng: np.random.Generator, sizes: Sizes) -> tuple[ActorNetwork, PyTree]:
        """The actor, and all else that learns: critics, target networks, their optimiser states."""

    @abstractmethod
    def critic_update(
        self,
        critic: PyTree,
        actor: ActorNetwork,
        batch: Batch,
        key: PRNGKeyArray,
    ) -> tuple[PyTree, PyTree, Metrics]:
        """One update of the critics; returns the new critic, `Batch.aux`, and metrics."""

    @abstractmethod
    def actor_losses(
        self, actor: ActorNetwork, critic: PyTree, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        """Each robot's mean actor loss, with metrics `[R]`."""

    def judge(
        self, critic: PyTree, actor: ActorNetwork, batch: Batch, key: PRNGKeyArray
    ) -> Judgement:
        """What critics and weights say of a batch, without learning from it; nothing by default."""
        return Judgement()

    def actor_gradient(
        self, policy: ActorNetwork, critic: PyTree, batch: Batch, key: PRNGKeyArray
    ) -> tuple[ActorNetwork, Metrics]:
        """The gradient of the mean actor loss over the batch's robots."""

        def mean_loss(policy: ActorNetwork) -> tuple[Array, Metrics]:
            losses, metrics = self.actor_losses(policy, critic, batch, key)
            return batch.weighted(losses).mean(), {"actor/loss": losses, **metrics}

        return jax.grad(mean_loss, has_aux=True)(policy)

    def actor_step(self, actor: ActorState, gradient: ActorNetwork) -> ActorState:
        """One optimiser step of the actor."""
        policy, state = apply_gradients(
            self.actor_optimiser(), actor.policy, gradient, actor.optimiser
        )
        return ActorState(policy, state, actor.combiner)

    def gradient_metrics(self, gradient: ActorNetwork) -> Metrics:
        """How large the gradient of an actor step is, and whether it is clipped."""
        return gradient_metrics("actor/", gradient, self.gradient_clip)

    def actor_rate(self, update: Int[Array, ""] | int) -> Float[Array, ""]:
        """The actor's learning rate after so many updates."""
        decay = jnp.asarray(self.actor_decay)
        done = jnp.minimum(update / jnp.maximum(decay, 1), 1.0)
        falling = 0.5 * (1.0 + jnp.cos(jnp.pi * done))
        return self.learning_rate * jnp.where(decay > 0, falling, 1.0)

    def with_actor_rate(self, update: Int[Array, ""]) -> Self:
        """The same for the actor's steps after so many updates: its rate is then constant."""
        numbers: dict[str, Any] = {"learning_rate": self.actor_rate(update), "actor_decay": 0}
        return replace(self, **numbers)

    def fix_batch_statistics(self, actor: ActorNetwork, critic: PyTree, batch: Batch) -> Batch:
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
        """The optimiser of the actor, at the rate of `with_actor_rate`."""
        return clipped_adam(self.learning_rate, self.gradient_clip)

    def critic_optimiser(self) -> optax.GradientTransformation:
        """The optimiser of each critic."""
        return clipped_adam(self.learning_rate, self.gradient_clip)


def twin_q_step(
    q: TwinQNetwork,
    state: optax.OptState,
    optimiser: optax.GradientTransformation,
    batch: Batch,
    td_targets: Float[Array, "R B"],
    gradient_clip: Float[Array, ""] | float,
) -> tuple[TwinQNetwork, optax.OptState, Float[Array, "2 R B"], Metrics]:
    """One step of both Q on their squared TD errors; also returns Q(s, a) before the step.

    The clip is only for the metrics: whether the optimiser has cut the gradient.
    """

    def loss(q: TwinQNetwork) -> tuple[Array, tuple[Array, Array]]:
        values = q.over_robots(batch.observations, batch.actions, batch.bodies)
        losses = batch_mean(jnp.square(values - td_targets).sum(axis=0))
        return batch.weighted(losses).mean(), (losses, values)

    gradient, (losses, values) = jax.grad(loss, has_aux=True)(q)
    q, state = apply_gradients(optimiser, q, gradient, state)
    metrics = {
        "critic/q_loss": losses,
        "critic/q_mean": batch_mean(values.mean(axis=0)),
        **gradient_metrics("critic/q_", gradient, gradient_clip),
    }
    return q, state, values, metrics


def gradient_metrics(
    name: str, gradient: PyTree, gradient_clip: Float[Array, ""] | float
) -> Metrics:
    """The global norm of a gradient before it is clipped, and 1 where it is larger than the clip.

    The norm is that of `clipped_adam`, so a program that has both computes it once.
    """
    norm = optax.tree.norm(packed(gradient))
    return {f"{name}grad_norm": norm, f"{name}clipped": (norm > gradient_clip).astype(norm.dtype)}


Reduction = Literal["mean", "sum"]
"""Over a robot's joints."""


def log_likelihood_losses(
    actor: ActorNetwork,
    batch: Batch,
    weights: Float[Array, "R B"] | float,
    reduction: Reduction,
) -> tuple[Float[Array, "R"], Metrics]:
    """-mean(w log pi(a|s)) of each robot, and the standard deviation of its actions."""
    gaussians = actor.over_robots(batch.observations, batch.bodies)
    pairs = list(zip(batch.builds, gaussians, strict=True))
    each = [log_probability(build.action, *own, build.bodies, reduction) for build, own in pairs]
    stds = [over_joints(own[1], build.bodies, "mean") for build, own in pairs]
    losses = -batch_mean(weights * jnp.concatenate(each))
    return losses, {"actor/std": batch_mean(jnp.concatenate(stds))}


def log_probability(
    action: Float[Array, "r B J"],
    mean: Float[Array, "r B J"],
    std: Float[Array, "r _ J"],
    bodies: Bodies,
    reduction: Reduction,
) -> Float[Array, "r B"]:
    """Log-density of a diagonal Gaussian, averaged or summed over each robot's joints."""
    per_joint = -0.5 * jnp.square((action - mean) / std) - jnp.log(std) - 0.5 * np.log(2 * np.pi)
    return over_joints(per_joint, bodies, reduction)


def over_joints(
    values: Float[Array, "r B J"], bodies: Bodies, reduction: Reduction
) -> Float[Array, "r B"]:
    """The mean or the sum over each robot's own joints."""
    mask = bodies.joint_mask
    if mask is None:
        return values.mean(-1) if reduction == "mean" else values.sum(-1)
    total = (values * mask[:, None]).sum(-1)
    return total / mask.sum(-1)[:, None] if reduction == "mean" else total


def weight_metrics(weights: Float[Array, "R B"], clip: float) -> Metrics:
    """How much a robot's weights differ: this tells whether advantages have any effect."""
    return {
        "actor/weight_mean": batch_mean(weights),
        "actor/weight_std": batch_std(weights),
        "actor/weight_clipped": batch_mean((weights >= clip).astype(jnp.float32)),
    }


class AdamState(NamedTuple):
    """What Adam remembers, as `packed` arranges the parameters."""

    steps: Int[Array | np.ndarray, ""]
    """How many were done."""
    mean: PyTree
    """Of each parameter's gradients, weighted towards the latest."""
    square: PyTree
    """The same of their squares."""


def clipped_adam(
    learning_rate: Float[Array, ""] | float,
    gradient_clip: Float[Array, ""] | float,
) -> optax.GradientTransformation:
    """Adam whose gradient is first scaled down to a global norm of at most `gradient_clip`.

    Both numbers may be arguments of a compiled program. Adam's other numbers are optax's. The
    corrections of both moments are in the rate, so that an array is read once.
    """

    def init(parameters: PyTree) -> AdamState:
        def zeros() -> list[np.ndarray]:  # NumPy's, for which nothing is compiled
            return [np.zeros(own.shape, own.dtype) for own in jax.eval_shape(packed, parameters)]

        return AdamState(np.zeros((), np.int32), zeros(), zeros())

    def update(
        gradient: PyTree, state: AdamState, parameters: PyTree = None
    ) -> tuple[PyTree, AdamState]:
        gradients = packed(gradient)
        norm = optax.tree.norm(gradients)
        scale = jnp.minimum(1.0, gradient_clip / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny))
        clipped = [scale * g for g in gradients]
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state.mean, clipped)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state.square, clipped)
        steps = state.steps + 1
        root = jnp.sqrt(1.0 - 0.999**steps)
        rate = learning_rate * root / (1.0 - 0.9**steps)
        moves = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + 1e-8 * root), mean, square)
        return unpacked(moves, gradient), AdamState(steps, mean, square)

    return optax.GradientTransformation(init, update)


_SMALL = 4096


def packed(tree: PyTree) -> list[Array]:
    """A tree's large arrays, and all small ones as one vector.

    Most arrays of a network are biases and scales. One by one they make many small operations,
    which take long to compile. To pack the large ones too would cost more than it saves
    (docs/speed.md).
    """
    leaves = jax.tree.leaves(tree)
    small = [leaf.ravel() for leaf in leaves if leaf.size <= _SMALL]
    large = [leaf for leaf in leaves if leaf.size > _SMALL]
    return [*large, jnp.concatenate(small)] if small else large


def unpacked(arrays: Sequence[Array], like: PyTree) -> PyTree:
    """The tree that was packed."""
    leaves, structure = jax.tree.flatten(like)
    sizes = [leaf.size for leaf in leaves if leaf.size <= _SMALL]
    large, small = iter(arrays), iter(jnp.split(arrays[-1], np.cumsum(sizes)[:-1]) if sizes else ())
    return jax.tree.unflatten(
        structure,
        [next(large) if own.size > _SMALL else next(small).reshape(own.shape) for own in leaves],
    )


def apply_gradients(
    optimiser: optax.GradientTransformation,
    parameters: Parameters,
    gradient: Parameters,
    state: optax.OptState,
) -> tuple[Parameters, optax.OptState]:
    """One step: the new parameters and the new optimiser state."""
    updates, state = optimiser.update(gradient, state, parameters)
    return optax.apply_updates(parameters, updates), state
