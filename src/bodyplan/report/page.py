"""The HTML page of a run, report.html, in one self-contained file.

A page can be written at any time; a sentence stands for what the run does not have yet.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.whole_episodes import is_whole
from bodyplan.envs.walking_task import parse_command
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.video import first_frame
from bodyplan.grouping.clustering import cluster, merge_tree
from bodyplan.grouping.embodiment_distances import embodiment_distances
from bodyplan.report.body_charts import distance_chart
from bodyplan.report.charts import Chart
from bodyplan.report.headline import headline
from bodyplan.report.html_page import TableColumn, write_html
from bodyplan.report.repeat_commands import Partition, repeat_run
from bodyplan.report.returns_charts import (
    HISTOGRAM_MARKS,
    MARKS,
    data_returns_chart,
    returns_chart,
    summary_row,
)
from bodyplan.report.run_facts import provenance_facts, run_facts
from bodyplan.report.run_record import RunRecord, flatten_settings
from bodyplan.report.series_styles import SeriesStyle, series_styles
from bodyplan.report.training_charts import (
    MOST_LINES,
    conflict_charts,
    evaluation_charts,
    metric_charts,
)
from bodyplan.report.words import joined_words
from bodyplan.robots.robot import Robot

_HIDDEN_SETTINGS = ("robots", "groups", "dataset_card_sha256", "provenance", "resumed")
_LARGEST_MATRIX = 64
"""Robots at most whose distances can be seen in a matrix."""
_MOST_ROWS = 100
"""Robots at most whose returns can be seen in a chart."""


class _Bodies(NamedTuple):
    """The distances between the bodies of a run's robots."""

    distances: Float[np.ndarray, "R R"]
    tree: Float[np.ndarray, "merges 4"]


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
    target = Path(run) / "report.html" if out is None else Path(out)
    content = _content(RunRecord.read(run), dataset, videos or {}, cache)
    write_html(target, "run_report.html.j2", **content)
    return target


def _content(
    record: RunRecord,
    dataset: Dataset | None,
    videos: Mapping[str, bytes],
    cache: str | Path | None,
) -> dict[str, Any]:
    """What `run_report.html.j2` shows; arguments are those of `write_report`."""
    card = dataset.card if dataset is not None else {}
    styles = series_styles(record.robots)
    metrics, other_metrics = metric_charts(record)
    bodies = _bodies(record, cache)
    known = bodies if isinstance(bodies, _Bodies) else None
    by_bodies: dict[int, Partition] = {}
    if known is not None:
        count = len(record.groups)
        by_bodies[count] = cluster(known.distances, record.robots, count)
    return {
        "title": record.name,
        "name": record.name,
        "headline": headline(record.evaluation, record.robots),
        "facts": run_facts(record, card),
        "styles": styles,
        "has_filter": 1 < len(record.robots) <= MOST_LINES,
        "episodes": record.evaluation.get("episodes"),
        "table": _table(record, styles) if record.scores else None,
        "returns": returns_chart(record.scores) if 0 < len(record.scores) <= _MOST_ROWS else None,
        "evaluations": evaluation_charts(record),
        "films": _films(record, videos),
        "metrics": metrics,
        "other_metrics": other_metrics,
        "conflicts": _conflicts(record, known),
        "bodies": _body_chart(record, known),
        "bodies_missing": bodies if isinstance(bodies, str) else None,
        "groups": [joined_words(group) for group in record.groups],
        "marks": {name: MARKS[name][1] for name in HISTOGRAM_MARKS},
        "histograms": _histograms(dataset, record),
        "repeat": repeat_run(record, card, by_bodies),
        "provenance": provenance_facts(record, card),
        "settings": [
            (key, value)
            for key, value in flatten_settings(record.config)
            if key.partition(".")[0] not in _HIDDEN_SETTINGS
        ],
    }


