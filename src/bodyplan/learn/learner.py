"""The compiled update: one pytree of state, one pure update, an interval of updates as one scan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bodyplan.bounds import kind_of
from bodyplan.learn.algorithms.algorithm import ActorState, Algorithm, Metrics
from bodyplan.learn.combiners.combiner import Combiner, GroupIndices
from bodyplan.learn.combiners.grouped import join_groups, scatter_to_robots
from bodyplan.learn.compilation import compile_program
from bodyplan.learn.data.batch_loader import Chunk, partition
from bodyplan.learn.data.batches import Batch
from bodyplan.learn.data.builds import Stratum
from bodyplan.learn.data.transitions import RobotTable
from bodyplan.learn.distributed import mesh
from bodyplan.learn.networks.architectures import ActorNetwork, Sizes


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

    metrics: dict[str, Any]
    """Means over the interval; a number or `[R]`, NaN for robots that no update had."""
    seen: Float[Array | np.ndarray, "R"]
    """Iterations that had each robot."""
    finite: Bool[Array | np.ndarray, "K R"]
    """Whether each robot's metrics were finite, iteration by iteration."""


Numbers = dict[str, Any]
"""Hyperparameters of algorithm and combiner, and the seed of orders; where seeds differ in a
hyperparameter it has one value for each."""
Program = Callable[[LearnerState, Numbers, RobotTable, Chunk], tuple[LearnerState, IntervalReport]]


