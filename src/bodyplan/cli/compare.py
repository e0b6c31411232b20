"""`bodyplan compare`: compare runs over their seeds, robot by robot and over robots."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from bodyplan.cli.output import Column, comma_list, print_json, print_line, print_table
from bodyplan.storage import atomic_write

if TYPE_CHECKING:
    from bodyplan.evaluation.comparison import Arm, Comparison


@dataclass(frozen=True)
class CompareRuns:
    """Compare evaluated runs: means over seeds, differences with intervals, and what they tell.

    Runs that differ only in their seeds are one arm. Arms are compared with the first, or with
    --baseline. Runs of other settings are never averaged.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, or of the seeds of one; each must have an evaluation.json."""
    by: tuple[str, ...] = ()
    """Settings that tell arms apart, as algorithm,combine,data,iql.beta; by default all in which
    the runs differ."""
    score: Literal["return", "normalised"] = "return"
    """What is compared: the return, or 0 for standing still and 1 for the expert."""
    baseline: str | None = None
    """Name of the arm that others are compared with; by default that of the first run."""
    evaluation: str = "evaluation.json"
    """Name of the file in each run that has its evaluation."""
    out: Path | None = None
    """A page to write (.html), with figures."""
    csv: Path | None = None
    """A file to write: a row for each arm and robot, with all numbers."""
    latex: Path | None = None
    """A file to write: a table for a paper (booktabs)."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Compare, write, print."""
        from bodyplan.evaluation.compare import compare

        comparison = compare(
            self.runs,
            comma_list(self.by) or None,
            score=self.score,
            baseline=self.baseline,
            evaluation=self.evaluation,
        )
        if self.out is not None:
            from bodyplan.report.comparison_page import write_comparison

            write_comparison(comparison, self.out)
        if self.csv is not None:
            comparison.to_csv(self.csv)
        if self.latex is not None:
            from bodyplan.evaluation.comparison_latex import latex_table

            with atomic_write(self.latex) as temporary:
                temporary.write_text(latex_table(comparison), encoding="utf-8")
        if self.json:
            print_json(comparison.to_json())
            return
        _print(comparison)
        for path in (self.out, self.csv, self.latex):
            if path is not None:
                print_line(f"written to {path}")


_NAMES = {"return": "Return", "normalised": "Normalised return (0 standing, 1 reference)"}
_VERDICTS = {1: "better", 0: "", -1: "worse"}
_DIGITS = {"return": 1, "normalised": 2}


def _print(comparison: "Comparison") -> None:
    question, count = comparison.question, len(comparison.robots)
    print_line(
        f"{len(comparison.arms)} arms on {count} robot{'s' * (count != 1)}, "
        f"{question['command']}, {question['episodes']} episodes each, policy "
        f"{question['policy']}\n"
    )
    # Raw returns stand beside normalised ones.
    for score in dict.fromkeys((comparison.score, "return")):
        _print_robots(comparison, score)
    if count > 1:
        _print_over_robots(comparison)
    if comparison.differences:
        _print_differences(comparison)
    for sentence in comparison.sentences:
        print_line(sentence)
    for note in comparison.notes:
        print_line(f"Note: {note}")


def _print_robots(comparison: "Comparison", score: str) -> None:
    from bodyplan.evaluation.comparison import MEAN

    places = (*comparison.robots, MEAN) if len(comparison.robots) > 1 else comparison.robots
    rows = [
        {
            "robot": place,
            **{arm.name: _mean(arm, score, place) for arm in comparison.arms},
        }
        for place in places
    ]
    columns = [Column(arm.name, arm.name.replace(" ", "\n")) for arm in comparison.arms]
    print_table(
        f"{_NAMES[score]}, mean ± standard error", rows, [Column("robot", whole=True), *columns]
    )
    print_line("")


def _mean(arm: "Arm", score: str, place: str) -> str:
    scores, digits = arm.scores[score][place], _DIGITS[score]
    text = f"{scores.mean:z.{digits}f}"
    return text if scores.se is None else f"{text} ± {scores.se:.{digits}f}"


def _print_over_robots(comparison: "Comparison") -> None:
    from bodyplan.evaluation.comparison import MEAN

    rows = []
    for arm in comparison.arms:
        scores = arm.scores[comparison.score][MEAN]
        iqm = _bounded(scores.iqm, scores.iqm_interval, _DIGITS[comparison.score])
        rows.append({"arm": arm.name, "seeds": len(arm.seeds), "iqm": iqm})
    columns = [Column("arm"), Column("seeds"), Column("iqm", "IQM [95 %]", whole=True)]
    print_table("Interquartile mean over seeds and robots", rows, columns)
    print_line("")


def _print_differences(comparison: "Comparison") -> None:
    from bodyplan.evaluation.comparison import MEAN

    rows: list[dict[str, Any]] = []
    for own in comparison.differences:
        for place, found in own.differences.items():
            if place == MEAN and len(comparison.robots) == 1:
                continue
            rows.append(
                {
                    "arm": own.arm,
                    "robot": place,
                    "difference": _bounded(found.mean, found.interval, _DIGITS[comparison.score]),
                    "probability": _bounded(found.probability, found.probability_interval, 2),
                    "verdict": _VERDICTS[own.verdict(place)],
                }
            )
    columns = [
        Column("arm"),
        Column("robot", whole=True),
        Column("difference", "difference\n[95 %]", whole=True),
        Column("probability", "P(higher)\n[95 %]", whole=True),
        Column("verdict", ""),
    ]
    print_table(f"Against {comparison.baseline}", rows, columns)
    print_line("")


def _bounded(value: float, interval: tuple[float, float] | None, digits: int) -> str:
    from bodyplan.evaluation.comparison_sentences import signed_interval

    return signed_interval(value, interval, digits)