def _table(record: RunRecord, styles: Mapping[str, SeriesStyle]) -> dict[str, Any]:
    """Columns, rows and means of the table of returns."""
    command = record.evaluation.get("command")
    if command is not None:
        command = parse_command(command if isinstance(command, str) else tuple(command))
    wanted = "" if command is None else f" of {np.hypot(command[0], command[1]):.2f}"
    columns = [
        TableColumn("robot", "Robot"),
        TableColumn("score", "Score", digits=2, strong=True),
        TableColumn("return_mean", "Return", error="return_se", strong=True),
        TableColumn("floor_return", "Standing"),
        TableColumn("expert_return", "Expert"),
        TableColumn("data_return", "Data"),
        TableColumn("data_best_return", "Data, best"),
        TableColumn("falls", "Falls", "%", 0),
        TableColumn("length_mean", "Length", "steps", 0),
        TableColumn("speed", "Speed", f"m/s{wanted}", 2),
        TableColumn("velocity_error", "Velocity error", "m/s", 2),
    ]
    scores = {name: record.scores[name] for name in record.robots if name in record.scores}
    scores |= record.scores
    rows = [
        summary_row(name, own, command) | {"style": styles.get(name)}
        for name, own in scores.items()
    ]
    columns = [columns[0], *(c for c in columns[1:] if any(r[c.key] is not None for r in rows))]
    mean = None
    if len(rows) > 1:
        every = {c.key: [row[c.key] for row in rows] for c in columns[1:]}
        mean = {
            key: None if None in values else float(np.mean(values)) for key, values in every.items()
        }
        mean["return_se"] = None
    return {"columns": columns, "rows": rows, "mean": mean}


def _films(record: RunRecord, videos: Mapping[str, bytes]) -> list[dict[str, str]]:
    """Each film, and its first image for readers who do not want motion."""
    return [
        {
            "robot": name,
            "source": _data_uri(videos[name]),
            "still": _data_uri(first_frame(videos[name])),
        }
        for name in record.robots
        if name in videos
    ]


def _data_uri(image: bytes) -> str:
    return "data:image/webp;base64," + b64encode(image).decode()


def _bodies(record: RunRecord, cache: str | Path | None) -> _Bodies | str:
    """Distances between bodies, or the sentence that says why there are none."""
    if not record.robots:
        return "The run does not name its robots yet."
    try:
        models = record.models
        robots = [Robot.load(robot, models) for robot in record.robots]
        distances = embodiment_distances(robots, cache=cache)
    except BodyplanError as error:
        return f"The distances between bodies cannot be shown: {error}."
    return _Bodies(distances, merge_tree(distances, record.robots))


def _body_chart(record: RunRecord, bodies: _Bodies | None) -> Chart | None:
    if bodies is None or not 1 < len(record.robots) <= _LARGEST_MATRIX:
        return None
    return distance_chart(record.robots, bodies.distances, bodies.tree, len(record.groups))


def _conflicts(record: RunRecord, bodies: _Bodies | None) -> list[Chart]:
    measured = record.conflicts
    if measured is None or len(record.robots) > _LARGEST_MATRIX:
        return []
    order: Sequence[str] = record.robots
    if bodies is not None:
        from scipy.cluster.hierarchy import leaves_list

        order = [record.robots[leaf] for leaf in leaves_list(bodies.tree)]
    return conflict_charts(measured, order)


def _histograms(dataset: Dataset | None, record: RunRecord) -> list[Chart]:
    """Returns of the whole episodes of each robot's data, or of all where none is whole."""
    if dataset is None or len(record.robots) > MOST_LINES:
        return []
    charts = []
    for name in record.robots:
        if name not in dataset.robots:
            continue
        episodes = dataset.episodes[name]
        whole = is_whole(episodes)
        returns = np.asarray(episodes.returns, float)
        if len(returns):
            shown = returns[whole] if whole.any() else returns
            charts.append(data_returns_chart(name, shown, record.scores.get(name, {})))
    return charts
