"""The card of a dataset: what the data are, by whom they were made, and a seal on all it says."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from bodyplan import __version__
from bodyplan.datasets.format import CARD, DATASET_FORMAT
from bodyplan.storage import write_json


def versions() -> dict[str, str]:
    """Of what decides the bytes of simulated data."""
    return {"bodyplan": __version__, "mujoco": mujoco.__version__, "numpy": np.__version__}


def seal(card: Mapping[str, Any]) -> str:
    """SHA-256 of all that a card says, but for its own `seal`, however it is laid out as text."""
    content = {key: value for key, value in card.items() if key != "seal"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_card(
    folder: Path, told: Mapping[str, Any], robots: Mapping[str, Mapping[str, Any]]
) -> None:
    """Writes the card of a dataset.

    Args:
        folder: of the dataset.
        told: recipe, command, seed, and whatever else there is to say of all the data.
        robots: each one's entry, as `Episodes.write` returns it.

    Raises:
        BodyplanError: the disk is full, or the folder cannot be written to.
    """
    card = {"format": DATASET_FORMAT, **told, "versions": versions(), "robots": dict(robots)}
    write_json(folder / CARD, {**card, "seal": seal(card)})
