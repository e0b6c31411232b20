"""The network architectures: policy, V and twin Q of each family, and their sizes by name.

Sizes decide the family: `NetworkSizes` is URMA's, `FlatSizes` that of multilayer perceptrons. The
protocols here say what algorithms need of a policy, of V and of twin Q.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Array, Float
from msgspec import convert

from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.batches import Bodies
from bodyplan.learn.networks import urma_heads
from bodyplan.learn.networks.mlp import FlatPolicy, FlatSizes, FlatTwinQ, FlatValue
from bodyplan.learn.networks.urma import PRESETS, NetworkSizes
from bodyplan.robots.descriptors import RobotDescriptor

Sizes = NetworkSizes | FlatSizes
FLAT = "flat"
_OLD_SIZES = {"spread": "initial_std"}
"""Sizes that older cards have under another name."""
NAMES = (*PRESETS, FLAT)
"""What `sizes_of` knows."""


class ActorNetwork(Protocol):
    """A Gaussian over every joint's action."""

    def __call__(
        self, observation: Observation, body: RobotDescriptor
    ) -> tuple[Float[Array, "N J"], Float[Array, "_ J"]]:
        """Mean and standard deviation of one robot's actions."""
        ...

    def over_robots(
        self, observations: Sequence[Observation], bodies: Sequence[Bodies]
    ) -> tuple[tuple[Float[Array, "r B J"], Float[Array, "r _ J"]], ...]:
        """Mean and standard deviation of all robots' actions, build by build."""
        ...


class ValueNetwork(Protocol):
    """V(s)."""

    def __call__(self, observation: Observation, body: RobotDescriptor) -> Float[Array, "N"]:
        """Values of one robot's states."""
        ...

    def over_robots(
        self, observations: Sequence[Observation], bodies: Sequence[Bodies]
    ) -> Float[Array, "R B"]:
        """Values of all robots' states."""
        ...


class TwinQNetwork(Protocol):
    """Two independent Q(s, a)."""

    def __call__(
        self, observation: Observation, action: Float[Array, "N J"], body: RobotDescriptor
    ) -> Float[Array, "2 N"]:
        """Both estimates for one robot."""
        ...

    def over_robots(
        self,
        observations: Sequence[Observation],
        actions: Sequence[Float[Array, "r B J"]],
        bodies: Sequence[Bodies],
    ) -> Float[Array, "2 R B"]:
        """Both estimates for all robots."""
        ...


class Architecture(NamedTuple):
    """What makes each head, from a generator of initial values and the family's sizes."""

    policy: Callable[[np.random.Generator, Any], ActorNetwork]
    value: Callable[[np.random.Generator, Any], ValueNetwork]
    twin_q: Callable[[np.random.Generator, Any], TwinQNetwork]


_FAMILIES: dict[str, tuple[type[Sizes], Architecture]] = {
    "urma": (
        NetworkSizes,
        Architecture(urma_heads.URMAPolicy, urma_heads.URMAValue, urma_heads.URMATwinQ),
    ),
    "flat": (FlatSizes, Architecture(FlatPolicy, FlatValue, FlatTwinQ)),
}
"""By the name that a policy's card gives."""


def architecture_of(sizes: Sizes) -> Architecture:
    """The heads that go with these sizes."""
    return _FAMILIES[_family_name(sizes)][1]


def sizes_of(name: str, builds: Sequence[tuple[int, int]]) -> Sizes:
    """The sizes that a name stands for.

    Args:
        name: one of `NAMES`.
        builds: joints and feet of each robot the networks are for.

    Raises:
        BodyplanError: there is no such name, or `flat` is to be for several robots.
    """
    if name not in NAMES:
        raise BodyplanError(f"no network is called {name}; choose one of {', '.join(NAMES)}")
    if name != FLAT:
        return PRESETS[name]
    if len(builds) != 1:
        raise BodyplanError(
            f"network {FLAT} is for one robot and there are {len(builds)}; name one with robots, "
            f"or choose one of {', '.join(PRESETS)}"
        )
    return FlatSizes(*builds[0])


def sizes_to_json(sizes: Sizes) -> dict[str, Any]:
    """For a policy's card."""
    return {"family": _family_name(sizes), **asdict(sizes)}


def sizes_from_json(card: Mapping[str, Any]) -> Sizes:
    """The sizes on a card; one that names no family is of URMA, once the only one.

    Raises:
        KeyError: there is no such family.
        TypeError: a size is unknown to it.
        ValueError: a size is of another type.
    """
    kind, _ = _FAMILIES[card.get("family", "urma")]
    sizes = {_OLD_SIZES.get(name, name): card[name] for name in card if name != "family"}
    kind(**sizes)  # which refuses names that it does not know
    return convert(sizes, kind)


def require_possible(sizes: Sizes, parameters: int) -> None:
    """Refuses sizes before anything is built: no layer is wider than a network has parameters.

    Raises:
        ValueError: a size is above the number of parameters.
    """
    for name, value in asdict(sizes).items():
        for width in value if isinstance(value, tuple) else (value,):
            if type(width) is int and width > parameters:
                raise ValueError(f"{name} is {value}, and there are {parameters:,} parameters")


def _family_name(sizes: Sizes) -> str:
    return next(name for name, (kind, _) in _FAMILIES.items() if isinstance(sizes, kind))
