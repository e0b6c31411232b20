"""The files of a policy: where they are in a run, and the card, which says what the tensors are."""

from pathlib import Path
from typing import Any

from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.robots.registry import models_of
from bodyplan.storage import read_json

POLICY_FORMAT = 1
POLICY_FOLDER = "policy"
"""Where a run keeps its policy."""
TENSORS = "policy.safetensors"


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
        f"there is no policy in {path}; give the folder of a finished run or of its policy, or "
        "run the same `bodyplan train` again to finish it."
    )


def read_policy_card(folder: Path) -> dict[str, Any]:
    """The card in the folder of a policy; its `models` become absolute paths.

    Raises:
        BodyplanError: the card is damaged, or of another format.
    """
    card = read_json(folder / CARD)
    if card.get("format") != POLICY_FORMAT:
        raise BodyplanError(
            f"{folder / CARD} says format {card.get('format')}, this version reads "
            f"{POLICY_FORMAT}; train again or use the version of bodyplan that wrote it."
        )
    return card | {"models": models_of(card, folder)}
