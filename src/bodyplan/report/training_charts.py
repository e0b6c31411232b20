"""Charts of training: every metric that was logged, evaluations on the way, gradient conflict.

A metric is named `<network>/<name>`, with `/<robot>` behind it where each robot has its own.
Metrics of one name are one chart: a line for each robot, or one for each network. So a metric that
another version or another package's algorithm logs has its chart, too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.report.charts import Chart, Curve, heat_map, line_chart
from bodyplan.report.run_record import ConflictRecord, RunRecord
from bodyplan.report.series_styles import SeriesStyle, series_styles

MOST_LINES = 36
"""Robots at most that have a line each; of more, the mean and the tenths are shown."""
_NOT_METRICS = ("update", "wall_s", "cpu_s", "updates_per_s", "evaluation")
_ELSEWHERE = ("actor/conflict", "actor/cosine")
_TITLES = {
    "critic/q_loss": "Loss of Q",
    "critic/v_loss": "Loss of V",
    "critic/loss": "Loss of the critics",
    "critic/q_mean": "Mean Q",
    "critic/v_mean": "Mean V",
    "actor/loss": "Loss of the actor",
    "actor/weight_std": "Spread of advantage weights",
    "actor/weight_mean": "Mean advantage weight",
    "grad_norm": "Gradient norms",
    "clipped": "Clipped steps",
}
_UNITS = {"clipped": "share", "weight_std": "standard deviation"}
_TOGETHER = {"q_loss": "Losses of the critics", "v_loss": "Losses of the critics"}
"""Metrics of different names that share a chart."""
_LOG = ("q_loss", "v_loss", "grad_norm")
_COSINES = ("#b2480e", "#f4f4f1", "#08406b")


class MetricKey(NamedTuple):
    """The parts of a metric's name."""

    network: str
    name: str
    part: str
    """A robot, a group, or nothing."""

    @classmethod
    def of(cls, key: str) -> "MetricKey":
        network, _, rest = key.rpartition("/") if key.count("/") == 1 else key.partition("/")
        name, _, part = rest.partition("/")
        return cls(network, name, part)


def evaluation_charts(record: RunRecord) -> list[Chart]:
    """Returns and falls in the evaluations during training."""
    styles = series_styles(record.robots)
    kinds = (
        ("return_mean", "Return in evaluations", "", 1.0),
        ("normalised_return", "Score in evaluations", "0 stands still, 1 is the expert", 1.0),
        ("fall_share", "Falls in evaluations", "% of episodes", 100.0),
    )
    found = []
    for key, title, unit, factor in kinds:
        curves = {
            robot: (places, [factor * value for value in values])
            for robot, (places, values) in record.evaluations(key).items()
        }
        if curves:
            chart = _of_robots(f"evaluations-{key}", title, curves, styles, unit=unit, zero=True)
            found.append(chart)
    return found


def metric_charts(record: RunRecord) -> list[Chart]:
    """A chart for each name of a metric, those of bodyplan's own algorithms first."""
    styles = series_styles(record.robots)
    charts = []
    for title, keys in _by_chart(record.metric_keys(), record.robots).items():
        curves = {_label(key, keys): record.curve("/".join(filter(None, key))) for key in keys}
        curves = {label: curve for label, curve in curves.items() if curve[0]}
        if not curves:
            continue
        name, unit = _identifier(title), _UNITS.get(keys[0].name, "")
        log = keys[0].name in _LOG
        if keys[0].part in record.robots:
            charts.append(_of_robots(name, title, curves, styles, unit=unit, log=log))
        else:
            own = series_styles(curves)
            charts.append(line_chart(name, title, curves, own, unit=unit, log=log))
    return charts


