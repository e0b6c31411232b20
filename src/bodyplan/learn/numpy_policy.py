"""A policy in NumPy: acts like `Policy` without JAX, so that nothing has to be compiled.

The formulas are those of `networks/urma.py`, `networks/urma_heads.py` and `networks/mlp.py`. What
depends on a body alone is computed when the body is first seen: attention and the core's first
layer fold into one matrix. A layer that a normalisation follows has its mean over outputs taken out
of its weights, so nothing is left to centre. One call for one robot takes about a tenth of a
millisecond, most of it Python's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.format import CARD
from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT, Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.normalisation import ObservationScale
from bodyplan.learn.policy_files import (
    TENSORS,
    policy_folder,
    read_policy_card,
    read_policy_tensors,
    require_numbers,
)
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import (
    CONTEXT_SIZE,
    FOOT_DESCRIPTOR_SIZE,
    FOOT_OBSERVATION_SIZE,
    GENERAL_OBSERVATION_SIZE,
    JOINT_DESCRIPTOR_SIZE,
    JOINT_OBSERVATION_SIZE,
    POLICY_GENERAL,
    POLICY_GENERAL_SIZE,
    policy_observation_size,
)

ACTION_LIMITS: Mapping[str, str | None] = {
    "bc": None,
    "td3_bc": "max_action",
    "awac": None,
    "iql": None,
}
"""bodyplan's algorithms, and the hyperparameter to which a tanh holds their actions, if any."""

Tensors = Mapping[str, Float[np.ndarray, "..."]]
"""By name, as in `policy.safetensors`."""
_BODIES_KEPT = 64
_ROWS = 128
"""Copies acted for at once: of many more, no layer's outputs stay in the processor's cache."""


