"""The HTML page of a run, report.html, in one self-contained file.

The browser loads nothing else: figures are inline SVG, videos are animated WebP in data URIs. A
report can be written at any time; a sentence stands for what the run does not have yet.
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
from bodyplan.evaluation.evaluation import SCORE_COLUMNS
from bodyplan.evaluation.significance import half_width
from bodyplan.grouping.clustering import merge_tree
from bodyplan.grouping.embodiment_distances import embodiment_distances
from bodyplan.report import run_figures
from bodyplan.report.charts import Curve
from bodyplan.report.figure_style import page_colour
from bodyplan.report.report_text import commands, facts, headline
from bodyplan.report.run_record import RunRecord, flatten_settings, number
from bodyplan.report.words import joined_words
from bodyplan.robots.robot import Robot
from bodyplan.storage import atomic_write

_MAX_REWARDS = 200_000  # of a histogram; more make no difference that can be seen
_HIDDEN_SETTINGS = ("robots", "groups", "dataset_card_sha256")


def write_report(
    run: str | Path,
    dataset: Dataset | None = None,
    videos: Mapping[str, bytes] | None = None,
    out: str | Path | None = None,
    cache: str | Path | None = None,
) -> Path:
    """Write the report of a run.

    Args:
        run: folder of the run.
        dataset: the dataset of its training, for histograms.
        videos: an animated WebP for each robot's name, as `robot_videos` returns.
        out: the page; by default `report.html` in the folder of the run.
        cache: folder in which distances between bodies are kept; by default, none are kept.

    Returns:
        The path of the page.

    Raises:
        BodyplanError: `run` is not a run, a file in it is damaged, or the page cannot be written.
    """
    page = render_page(RunRecord.read(run), dataset, videos or {}, cache)
    target = Path(run) / "report.html" if out is None else Path(out)
    with atomic_write(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def render_page(
    record: RunRecord,
    dataset: Dataset | None,
    videos: Mapping[str, bytes],
    cache: str | Path | None = None,
) -> str:
    """Render the page as HTML; arguments are those of `write_report`."""
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
        videos=[
            {
                "name": robot,
                "source": "data:image/webp;base64," + b64encode(videos[robot]).decode(),
                "row": next((row for row in rows if row["name"] == robot), {}),
            }
            for robot in record.robots
            if robot in videos
        ],
        rows=rows,
        mean=_mean(record),
        episodes=record.evaluation.get("episodes"),
        returns=_returns(rows),
        progress=_progress(record),
        training=_training(record),
        embodiment=_embodiment(record, cache),
        groups=[joined_words(group) for group in record.groups],
        histograms=_histograms(dataset, rows),
        settings=[
            (key, value)
            for key, value in flatten_settings(record.config)
            if key not in _HIDDEN_SETTINGS
        ],
        commands=commands(record, card),
    )


def _rows(record: RunRecord) -> list[dict[str, Any]]:
    """Rows of the table of returns; a number that is missing or not finite is None."""
    palette = run_figures.robot_colours(record.robots, record.groups)
    rows: list[dict[str, Any]] = []
    for name in record.robots:
        score = record.scores.get(name)
        if score is None:
            continue
        row: dict[str, Any] = {key: number(score.get(key)) for key in SCORE_COLUMNS}
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
    return Markup(run_figures.plot_returns(known))


def _progress(record: RunRecord) -> Markup | None:
    series = record.evaluations()
    palette = run_figures.robot_colours(record.robots, record.groups)
    if not series:
        return None
    return Markup(run_figures.plot_curves("During training", "return", series, palette))


def _training(record: RunRecord) -> list[Markup]:
    """A figure for each metric that was logged."""
    palette = run_figures.robot_colours(record.robots, record.groups)
    losses = {"Q": record.curve("critic/q_loss"), "V": record.curve("critic/v_loss")}
    panels: list[tuple[str, str, Mapping[str, Curve]]] = [
        ("Critic losses", "loss, log scale", {k: c for k, c in losses.items() if c[0]}),
        ("Mean Q", "value", _per_robot(record, "critic/q_mean")),
        ("Actor loss", "loss", _per_robot(record, "actor/loss")),
        (
            "Std of advantage weights",
            "standard deviation",
            _per_robot(record, "actor/weight_std"),
        ),
    ]
    return [
        Markup(run_figures.plot_curves(title, unit, series, palette, log="log" in unit))
        for title, unit, series in panels
        if series
    ]


def _per_robot(record: RunRecord, key: str) -> dict[str, Curve]:
    """A curve for each robot, or one for all robots if it was logged so."""
    found = record.curves(key) or {"all robots": record.curve(key)}
    return {name: curve for name, curve in found.items() if curve[0]}


def _embodiment(record: RunRecord, cache: str | Path | None) -> dict[str, Any]:
    if not record.robots:
        return {"missing": "The run does not name its robots yet."}
    try:
        models = record.models
        bodies = [Robot.load(robot, models) for robot in record.robots]
        distances = embodiment_distances(bodies, cache=cache)
    except BodyplanError as error:
        return {"missing": f"The distances between bodies cannot be shown: {error}."}
    tree = merge_tree(distances, record.robots)
    svg = run_figures.plot_distances(record.robots, distances, tree, len(record.groups))
    return {"figure": Markup(svg)}


def _histograms(dataset: Dataset | None, rows: Sequence[Mapping[str, Any]]) -> list[Markup]:
    if dataset is None:
        return []
    by_name = {row["name"]: row for row in rows}
    drawn = []
    for name, episodes in dataset.episodes.items():
        row = by_name.get(name, {})
        every = max(1, len(episodes.rewards) // _MAX_REWARDS)
        svg = run_figures.plot_histograms(
            name,
            np.asarray(episodes.returns, float),
            np.asarray(episodes.rewards[::every], float),
            row.get("return_mean"),
            row.get("expert_return"),
        )
        drawn.append(Markup(svg))
    return drawn
