"""The checkpoints of a run as files: which there are, and the policy that is in each.

A checkpoint is the whole state of the learner. A note in it has the card of its policy, so that
the policy can be read without the data, without JAX, and before the run is finished.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.learn.policy_files import TENSORS, PolicyCard
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
    own = {
        name.removeprefix(_POLICY): tensor
        for name, tensor in tensors.items()
        if name.startswith(_POLICY)
    }
    write_tensors(folder / TENSORS, own, {})
    write_json(folder / CARD, {**card, "models": models_of(card, checkpoint.parent)})
