"""`bodyplan compare`: compare runs over their seeds, robot by robot and over robots."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from bodyplan.cli.output import Column, comma_list, print_json, print_line, print_table
from bodyplan.evaluation.comparison import MEAN
from bodyplan.evaluation.comparison_sentences import SCORE_DIGITS, signed_interval
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
    by: str | None = None
    """Settings that tell arms apart, with commas, such as algorithm,data,iql.beta; by default all
    in which the runs differ."""
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
            None if self.by is None else comma_list([self.by]),
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


_TITLES = {"return": "Return", "normalised": "Normalised return (0 standing, 1 reference)"}


def _print(comparison: "Comparison") -> None:
    question = comparison.question
    print_line(
        f"{_count(len(comparison.arms), 'arm')} on {_count(len(comparison.robots), 'robot')}, "
        f"{question['command']}, {question['episodes']} episodes each, policy "
        f"{question['policy']}\n"
    )
    # Raw returns stand beside normalised ones.
    for score in dict.fromkeys((comparison.score, "return")):
        _print_scores(comparison, score)
    if MEAN in comparison.places:
        _print_over_robots(comparison)
    if comparison.differences:
        _print_differences(comparison)
    for sentence in comparison.sentences:
        print_line(sentence)
    for note in comparison.notes:
        print_line(f"Note: {note}")


def _print_scores(comparison: "Comparison", score: str) -> None:
    rows = [
        {"robot": place, **{arm.name: _mean(arm, score, place) for arm in comparison.arms}}
        for place in comparison.places
    ]
    columns = [Column("robot", whole=True)]
    columns += [Column(arm.name, arm.name.replace(" ", "\n")) for arm in comparison.arms]
    print_table(f"{_TITLES[score]}, mean ± standard error", rows, columns)
    print_line("")


def _print_over_robots(comparison: "Comparison") -> None:
    digits, rows = SCORE_DIGITS[comparison.score], []
    for arm in comparison.arms:
        scores = arm.scores[comparison.score][MEAN]
        iqm = signed_interval(scores.iqm, scores.iqm_interval, digits)
        rows.append({"arm": arm.name, "seeds": len(arm.seeds), "iqm": iqm})
    columns = [Column("arm"), Column("seeds"), Column("iqm", "IQM [95 %]", whole=True)]
    print_table("Interquartile mean over seeds and robots", rows, columns)
    print_line("")


def _print_differences(comparison: "Comparison") -> None:
    digits = SCORE_DIGITS[comparison.score]
    rows = []
    for own in comparison.differences:
        for place in comparison.places:
            found = own.differences[place]
            rows.append(
                {
                    "arm": own.arm,
                    "robot": place,
                    "difference": signed_interval(found.mean, found.interval, digits),
                    "probability": signed_interval(
                        found.probability, found.probability_interval, 2
                    ),
                    "verdict": own.verdict(place),
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


def _mean(arm: "Arm", score: str, place: str) -> str:
    scores, digits = arm.scores[score][place], SCORE_DIGITS[score]
    text = f"{scores.mean:z.{digits}f}"
    return text if scores.se is None else f"{text} ± {scores.se:.{digits}f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
