"""The compiled update: one pytree of state, one pure update, an interval of updates as one scan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from bodyplan.learn.algorithms.algorithm import ActorBatch, ActorState, Algorithm, Metrics
from bodyplan.learn.combiners.combiner import Combiner, GroupIndices
from bodyplan.learn.combiners.grouped import scatter_to_robots
from bodyplan.learn.compilation import compile_program
from bodyplan.learn.data.batches import Batch, BatchSource, draw_indices, varying_zeros
from bodyplan.learn.distributed import mesh
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes
from bodyplan.robots.descriptors import RobotDescriptor


class LearnerState(eqx.Module):
    """All that an update changes, and so all that a checkpoint holds.

    Where several seeds train at once, all but `update` have a leading axis of seeds.
    """

    actor: ActorState
    critic: PyTree
    """The algorithm's own: critics, target networks and their optimisers' states."""
    key: PRNGKeyArray
    update: Int[Array, ""]
    """Critic updates done."""


class IntervalReport(eqx.Module):
    """What an interval of training reports."""

    metrics: Metrics
    """Means over the interval; a number or `[R]`."""
    finite: Bool[Array, "K R"]
    """Whether each robot's metrics were finite, iteration by iteration."""


Program = Callable[[LearnerState, BatchSource], tuple[LearnerState, IntervalReport]]


