"""The HTML page of a comparison of runs: its sentences, figures and tables in one file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bodyplan.evaluation.comparison import MEAN, Arm, ArmDifference, Comparison
from bodyplan.evaluation.comparison_sentences import (
    SCORE_DIGITS,
    SCORE_NAMES,
    shown_digits,
    signed_interval,
)
from bodyplan.evaluation.tuning import TunedArm
from bodyplan.report.charts import Chart, Interval, interval_chart, line_chart
from bodyplan.report.html_page import TableColumn, write_html
from bodyplan.report.series_styles import SeriesStyle, series_styles

_OVER_ROBOTS = "over robots"
_PROFILE_POINTS = 101
_ORIGINS = {
    "bodyplan": "bodyplan",
    "commit": "Commit",
    "jax": "JAX",
    "mujoco": "MuJoCo",
    "python": "Python",
    "host": "Host",
    "processor": "Processor",
    "accelerator": "Accelerator",
    "date": "Runs begun",
    "dataset_card_sha256": "Data’s card, sha256",
}
"""Entries of provenance, and how the page calls them."""


def write_comparison(
    comparison: Comparison, path: str | Path, tuned: Sequence[TunedArm] = ()
) -> Path:
    """Write the page; an existing file is replaced.

    Args:
        comparison: what it tells.
        path: of the page.
        tuned: what arms tried before, if they were tuned.

    Raises:
        BodyplanError: the page cannot be written.
    """
    styles = series_styles(arm.name for arm in comparison.arms)
    write_html(
        Path(path),
        "comparison.html.j2",
        title="Comparison",
        comparison=comparison,
        facts=_facts(comparison),
        score_name=SCORE_NAMES[comparison.score],
        # Colours are those of arms, so all robots have the same.
        robots=dict.fromkeys(comparison.robots, SeriesStyle("var(--muted)")),
        charts=_charts(comparison, styles),
        tables=[_table(comparison, score) for score in dict.fromkeys((comparison.score, "return"))],
        tuning=_tuning(tuned, comparison, styles) if tuned else None,
        differences=[_difference_table(comparison, own) for own in comparison.differences],
        command=_command(comparison),
        provenance={
            label: ", ".join(comparison.provenance[name])
            for name, label in _ORIGINS.items()
            if name in comparison.provenance
        },
    )
    return Path(path)


def _facts(comparison: Comparison) -> dict[str, str]:
    question = comparison.question
    counts = sorted({len(arm.seeds) for arm in comparison.arms})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    disturbed = [name for name, value in question["conditions"].items() if value]
    return {
        "Arms": str(len(comparison.arms)),
        "Told apart by": ", ".join(comparison.by) or "nothing",
        "Seeds of an arm": seeds,
        "Robots": str(len(comparison.robots)),
        "Command": question["command"],
        "Episodes": f"{question['episodes']} of each robot and seed",
        "Start": question["initial_state"],
        "Disturbances": ", ".join(disturbed) or "none",
        "Policy": question["policy"],
    }


def _charts(comparison: Comparison, styles: Mapping[str, SeriesStyle]) -> list[Chart]:
    return [
        *([_differences(comparison, styles)] if comparison.differences else []),
        _scores(comparison, styles),
        _interquartile_means(comparison, styles),
        *([_probabilities(comparison, styles)] if comparison.differences else []),
        *([_profiles(comparison, styles)] if comparison.score == "normalised" else []),
    ]


def _differences(comparison: Comparison, styles: Mapping[str, SeriesStyle]) -> Chart:
    """Each arm minus the baseline, with the intervals that the sentences follow from."""
    values = [
        Interval(
            _OVER_ROBOTS if place == MEAN else place,
            own.arm,
            own.differences[place].mean,
            *(own.differences[place].interval or (None, None)),
        )
        for place in comparison.places
        for own in comparison.differences
    ]
    chart = interval_chart(
        "differences",
        f"Difference from {comparison.baseline}",
        values,
        {own.arm: styles[own.arm] for own in comparison.differences},
        unit=SCORE_NAMES[comparison.score],
        caption="Arm minus baseline, with 95 % confidence intervals over seeds (Student’s t). No "
        "difference can be told where an interval has zero in it.",
        wide=True,
    )
    zero = {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [2, 2]},
        "encoding": {"x": {"datum": 0.0}},
    }
    return replace(chart, spec=chart.spec | {"layer": [zero, *chart.spec["layer"]]})


def _scores(comparison: Comparison, styles: Mapping[str, SeriesStyle]) -> Chart:
    values = []
    for place in comparison.places:
        for arm in comparison.arms:
            scores = arm.scores[comparison.score][place]
            error = scores.se
            bounds = (None, None) if error is None else (scores.mean - error, scores.mean + error)
            row = _OVER_ROBOTS if place == MEAN else place
            values.append(Interval(row, arm.name, scores.mean, *bounds))
    name = SCORE_NAMES[comparison.score]
    return interval_chart(
        "scores",
        "Mean over seeds",
        values,
        styles,
        unit=name,
        caption="Mean over seeds and its standard error, as in the table.",
        wide=True,
    )


def _interquartile_means(comparison: Comparison, styles: Mapping[str, SeriesStyle]) -> Chart:
    values = []
    for arm in comparison.arms:
        scores = arm.scores[comparison.score][MEAN]
        values.append(
            Interval(arm.name, arm.name, scores.iqm, *(scores.iqm_interval or (None, None)))
        )
    return interval_chart(
        "iqm",
        "Interquartile mean",
        values,
        styles,
        unit=SCORE_NAMES[comparison.score],
        zero=False,
        separate=False,
        caption="Mean of the middle half of all seeds’ and robots’ scores, with 95 % stratified "
        "bootstrap intervals.",
    )


def _probabilities(comparison: Comparison, styles: Mapping[str, SeriesStyle]) -> Chart:
    values = []
    for own in comparison.differences:
        found = own.differences[MEAN]
        bounds = found.probability_interval or (None, None)
        values.append(Interval(own.arm, own.arm, found.probability, *bounds))
    chart = interval_chart(
        "probability",
        f"Probability of more than {comparison.baseline}",
        values,
        {own.arm: styles[own.arm] for own in comparison.differences},
        unit="probability",
        separate=False,
        caption="That a seed of the arm scores more than one of the baseline, over robots, with 95 "
        "% stratified bootstrap intervals. One half is no improvement.",
    )
    half = {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [2, 2]},
        "encoding": {"x": {"datum": 0.5}},
    }
    return replace(chart, spec=chart.spec | {"layer": [half, *chart.spec["layer"]]})


def _profiles(comparison: Comparison, styles: Mapping[str, SeriesStyle]) -> Chart:
    """Which share of seeds and robots scores more than a level (Agarwal et al. 2021)."""
    scores = {
        arm.name: np.array([arm.scores["normalised"][robot].seeds for robot in comparison.robots])
        for arm in comparison.arms
    }
    everything = np.concatenate([own.ravel() for own in scores.values()])
    low, high = min(0.0, float(everything.min())), max(1.0, float(everything.max()))
    levels = np.linspace(low, high, _PROFILE_POINTS)
    curves = {
        name: (levels.tolist(), [float((own > level).mean()) for level in levels])
        for name, own in scores.items()
    }
    return line_chart(
        "profile",
        "Share of seeds and robots above a score",
        curves,
        styles,
        x_title="normalised return",
        unit="share",
        zero=True,
        caption="A curve that lies above another is better at every level.",
    )


def _table(comparison: Comparison, score: str) -> dict[str, Any]:
    """A row for each robot, and a column for each arm."""
    digits = SCORE_DIGITS[score]
    columns = [TableColumn("robot", "robot")]
    columns += [
        TableColumn(f"arm{index}", arm.name, digits=digits, error=f"error{index}")
        for index, arm in enumerate(comparison.arms)
    ]
    rows = [_row(comparison.arms, score, robot) for robot in comparison.robots]
    mean = _row(comparison.arms, score, MEAN) if len(rows) > 1 else None
    return {
        "title": SCORE_NAMES[score].capitalize(),
        "columns": columns,
        "rows": rows,
        "mean": mean,
    }


def _row(arms: Sequence[Arm], score: str, place: str) -> dict[str, Any]:
    row: dict[str, Any] = {"robot": place}
    for index, arm in enumerate(arms):
        scores = arm.scores[score][place]
        row |= {f"arm{index}": scores.mean, f"error{index}": scores.se}
    return row


def _difference_table(comparison: Comparison, own: ArmDifference) -> dict[str, Any]:
    """A row for each robot: the difference, its interval, and what it tells."""
    least = SCORE_DIGITS[comparison.score]
    digits = max(shown_digits(found.interval, least) for found in own.differences.values())
    columns = [
        TableColumn("robot", "robot"),
        TableColumn("difference", "difference", digits=digits, strong=True),
        TableColumn("interval", "95 % interval"),
        TableColumn("probability", "P(higher)", digits=2),
        TableColumn("probability_interval", "95 % interval of P"),
        TableColumn("verdict", "told"),
    ]
    rows = []
    for place in (*comparison.robots, MEAN):
        found = own.differences[place]
        rows.append(
            {
                "robot": place,
                "difference": found.mean,
                "interval": _bounds(found.mean, found.interval, digits),
                "probability": found.probability,
                "probability_interval": _bounds(found.probability, found.probability_interval, 2),
                "verdict": own.verdict(place),
            }
        )
    *rows, mean = rows
    return {
        "title": f"{own.arm} against {own.baseline}",
        "columns": columns,
        "rows": rows,
        "mean": mean if len(rows) > 1 else None,
    }


def _tuning(
    tuned: Sequence[TunedArm], comparison: Comparison, styles: Mapping[str, SeriesStyle]
) -> dict[str, Any]:
    """A row for each arm: what it scored with each setting; and the best to expect of fewer."""
    labels = list(dict.fromkeys(label for own in tuned for label in own.scores))
    digits = SCORE_DIGITS["normalised"] if comparison.score == "normalised" else 1
    columns = [TableColumn("arm", "arm"), TableColumn("chosen", "chosen", strong=True)]
    columns += [
        TableColumn(f"score{place}", label, digits=digits) for place, label in enumerate(labels)
    ]
    rows = [
        {"arm": own.name, "chosen": own.chosen}
        | {f"score{place}": own.scores.get(label) for place, label in enumerate(labels)}
        for own in tuned
    ]
    curves = {own.name: (list(range(1, len(own.scores) + 1)), own.expected_best) for own in tuned}
    chart = line_chart(
        "tuning",
        "Best score to expect of so many settings",
        curves,
        {name: styles[name] for name in curves},
        x_title="settings tried",
        unit="score",
        caption="An arm whose curve still rises would gain by more tuning.",
    )
    return {"columns": columns, "rows": rows, "chart": chart}


def _bounds(value: float, interval: tuple[float, float] | None, digits: int) -> str | None:
    """An interval with as many digits as in the sentences, in which a bound is never zero."""
    if interval is None:
        return None
    return signed_interval(value, interval, digits).partition(" ")[2].replace("-", "−")


def _command(comparison: Comparison) -> str:
    """The command that repeats the comparison."""
    runs = " ".join(run for arm in comparison.arms for run in arm.runs)
    by = f" --by {','.join(comparison.by)}" if comparison.by else ""
    baseline = f' --baseline "{comparison.baseline}"' if len(comparison.arms) > 1 else ""
    return f"bodyplan compare {runs}{by} --score {comparison.score}{baseline}"
