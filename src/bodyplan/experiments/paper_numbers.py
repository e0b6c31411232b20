"""Numbers that the paper reports: mean returns and their standard errors over five seeds.

Its ablations have runs of their own, so that IQL and IQL+EG differ a little there from the main
table. Where a number is missing here, no copy of the paper at hand has it.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

_SHARED = {"table1": "table3"}
"""A table whose columns are also in another one."""


def reported_returns(name: str) -> dict[str, dict[str, tuple[float, float]]]:
    """What the paper reports in a table, by set and arm: mean return and its standard error."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for row in _returns(name):
        if row["error"]:
            found.setdefault(row["set"], {})[row["arm"]] = float(row["return"]), float(row["error"])
    return found


def reported_means(name: str) -> dict[str, dict[str, float]]:
    """The same without errors, also where these are not known."""
    found: dict[str, dict[str, float]] = {}
    for row in _returns(name):
        found.setdefault(row["set"], {})[row["arm"]] = float(row["return"])
    return found


def _returns(name: str) -> Iterator[dict[str, str]]:
    return (r for r in _rows("paper_numbers.csv") if r["table"] == _SHARED.get(name, name))


def reported_settings(name: str) -> dict[str, str]:
    """What the paper tells of settings, by the part of the code and the setting's name there."""
    return {
        row["setting"]: row["value"] for row in _rows("paper_settings.csv") if row["table"] == name
    }


def _rows(file_name: str) -> Iterator[dict[str, str]]:
    with (Path(__file__).parent / file_name).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)
