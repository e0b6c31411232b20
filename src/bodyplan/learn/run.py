"""A run on disk: configuration, metrics, policy and checkpoints in one folder."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, get_args, get_type_hints

from bodyplan.dataframes import dataframe
from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.learn.config import (
    GROUPS_FROM,
    NOT_IN_IDENTITY,
    PROVENANCE,
    RESUMED,
    TrainConfig,
    flat_settings,
    renamed,
)
from bodyplan.learn.metrics_file import read_lines
from bodyplan.learn.policy_files import POLICY_FOLDER, TENSORS
from bodyplan.notebook_html import html_facts
from bodyplan.provenance import Origin, utc_now
from bodyplan.records import read_record
from bodyplan.robots.registry import models_of
from bodyplan.storage import write_json

if TYPE_CHECKING:
    import pandas

    from bodyplan.learn.policy import Policy

CONFIG, METRICS, CHECKPOINTS, BEST = "config.json", "metrics.jsonl", "checkpoints", "best"
CONFLICTS = "conflicts.jsonl"
_FIX = "restore it, or train again"


def _in_json(kind: Any) -> Any:
    """The type of a setting's value in JSON, where paths are texts."""
    if isinstance(kind, UnionType):
        return reduce(or_, map(_in_json, get_args(kind)))
    return str if kind is Path else kind


_SETTINGS = get_type_hints(TrainConfig, localns={"Algorithm": str, "Combiner": str})
RunConfig = TypedDict(
    "RunConfig",
    {
        **{name: NotRequired[_in_json(kind)] for name, kind in _SETTINGS.items()},  # type: ignore[misc]
        "data": str,
        "robots": list[str],
        "groups": NotRequired[list[list[str]]],
        "together": NotRequired[list[int | str]],
        GROUPS_FROM: NotRequired[int | str | None],
        "dataset_card_sha256": NotRequired[str],
        PROVENANCE: NotRequired[Origin | None],
        RESUMED: NotRequired[list[dict[str, int | str | None]]],
    },
)
"""The content of config.json, which also has the hyperparameters of its methods, by their names."""
_DEFAULTS = {one.name: one.default for one in fields(TrainConfig) if one.default is not MISSING}


class _WithModels(TypedDict):
    models: NotRequired[dict[str, str]]


@dataclass(frozen=True, repr=False)
class Run:
    """A run on disk, finished or not: `Run("runs/mine")`."""

    path: Path

    def __init__(self, path: str | Path) -> None:
        object.__setattr__(self, "path", Path(path))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.json, a `RunConfig`: settings, robots, groups, the data's checksum.

        Raises:
            BodyplanError: the folder is no run's, or the file is damaged.
        """
        if not (self.path / CONFIG).exists():
            raise BodyplanError(
                f"{self.path} is not a run, for it has no {CONFIG}; give the folder of a run that "
                "`bodyplan train` wrote"
            )
        config = read_record(self.path / CONFIG, RunConfig, _FIX)
        for name in ("algorithm", "combine", "updates"):
            config.setdefault(name, _DEFAULTS[name])
        return config

    @property
    def train_config(self) -> TrainConfig:
        """The configuration that the run was trained with.

        Raises:
            BodyplanError: config.json is missing, damaged or of another version.
        """
        document = self.config
        try:
            return TrainConfig.from_json(document)
        except (KeyError, TypeError, BodyplanError) as error:
            raise BodyplanError(
                f"{self.path / CONFIG} is of another version of bodyplan ({error}); train again"
            ) from error

    @property
    def robots(self) -> tuple[str, ...]:
        """The robots it is trained on."""
        return tuple(self.config["robots"])

    @property
    def has_policy(self) -> bool:
        """Whether training has ended and left its policy."""
        return all((self.path / POLICY_FOLDER / name).is_file() for name in (CARD, TENSORS))

    @cached_property
    def policy(self) -> "Policy":
        """The trained policy.

        Raises:
            BodyplanError: the run is not finished, or the policy's files are damaged.
        """
        from bodyplan.learn.policy import Policy  # and JAX with it

        return Policy.load(self.path)

    @cached_property
    def models(self) -> dict[str, str]:
        """Absolute paths of the user's own robots by name; also of an unfinished run."""
        for card in (self.path / POLICY_FOLDER / CARD, Path(self.config["data"]) / CARD):
            if card.is_file():
                return models_of(read_record(card, _WithModels), card.parent)
        return {}

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return read_lines(self.path / METRICS)

    def to_dataframe(self) -> "pandas.DataFrame":
        """The training metrics, a row for each interval, by the number of updates.

        Raises:
            BodyplanError: pandas is not installed.
        """
        lines = [line for line in self.metrics if "evaluation" not in line]
        return dataframe(lines, index="update")

    def _facts(self) -> dict[str, str]:
        config = self.config
        last = max((line["update"] for line in self.metrics), default=0)
        state = "finished" if self.has_policy else f"stopped at update {last}"
        return {
            "path": str(self.path),
            "method": f"{config['algorithm']} {config['combine']}",
            "robots": ", ".join(self.robots),
            "updates": f"{config['updates']:,} ({state})",
        }

    def __repr__(self) -> str:
        if not (self.path / CONFIG).is_file():
            return f"Run({str(self.path)!r}: no run is there)"
        return f"Run({'; '.join(self._facts().values())})"

    def _repr_html_(self) -> str:
        return html_facts("Run", self._facts()) if (self.path / CONFIG).is_file() else repr(self)


