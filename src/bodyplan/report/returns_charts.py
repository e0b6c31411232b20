"""Charts of an evaluation and its data: returns beside what they compare with, and histograms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from bodyplan.evaluation.significance import half_width
from bodyplan.report.charts import (
    WITHOUT_HIDDEN,
    Chart,
    Interval,
    NumbersTable,
    Spec,
    decimal_text,
    interval_chart,
    style_channels,
)
from bodyplan.report.run_record import number
from bodyplan.report.series_styles import (
    BEST_DATA_STYLE,
    DATA_STYLE,
    EXPERT_STYLE,
    FLOOR_STYLE,
    POLICY_STYLE,
)

MARKS = {
    "standing still": ("floor_return", FLOOR_STYLE),
    "data": ("data_return", DATA_STYLE),
    "data, best policy": ("data_best_return", BEST_DATA_STYLE),
    "expert": ("expert_return", EXPERT_STYLE),
    "policy": ("return_mean", POLICY_STYLE),
}
"""Key of a robot's scores, and style, of each return that is shown; the policy is drawn last."""
_BINS = 24
HISTOGRAM_MARKS = ("standing still", "policy", "expert")
"""Those of `MARKS` that are lines in histograms."""
_HISTOGRAM_HEIGHT = 110


def returns_chart(scores: Mapping[str, Mapping[str, Any]]) -> Chart:
    """The return of each robot under the policy, beside its data, its expert and standing still."""
    values = []
    for robot, own in scores.items():
        for name, (key, _) in MARKS.items():
            value, interval = number(own.get(key)), None
            error = number(own.get("return_se"))
            if name == "policy" and value is not None and error is not None:
                width = half_width(error, len(own.get("returns") or ()))
                interval = (value - width, value + width)
            values.append(Interval(robot, name, value, *(interval or (None, None))))
    return interval_chart(
        "returns-by-robot",
        "Return of an episode",
        values,
        {name: style for name, (_, style) in MARKS.items()},
        separate=False,
        wide=True,
        caption="Means over whole episodes. The line through the policy's point is the 95 % "
        "confidence interval.",
    )


def data_returns_chart(
    robot: str, returns: Float[np.ndarray, "E"], scores: Mapping[str, Any]
) -> Chart:
    """The returns of one robot's episodes in the data, with lines at returns to compare with."""
    found = {name: number(scores.get(MARKS[name][0])) for name in HISTOGRAM_MARKS}
    marks = {name: value for name, value in found.items() if value is not None}
    low = min([0.0, *marks.values(), float(returns.min())])
    high = max([*marks.values(), float(returns.max()), low + 1e-9])
    counts, edges = np.histogram(returns, bins=_BINS, range=(low, high))
    shares = 100.0 * counts / max(len(returns), 1)
    bars = [
        {
            "from": edges[index],
            "to": edges[index + 1],
            "share": shares[index],
            "range": f"{decimal_text(edges[index])} to {decimal_text(edges[index + 1])}",
        }
        for index in range(_BINS)
        if counts[index]
    ]
    lines = [{"series": name, "value": value} for name, value in marks.items()]
    styles = {name: MARKS[name][1] for name in marks}
    x: Spec = {"type": "quantitative", "title": None}
    x["scale"] = {"domain": [low, high], "nice": False}
    tall: Spec = {"axis": {"tickCount": 3}, "scale": {"domain": [0, 1.05 * shares.max()]}}
    spec: Spec = {
        "height": _HISTOGRAM_HEIGHT,
        "layer": [
            {
                "data": {"values": bars},
                "mark": {"type": "bar", "color": "var(--data)", "binSpacing": 1},
                "encoding": {
                    "x": x | {"field": "from", "bin": "binned"},
                    "x2": {"field": "to"},
                    "y": {"field": "share", "type": "quantitative", "title": None} | tall,
                    "tooltip": [
                        {"field": "range", "title": "return"},
                        {"field": "share", "title": "share of episodes, %", "format": ".1f"},
                    ],
                },
            },
            {
                "data": {"values": lines},
                "transform": [WITHOUT_HIDDEN],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "x": x | {"field": "value"},
                    "tooltip": [
                        {"field": "series", "title": "return of"},
                        {"field": "value", "title": "return", "format": ".1f"},
                    ],
                }
                | style_channels(styles, "color"),
            },
        ],
    }
    median = decimal_text(float(np.median(returns)))
    beside = "; ".join(f"{name} {decimal_text(value)}" for name, value in marks.items())
    return Chart(
        f"data-{robot}",
        robot,
        spec,
        f"Returns of {len(returns):,} episodes in the data of {robot}: from "
        f"{decimal_text(float(returns.min()))} to {decimal_text(float(returns.max()))}, "
        f"median {median}. {beside}.",
        legend=styles,
        robot=robot,
        numbers=NumbersTable(
            ("return", "share of episodes, %"),
            tuple((str(bar["range"]), decimal_text(float(bar["share"]))) for bar in bars),
        ),
    )


def summary_row(
    robot: str, own: Mapping[str, Any], command: Sequence[float] | None
) -> dict[str, Any]:
    """A robot's row of the table of returns; what is unknown is None."""
    fall_share = number(own.get("fall_share"))
    return {
        "robot": robot,
        **{key: number(own.get(key)) for key, _ in MARKS.values()},
        **{key: number(own.get(key)) for key in ("return_se", "length_mean", "velocity_error")},
        "score": number(own.get("normalised_return")) if _has_floor(own) else None,
        "falls": None if fall_share is None else 100.0 * fall_share,
        "speed": _speed_along(own.get("velocity"), command),
    }


def _has_floor(own: Mapping[str, Any]) -> bool:
    """Whether a normalised return is 0 for standing still; in older files, 0 was no return."""
    return number(own.get("floor_return")) is not None


def _speed_along(velocity: Any, command: Sequence[float] | None) -> float | None:
    """Speed in the commanded direction, m/s; None where none is known or commanded."""
    if not isinstance(velocity, list | tuple) or command is None:
        return None
    wanted = float(np.hypot(command[0], command[1]))
    if wanted == 0.0:
        return None
    return float(np.dot(velocity[:2], command[:2])) / wanted
