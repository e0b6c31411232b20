"""A run's folder: whose it is, and what can be read from it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.learn.config import UNRELATED
from bodyplan.learn.metrics_file import read_lines
from bodyplan.learn.policy import POLICY_FOLDER, Policy
from bodyplan.storage import read_json, write_json

CONFIG, METRICS, CHECKPOINTS, BEST = "config.json", "metrics.jsonl", "checkpoints", "best"
CONFLICTS = "conflicts.jsonl"


@dataclass(frozen=True)
class Run:
    """A run on disk."""

    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """Settings, robots, groups, and the checksum of the data's card."""
        return read_json(self.path / CONFIG)

    @cached_property
    def policy(self) -> Policy:
        """What the run has learned; an error while it is not finished."""
        return Policy.load(self.path)

    @cached_property
    def models(self) -> dict[str, str]:
        """Where its robots that are not packaged have their models; also of an unfinished run."""
        for card in (self.path / POLICY_FOLDER / CARD, Path(self.config["data"]) / CARD):
            if card.is_file():
                return read_json(card).get("models", {})
        return {}

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return read_lines(self.path / METRICS)


def seeds_of(folder: Path) -> tuple[Run, ...]:
    """The run in a folder, or those of all seeds that were trained side by side in it."""
    seeds = sorted(folder.glob("seed*/" + CONFIG), key=lambda path: (len(str(path)), path))
    if seeds and not (folder / CONFIG).is_file():
        return tuple(Run(path.parent) for path in seeds)
    return (Run(folder),)


def claim(folder: Path, identity: Mapping[str, Any]) -> None:
    """Write a run's identity into its folder, or find the same one there.

    Raises:
        BodyplanError: the folder holds a run of other settings or other data.
    """
    path = folder / CONFIG
    if not path.is_file():
        write_json(path, dict(identity))
        return
    # Through JSON, so that tuples and paths compare with what was written.
    now = _flat(json.loads(json.dumps(identity, default=str)))
    then = _flat(read_json(path))
    for name in sorted((now.keys() | then.keys()) - UNRELATED):
        if now.get(name) == then.get(name):
            continue
        if name == "dataset_card_sha256":
            raise BodyplanError(
                f"the data at {now.get('data')} are not those that {folder} is trained on "
                "(their card.json differs); give those data or choose another --out"
            )
        raise BodyplanError(
            f"{path} says {name} {then.get(name)} where {now.get(name)} is asked for; "
            "give the same value to continue that run or choose another --out"
        )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names, as on the command line."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
