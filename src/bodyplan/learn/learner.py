"""The compiled part of training: one pytree of state, one pure update, an interval as one scan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bodyplan.learn.algorithms.algorithm import ActorBatch, Algorithm, Metrics, weighted_losses
from bodyplan.learn.combiners.combiner import (
    ActorLosses,
    ActorState,
    Combiner,
    GroupIndices,
    scatter_to_robots,
    step_groups_in_random_order,
)
from bodyplan.learn.combiners.gradient_surgery import GradientSurgery
from bodyplan.learn.compilation import compiled
from bodyplan.learn.data.device_batches import Batch, DeviceData, draw_indices
from bodyplan.learn.distributed import AXIS, local_part, mesh, zeros_like
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes
from bodyplan.robots.descriptors import RobotDescriptor

Sample = Callable[[int, PRNGKeyArray], tuple[Batch, ...]]
"""The batch of a turn's critic update, by its number and its key."""


class LearnerState(eqx.Module):
    """All that an update changes, and so all that a checkpoint holds.

    Where several seeds train at once, all but `update` have a leading axis of them.
    """

    actor: ActorState
    critic: PyTree
    """The algorithm's own: critics, targets and their optimisers' states."""
    key: PRNGKeyArray
    update: Int[Array, ""]
    """Updates done."""


class IntervalReport(eqx.Module):
    """What an interval tells."""

    metrics: Metrics
    """Means over the interval; a number or `[R]`."""
    finite: Bool[Array, "K R"]
    """Whether each robot's metrics were finite, turn by turn."""


class PreparedBatches(eqx.Module):
    """An interval's batches, drawn beforehand because the data are not on the device."""

    descriptors: tuple[RobotDescriptor, ...]
    batches: tuple[Batch, ...]
    """Every array `[turns, critic updates a turn, B, ...]`."""