@dataclass(frozen=True)
class Learner:
    """An algorithm and a combiner, applied to given groups of robots."""

    algorithm: Algorithm
    combiner: Combiner
    groups: GroupIndices
    batch_size: int
    """Transitions of each robot in an update."""
    weights: tuple[float, ...] | None = None
    """Factor on each robot's losses, one on average; all alike where not given."""
    actor_steps: int = 1
    """Actor updates in an iteration, each on its own share of every robot's batch."""
    group_critic: bool = False
    """Whether the critics step group by group too."""
    order_seed: int = 0
    """Decides in which order groups step and gradients are projected, for all seeds alike."""
    devices: int = 1
    """Devices that batches are split over."""

    def init(self, seed: int, sizes: Sizes) -> LearnerState:
        """The state before the first update."""
        policy, critic = self.algorithm.init(np.random.default_rng(seed), sizes)
        optimiser = self.algorithm.actor_optimiser().init(policy)
        actor = ActorState(policy, optimiser, self.combiner.init(policy, self.groups))
        state = LearnerState(actor, critic, jax.random.PRNGKey(seed), jnp.zeros((), jnp.int32))
        # Copied, so that no two leaves share memory: each interval takes every leaf's over.
        return jax.tree.map(lambda leaf: jnp.asarray(np.array(leaf)), state)

    def compile_interval(self, state: LearnerState, data: BatchSource, updates: int) -> Program:
        """Compile many updates as one scan; the program takes its state's memory over.

        A state with a leading axis of seeds has them trained side by side. With several devices,
        each has a part of every batch and all the rest in full.
        """
        iterations = updates // self.algorithm.actor_every

        def interval(state: LearnerState, data: BatchSource) -> tuple[LearnerState, IntervalReport]:
            def body(state: LearnerState, scanned: Any) -> tuple[LearnerState, Metrics]:
                return self.update(state, data, scanned)

            state, metrics = jax.lax.scan(body, state, data.scanned(), length=iterations)
            shape = (iterations, len(data.descriptors))
            each = [jnp.broadcast_to(m.reshape(iterations, -1), shape) for m in metrics.values()]
            finite = jnp.isfinite(jnp.stack(each)).all(axis=0)
            return state, IntervalReport(jax.tree.map(lambda m: m.mean(axis=0), metrics), finite)

        program = self.over_seeds_and_devices(interval, state, data, (seeds_axes(state), 0))
        return compile_program(jax.jit(program, donate_argnums=0).lower(state, data))

    def update(
        self, state: LearnerState, data: BatchSource, scanned: Any
    ) -> tuple[LearnerState, Metrics]:
        """One iteration (arXiv 2602.18025, Algorithm 1): critic update, actor update, targets.

        Algorithms that delay the actor (TD3+BC) have several critic updates in an iteration.
        """
        critic = state.critic
        key, *critic_keys = self._keys(state.key)
        # From the count of updates alone, so that seeds that train at once share their order.
        order = jax.random.fold_in(jax.random.PRNGKey(self.order_seed), state.update)
        actor_key, order_key = jax.random.split(order)
        for number, critic_key in enumerate(critic_keys):
            sample_key, critic_key = jax.random.split(critic_key)
            batches = data.batch(scanned, number, sample_key, self.batch_size)
            batches = self._weighted(batches)
            critic, aux, critic_metrics = self._critic_update(
                critic,
                state.actor.policy,
                batches,
                data.descriptors,
                critic_key,
                jax.random.fold_in(order_key, number),
            )
        batch = ActorBatch(batches, data.descriptors, aux)

        def actor_update(
            actor: ActorState, batch: ActorBatch, key: PRNGKeyArray
        ) -> tuple[ActorState, Metrics]:
            return self.combiner.step(self.algorithm, actor, critic, batch, self.groups, key)

        if self.actor_steps == 1:
            actor, metrics = actor_update(state.actor, batch, actor_key)
        else:
            actor, metrics = self._over_shares(actor_update, state.actor, batch, actor_key)
        critic = self.algorithm.update_targets(critic, actor.policy)
        done = state.update + self.algorithm.actor_every
        return LearnerState(actor, critic, key, done), {**critic_metrics, **metrics}

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

        def step(robots: Sequence[int], critic: PyTree) -> tuple[PyTree, tuple[Any, ...], Metrics]:
            members, bodies = [batches[r] for r in robots], [descriptors[r] for r in robots]
            return self.algorithm.critic_update(critic, actor, members, bodies, key)

        everyone = tuple(range(len(batches)))
        if not self.group_critic:
            return step(everyone, critic)
        nothing = varying_zeros(jax.eval_shape(lambda: step(everyone, critic)[1]))

        def group_step(
            robots: Sequence[int], critic: PyTree
        ) -> tuple[PyTree, tuple[tuple[Any, ...], Metrics]]:
            critic, own, metrics = step(robots, critic)
            aux = list(nothing)
            for robot, value in zip(robots, own, strict=True):
                aux[robot] = value
            return critic, (tuple(aux), scatter_to_robots(metrics, robots, len(batches)))

        branches = [partial(group_step, robots) for robots in self.groups]
        order = jax.random.permutation(order_key, len(self.groups))
        critic, outputs = jax.lax.scan(
            lambda critic, group: jax.lax.switch(group, branches, critic), critic, order
        )
        aux, metrics = jax.tree.map(lambda values: values.sum(axis=0), outputs)
        return critic, aux, metrics

    def _over_shares(
        self,
        actor_update: Callable[..., tuple[ActorState, Metrics]],
        actor: ActorState,
        batch: ActorBatch,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """Several actor updates, each on an equal share of every robot's batch."""
        arrays, rest = eqx.partition((batch.batches, batch.aux), eqx.is_array)
        each = self.batch_size // self.devices // self.actor_steps
        shares = jax.tree.map(
            lambda array: array.reshape(self.actor_steps, each, *array.shape[1:]), arrays
        )

        def share_update(
            actor: ActorState, scanned: tuple[PyTree, PRNGKeyArray]
        ) -> tuple[ActorState, Metrics]:
            batches, aux = eqx.combine(scanned[0], rest)
            return actor_update(actor, ActorBatch(batches, batch.descriptors, aux), scanned[1])

        keys = jax.random.split(key, self.actor_steps)
        actor, metrics = jax.lax.scan(share_update, actor, (shares, keys))
        return actor, jax.tree.map(lambda values: values.mean(axis=0), metrics)

    def draw_rows(
        self, sizes: Sequence[int], key: PRNGKeyArray, updates: int
    ) -> tuple[PRNGKeyArray, tuple[Int[Array, "iterations every B"], ...]]:
        """The key after an interval, and the steps that it samples from a state with this key.

        `sizes` are each robot's steps in the data. No parameter has a say in it, so that batches
        can be read long before they are used.
        """

        def body(
            key: PRNGKeyArray, _: None
        ) -> tuple[PRNGKeyArray, tuple[Int[Array, "every B"], ...]]:
            key, *critic_keys = self._keys(key)
            drawn = [
                draw_indices(jax.random.split(own)[0], sizes, self.batch_size)
                for own in critic_keys
            ]
            return key, tuple(jnp.stack(robot) for robot in zip(*drawn, strict=True))

        return jax.lax.scan(body, key, length=updates // self.algorithm.actor_every)

    def over_seeds_and_devices(
        self, program: Callable[..., Any], state: LearnerState, data: BatchSource, out: Any
    ) -> Callable[..., Any]:
        """A program over seeds, whose results have axes `out` of them, and over devices."""
        if state.key.ndim > 1:
            program = jax.vmap(program, in_axes=(seeds_axes(state), None), out_axes=out)
        if self.devices == 1:
            return program
        everywhere = PartitionSpec()
        return jax.shard_map(
            program,
            mesh=mesh(self.devices),
            in_specs=(everywhere, data.partition()),
            out_specs=everywhere,
        )

    def _keys(self, key: PRNGKeyArray) -> PRNGKeyArray:
        """The next iteration's key, and one for each critic update."""
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
