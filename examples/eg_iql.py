"""IQL with Embodiment Grouping, the whole method in one plain file: read this first.

One policy learns from the logs of many robots. Three networks learn together: V(s), Q(s, a) twice,
and the policy pi(a|s). Implicit Q-learning (IQL, Kostrikov et al. 2021, arXiv 2110.06169) trains
them on logged data alone. Embodiment Grouping (EG, Abe et al., arXiv 2602.18025, Algorithm 1) lets
each group of robots with similar bodies update the policy in turn.

    bodyplan data build --out data/sub70 --recipe suboptimal70 --steps 20000 \
        --robots unitree_go1 anymal_c badger hexapod
    python examples/eg_iql.py data/sub70

`bodyplan train --algorithm iql --combine grouped` makes the same update in one compiled program.
"""

import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import bodyplan
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy, URMATwinQ, URMAValue

EXPECTILE, BETA, WEIGHT_CLIP = 0.7, 3.0, 100.0
GAMMA, TAU = 0.99, 0.005
OPTIMISER = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(3e-4))


class State(NamedTuple):
    """The networks, and their optimisers' states."""

    policy: URMAPolicy
    value: URMAValue
    q: URMATwinQ
    target_q: URMATwinQ
    policy_optimiser: Any
    value_optimiser: Any
    q_optimiser: Any


def init(seed, sizes):
    """Fresh networks for any robots; the target network starts as Q."""
    rng = np.random.default_rng(seed)
    policy, value, q = URMAPolicy(rng, sizes), URMAValue(rng, sizes), URMATwinQ(rng, sizes)
    return State(policy, value, q, q, *map(OPTIMISER.init, (policy, value, q)))


def gradient_step(loss, network, optimiser_state):
    """One step of clipped Adam down the gradient of `loss(network)`."""
    gradient = jax.grad(loss)(network)
    updates, optimiser_state = OPTIMISER.update(gradient, optimiser_state, network)
    return optax.apply_updates(network, updates), optimiser_state


def mean_over(loss, *robots):
    """The mean loss over robots, so that no robot counts more than another."""
    return jnp.mean(jnp.array([*map(loss, *robots)]))


@jax.jit
def critic_step(state, robots):
    """Update V and Q; returns the new state and each robot's advantages.

    `robots` is a list of batches: a robot's transitions, and the numbers that describe its body to
    the networks.
    """

    def advantages(value, batch):
        q = state.target_q(batch.observation, batch.action, batch.body).min(axis=0)
        return q - value(batch.observation, batch.body)

    def value_loss(value):
        """V estimates an upper expectile of Q over the data's actions (eq. 5)."""

        def loss(batch):
            u = advantages(value, batch)
            return jnp.mean(jnp.where(u > 0, EXPECTILE, 1 - EXPECTILE) * u**2)

        return mean_over(loss, robots)

    def q_loss(q):
        """Q learns from the reward and the next state's V (eq. 6), which ends where it fell."""

        def loss(batch):
            next_value = state.value(batch.next_observation, batch.next_body)
            td_target = batch.reward + GAMMA * (1 - batch.terminated) * next_value
            errors = q(batch.observation, batch.action, batch.body) - td_target
            return jnp.mean(jnp.sum(errors**2, axis=0))

        return mean_over(loss, robots)

    before = [advantages(state.value, batch) for batch in robots]
    value, value_optimiser = gradient_step(value_loss, state.value, state.value_optimiser)
    q, q_optimiser = gradient_step(q_loss, state.q, state.q_optimiser)
    new = state._replace(value=value, q=q, value_optimiser=value_optimiser, q_optimiser=q_optimiser)
    return new, before


@jax.jit
def actor_step(state, robots, advantages):
    """Update the policy for one group of robots, with each robot's advantages."""

    def policy_loss(policy):
        """Imitate the data's actions, the more the better they are (eq. 7)."""

        def loss(batch, advantage):
            mean, std = policy(batch.observation, batch.body)
            log_probability = jax.scipy.stats.norm.logpdf(batch.action, mean, std).mean(axis=-1)
            weight = jnp.minimum(jnp.exp(BETA * advantage), WEIGHT_CLIP)
            return -jnp.mean(weight * log_probability)

        return mean_over(loss, robots, advantages)

    policy, optimiser = gradient_step(policy_loss, state.policy, state.policy_optimiser)
    return state._replace(policy=policy, policy_optimiser=optimiser)


def update(state, robots, groups, order):
    """One update: V and Q on all robots, the policy group by group, then the target network.

    `groups` has positions in `robots`, and `order` says in which order the groups step.
    """
    state, advantages = critic_step(state, robots)
    for number in order:
        own = groups[number]
        state = actor_step(state, [robots[r] for r in own], [advantages[r] for r in own])
    target_q = optax.incremental_update(state.q, state.target_q, TAU)
    return state._replace(target_q=target_q)


def main(data, updates=2000, batch_size=128, num_groups=2):
    """Train on a dataset, and let every robot walk."""
    dataset = bodyplan.Dataset.open(data)
    transitions = TrainingData.of(dataset, observation_scale="shared")
    loader, key = BatchLoader.of(transitions, batch_size), np.zeros(2, np.uint32)
    names = bodyplan.group_robots(dataset.robots, num_groups)
    groups = [[dataset.robots.index(name) for name in group] for group in names]
    state, rng = init(0, PRESETS["small"]), np.random.default_rng(0)
    for number in range(updates):
        batch = loader.table.unpack(loader.batch(key, number))
        robots = [batch.robot(place) for place in range(len(dataset.robots))]
        state = update(state, robots, groups, rng.permutation(num_groups))
    policy = bodyplan.Policy.of(
        state.policy,
        bodyplan.IQL(),
        PRESETS["small"],
        transitions.observation_scale,
        command=dataset.card["command"],
    )
    print(bodyplan.evaluate(policy, robots=dataset.robots, episodes=4))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
