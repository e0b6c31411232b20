"""The compiled part of training: one pytree of state, one pure update, an interval as one scan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bodyplan.datasets.mixture import Batch, Mixture, draw
from bodyplan.learn.algorithms.algorithm import ActorBatch, Algorithm, Metrics, weigh
from bodyplan.learn.combiners.combiner import ActorState, Combiner, Groups
from bodyplan.learn.networks.heads import Policy
from bodyplan.learn.networks.urma import NetworkSizes
from bodyplan.robots.descriptors import RobotDescriptor

Sample = Callable[[int, PRNGKeyArray], tuple[Batch, ...]]
"""The batch of a turn's critic update, by its number and its key."""


class LearnerState(eqx.Module):
    """All that an update changes, and so all that a checkpoint holds."""

    actor: ActorState
    critic: PyTree
    """The algorithm's own: critics, targets and their optimisers' states."""
    key: PRNGKeyArray
    update: Int[Array, ""]
    """Updates done."""


class Report(eqx.Module):
    """What an interval tells."""

    metrics: Metrics
    """Means over the interval; a number or `[R]`."""
    finite: Bool[Array, "K R"]
    """Whether each robot's metrics were finite, turn by turn."""


class Supply(eqx.Module):
    """An interval's batches, drawn beforehand because the data are not on the device."""

    descriptors: tuple[RobotDescriptor, ...]
    batches: tuple[Batch, ...]
    """Every array `[turns, critic updates a turn, B, ...]`."""


@dataclass(frozen=True)
class Learner:
    """An algorithm and a combiner at work on given groups of robots."""

    algorithm: Algorithm
    combiner: Combiner
    groups: Groups
    batch_size: int
    """Transitions of each robot in an update."""
    weights: tuple[float, ...] | None = None
    """Factor on each robot's losses, one on average; all alike where not given."""

    def init(self, seed: int, sizes: NetworkSizes) -> LearnerState:
        """The state before the first update."""
        policy, critic = self.algorithm.init(np.random.default_rng(seed), sizes)
        actor = ActorState(
            policy,
            self.algorithm.actor_optimiser().init(policy),
            self.combiner.init(policy, self.groups),
        )
        state = LearnerState(actor, critic, jax.random.PRNGKey(seed), jnp.zeros((), jnp.int32))
        # Copied, so that no two leaves share memory: each dispatch takes every leaf's over.
        return jax.tree.map(lambda leaf: jnp.asarray(np.array(leaf)), state)

    def turn(
        self, state: LearnerState, descriptors: tuple[RobotDescriptor, ...], sample: Sample
    ) -> tuple[LearnerState, Metrics]:
        """The critics' updates (one, but for algorithms that delay the actor), then the actor's."""
        critic = state.critic
        key, actor_key, *critic_keys = self._keys(state.key)
        for number, critic_key in enumerate(critic_keys):
            sample_key, critic_key = jax.random.split(critic_key)
            batches = self._weighted(sample(number, sample_key))
            critic, targets, critic_metrics = self.algorithm.critic_update(
                critic, state.actor.policy, batches, descriptors, critic_key
            )

        def losses(
            policy: Policy, batch: ActorBatch, key: PRNGKeyArray
        ) -> tuple[Float[Array, "R"], Metrics]:
            plain, metrics = self.algorithm.actor_losses(policy, critic, batch, key)
            if self.weights is None:
                return plain, metrics
            return weigh(plain, batch.batches), {"actor/loss": plain, **metrics}

        actor, actor_metrics = self.combiner.step(
            state.actor,
            losses,
            self.algorithm.actor_optimiser(),
            ActorBatch(batches, descriptors, targets),
            self.groups,
            actor_key,
        )
        critic = self.algorithm.move_targets(critic, actor.policy)
        update = state.update + self.algorithm.actor_every
        return LearnerState(actor, critic, key, update), {**critic_metrics, **actor_metrics}

    def interval(
        self, state: LearnerState, data: Mixture | Supply, updates: int
    ) -> tuple[LearnerState, Report]:
        """Many updates as one scan."""

        def body(state: LearnerState, given: tuple[Batch, ...]) -> tuple[LearnerState, Metrics]:
            def sample(number: int, key: PRNGKeyArray) -> tuple[Batch, ...]:
                if isinstance(data, Supply):
                    return jax.tree.map(lambda array: array[number], given)
                return data.sample(key, self.batch_size)

            return self.turn(state, data.descriptors, sample)

        turns = updates // self.algorithm.actor_every
        given = data.batches if isinstance(data, Supply) else None
        state, metrics = jax.lax.scan(body, state, given, length=turns)
        shape = (turns, len(data.descriptors))
        told = [jnp.broadcast_to(m.reshape(turns, -1), shape) for m in metrics.values()]
        finite = jnp.isfinite(jnp.stack(told)).all(axis=0)
        return state, Report(jax.tree.map(lambda values: values.mean(axis=0), metrics), finite)

    def draws(
        self, key: PRNGKeyArray, sizes: Sequence[int], updates: int
    ) -> tuple[PRNGKeyArray, tuple[Int[Array, "turns every B"], ...]]:
        """The steps that `interval` samples from a state with this key, and the key it ends with.

        `sizes` are each robot's steps in the data. No parameter has a say in it, so that batches
        can be fetched long before their turn.
        """

        def body(
            key: PRNGKeyArray, _: None
        ) -> tuple[PRNGKeyArray, tuple[Int[Array, "every B"], ...]]:
            key, _, *critic_keys = self._keys(key)
            drawn = [draw(jax.random.split(k)[0], sizes, self.batch_size) for k in critic_keys]
            return key, tuple(jnp.stack(robot) for robot in zip(*drawn, strict=True))

        return jax.lax.scan(body, key, length=updates // self.algorithm.actor_every)

    def compile(
        self, state: LearnerState, data: Mixture | Supply, updates: int
    ) -> Callable[[LearnerState, Mixture | Supply], tuple[LearnerState, Report]]:
        """`interval` as a program that takes its state's memory over."""

        def interval(state: LearnerState, data: Mixture | Supply) -> tuple[LearnerState, Report]:
            return self.interval(state, data, updates)

        return jax.jit(interval, donate_argnums=0).lower(state, data).compile()

    def _keys(self, key: PRNGKeyArray) -> PRNGKeyArray:
        """The next turn's key, the actor's, and one for each of the critics' updates."""
        return jax.random.split(key, 2 + self.algorithm.actor_every)

    def _weighted(self, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
        if self.weights is None:
            return batches
        each = zip(batches, self.weights, strict=True)
        return tuple(batch._replace(weight=weight) for batch, weight in each)
