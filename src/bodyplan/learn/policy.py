"""The trained policy, as it is saved and loaded: all that acting needs.

A folder with `policy.safetensors` and `card.json`. The card says how large the network is, which
robots it was trained on, and how. A URMA policy acts on any robot, seen or not; a flat network on
the one robot that it was trained on.
"""

import importlib.metadata
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from bodyplan.datasets.format import CARD
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.checkpoint import named_arrays, restore_tree, save_tree
from bodyplan.learn.data.normalisation import ObservationScale
from bodyplan.learn.networks.architectures import (
    ActorNetwork,
    Sizes,
    architecture_of,
    require_possible,
    sizes_from_json,
    sizes_to_json,
)
from bodyplan.learn.networks.layers import ShapesOnly
from bodyplan.learn.networks.mlp import FlatPolicy
from bodyplan.learn.networks.urma_heads import URMAPolicy
from bodyplan.learn.numpy_policy import ACTION_LIMITS, NumPyPolicy
from bodyplan.learn.policy_files import (
    POLICY_FORMAT,
    TENSORS,
    policy_folder,
    read_policy_card,
    require_numbers,
)
from bodyplan.learn.registry import ALGORITHMS
from bodyplan.notebook_html import html_facts
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.registry import recorded_models
from bodyplan.storage import write_json


@dataclass(frozen=True, eq=False, repr=False)
class Policy:
    """A trained network and its card: `Policy.load("runs/mine")`."""

    network: ActorNetwork
    algorithm: Algorithm
    card: dict[str, Any]
    observation_scale: ObservationScale | None = None
    """What observations are standardised by before the network sees them."""

    @classmethod
    def of(
        cls,
        network: ActorNetwork,
        algorithm: Algorithm,
        sizes: Sizes,
        observation_scale: ObservationScale | None = None,
        **facts: Any,
    ) -> "Policy":
        """A policy from training; `facts` go on its card."""
        card = {
            "format": POLICY_FORMAT,
            "algorithm": ALGORITHMS.name_of(algorithm),
            "hyperparameters": asdict(algorithm),
            "network": sizes_to_json(sizes),
            "observation_scale": observation_scale.to_json() if observation_scale else None,
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(network)),
            "versions": {
                name: importlib.metadata.version(name) for name in ("jax", "equinox", "optax")
            },
            **facts,
        }
        return cls(network, algorithm, card, observation_scale)

    @classmethod
    def load(cls, path: str | Path) -> "Policy":
        """Read a policy from its folder or from the folder of its run.

        Raises:
            BodyplanError: there is no policy, or its files are damaged or of another format.
        """
        folder = policy_folder(path)
        card = read_policy_card(folder)
        try:
            algorithm = ALGORITHMS.make(card["algorithm"], card["hyperparameters"])
            sizes = sizes_from_json(card["network"])
            scale = card["observation_scale"]
            scale = ObservationScale.from_json(scale) if scale else None
            require_possible(sizes, card["parameters"])
            like = architecture_of(sizes).policy(ShapesOnly(np.random.PCG64()), sizes)
        except (KeyError, TypeError, ValueError, BodyplanError) as error:
            raise BodyplanError(
                f"{folder / CARD} is incomplete or of another version ({error}); restore it."
            ) from error
        network = restore_tree(folder / TENSORS, like)
        require_numbers(folder / TENSORS, jax.tree.leaves(network))
        return cls(network, algorithm, card, scale)

    def save(self, folder: str | Path) -> None:
        """Write the tensors, then the card: a folder with a card is whole.

        Paths of the user's own robots become relative to the folder.

        Raises:
            BodyplanError: the disk is full, or the place cannot be written to.
        """
        folder = Path(folder)
        save_tree(folder / TENSORS, self.network)
        models = recorded_models(self.card.get("models", {}), folder)
        write_json(folder / CARD, self.card | {"models": models})

    def act(
        self, observation: Observation, descriptor: RobotDescriptor
    ) -> Float[np.ndarray, "N J"]:
        """Actions for N copies of one robot, without exploration.

        The copies share a descriptor, or each has its own (a leading axis of N). bodyplan's own
        algorithms and networks act in NumPy. Others are compiled by JAX, once per shape.
        """
        if self._in_numpy is not None:
            return self._in_numpy.act(observation, descriptor)
        seen = self.observation_scale(observation) if self.observation_scale else observation
        act = _act if descriptor.context.ndim == 1 else _act_each
        return np.asarray(act(self.algorithm, self.network, seen, descriptor))

    @cached_property
    def _in_numpy(self) -> NumPyPolicy | None:
        """The same policy in NumPy; None where algorithm or network act in a way of their own."""
        if type(self.network) not in (URMAPolicy, FlatPolicy):
            return None
        limit, name = None, self.card["algorithm"]
        if name in ACTION_LIMITS:
            limit = ACTION_LIMITS[name]
        elif type(self.algorithm).act is not Algorithm.act:
            return None
        max_action = getattr(self.algorithm, limit) if limit else None
        return NumPyPolicy(named_arrays(self.network), self.card, max_action)

    @property
    def robots(self) -> tuple[str, ...]:
        """The robots it was trained on."""
        return tuple(self.card.get("robots", ()))

    def _facts(self) -> dict[str, str]:
        card, family = self.card, self.card["network"].get("family", "urma")
        return {
            "method": f"{card['algorithm']} {card.get('combine', '')}".strip(),
            "network": f"{family}, {card['parameters']:,} parameters",
            "trained on": ", ".join(self.robots) or "unknown robots",
            "updates": f"{card['update']:,}" if "update" in card else "unknown",
        }

    def __repr__(self) -> str:
        return f"Policy({'; '.join(f'{name}: {fact}' for name, fact in self._facts().items())})"

    def _repr_html_(self) -> str:
        return html_facts("Policy", self._facts())


@partial(jax.jit, static_argnums=0)
def _act(
    algorithm: Algorithm,
    network: ActorNetwork,
    observation: Observation,
    descriptor: RobotDescriptor,
) -> Float[Array, "N J"]:
    return algorithm.act(network, observation, descriptor)


@partial(jax.jit, static_argnums=0)
def _act_each(
    algorithm: Algorithm,
    network: ActorNetwork,
    observation: Observation,
    descriptor: RobotDescriptor,
) -> Float[Array, "N J"]:
    def one(seen: Observation, body: RobotDescriptor) -> Float[Array, "J"]:
        return algorithm.act(network, jax.tree.map(lambda part: part[None], seen), body)[0]

    return jax.vmap(one)(observation, descriptor)
