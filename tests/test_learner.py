"""The compiled loop with an algorithm small enough to count on one's fingers."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bodyplan.learn.combiners.pooled import Pooled
from bodyplan.learn.learner import Learner
from bodyplan.learn.optimiser import clipped_adam


class TwoRobots(NamedTuple):
    """Stands for a mixture; a batch is the key it was drawn with."""

    descriptors: tuple = (0, 1)

    def sample(self, key, batch_size):
        return (key, key)


class Counts(NamedTuple):
    updates: jax.Array
    moves: jax.Array
    keys: jax.Array


@dataclass(frozen=True)
class Delayed:
    """Turns the actor every second update, as TD3 does; robot 1 breaks at the fifth update."""

    actor_every: ClassVar[int] = 2

    def init(self, rng, sizes):
        zero = jnp.zeros((), jnp.int32)
        return {"w": jnp.zeros(2)}, Counts(zero, zero, jnp.zeros(2, jnp.uint32))

    def actor_optimiser(self):
        return clipped_adam(0.1, 0.5)

    def critic_update(self, critic, actor, batches, descriptors, key):
        critic = critic._replace(updates=critic.updates + 1, keys=critic.keys ^ batches[0])
        losses = jnp.where(critic.updates < 5, jnp.ones(2), jnp.array([1.0, jnp.nan]))
        metrics = {"critic/loss": losses, "critic/updates": critic.updates.astype(jnp.float32)}
        return critic, (critic.updates, critic.updates), metrics

    def actor_losses(self, actor, critic, batch, key):
        goals = jnp.stack(batch.targets).astype(jnp.float32)
        return jnp.square(actor["w"] - goals), {}

    def move_targets(self, critic, actor):
        return critic._replace(moves=critic.moves + 1)

    def act(self, actor, observation, descriptor):
        raise NotImplementedError


def test_critics_update_and_the_actor_turns_at_their_own_pace():
    learner = Learner(Delayed(), Pooled(), groups=((0, 1),), batch_size=4)
    start = learner.init(seed=0, sizes=None)
    run = learner.compile(start, TwoRobots(), updates=6)
    state, report = run(learner.init(seed=0, sizes=None), TwoRobots())
    assert int(state.update) == 6
    assert (int(state.critic.updates), int(state.critic.moves)) == (6, 3)
    counts = [leaf for leaf in jax.tree.leaves(state.actor.optimiser) if leaf.dtype == jnp.int32]
    assert [int(count) for count in counts] == [3]
    np.testing.assert_allclose(state.actor.policy["w"], [0.3, 0.3], rtol=1e-3)
    assert np.any(state.critic.keys != 0)  # no two updates drew with the same key
    # Told by the second critic update of each turn: 2, 4 and 6.
    assert float(report.metrics["critic/updates"]) == 4.0
    np.testing.assert_array_equal(report.finite, [[True, True], [True, True], [True, False]])


def test_two_intervals_are_one_of_twice_the_length():
    learner = Learner(Delayed(), Pooled(), groups=((0, 1),), batch_size=4)
    halves = learner.init(seed=3, sizes=None)
    run = learner.compile(halves, TwoRobots(), updates=4)
    for _ in range(2):
        halves, _ = run(halves, TwoRobots())
    start = learner.init(seed=3, sizes=None)
    whole, _ = learner.compile(start, TwoRobots(), updates=8)(start, TwoRobots())
    jax.tree.map(np.testing.assert_array_equal, halves, whole)