@dataclass(frozen=True)
class Learner:
    """An algorithm and a combiner, applied to given groups of robots."""

    algorithm: Algorithm
    combiner: Combiner
    groups: GroupIndices
    """As places in the order of the builds."""
    batch_size: int
    """Transitions of each robot in an update."""
    actor_steps: int = 1
    """Actor updates in an iteration, each on its own share of every robot's batch."""
    group_critic: bool = False
    """Whether the critics step group by group too."""
    order_seed: int = 0
    """Decides in which order groups step and gradients are projected, for all seeds alike."""
    devices: int = 1
    """Devices that batches are split over."""
    strata: tuple[Stratum, ...] = ()
    """Where an update has some robots only: how many of which. `groups` are then places among
    those."""

    def init(self, seed: int, sizes: Sizes) -> LearnerState:
        """The state before the first update."""
        policy, critic = self.algorithm.init(np.random.default_rng(seed), sizes)
        optimiser = self.algorithm.actor_optimiser().init(policy)
        actor = ActorState(policy, optimiser, self.combiner.init(policy, self.groups))
        state = LearnerState(actor, critic, jax.random.PRNGKey(seed), jnp.int32(0))
        # Copied, so that no two leaves share memory: each interval takes every leaf's over.
        return jax.tree.map(lambda leaf: jax.device_put(np.array(leaf), may_alias=False), state)

    @property
    def numbers(self) -> Numbers:
        """All that is a number here, and so an argument of the compiled program."""
        return {
            "algorithm": numbers_of(self.algorithm),
            "combiner": numbers_of(self.combiner),
            "order_seed": np.asarray(self.order_seed, np.int32),
        }

    def with_numbers(self, numbers: Numbers) -> "Learner":
        """The same with these numbers."""
        return replace(
            self,
            algorithm=replace(self.algorithm, **numbers["algorithm"]),
            combiner=replace(self.combiner, **numbers["combiner"]),
            order_seed=numbers["order_seed"],
        )

    def compile_interval(
        self, state: LearnerState, numbers: Numbers, table: RobotTable, chunk: Chunk
    ) -> Program:
        """Compile many updates as one loop; the program takes its state's memory over.

        Learners that differ in numbers alone share a program, and so do robots of the same builds.
        A state with a leading axis of seeds has them trained side by side, each with its own
        numbers. With several devices, each has a part of every batch and all the rest in full.
        """
        learner = self.with_numbers(jax.tree.map(lambda _: None, self.numbers))
        arguments = jax.tree.map(_shape, (state, numbers, table, chunk))
        leaves, structure = jax.tree.flatten(arguments)
        known = (learner, structure, *leaves)
        if known in _PROGRAMS:
            return _PROGRAMS[known]

        # Compiled as a function of its own, so that Python runs through an update once.
        @jax.jit
        def iteration(
            state: LearnerState, numbers: Numbers, table: RobotTable, packed: PyTree
        ) -> tuple[LearnerState, PyTree, Bool[Array, "R"]]:
            batches = [
                table.unpack(jax.tree.map(lambda array, at=at: array[at], packed))
                for at in range(learner.algorithm.actor_every)
            ]
            own, robots = learner.with_numbers(numbers), len(table.weights)
            if not learner.strata:
                state, metrics = own.update(state, batches)
                return state, (metrics, jnp.ones(robots)), _all_finite(metrics, robots)
            batches, places = own.draw_robots(batches, state.update)
            state, metrics = own.update(state, batches)
            finite = _all_finite(metrics, len(places))
            metrics, seen = scatter_to_robots((metrics, jnp.ones(len(places))), places, robots)
            return state, (metrics, seen), jnp.ones(robots, bool).at[places].set(finite)

        def interval(
            state: LearnerState, numbers: Numbers, table: RobotTable, chunk: Chunk
        ) -> tuple[LearnerState, IntervalReport]:
            def one(state: LearnerState, at: Int[Array, ""]) -> Any:
                packed = jax.tree.map(
                    lambda array: jax.lax.dynamic_index_in_dim(array, at, keepdims=False),
                    chunk.packed,
                )
                return iteration(state, numbers, table, packed)

            def body(
                done: Int[Array, ""], carry: tuple[LearnerState, PyTree, Bool[Array, "K R"]]
            ) -> tuple[LearnerState, PyTree, Bool[Array, "K R"]]:
                state, total, finite = carry
                state, metrics, own = one(state, chunk.first + done)
                return state, jax.tree.map(jnp.add, total, metrics), finite.at[done].set(own)

            length = jax.tree.leaves(chunk.packed)[0].shape[0]
            _, metrics, finite = jax.eval_shape(one, state, chunk.first)
            nothing = jax.tree.map(lambda own: jnp.zeros(own.shape, own.dtype), metrics)
            begin = (state, nothing, jnp.ones((length, *finite.shape), bool))
            state, total, finite = jax.lax.fori_loop(0, chunk.iterations, body, begin)
            sums, seen = total
            means = {
                name: values / (seen if values.ndim else chunk.iterations)
                for name, values in sums.items()
            }
            return state, IntervalReport(means, seen, finite)

        program = self.over_seeds_and_devices(
            interval, state, numbers, chunk, (seeds_axes(state), 0)
        )
        if len(_PROGRAMS) == _KEPT_PROGRAMS:
            _PROGRAMS.pop(next(iter(_PROGRAMS)))
        _PROGRAMS[known] = compile_program(jax.jit(program, donate_argnums=0).lower(*arguments))
        return _PROGRAMS[known]

    def draw_robots(
        self, batches: Sequence[Batch], update: Int[Array, ""]
    ) -> tuple[list[Batch], Int[Array, "N"]]:
        """The parts of the robots that an iteration has, and their places.

        All seeds that train at once have the same robots.
        """
        key = jax.random.fold_in(jax.random.PRNGKey(self.order_seed), update)
        drawn = [batch.draw(self.strata, jax.random.fold_in(key, 1)) for batch in batches]
        return [batch for batch, _ in drawn], drawn[0][1]

    def update(self, state: LearnerState, batches: Sequence[Batch]) -> tuple[LearnerState, Metrics]:
        """One iteration (arXiv 2602.18025, Algorithm 1): critic update, actor update, targets.

        Algorithms that delay the actor (TD3+BC) have several critic updates in an iteration, each
        on a batch of its own.
        """
        critic = state.critic
        noise = jax.random.fold_in(state.key, state.update)
        # From the count of updates alone, so that seeds that train at once share their order.
        order = jax.random.fold_in(jax.random.PRNGKey(self.order_seed), state.update)
        actor_key, order_key = jax.random.split(order)
        for number, batch in enumerate(batches):
            critic, aux, critic_metrics = self._critic_update(
                critic,
                state.actor.policy,
                batch,
                jax.random.fold_in(noise, number),
                jax.random.fold_in(order_key, number),
            )
        batch = batch._replace(aux=aux)
        algorithm = self.algorithm.with_actor_rate(state.update)

        def actor_update(
            actor: ActorState, batch: Batch, key: PRNGKeyArray
        ) -> tuple[ActorState, Metrics]:
            return self.combiner.step(algorithm, actor, critic, batch, self.groups, key)

        if self.actor_steps == 1:
            actor, metrics = actor_update(state.actor, batch, actor_key)
        else:
            actor, metrics = self._over_shares(actor_update, state.actor, batch, actor_key)
        critic = self.algorithm.update_targets(critic, actor.policy)
        rate = jnp.asarray(algorithm.learning_rate)
        metrics = {**critic_metrics, **metrics, "actor/learning_rate": rate}
        done = state.update + self.algorithm.actor_every
        return LearnerState(actor, critic, state.key, done), metrics

    def _critic_update(
        self,
        critic: PyTree,
        actor: ActorNetwork,
        batch: Batch,
        key: PRNGKeyArray,
        order_key: PRNGKeyArray,
    ) -> tuple[PyTree, PyTree, Metrics]:
        """One step of the critics for all robots, or one for each group of them."""
        if not self.group_critic:
            return self.algorithm.critic_update(critic, actor, batch, key)
        robots = batch.num_robots

        def group_step(
            group: Sequence[int], critic: PyTree
        ) -> tuple[PyTree, tuple[PyTree, Metrics]]:
            critic, aux, metrics = self.algorithm.critic_update(
                critic, actor, batch.select(group), key
            )
            return critic, (
                scatter_to_robots(aux, group, robots),
                scatter_to_robots(metrics, group, robots),
            )

        branches = [partial(group_step, group) for group in self.groups]
        order = jax.random.permutation(order_key, len(self.groups))
        critic, outputs = jax.lax.scan(
            lambda critic, group: jax.lax.switch(group, branches, critic), critic, order
        )
        aux, metrics = outputs
        aux = jax.tree.map(lambda values: values.sum(axis=0), aux)
        return critic, aux, join_groups(metrics, order)

    def _over_shares(
        self,
        actor_update: Callable[..., tuple[ActorState, Metrics]],
        actor: ActorState,
        batch: Batch,
        key: PRNGKeyArray,
    ) -> tuple[ActorState, Metrics]:
        """Several actor updates, each on an equal share of every robot's batch."""
        keys = jax.random.split(key, self.actor_steps)
        actor, metrics = jax.lax.scan(
            lambda actor, at: actor_update(actor, batch.share(at[0], self.actor_steps), at[1]),
            actor,
            (jnp.arange(self.actor_steps), keys),
        )
        return actor, jax.tree.map(lambda values: values.mean(axis=0), metrics)

    def over_seeds_and_devices(
        self,
        program: Callable[..., Any],
        state: LearnerState,
        numbers: Numbers,
        batches: PyTree,
        out_axes: Any,
    ) -> Callable[..., Any]:
        """A program of state, numbers, robots and batches, over seeds and over devices.

        Args:
            program: what one seed does on one device.
            state: with a leading axis where there are several seeds.
            numbers: with a leading axis where seeds differ in them.
            batches: a chunk, or one batch; they have no such axis where all seeds share it.
            out_axes: where the results have an axis of seeds.
        """
        leading = 0
        if state.key.ndim > 1:
            leading = 1
            of_numbers = jax.tree.map(lambda number: 0 if number.ndim else None, numbers)
            of_batches = jax.tree.map(lambda array: 0 if array.ndim else None, batches)
            axes = (seeds_axes(state), of_numbers, None, of_batches)
            program = jax.vmap(program, in_axes=axes, out_axes=out_axes)
        if self.devices == 1:
            return program
        everywhere = PartitionSpec()
        parts = partition(batches, leading)
        return jax.shard_map(
            program,
            mesh=mesh(self.devices),
            in_specs=(everywhere, everywhere, everywhere, parts),
            out_specs=everywhere,
        )