def runs_in(folder: Path) -> tuple[Run, ...]:
    """The run in a folder, or those of all seeds that were trained side by side in it."""
    seeds = sorted(folder.glob("seed*/" + CONFIG), key=lambda path: (len(str(path)), path))
    if seeds and not (folder / CONFIG).is_file():
        return tuple(Run(path.parent) for path in seeds)
    return (Run(folder),)


def claim_folder(
    folder: Path, identity: Mapping[str, Any], provenance: Mapping[str, Any] | None = None
) -> None:
    """Write a run's identity into its folder, or find the same one there, or one of fewer updates.

    Args:
        folder: the run's.
        identity: what must be the same for the run to be continued.
        provenance: of this process, written beside the identity where the run begins.

    Raises:
        BodyplanError: the folder holds a run of other settings or other data.
    """
    path = folder / CONFIG
    begun = any((folder / CHECKPOINTS).glob("*.safetensors")) or bool(read_lines(folder / METRICS))
    if begun and not path.is_file():
        raise BodyplanError(
            f"{folder} has checkpoints or metrics of a run but no {CONFIG}, which says of which; "
            "restore that file, or choose another --out"
        )
    if not begun:  # also where an attempt failed before its first update
        write_json(path, {**identity, PROVENANCE: provenance} if provenance else dict(identity))
        return
    # Through JSON, so that tuples and paths compare with what was written. What a run of an older
    # version does not name had the value that is the default now.
    now = flat_settings(json.loads(json.dumps(identity, default=str)))
    then = flat_settings({**_DEFAULTS, **renamed(read_record(path, RunConfig, _FIX))})
    for name in sorted(now.keys() | then.keys()):
        if name.split(".")[0] in NOT_IN_IDENTITY or now.get(name) == then.get(name):
            continue
        if name == "updates" and name in now and name in then:
            if now[name] > then[name]:
                continue  # more of the same
            raise BodyplanError(
                f"{folder} is trained for {then[name]:,} updates, and {now[name]:,} are asked for; "
                "give as many or more to continue it, or choose another --out"
            )
        if name == "dataset_card_sha256":
            raise BodyplanError(
                f"the data at {now.get('data')} are not those that {folder} is trained on "
                "(their card.json differs); give those data or choose another --out"
            )
        raise BodyplanError(
            f"{path} says {name} {then.get(name)} where {now.get(name)} is asked for; "
            "give the same value to continue that run or choose another --out"
        )


def continue_run(folder: Path, updates: int, provenance: Mapping[str, Any], update: int) -> None:
    """Bring a claimed folder up to date with how it is trained from now on.

    Where another version or machine continues it, config.json lists that. Where more updates are
    asked for than before, it says how many, and the policy of the shorter training is removed; the
    checkpoint that it is from stays.

    Args:
        folder: the run's.
        updates: updates that are asked for.
        provenance: of this process.
        update: updates done before.

    Raises:
        BodyplanError: an older version began the run and counted something otherwise.
    """
    config = Run(folder).config
    known = [*filter(None, [config.get(PROVENANCE)]), *config.get(RESUMED, [])]
    if update and not known and config.get(config["algorithm"], {}).get("actor_decay"):
        raise BodyplanError(
            f"{folder} was begun by an older version, whose actor_decay counted steps of the actor "
            "and not updates; train it again with another --out"
        )
    facts = provenance.keys() - {"date"}
    now = dict(config)
    if not known or any(known[-1].get(name) != provenance[name] for name in facts):
        entry = {"update": update, **provenance, "date": utc_now()}
        now[RESUMED] = [*config.get(RESUMED, []), entry]
    if updates > config["updates"]:
        now["updates"] = updates
        # The card goes first, so that at no moment there is half a policy.
        (folder / POLICY_FOLDER / CARD).unlink(missing_ok=True)
        shutil.rmtree(folder / POLICY_FOLDER, ignore_errors=True)
    if now != config:
        write_json(folder / CONFIG, now)