@dataclass(frozen=True)
class Learner:
    """An algorithm and a combiner at work on given groups of robots."""

    algorithm: Algorithm
    combiner: Combiner
    groups: GroupIndices
    batch_size: int
    """Transitions of each robot in an update."""
    weights: tuple[float, ...] | None = None
    """Factor on each robot's losses, one on average; all alike where not given."""
    actor_steps: int = 1
    """Turns of the actor after the critics', each on its own share of every robot's batch."""
    group_critic: bool = False
    """Whether the critics step group by group too."""
    order_seed: int = 0
    """Decides in which order groups and gradients take their turns, for all seeds alike."""
    devices: int = 1
    """Devices that batches are split over."""

    def init(self, seed: int, sizes: Sizes) -> LearnerState:
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
        key, *critic_keys = self._keys(state.key)
        # From the count of updates alone, so that seeds that train at once share their order.
        turn_key = jax.random.fold_in(jax.random.PRNGKey(self.order_seed), state.update)
        actor_key, order_key = jax.random.split(turn_key)
        for number, critic_key in enumerate(critic_keys):
            sample_key, critic_key = jax.random.split(critic_key)
            batches = self._weighted(sample(number, sample_key))
            critic, targets, critic_metrics = self._critic_update(
                critic,
                state.actor.policy,
                batches,
                descriptors,
                critic_key,
                jax.random.fold_in(order_key, number),
            )
        batch = ActorBatch(batches, descriptors, targets)
        actor, actor_metrics = self._actor_turns(state.actor, critic, batch, actor_key)
        critic = self.algorithm.move_targets(critic, actor.policy)
        update = state.update + self.algorithm.actor_every
        return LearnerState(actor, critic, key, update), {**critic_metrics, **actor_metrics}

    def _critic_update(
        self,
        critic: PyTree,
        actor: ActorNetwork,
        batches: tuple[Batch, ...],
        descriptors: tuple[RobotDescriptor, ...],
        key: PRNGKeyArray,
        order_key: PRNGKeyArray,
    ) -> tuple[PyTree, tuple[Any, ...], Metrics]:
        """One step of the critics for all robots, or one for each group of them."""

        def step(
            robots: tuple[int, ...], critic: PyTree
        ) -> tuple[PyTree, tuple[Any, ...], Metrics]:
            members, bodies = [batches[r] for r in robots], [descriptors[r] for r in robots]
            return self.algorithm.critic_update(critic, actor, members, bodies, key)

        everyone = tuple(range(len(batches)))
        if not self.group_critic:
            return step(everyone, critic)
        nothing = zeros_like(jax.eval_shape(lambda: step(everyone, critic)[1]))

        def turn(
            robots: tuple[int, ...], critic: PyTree
        ) -> tuple[PyTree, tuple[tuple[Any, ...], Metrics]]:
            critic, own, metrics = step(robots, critic)
            targets = list(nothing)
            for robot, target in zip(robots, own, strict=True):
                targets[robot] = target
            return critic, (tuple(targets), scatter_to_robots(metrics, robots, len(batches)))

        critic, (targets, metrics) = step_groups_in_random_order(
            order_key, self.groups, critic, turn
        )
        return critic, targets, metrics

    def _actor_turns(
        self, actor: ActorState, critic: PyTree, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[ActorState, Metrics]:
        """The actor's turn on the whole batch, or several on balanced shares of it."""
        losses = self.actor_losses(critic)

        def turn(
            actor: ActorState, share: ActorBatch, key: PRNGKeyArray
        ) -> tuple[ActorState, Metrics]:
            if isinstance(self.combiner, GradientSurgery):
                share = self.algorithm.settle(actor.policy, critic, share)
            optimiser = self.algorithm.actor_optimiser()
            return self.combiner.step(actor, losses, optimiser, share, self.groups, key)

        if self.actor_steps == 1:
            return turn(actor, batch, key)
        arrays, rest = eqx.partition((batch.batches, batch.targets), eqx.is_array)
        each = self.batch_size // self.devices // self.actor_steps
        shares = jax.tree.map(
            lambda array: array.reshape(self.actor_steps, each, *array.shape[1:]), arrays
        )

        def share_turn(
            actor: ActorState, given: tuple[PyTree, PRNGKeyArray]
        ) -> tuple[ActorState, Metrics]:
            batches, targets = eqx.combine(given[0], rest)
            return turn(actor, ActorBatch(batches, batch.descriptors, targets), given[1])

        keys = jax.random.split(key, self.actor_steps)
        actor, metrics = jax.lax.scan(share_turn, actor, (shares, keys))
        return actor, jax.tree.map(lambda values: values.mean(axis=0), metrics)

    def actor_losses(self, critic: PyTree) -> ActorLosses:
        """The robots' losses, those that are told without their weights."""

        def losses(
            policy: ActorNetwork, batch: ActorBatch, key: PRNGKeyArray
        ) -> tuple[Float[Array, "R"], Metrics]:
            plain, metrics = self.algorithm.actor_losses(policy, critic, batch, key)
            if self.weights is None:
                return plain, metrics
            return weighted_losses(plain, batch.batches), {"actor/loss": plain, **metrics}

        return losses

    def interval(
        self, state: LearnerState, data: DeviceData | PreparedBatches, updates: int
    ) -> tuple[LearnerState, IntervalReport]:
        """Many updates as one scan."""

        def body(state: LearnerState, given: tuple[Batch, ...]) -> tuple[LearnerState, Metrics]:
            def sample(number: int, key: PRNGKeyArray) -> tuple[Batch, ...]:
                if isinstance(data, PreparedBatches):
                    return jax.tree.map(lambda array: array[number], given)
                return data.sample(key, self.batch_size, local_part)

            return self.turn(state, data.descriptors, sample)

        turns = updates // self.algorithm.actor_every
        given = data.batches if isinstance(data, PreparedBatches) else None
        state, metrics = jax.lax.scan(body, state, given, length=turns)
        shape = (turns, len(data.descriptors))
        told = [jnp.broadcast_to(m.reshape(turns, -1), shape) for m in metrics.values()]
        finite = jnp.isfinite(jnp.stack(told)).all(axis=0)
        return state, IntervalReport(
            jax.tree.map(lambda values: values.mean(axis=0), metrics), finite
        )

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
            key, *critic_keys = self._keys(key)
            drawn = [
                draw_indices(jax.random.split(k)[0], sizes, self.batch_size) for k in critic_keys
            ]
            return key, tuple(jnp.stack(robot) for robot in zip(*drawn, strict=True))

        return jax.lax.scan(body, key, length=updates // self.algorithm.actor_every)

    def compile(
        self, state: LearnerState, data: DeviceData | PreparedBatches, updates: int
    ) -> Callable[
        [LearnerState, DeviceData | PreparedBatches], tuple[LearnerState, IntervalReport]
    ]:
        """`interval` as a program that takes its state's memory over.

        A state with a leading axis of seeds has them trained side by side; with several devices,
        each has a part of every batch and all the rest in full.
        """

        def interval(
            state: LearnerState, data: DeviceData | PreparedBatches
        ) -> tuple[LearnerState, IntervalReport]:
            return self.interval(state, data, updates)

        program = self.spread(interval, state, data, (seeds_axes(state), 0))
        return compiled(jax.jit(program, donate_argnums=0).lower(state, data))

    def spread(
        self,
        program: Callable[..., Any],
        state: LearnerState,
        data: DeviceData | PreparedBatches,
        out: Any,
    ) -> Callable[..., Any]:
        """A program over seeds, whose answers have axes `out` of them, and over devices."""
        if state.key.ndim > 1:
            program = jax.vmap(program, in_axes=(seeds_axes(state), None), out_axes=out)
        if self.devices == 1:
            return program
        parts: Any = P()
        if isinstance(data, PreparedBatches):
            parts = jax.tree.map(lambda _: P(), data)
            split = jax.tree.map(lambda _: P(None, None, AXIS), data.batches)
            parts = eqx.tree_at(lambda parts: parts.batches, parts, split)
        return jax.shard_map(program, mesh=mesh(self.devices), in_specs=(P(), parts), out_specs=P())

    def _keys(self, key: PRNGKeyArray) -> PRNGKeyArray:
        """The next turn's key, and one for each of the critics' updates."""
        return jax.random.split(key, 1 + self.algorithm.actor_every)

    def _weighted(self, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
        if self.weights is None:
            return batches
        each = zip(batches, self.weights, strict=True)
        return tuple(batch._replace(weight=weight) for batch, weight in each)


def seeds_axes(state: LearnerState) -> LearnerState:
    """Where each leaf has its axis of seeds; the count of updates has none."""
    axes = jax.tree.map(lambda _: 0, state)
    return eqx.tree_at(lambda axes: axes.update, axes, None)