_PROGRAMS: dict[Any, Program] = {}
"""What this process has compiled last, by learner without numbers and shapes of arguments."""
_KEPT_PROGRAMS = 16


def _all_finite(metrics: Metrics, robots: int) -> Bool[Array, "R"]:
    """Whether all metrics of each robot are finite.

    Where no robot's own are at fault, numbers that are of all robots count for each.
    """
    own = [values for values in metrics.values() if values.ndim]
    shared = [values for values in metrics.values() if not values.ndim]
    finite = jnp.isfinite(jnp.stack(own)).all(axis=0) if own else jnp.ones(robots, bool)
    together = jnp.isfinite(jnp.stack(shared)).all() if shared else jnp.bool_(True)
    return jnp.where(finite.all(), together, finite)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    """What of an argument is compiled into the program."""
    sharding = leaf.sharding if isinstance(leaf, jax.Array) else None
    return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=sharding)


def numbers_of(method: Algorithm | Combiner) -> dict[str, np.ndarray]:
    """A method's hyperparameters that are numbers.

    A field that Python has to know, because its value decides what is computed, is declared as
    `field(default=..., metadata={"static": True})`.
    """
    kinds = {float: np.float32, int: np.int32, "float": np.float32, "int": np.int32}
    return {
        own.name: np.asarray(getattr(method, own.name), kinds[kind_of(own.type)])
        for own in fields(method)
        if kind_of(own.type) in kinds and not own.metadata.get("static")
    }


def seeds_axes(state: LearnerState) -> LearnerState:
    """Where each leaf has its axis of seeds; the count of updates has none."""
    axes = jax.tree.map(lambda _: 0, state)
    return eqx.tree_at(lambda axes: axes.update, axes, None)
