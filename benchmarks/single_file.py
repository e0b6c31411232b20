"""BC, IQL and TD3+BC in plain JAX for one robot, as single-file implementations have them.

The shape is CORL's: multilayer perceptrons, Adam, a replay buffer of arrays, losses written out. To
be as quick as such files get, sampling is inside the compiled update and nothing is measured: no
metrics, no clipping of gradients, no check for NaN. `update(state, buffer)` is an update of BC and
IQL, and of TD3+BC two of the critics and one of the actor.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Params = list[tuple[Array, Array]]
State = dict[str, Any]

BATCH, HIDDEN, RATE = 256, (256, 256), 3e-4
GAMMA, TAU = 0.99, 0.005
EXPECTILE, BETA, WEIGHT_CLIP = 0.7, 3.0, 100.0
ALPHA, NOISE, NOISE_CLIP = 2.5, 0.2, 0.5


class Buffer(NamedTuple):
    """Transitions, row by row."""

    observations: Array
    actions: Array
    rewards: Array
    next_observations: Array
    not_done: Array


def mlp(rng: np.random.Generator, inputs: int, outputs: int) -> Params:
    """Fresh layers: a weight and a bias each."""
    widths = (inputs, *HIDDEN, outputs)
    return [
        (jnp.asarray(rng.normal(size=(m, n)) / m**0.5, jnp.float32), jnp.zeros(n))
        for m, n in itertools.pairwise(widths)
    ]


def forward(params: Params, x: Array) -> Array:
    """ReLU between layers, nothing after the last."""
    for weight, bias in params[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = params[-1]
    return x @ weight + bias


def q_values(
    twins: tuple[Params, Params], observation: Array, action: Array
) -> tuple[Array, Array]:
    """Both estimates of Q(s, a)."""
    row = jnp.concatenate([observation, action], axis=1)
    return forward(twins[0], row)[:, 0], forward(twins[1], row)[:, 0]


def adam_state(params: Any) -> tuple[Array, Any, Any]:
    """Before the first step."""
    zeros = jax.tree.map(jnp.zeros_like, params)
    return jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.zeros_like, params)


def adam(params: Any, gradient: Any, state: tuple[Array, Any, Any]) -> tuple[Any, Any]:
    """One step of Adam."""
    count, mean, square = state
    count = count + 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
    square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradient)
    step, scale = RATE / (1 - 0.9**count), 1 / (1 - 0.999**count)
    params = jax.tree.map(
        lambda p, m, v: p - step * m / (jnp.sqrt(v * scale) + 1e-8), params, mean, square
    )
    return params, (count, mean, square)


def moved(target: Any, online: Any) -> Any:
    """The target network, a little nearer."""
    return jax.tree.map(lambda t, o: (1 - TAU) * t + TAU * o, target, online)


def sample(key: Array, buffer: Buffer) -> Buffer:
    """A batch."""
    rows = jax.random.randint(key, (BATCH,), 0, len(buffer.rewards))
    return Buffer(*(array[rows] for array in buffer))


def negative_log_likelihood(actor: Any, observation: Array, action: Array) -> Array:
    """Of a Gaussian whose spread does not depend on the state."""
    layers, log_std = actor
    mean = jnp.tanh(forward(layers, observation))
    error = (action - mean) * jnp.exp(-log_std)
    return (0.5 * error**2 + log_std).sum(-1)


def bc_update(state: State, buffer: Buffer) -> State:
    """Cloning by likelihood."""
    key, own = jax.random.split(state["key"])
    batch = sample(own, buffer)
    gradient = jax.grad(
        lambda actor: negative_log_likelihood(actor, batch.observations, batch.actions).mean()
    )(state["actor"])
    actor, adam_of_actor = adam(state["actor"], gradient, state["adam_actor"])
    return {"key": key, "actor": actor, "adam_actor": adam_of_actor}


def iql_update(state: State, buffer: Buffer) -> State:
    """V, Q, the actor, the target."""
    key, own = jax.random.split(state["key"])
    batch = sample(own, buffer)
    here, action = batch.observations, batch.actions
    aim = jnp.minimum(*q_values(state["target"], here, action))
    next_value = forward(state["v"], batch.next_observations)[:, 0]
    goal = batch.rewards + GAMMA * batch.not_done * next_value

    def v_loss(v: Params) -> tuple[Array, Array]:
        advantage = aim - forward(v, here)[:, 0]
        side = jnp.where(advantage > 0, EXPECTILE, 1 - EXPECTILE)
        return (side * advantage**2).mean(), advantage

    def q_loss(twins: tuple[Params, Params]) -> Array:
        first, second = q_values(twins, here, action)
        return ((first - goal) ** 2 + (second - goal) ** 2).mean()

    v_gradient, advantage = jax.grad(v_loss, has_aux=True)(state["v"])
    weight = jnp.minimum(jnp.exp(BETA * advantage), WEIGHT_CLIP)
    actor_gradient = jax.grad(
        lambda actor: (weight * negative_log_likelihood(actor, here, action)).mean()
    )(state["actor"])
    v, adam_v = adam(state["v"], v_gradient, state["adam_v"])
    q, adam_q = adam(state["q"], jax.grad(q_loss)(state["q"]), state["adam_q"])
    actor, adam_actor = adam(state["actor"], actor_gradient, state["adam_actor"])
    networks = {"v": v, "q": q, "actor": actor, "target": moved(state["target"], q)}
    return {"key": key, **networks, "adam_v": adam_v, "adam_q": adam_q, "adam_actor": adam_actor}


def td3_bc_update(state: State, buffer: Buffer) -> State:
    """Q twice, then the actor and the targets."""
    key, *keys = jax.random.split(state["key"], 3)
    q, adam_q = state["q"], state["adam_q"]
    for own in keys:
        row_key, noise_key = jax.random.split(own)
        batch = sample(row_key, buffer)
        noise = NOISE * jax.random.normal(noise_key, batch.actions.shape)
        ahead = jnp.tanh(forward(state["target_actor"], batch.next_observations))
        ahead = jnp.clip(ahead + jnp.clip(noise, -NOISE_CLIP, NOISE_CLIP), -1, 1)
        next_q = jnp.minimum(*q_values(state["target"], batch.next_observations, ahead))
        goal = batch.rewards + GAMMA * batch.not_done * next_q

        def q_loss(
            twins: tuple[Params, Params], batch: Buffer = batch, goal: Array = goal
        ) -> Array:
            first, second = q_values(twins, batch.observations, batch.actions)
            return ((first - goal) ** 2 + (second - goal) ** 2).mean()

        q, adam_q = adam(q, jax.grad(q_loss)(q), adam_q)

    def actor_loss(actor: Params) -> Array:
        action = jnp.tanh(forward(actor, batch.observations))
        row = jnp.concatenate([batch.observations, action], axis=1)
        value = forward(q[0], row)[:, 0]
        scale = ALPHA / jax.lax.stop_gradient(jnp.abs(value).mean())
        return ((action - batch.actions) ** 2).mean() - scale * value.mean()

    actor, adam_actor = adam(
        state["actor"], jax.grad(actor_loss)(state["actor"]), state["adam_actor"]
    )
    return {
        "key": key,
        "q": q,
        "actor": actor,
        "target": moved(state["target"], q),
        "target_actor": moved(state["target_actor"], actor),
        "adam_q": adam_q,
        "adam_actor": adam_actor,
    }


UPDATES: dict[str, tuple[Callable[[State, Buffer], State], int]] = {
    "bc": (bc_update, 1),
    "iql": (iql_update, 1),
    "td3_bc": (td3_bc_update, 2),
}
"""Each algorithm's update, and how many updates of the critics it holds."""


def first_state(name: str, buffer: Buffer) -> State:
    """An algorithm's state before the first update."""
    rng = np.random.default_rng(0)
    inputs, joints = buffer.observations.shape[1], buffer.actions.shape[1]
    actor: Any = mlp(rng, inputs, joints)
    state: State = {"key": jax.random.PRNGKey(0)}
    if name == "td3_bc":
        state["target_actor"] = jax.tree.map(jnp.copy, actor)
    else:
        actor = (actor, jnp.zeros(joints))
    state |= {"actor": actor, "adam_actor": adam_state(actor)}
    if name == "iql":
        v = mlp(rng, inputs, 1)
        state |= {"v": v, "adam_v": adam_state(v)}
    if name != "bc":
        q = (mlp(rng, inputs + joints, 1), mlp(rng, inputs + joints, 1))
        state |= {"q": q, "adam_q": adam_state(q), "target": jax.tree.map(jnp.copy, q)}
    return state
