"""The compiled part of training: one pytree of state, one pure update, an interval as one scan."""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from bodyplan.datasets.mixture import Mixture
from bodyplan.learn.algorithms.algorithm import ActorBatch, Algorithm, Metrics
from bodyplan.learn.combiners.combiner import ActorState, Combiner, Groups
from bodyplan.learn.networks.urma import NetworkSizes


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


@dataclass(frozen=True)
class Learner:
    """An algorithm and a combiner at work on given groups of robots."""

    algorithm: Algorithm
    combiner: Combiner
    groups: Groups
    batch_size: int
    """Transitions of each robot in an update."""

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

    def turn(self, state: LearnerState, mixture: Mixture) -> tuple[LearnerState, Metrics]:
        """The critics' updates (one, but for algorithms that delay the actor), then the actor's."""
        critic = state.critic
        key, actor_key, *critic_keys = jax.random.split(state.key, 2 + self.algorithm.actor_every)
        for critic_key in critic_keys:
            sample_key, critic_key = jax.random.split(critic_key)
            batches = mixture.sample(sample_key, self.batch_size)
            critic, targets, critic_metrics = self.algorithm.critic_update(
                critic, state.actor.policy, batches, mixture.descriptors, critic_key
            )
        actor, actor_metrics = self.combiner.step(
            state.actor,
            lambda policy, batch, key: self.algorithm.actor_losses(policy, critic, batch, key),
            self.algorithm.actor_optimiser(),
            ActorBatch(batches, mixture.descriptors, targets),
            self.groups,
            actor_key,
        )
        critic = self.algorithm.move_targets(critic, actor.policy)
        update = state.update + self.algorithm.actor_every
        return LearnerState(actor, critic, key, update), {**critic_metrics, **actor_metrics}

    def interval(
        self, state: LearnerState, mixture: Mixture, updates: int
    ) -> tuple[LearnerState, Report]:
        """Many updates as one scan."""

        def body(state: LearnerState, _: None) -> tuple[LearnerState, Metrics]:
            return self.turn(state, mixture)

        turns = updates // self.algorithm.actor_every
        state, metrics = jax.lax.scan(body, state, length=turns)
        shape = (turns, len(mixture.descriptors))
        told = [jnp.broadcast_to(m.reshape(turns, -1), shape) for m in metrics.values()]
        finite = jnp.isfinite(jnp.stack(told)).all(axis=0)
        return state, Report(jax.tree.map(lambda values: values.mean(axis=0), metrics), finite)

    def compile(
        self, state: LearnerState, mixture: Mixture, updates: int
    ) -> Callable[[LearnerState, Mixture], tuple[LearnerState, Report]]:
        """`interval` as a program that takes its state's memory over."""

        def interval(state: LearnerState, mixture: Mixture) -> tuple[LearnerState, Report]:
            return self.interval(state, mixture, updates)

        return jax.jit(interval, donate_argnums=0).lower(state, mixture).compile()