class NumPyPolicy:
    """A trained network of bodyplan's own and its card: `NumPyPolicy.load("runs/mine")`.

    It may be called from several threads.
    """

    def __init__(
        self, tensors: Tensors, card: Mapping[str, Any], max_action: float | None = None
    ) -> None:
        """Take the weights of a policy.

        Args:
            tensors: the network's.
            card: the policy's.
            max_action: a tanh holds actions to this; without it they are the network's means.

        Raises:
            KeyError: a tensor is missing.
        """
        self.card = dict(card)
        scale = card["observation_scale"]
        self._scale = ObservationScale.from_json(scale) if scale else None
        self._max_action = max_action
        tensors = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        flat = card["network"].get("family") == "flat"
        self._network: _Network = (_Flat if flat else _URMA)(tensors, card["network"])

    @classmethod
    def load(cls, path: str | Path) -> "NumPyPolicy | None":
        """Read a policy from its folder or its run's; None where its algorithm is not bodyplan's.

        Raises:
            BodyplanError: there is no policy, or its files are damaged or of another format.
        """
        folder = policy_folder(path)
        card = read_policy_card(folder)
        if card.get("algorithm") not in ACTION_LIMITS:
            return None
        tensors = read_policy_tensors(folder)
        try:
            if card["parameters"] != sum(tensor.size for tensor in tensors.values()):
                raise BodyplanError(f"{folder / TENSORS} has another number of parameters")
            limit = ACTION_LIMITS[card["algorithm"]]
            max_action = float(card["hyperparameters"][limit]) if limit else None
            require_numbers(folder / TENSORS, tensors.values())
            policy = cls(tensors, card, max_action)
            policy.act(*_nothing(card["network"]))  # where layers do not fit, this tells
            return policy
        except (KeyError, TypeError, ValueError, BodyplanError) as error:
            raise BodyplanError(
                f"{folder / CARD} and {folder / TENSORS} do not belong together or are of another "
                f"version ({error}); restore them."
            ) from error

    def act(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[np.ndarray, "N J"]:
        """Actions for N copies of one robot, without exploration.

        The copies share a descriptor, or each has its own (a leading axis of N).

        Raises:
            BodyplanError: the network is flat and was made for another robot.
        """
        seen = self._scale(observation) if self._scale else observation
        seen = Observation(*(np.asarray(part, np.float32) for part in seen))
        count, alike = len(seen.general), np.ndim(descriptor.context) == 1
        starts = range(0, count, _ROWS) if alike and count > _ROWS else ()
        rows = [Observation(*(part[start : start + _ROWS] for part in seen)) for start in starts]
        answers = [self._network.means(some, descriptor) for some in rows or [seen]]
        means = np.concatenate(answers) if rows else answers[0]
        if self._max_action is not None:
            return np.float32(self._max_action) * np.tanh(means)
        return means


def _require_sizes(sizes: Mapping[str, Any], **found: Any) -> None:
    """Refuses a card whose sizes are not those of the tensors."""
    for name, size in found.items():
        if name in sizes and list(np.ravel(sizes[name])) != list(np.ravel(size)):
            raise ValueError(f"{name} is {sizes[name]} on the card, and {size} in the tensors")


def _nothing(sizes: Mapping[str, Any]) -> tuple[Observation, RobotDescriptor]:
    """Zeros, as seen by a robot with a joint and a foot, or by a flat network's own robot."""
    joints, feet = (int(sizes.get(name, 1)) for name in ("joints", "feet"))
    seen = ((joints, JOINT_OBSERVATION_SIZE), (feet, FOOT_OBSERVATION_SIZE))
    body = ((joints, JOINT_DESCRIPTOR_SIZE), (feet, FOOT_DESCRIPTOR_SIZE), (CONTEXT_SIZE,))
    return (
        Observation._make(np.zeros((1, *own)) for own in (*seen, (GENERAL_OBSERVATION_SIZE,))),
        RobotDescriptor._make(map(np.zeros, body)),
    )


class _Network(Protocol):
    def means(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[np.ndarray, "N J"]: ...


class _Body(NamedTuple):
    """What depends on a body alone; with a leading axis of N where the copies differ."""

    matrix: Float[np.ndarray, "inputs first"] | None
    """From encoded states to the core's first layer; None where the copies differ."""
    joints: Float[np.ndarray, "... channels J"]
    """Attention."""
    feet: Float[np.ndarray, "... channels F"]
    """Attention."""
    offset: Float[np.ndarray, "... first"]
    """Of the core's first layer."""
    decoder: Float[np.ndarray, "... J decoder"]
    """What each joint's code adds to the decoder's first layer."""
    codes: Float[np.ndarray, "... readout J"] | None
    """By which the readout is multiplied; None where the network has none."""


class _URMA:
    """URMA's policy."""

    def __init__(self, tensors: Tensors, sizes: Mapping[str, Any]) -> None:
        layers = ("first", "second", "third")
        _require_sizes(
            sizes,
            joint_channels=len(tensors["torso.joints.choose.bias"]),
            joint_width=len(tensors["torso.joints.encode.bias"]),
            foot_channels=len(tensors["torso.feet.choose.bias"]),
            foot_width=len(tensors["torso.feet.encode.bias"]),
            core=[len(tensors[f"torso.{layer}.bias"]) for layer in layers],
            description=len(tensors["description.bias"]),
            decoder=len(tensors["decoder.bias"]),
            readout="readout.weight" in tensors,
        )
        self._tensors = tensors
        self._bodies: dict[tuple[tuple[int, ...], bytes], _Body] = {}
        self._encode_joints = self._layer("torso.joints.encode")
        self._encode_feet = self._layer("torso.feet.encode")
        weight, self._first_bias = self._centred_layer("torso.first")
        latents = [
            len(tensors[f"torso.{kind}.choose.bias"]) * len(tensors[f"torso.{kind}.encode.bias"])
            for kind in ("joints", "feet")
        ]
        widths = np.cumsum([*latents, POLICY_GENERAL_SIZE, CONTEXT_SIZE])
        self._for_joints, self._for_feet, self._for_general, self._for_context, _ = np.split(
            weight, widths
        )
        self._norm = self._scale_and_shift("torso.norm")
        self._second, self._third = self._layer("torso.second"), self._layer("torso.third")
        weight, self._decoder_bias = self._centred_layer("decoder")
        core, state = len(self._third[1]), len(self._encode_joints[1])
        self._for_core, self._for_state, self._for_code = np.split(weight, [core, core + state])
        self._decoder_norm = self._scale_and_shift("decoder_norm")
        self._mean = self._layer("mean")
        self._readout = self._layer("readout") if "readout.weight" in tensors else None

    def means(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[np.ndarray, "N J"]:
        body, count = self._body(descriptor), len(observation.general)
        joints = _elu(_dense(self._encode_joints, observation.joints))
        feet = _elu(_dense(self._encode_feet, observation.feet))
        general = observation.general[:, POLICY_GENERAL]
        if body.matrix is not None:
            states = (joints.reshape(count, -1), feet.reshape(count, -1), general)
            hidden = np.concatenate(states, axis=1) @ body.matrix + body.offset
        else:
            hidden = general @ self._for_general + body.offset
            hidden += (body.joints @ joints).reshape(count, -1) @ self._for_joints
            hidden += (body.feet @ feet).reshape(count, -1) @ self._for_feet
        hidden = _elu(_scaled(hidden, self._norm))
        core = _dense(self._third, _elu(_dense(self._second, hidden)))
        tokens = _product(joints, self._for_state)
        tokens += (core @ self._for_core)[:, None]
        tokens += body.decoder
        means = _dense(self._mean, _elu(_scaled(tokens, self._decoder_norm)))[..., 0]
        if self._readout is not None and body.codes is not None:
            projected = _dense(self._readout, _elu(core))
            means += (projected[:, None] @ body.codes)[:, 0]
        return np.minimum(np.maximum(means, -ACTION_MEAN_LIMIT), ACTION_MEAN_LIMIT)

    def _body(self, descriptor: RobotDescriptor) -> _Body:
        """What is known of a body, by what its descriptor holds."""
        parts = [np.asarray(part, np.float32) for part in descriptor]
        key = parts[0].shape, b"".join([part.tobytes() for part in parts])
        body = self._bodies.get(key)
        if body is None:
            if len(self._bodies) >= _BODIES_KEPT:
                self._bodies.clear()
            body = self._bodies[key] = self._describe(RobotDescriptor(*parts))
        return body

    def _describe(self, descriptor: RobotDescriptor) -> _Body:
        joints = self._attention("torso.joints", descriptor.joints)
        feet = self._attention("torso.feet", descriptor.feet)
        matrix = None
        if joints.ndim == 2:
            folded = (_fold(joints, self._for_joints), _fold(feet, self._for_feet))
            matrix = np.concatenate([*folded, self._for_general])
        codes = _dense(self._centred_layer("describe"), descriptor.joints)
        codes = _elu(_scaled(codes, self._scale_and_shift("describe_norm")))
        codes = _dense(self._layer("description"), codes)
        return _Body(
            matrix=matrix,
            joints=joints.swapaxes(-1, -2),
            feet=feet.swapaxes(-1, -2),
            offset=descriptor.context @ self._for_context + self._first_bias,
            decoder=codes @ self._for_code + self._decoder_bias,
            codes=None
            if self._readout is None
            else codes.swapaxes(-1, -2) / np.float32(np.sqrt(codes.shape[-1])),
        )

    def _attention(
        self, kind: str, descriptions: Float[np.ndarray, "... elements description"]
    ) -> Float[np.ndarray, "... elements channels"]:
        """Softmax over the channels of each element."""
        hidden = _dense(self._centred_layer(f"{kind}.describe"), descriptions)
        hidden = _elu(_scaled(hidden, self._scale_and_shift(f"{kind}.norm")))
        logits = np.tanh(_dense(self._layer(f"{kind}.choose"), hidden))
        weights = np.exp(logits / (np.exp(self._tensors[f"{kind}.theta"]) + np.float32(0.015)))
        return weights / (weights.sum(-1, keepdims=True) + np.float32(1e-8))

    def _layer(self, name: str) -> "_Layer":
        return self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]

    def _centred_layer(self, name: str) -> "_Layer":
        """A layer whose outputs have a mean of zero, as a normalisation makes it."""
        weight, bias = self._layer(name)
        return weight - weight.mean(1, keepdims=True), bias - bias.mean()

    def _scale_and_shift(self, name: str) -> "_Layer":
        return self._tensors[f"{name}.scale"], self._tensors[f"{name}.shift"]


class _Flat:
    """A multilayer perceptron for one robot."""

    def __init__(self, tensors: Tensors, sizes: Mapping[str, Any]) -> None:
        count = sum(name.endswith(".weight") for name in tensors)
        self._layers = [
            (tensors[f"layers.dense.{index}.weight"], tensors[f"layers.dense.{index}.bias"])
            for index in range(count)
        ]
        self._activation = _ACTIVATIONS[sizes.get("activation", "relu")]
        squash = sizes.get("squash")
        self._squash = None if squash is None else float(squash)
        joints = len(self._layers[-1][1])
        states = len(self._layers[0][0]) - policy_observation_size(joints, 0)
        feet, hidden = states // FOOT_OBSERVATION_SIZE, [len(bias) for _, bias in self._layers[:-1]]
        _require_sizes(sizes, joints=joints, feet=feet, hidden=hidden)
        self._build = joints, feet

    def means(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[np.ndarray, "N J"]:
        build = observation.joints.shape[-2], observation.feet.shape[-2]
        if build != self._build:
            raise BodyplanError(
                f"a flat network for {self._build[0]} joints and {self._build[1]} feet was given a "
                f"robot with {build[0]} and {build[1]}; give it the robot it was made for"
            )
        count = len(observation.general)
        rows = (observation.joints.reshape(count, -1), observation.feet.reshape(count, -1))
        row = np.concatenate([*rows, observation.general[:, POLICY_GENERAL]], axis=1)
        for layer in self._layers[:-1]:
            row = self._activation(_dense(layer, row))
        answer = _dense(self._layers[-1], row)
        if self._squash is not None:
            return np.float32(self._squash) * np.tanh(answer)
        return np.minimum(np.maximum(answer, -ACTION_MEAN_LIMIT), ACTION_MEAN_LIMIT)


_Layer = tuple[Float[np.ndarray, "..."], Float[np.ndarray, "outputs"]]
"""A weight and a bias, or a scale and a shift."""


def _dense(layer: _Layer, x: Float[np.ndarray, "... inputs"]) -> Float[np.ndarray, "... outputs"]:
    answer = _product(x, layer[0])
    answer += layer[1]
    return answer


def _product(
    x: Float[np.ndarray, "... inputs"], weight: Float[np.ndarray, "inputs outputs"]
) -> Float[np.ndarray, "... outputs"]:
    """One product for all leading axes, where NumPy makes one for each row of the first."""
    if x.ndim == 2:
        return x @ weight
    return (x.reshape(-1, len(weight)) @ weight).reshape(*x.shape[:-1], weight.shape[1])


def _elu(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    negative = np.exp(np.minimum(x, 0.0))
    negative -= 1.0
    return np.maximum(x, negative)  # exp(x) - 1 is above x where x is negative, and 0 elsewhere


def _relu(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.maximum(x, 0.0)


_ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": _relu,
    "elu": _elu,
    "tanh": np.tanh,
}


def _scaled(
    centred: Float[np.ndarray, "... width"], norm: _Layer
) -> Float[np.ndarray, "... width"]:
    """Layer normalisation of numbers whose mean is zero."""
    variance = np.einsum("...i,...i->...", centred, centred) / centred.shape[-1]
    scale, shift = norm
    answer = centred * (1.0 / np.sqrt(variance + np.float32(1e-6)))[..., None]
    answer *= scale
    answer += shift
    return answer


def _fold(
    attention: Float[np.ndarray, "elements channels"], weight: Float[np.ndarray, "latent outputs"]
) -> Float[np.ndarray, "folded outputs"]:
    """The matrix that takes encoded states where `weight` takes the latent."""
    outputs = weight.shape[1]
    by_channel = weight.reshape(attention.shape[1], -1)
    return (attention @ by_channel).reshape(-1, outputs)
