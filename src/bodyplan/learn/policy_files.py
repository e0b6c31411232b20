"""The files of a policy: where they are in a run, and the card, which says what the tensors are."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.provenance import Origin
from bodyplan.records import Count, Size, Triple, read_record
from bodyplan.robots.feature_sizes import GENERAL_OBSERVATION_SIZE
from bodyplan.robots.registry import models_of
from bodyplan.storage import read_tensors

POLICY_FORMAT = 1
POLICY_FOLDER = "policy"
"""Where a run keeps its policy."""
TENSORS = "policy.safetensors"


_FIX = "restore it, or run the same `bodyplan train` again, which saves a damaged policy anew"


class ScaledParts(TypedDict):
    """A number for each kind of number in an observation."""

    joints: tuple[float, float, float]
    feet: tuple[float, float]
    general: Annotated[list[float], Meta(min_length=GENERAL_OBSERVATION_SIZE)]


class StoredScale(TypedDict):
    """Means and standard deviations of observations; an older version called these `spread`."""

    mean: ScaledParts
    std: NotRequired[ScaledParts]
    spread: NotRequired[ScaledParts]


class StoredSizes(TypedDict, total=False):
    """Sizes of either family of networks, under their names in `networks/`."""

    family: Literal["urma", "flat"]
    joint_channels: Size
    joint_width: Size
    foot_channels: Size
    foot_width: Size
    core: tuple[Size, Size, Size]
    critic_core: tuple[Size, Size, Size]
    description: Size
    decoder: Size
    readout: bool
    temperature: float
    actions: Literal["slots", "joints"]
    action: Size
    action_slots: Size
    joints: Size
    feet: Count
    hidden: list[Size]
    activation: Literal["relu", "elu", "tanh"]
    squash: float | None
    initial_std: float
    spread: float


class PolicyCard(TypedDict):
    """What the tensors of a policy are; more may stand on the card."""

    algorithm: str
    hyperparameters: dict[str, Any]
    """Of that algorithm."""
    network: StoredSizes
    observation_scale: StoredScale | None
    parameters: Count
    robots: NotRequired[list[str]]
    models: NotRequired[dict[str, str]]
    command: NotRequired[Triple | None]
    update: NotRequired[Count]
    seed: NotRequired[int]
    combine: NotRequired[str]
    groups: NotRequired[list[list[str]]]
    recipe: NotRequired[str | None]
    provenance: NotRequired[Origin]


def policy_folder(path: str | Path) -> Path:
    """The folder of a policy, which is given itself or as its run.

    Raises:
        BodyplanError: there is no policy.
    """
    path = Path(path)
    for folder in (path / POLICY_FOLDER, path):
        if (folder / CARD).is_file() and (folder / TENSORS).is_file():
            return folder
    raise BodyplanError(
        f"there is no policy in {path}, which has a {CARD} and {TENSORS}; give the folder of a "
        "finished run or of its policy, or run the same `bodyplan train` again to finish it."
    )


def require_numbers(path: Path, tensors: Iterable[Any]) -> None:
    """Refuses parameters that are NaN or infinite.

    Raises:
        BodyplanError: one is.
    """
    if not all(np.isfinite(tensor).all() for tensor in tensors):
        raise BodyplanError(f"{path} holds NaN or infinity; {_FIX}.")


def read_policy_card(folder: Path) -> dict[str, Any]:
    """The card in the folder of a policy; its `models` become absolute paths.

    Raises:
        BodyplanError: the card is damaged, or of another format.
    """
    card = read_record(folder / CARD, PolicyCard, _FIX, POLICY_FORMAT)
    return card | {"models": models_of(card, folder)}


def read_policy_tensors(folder: Path) -> dict[str, np.ndarray]:
    """The parameters in the folder of a policy, by their names.

    Raises:
        BodyplanError: the file is missing or damaged.
    """
    return read_tensors(folder / TENSORS, _FIX)[0]