def conflict_charts(conflicts: ConflictRecord, order: Sequence[str]) -> list[Chart]:
    """How robots' gradients agree: the mean cosine of each pair, and conflicts over training.

    Args:
        conflicts: measurements during training.
        order: the robots in the order in which they are shown.
    """
    places = [conflicts.robots.index(name) for name in order]
    cosines = conflicts.mean_cosines[np.ix_(places, places)]
    off = cosines.copy()
    np.fill_diagonal(off, np.nan)
    most = float(np.nanmax(np.abs(off))) if len(order) > 1 else 1.0
    charts = [
        heat_map(
            "conflict-cosines",
            "Cosine between robots' gradients",
            order,
            order,
            off,
            colours=_COSINES,
            limits=(-most, most),
            filtered=True,
            cell=40 if len(order) <= 8 else 21,
            caption="Means over training. Orange pairs pull the actor apart.",
        )
    ]
    if len(conflicts.updates) > 1:
        share = 100.0 * (conflicts.pairs < 0.0).mean(axis=1)
        curve = conflicts.updates.tolist(), share.tolist()
        charts.append(
            line_chart(
                "conflict-share",
                "Pairs in conflict",
                {"all pairs": curve},
                series_styles(["all pairs"]),
                unit="% of cosines below zero",
                zero=True,
            )
        )
    return charts


def _of_robots(
    name: str,
    title: str,
    curves: Mapping[str, Curve],
    styles: Mapping[str, SeriesStyle],
    unit: str = "",
    log: bool = False,
    zero: bool = False,
) -> Chart:
    """A line for each robot, or the mean and the tenths of many robots."""
    if len(curves) <= MOST_LINES:
        own = {robot: curves[robot] for robot in styles if robot in curves}
        return line_chart(
            name, title, own, styles, unit=unit, log=log, zero=zero, filtered=len(own) > 1
        )
    summary = _summary(curves.values())
    return line_chart(
        name,
        title,
        summary,
        series_styles(summary),
        unit=unit,
        log=log,
        zero=zero,
        caption=f"Over {len(curves):,} robots.",
    )


def _summary(curves: Iterable[Curve]) -> dict[str, Curve]:
    """Mean and tenths of many curves, at the places that all have."""
    known = [dict(zip(*curve, strict=True)) for curve in curves]
    places = sorted(set.intersection(*(set(own) for own in known)))
    values: Float[np.ndarray, "R T"] = np.array([[own[x] for x in places] for own in known])
    lines = {
        "best tenth": np.quantile(values, 0.9, axis=0),
        "mean": values.mean(axis=0),
        "worst tenth": np.quantile(values, 0.1, axis=0),
    }
    return {name: (places, line.tolist()) for name, line in lines.items()}


def _by_chart(keys: Iterable[str], robots: Sequence[str]) -> dict[str, list[MetricKey]]:
    """Metrics by the title of their chart, in the order of `_TITLES`, then as they were logged."""
    known = [MetricKey.of(key) for key in keys if key not in _NOT_METRICS]
    known = [key for key in known if f"{key.network}/{key.name}" not in _ELSEWHERE]
    per_robot = {(key.network, key.name) for key in known if key.part in robots}
    charts: dict[str, list[MetricKey]] = {}
    for key in known:
        if (key.network, key.name) in per_robot and key.part not in robots:
            continue  # the mean over robots
        charts.setdefault(_title(key), []).append(key)
    rank = {title: place for place, title in enumerate((*_TOGETHER.values(), *_TITLES.values()))}
    return dict(sorted(charts.items(), key=lambda own: rank.get(own[0], len(rank))))


def _title(key: MetricKey) -> str:
    if not key.part and key.name in _TOGETHER:
        return _TOGETHER[key.name]
    whole = f"{key.network}/{key.name}"
    return _TITLES.get(whole) or _TITLES.get(key.name) or whole


def _label(key: MetricKey, keys: Sequence[MetricKey]) -> str:
    """The name of a metric's line among those of its chart."""
    return " ".join(dict.fromkeys(_differing(key, keys))) or key.name


def _differing(key: MetricKey, keys: Sequence[MetricKey]) -> Iterator[str]:
    for place, own in enumerate(key):
        if own and len({other[place] for other in keys}) > 1:
            yield own.removesuffix("_loss").upper() if own in _TOGETHER else own


def _identifier(title: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in title.lower())
