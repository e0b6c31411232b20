"""metrics.jsonl: what training logged, one JSON object a line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.records import Count, checked_record
from bodyplan.storage import atomic_write

_FIX = "restore the file, or delete that line"


class Seconds(NamedTuple):
    """How long training took; of seeds that train at once, all of them together."""

    wall: float = 0.0
    cpu: float = 0.0
    """Of this process, all cores together."""

    def plus(self, more: "Seconds") -> "Seconds":
        """Both together."""
        return Seconds(self.wall + more.wall, self.cpu + more.cpu)

    def card(self) -> dict[str, float]:
        """As `wall_s` and `cpu_s`."""
        return {"wall_s": round(self.wall, 3), "cpu_s": round(self.cpu, 3)}


class MetricsLine(TypedDict):
    """A line of metrics.jsonl, which also has the metrics by their names, or of conflicts.jsonl."""

    update: Count
    wall_s: NotRequired[float]
    cpu_s: NotRequired[float]
    evaluation: NotRequired[dict[str, dict[str, Any]]]
    """Scores of each robot."""
    norms: NotRequired[list[float]]
    cosines: NotRequired[list[float]]


def name_metrics(metrics: Mapping[str, np.ndarray], robots: Sequence[str]) -> dict[str, float]:
    """Numbers under their names; one number a robot becomes their mean and `<name>/<robot>`.

    What is NaN or infinite is left out, as robots without a number are.
    """
    line: dict[str, float] = {}
    for name, values in metrics.items():
        line[name] = float(np.nanmean(values))
        if np.ndim(values):
            each = zip(robots, values, strict=True)
            line |= {f"{name}/{robot}": float(value) for robot, value in each}
    return {name: value for name, value in line.items() if np.isfinite(value)}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines, each a `MetricsLine`; the last may have been cut short by a kill.

    Raises:
        BodyplanError: another line is damaged.
    """
    if not path.is_file():
        return []
    lines, texts = [], path.read_bytes().splitlines()
    for number, text in enumerate(texts, 1):
        place = f"line {number} of {path}"
        try:
            line = json.loads(text)  # which also reads the NaN of older versions
        except (ValueError, RecursionError) as error:
            if number == len(texts):
                break
            raise BodyplanError(f"{place} is not readable as JSON ({error}); {_FIX}.") from error
        lines.append(checked_record(place, line, MetricsLine, _FIX))
    return lines


def rewind_lines(path: Path, update: int) -> Seconds:
    """Drop the lines after `update`; returns the time of training logged until then.

    Raises:
        BodyplanError: the disk is full, or the place cannot be written to.
    """
    kept = [line for line in read_lines(path) if line["update"] <= update]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(map(_text, kept)), encoding="utf-8")
    return Seconds(
        *(max((line.get(name, 0.0) for line in kept), default=0.0) for name in Seconds().card())
    )


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add one line.

    Raises:
        BodyplanError: the disk is full, or the place cannot be written to.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_text(line))
    except OSError as error:
        raise BodyplanError(
            f"{path} cannot be written ({error.strerror}); free some space or choose another "
            "--out, then run the same command again."
        ) from error


def _text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, allow_nan=False, default=float) + "\n"
