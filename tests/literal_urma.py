"""URMA written down as in the paper's code, one sample and one joint at a time, in NumPy float64.

The independent truth for the networks: nothing is folded, batched or shared. Parameters come from
the modules under test; the formulas come from the reference (walking task, section 7).
"""

import jax
import jax.numpy as jnp
import numpy as np


def randomised(module, seed=0, size=0.2):
    """The same network with every parameter moved, so that no zero bias hides a mistake."""
    rng = np.random.default_rng(seed)
    # In NumPy, for which nothing is compiled.
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) + np.float32(rng.normal(0.0, size, leaf.shape)), module
    )


def bodies(seed=0, builds=((4, 2), (6, 4), (3, 2)), batch=5):
    """Random observations, descriptors and actions of robots with the given joints and feet."""
    from bodyplan.envs.walking_task import Observation
    from bodyplan.robots.descriptors import RobotDescriptor

    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float32)

    observations = tuple(
        Observation(draw(batch, j, 3), draw(batch, f, 2), draw(batch, 13)) for j, f in builds
    )
    descriptors = tuple(RobotDescriptor(draw(j, 23), draw(f, 10), draw(7)) for j, f in builds)
    return observations, descriptors, tuple(draw(batch, j) for j, _ in builds)


def in_builds(robots, layout="apart"):
    """Robots' batches `(observation, action, ..., body)` as builds: tuples of `BuildBatch`.

    Every robot in a build of its own (`apart`), or all in one that is padded to the largest
    (`padded`). What is padded is noise, where masks must keep it out.
    """
    from bodyplan.learn.data.batches import Bodies, BuildBatch

    rng = np.random.default_rng(5)

    def grown(values, shape):
        values = np.asarray(values)
        whole = rng.normal(size=shape).astype(values.dtype)
        whole[tuple(map(slice, values.shape))] = values
        return whole

    def stacked(parts):
        parts = [np.asarray(part) for part in parts]
        shape = np.max([part.shape for part in parts], axis=0)
        return jnp.asarray(np.stack([grown(part, shape) for part in parts]))

    def bodies(own):
        counts = [(len(body.joints), len(body.feet)) for body in own]
        joints, feet = np.max(counts, axis=0)
        masks = (
            jnp.asarray((np.arange(slots) < np.array(numbers)[:, None]) * 1.0, own[0].joints.dtype)
            for slots, numbers in zip((joints, feet), zip(*counts, strict=True), strict=True)
        )
        table = (stacked(parts) for parts in zip(*own, strict=True))
        return Bodies(*table, None, *masks) if len(own) > 1 else Bodies(*table)

    def build(members):
        *arrays, body, next_body = zip(*members, strict=True)
        arrays = [
            type(part[0])(*map(stacked, zip(*part, strict=True)))
            if isinstance(part[0], tuple)
            else stacked(part)
            for part in arrays
        ]
        return BuildBatch(*arrays, bodies(body), bodies(next_body))

    together = [robots] if layout == "padded" else [[robot] for robot in robots]
    return tuple(map(build, together))


def robot_batches(observations, descriptors, actions):
    """What `in_builds` takes, of robots of which only this much matters."""
    from bodyplan.learn.data.batches import RobotBatch

    return [
        RobotBatch(seen, action, action[:, 0], seen, action[:, 0], body, body)
        for seen, body, action in zip(observations, descriptors, actions, strict=True)
    ]


def sample(observation, index):
    """One sample of a batch."""
    return type(observation)(*(np.asarray(part)[index] for part in observation))


def dense(layer, x):
    return np.float64(layer.weight).T @ x + np.float64(layer.bias)


def layer_norm(layer, x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * np.float64(layer.scale) + layer.shift


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def set_latent(encoder, descriptions, states):
    """Sum over the elements of outer(softmax over channels, encoded state), flattened."""
    total = np.zeros(encoder.choose.bias.size * encoder.encode.bias.size)
    temperature = np.exp(np.float64(encoder.theta)) + 0.015
    for description, state in zip(descriptions, states, strict=True):
        hidden = elu(layer_norm(encoder.norm, dense(encoder.describe, description)))
        logits = np.clip(np.tanh(dense(encoder.choose, hidden)), -1 + 1e-8, 1 - 1e-8)
        weights = np.exp(logits / temperature)
        weights = weights / (weights.sum() + 1e-8)
        total = total + np.outer(weights, elu(dense(encoder.encode, state))).flatten()
    return total


def core(torso, observation, general, descriptor, extra=()):
    """Everything up to the core's last layer, for one sample."""
    latent = np.concatenate(
        [
            set_latent(torso.joints, descriptor.joints, observation.joints),
            set_latent(torso.feet, descriptor.feet, observation.feet),
            general,
            descriptor.context,
            extra,
        ]
    )
    hidden = elu(layer_norm(torso.norm, dense(torso.first, latent)))
    return dense(torso.third, elu(dense(torso.second, hidden)))


def policy(network, observation, descriptor):
    """Means and standard deviations of one sample's joints."""
    seen = core(network.torso, observation, observation.general[3:12], descriptor)
    means, stds = [], []
    for description, state in zip(descriptor.joints, observation.joints, strict=True):
        code = elu(layer_norm(network.describe_norm, dense(network.describe, description)))
        code = dense(network.description, code)
        joint = elu(dense(network.torso.joints.encode, state))
        hidden = dense(network.decoder, np.concatenate([seen, joint, code]))
        hidden = elu(layer_norm(network.decoder_norm, hidden))
        mean = dense(network.mean, hidden)[0]
        if network.readout is not None:
            mean += dense(network.readout, elu(seen)) @ code / np.sqrt(len(code))
        means.append(np.clip(mean, -10, 10))
        stds.append(np.clip(np.exp(dense(network.log_std, code)[0]), 1e-8, 2.0))
    return np.array(means), np.array(stds)


def value(network, observation, descriptor):
    """V of one sample."""
    seen = core(network.critic.torso, observation, observation.general, descriptor)
    return dense(network.critic.answer, elu(seen))[0]


def twin_q(network, observation, action, descriptor, slots=24):
    """Both Q of one sample."""
    padded = np.zeros(slots)
    padded[: len(action)] = action
    answers = []
    for index in range(2):
        twin = jax.tree.map(lambda leaf, index=index: np.asarray(leaf)[index], network.twins)
        if twin.action is None:
            extra = ()
            acting = np.column_stack([observation.joints, action])
            known = observation._replace(joints=acting)
        else:
            extra, known = elu(dense(twin.action, padded)), observation
        torso = twin.critic.torso
        seen = core(torso, known, observation.general, descriptor, extra)
        answers.append(dense(twin.critic.answer, elu(seen))[0])
    return np.array(answers)
