"""Charts of training: every metric that was logged, evaluations on the way, gradient conflict.

A metric is named `<network>/<name>`, with `/<robot>` behind it where each robot has its own.
Metrics of one name are one chart: a line for each robot, or one for each network. So a metric that
another version or another package's algorithm logs has its chart, too.
"""

from collections.abc import Iterable, Mapping, Sequence
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
    "losses": "Losses of the critics",
    "critic/q_loss": "Loss of Q",
    "critic/v_loss": "Loss of V",
    "critic/loss": "Loss of the critics",
    "critic/q_mean": "Mean Q",
    "critic/v_mean": "Mean V",
    "critic/covered": "Way of the critics",
    "actor/loss": "Loss of the actor",
    "actor/weight_std": "Spread of advantage weights",
    "grad_norm": "Gradient norms",
    "clipped": "Clipped steps",
    "held_out/q_share": "Q beside held-out returns",
    "held_out/v_share": "V beside held-out returns",
    "actor/late_preference": "Weight of late data",
    "actor/learning_rate": "Learning rate of the actor",
    "actor/weight_mean": "Mean advantage weight",
    "actor/weight_clipped": "Clipped advantage weights",
    "actor/std": "Spread of actions",
    "actor/groups": "Number of groups",
    "critic/advantage_std": "Spread of advantages",
}
"""Title of a metric, by its whole name or by what its name says besides network and Q or V."""
_UNITS = {
    "covered": "share",
    "clipped": "share",
    "weight_clipped": "share",
    "q_share": "1 is what followed",
    "v_share": "1 is what followed",
    "late_preference": "times that of early data",
    "weight_std": "standard deviation",
    "advantage_std": "standard deviation",
    "std": "standard deviation",
}
_FIRST = (
    *("losses", "critic/q_loss", "critic/v_loss", "critic/loss", "critic/q_mean", "actor/loss"),
    *("actor/weight_std", "grad_norm", "clipped", "held_out/q_share", "critic/covered"),
)
"""Keys of `_TITLES` that are shown at once; the others are one click away."""
_LOG = ("losses", "q_loss", "v_loss", "grad_norm")
_COSINES = ("#b2480e", "#f4f4f1", "#08406b")


class MetricKey(NamedTuple):
    """The parts of a metric's name."""

    network: str
    name: str
    part: str
    """A robot, a group, or nothing."""

    @classmethod
    def of(cls, key: str) -> "MetricKey":
        network, _, rest = key.partition("/") if "/" in key else ("", "", key)
        name, _, part = rest.partition("/")
        return cls(network, name, part)

    @property
    def whole(self) -> str:
        """Without the part."""
        return f"{self.network}/{self.name}" if self.network else self.name


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


def metric_charts(record: RunRecord) -> tuple[list[Chart], list[Chart]]:
    """A chart for each name of a metric: the important ones, and the others."""
    styles = series_styles(record.robots)
    first: list[Chart] = []
    others: list[Chart] = []
    for family, keys in _families(record.metric_keys(), record.robots).items():
        of_robots = keys[0].part in record.robots
        curves = {
            key.part if of_robots else _label(key, keys): record.curve("/".join(filter(None, key)))
            for key in keys
        }
        curves = {label: curve for label, curve in curves.items() if curve[0]}
        if not curves:
            continue
        title = _TITLES.get(family, family)
        short = family.rpartition("/")[2]
        unit, log = _UNITS.get(short, ""), short in _LOG
        chart = (
            _of_robots(_identifier(title), title, curves, styles, unit=unit, log=log)
            if of_robots
            else line_chart(
                _identifier(title), title, curves, series_styles(curves), unit=unit, log=log
            )
        )
        (first if family in _FIRST else others).append(chart)
    return first, others


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


def _families(keys: Iterable[str], robots: Sequence[str]) -> dict[str, list[MetricKey]]:
    """Metrics that share a chart, in the order of `_TITLES`, then as they were logged."""
    known = [MetricKey.of(key) for key in keys if key not in _NOT_METRICS]
    known = [key for key in known if key.whole not in _ELSEWHERE]
    with_parts = {key.whole for key in known if key.part}
    families: dict[str, list[MetricKey]] = {}
    for key in known:
        if key.part or key.whole not in with_parts:  # not a mean over parts
            families.setdefault(_family(key, robots), []).append(key)
    rank = {family: place for place, family in enumerate(_TITLES)}
    return dict(sorted(families.items(), key=lambda own: rank.get(own[0], len(rank))))


def _family(key: MetricKey, robots: Sequence[str]) -> str:
    """What a metric shares its chart by: its whole name, or its name without network and head."""
    if key.part in robots:
        return key.whole
    _, short = _head(key)
    if key.network == "critic" and short == "loss" and key.name != short:
        return "losses"
    return short if short in _TITLES else key.whole


def _head(key: MetricKey) -> tuple[str, str]:
    """Q or V, if the name begins with it, and the rest of the name."""
    first, _, rest = key.name.partition("_")
    return (first.upper(), rest) if first in ("q", "v") and rest else ("", key.name)


def _label(key: MetricKey, keys: Sequence[MetricKey]) -> str:
    """The name of a metric's line among those of its chart."""
    parts = [(own.network, _head(own)[0], own.part) for own in keys]
    own = (key.network, _head(key)[0], key.part)
    told = [name for place, name in enumerate(own) if len({other[place] for other in parts}) > 1]
    return " ".join(filter(None, told)) or key.name


def _identifier(title: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in title.lower())
