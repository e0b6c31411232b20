"""The checkpoints of a run as files: which there are, and the policy that is in each.

A checkpoint is the whole state of the learner. A note in it has the card of its policy, so that
the policy can be read without the data, without JAX, and before the run is finished.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.learn.policy_files import (
    TENSORS,
    PolicyCard,
    read_policy_card,
    read_policy_tensors,
)
from bodyplan.records import checked_record
from bodyplan.robots.registry import models_of, recorded_models
from bodyplan.storage import read_tensors, write_json, write_tensors

_NOTE = "policy_card"
_POLICY = "actor.policy."  # begins the names of the policy's tensors in a state


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """The updates and paths of a folder's checkpoints, oldest first."""
    found = [path for path in folder.glob("*.safetensors") if path.stem.isdecimal()]
    return sorted((int(path.stem), path) for path in found)


def policy_note(card: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """A policy's card as the note of a checkpoint in `folder`."""
    models = recorded_models(card.get("models", {}), folder)
    return {_NOTE: json.dumps({**card, "models": models}, default=str)}


def extract_policy(checkpoint: Path, folder: Path) -> None:
    """Write the policy of a checkpoint into a folder, as a finished run has it.

    Raises:
        BodyplanError: the checkpoint is damaged, or older than such notes.
    """
    tensors, notes = read_tensors(checkpoint)
    try:
        card = msgspec.json.decode(notes[_NOTE])
    except (KeyError, ValueError, RecursionError) as error:
        raise BodyplanError(
            f"{checkpoint} does not say how its policy acts, because an older version of bodyplan "
            "wrote it; continue the run with `bodyplan train`, whose next checkpoints do"
        ) from error
    checked_record(f"the policy's card in {checkpoint}", card, PolicyCard)
    write_tensors(folder / TENSORS, _policy_in(tensors), {})
    write_json(folder / CARD, {**card, "models": models_of(card, checkpoint.parent)})


def holds_policy(checkpoint: Path, folder: Path) -> bool:
    """Whether a folder holds the policy of a checkpoint, and neither is damaged."""
    try:
        read_policy_card(folder)
        found = read_policy_tensors(folder)
        expected = _policy_in(read_tensors(checkpoint)[0])
    except BodyplanError:
        return False
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], tensor) for name, tensor in expected.items()
    )


def _policy_in(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of the policy in a state, under its own names."""
    return {
        name.removeprefix(_POLICY): tensor
        for name, tensor in tensors.items()
        if name.startswith(_POLICY)
    }
