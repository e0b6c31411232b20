"""report.html: a run on one self-contained page, readable on paper, a phone and in the dark.

Nothing is loaded at view time: figures are inline SVG, films animated WebP in data URIs. What the
run folder does not hold yet is said in a sentence, so a report can be written at any time.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from bodyplan.datasets.dataset import Dataset
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.confidence_intervals import half_width
from bodyplan.grouping.robot_groups import embodiment_distances, merge_tree
from bodyplan.report import run_figures
from bodyplan.report.figure_style import page_colour
from bodyplan.report.report_text import commands, facts, headline, joined_words
from bodyplan.report.run_record import RunRecord, flatten_metrics, number
from bodyplan.robots.robot import Robot
from bodyplan.storage import atomic_write

_MOST_REWARDS = 200_000  # a histogram shows no more
_SCORES = (
    "return_mean",
    "return_se",
    "data_return",
    "expert_return",
    "normalised_return",
    "length_mean",
    "velocity_error",
)
_NOT_SETTINGS = ("robots", "groups", "dataset_card_sha256")


def write_report(
    run: Path,
    dataset: Dataset | None = None,
    animations: Mapping[str, bytes] | None = None,
    out: Path | None = None,
) -> Path:
    """Write the report of a run; whoever reads the old one meanwhile sees it whole.

    Args:
        run: the run's folder.
        dataset: what it was trained on, for the histograms.
        animations: a WebP for each robot that is to be shown walking.
        out: the page; `report.html` in the run's folder where not given.

    Returns:
        Where the page is.

    Raises:
        BodyplanError: `run` is no run, a file in it is damaged, or the page cannot be written.
    """
    page = render_page(RunRecord.read(run), dataset, animations or {})
    target = Path(run) / "report.html" if out is None else Path(out)
    with atomic_write(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def render_page(record: RunRecord, dataset: Dataset | None, animations: Mapping[str, bytes]) -> str:
    """The page as HTML."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    rows = _rows(record)
    card = dataset.card if dataset is not None else {}
    return environment.get_template("page.html.j2").render(
        name=record.name,
        headline=headline(record),
        facts=facts(record, card),
        robots=record.robots,
        films=[
            {
                "name": robot,
                "source": "data:image/webp;base64," + b64encode(animations[robot]).decode(),
                "row": next((row for row in rows if row["name"] == robot), {}),
            }
            for robot in record.robots
            if robot in animations
        ],
        rows=rows,
        mean=_mean(record),
        episodes=record.evaluation.get("episodes"),
        returns=_returns(rows),
        progress=_progress(record),
        training=_training(record),
        embodiment=_embodiment(record),
        groups=[joined_words(group) for group in record.groups],
        histograms=_histograms(dataset, rows),
        settings=[
            (key, value)
            for key, value in flatten_metrics(record.config)
            if key not in _NOT_SETTINGS
        ],
        commands=commands(record, card),
    )


def _rows(record: RunRecord) -> list[dict[str, Any]]:
    """The table of returns; numbers that are missing or not finite are None."""
    palette = run_figures.colours(record.robots, record.groups)
    rows: list[dict[str, Any]] = []
    for name in record.robots:
        score = record.scores.get(name)
        if score is None:
            continue
        row: dict[str, Any] = {key: number(score.get(key)) for key in _SCORES}
        error = row["return_se"]
        interval = error and half_width(error, len(score.get("returns") or ()))
        rows.append(
            {**row, "name": name, "colour": page_colour(palette[name]), "interval": interval}
        )
    return rows


def _mean(record: RunRecord) -> dict[str, float | None]:
    mean = record.evaluation.get("mean") or {}
    keys = ("return_mean", "data_return", "expert_return", "normalised_return")
    return {key: number(mean.get(key)) for key in keys}


def _returns(rows: Sequence[Mapping[str, Any]]) -> Markup | None:
    if not rows:
        return None
    known = [
        run_figures.ReturnRow(
            row["name"],
            row["return_mean"],
            row["interval"],
            row["data_return"],
            row["expert_return"],
        )
        for row in rows
    ]
    return Markup(run_figures.returns(known))


def _progress(record: RunRecord) -> Markup | None:
    series = record.evaluations()
    palette = run_figures.colours(record.robots, record.groups)
    return (
        Markup(run_figures.curves("While training", "return", series, palette)) if series else None
    )


def _training(record: RunRecord) -> list[Markup]:
    """Every curve for which something was logged."""
    palette = run_figures.colours(record.robots, record.groups)
    losses = {"Q": record.curve("critic/q_loss"), "V": record.curve("critic/v_loss")}
    panels: list[tuple[str, str, Mapping[str, run_figures.Curve]]] = [
        ("Critic losses", "loss, log scale", {k: c for k, c in losses.items() if c[0]}),
        ("Mean Q", "value", _per_robot(record, "critic/q_mean")),
        ("Actor loss", "loss", _per_robot(record, "actor/loss")),
        (
            "Spread of advantage weights",
            "standard deviation",
            _per_robot(record, "actor/weight_std"),
        ),
    ]
    return [
        Markup(run_figures.curves(title, unit, series, palette, log="log" in unit))
        for title, unit, series in panels
        if series
    ]


def _per_robot(record: RunRecord, key: str) -> dict[str, run_figures.Curve]:
    """One curve a robot, or the one there is for all."""
    found = record.curves(key) or {"all robots": record.curve(key)}
    return {name: curve for name, curve in found.items() if curve[0]}


def _embodiment(record: RunRecord) -> dict[str, Any]:
    if not record.robots:
        return {"missing": "The run names no robots yet."}
    try:
        models = record.models
        bodies = [Robot.load(robot, models) for robot in record.robots]
        distances = embodiment_distances(bodies)
    except BodyplanError as error:
        return {"missing": f"Distances between the bodies are not shown: {error}."}
    tree = merge_tree(distances, record.robots)
    svg = run_figures.embodiment(record.robots, distances, tree, len(record.groups))
    return {"figure": Markup(svg)}


def _histograms(dataset: Dataset | None, rows: Sequence[Mapping[str, Any]]) -> list[Markup]:
    if dataset is None:
        return []
    by_name = {row["name"]: row for row in rows}
    drawn = []
    for name, episodes in dataset.episodes.items():
        row = by_name.get(name, {})
        every = max(1, len(episodes.rewards) // _MOST_REWARDS)
        svg = run_figures.data_histograms(
            name,
            np.asarray(episodes.returns, float),
            np.asarray(episodes.rewards[::every], float),
            row.get("return_mean"),
            row.get("expert_return"),
        )
        drawn.append(Markup(svg))
    return drawn
