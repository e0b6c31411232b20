"""A reproduced table of returns: our numbers beside the paper's, and what they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bodyplan.evaluation.comparison import MEAN, Arm, Comparison
from bodyplan.report.charts import Chart, Interval, interval_chart
from bodyplan.report.data_table import DataTable, tex
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import Findings, PageSection
from bodyplan.report.series_styles import SeriesStyle

Z_95 = 1.96
"""Standard errors in half a 95 % interval of the paper's differences, which are unpaired."""


@dataclass(frozen=True)
class ReproducedTable:
    """A table of the paper: what it reports, and what was found."""

    arms: tuple[str, ...]
    baseline: str
    comparisons: Mapping[str, Comparison]
    """By set."""
    reported: Mapping[str, Mapping[str, tuple[float, float]]]
    """By set and arm: mean return and standard error."""

    @property
    def others(self) -> tuple[str, ...]:
        """The arms that are compared with the baseline."""
        return tuple(arm for arm in self.arms if arm != self.baseline)

    def found(self, arm: str) -> dict[str, list[str]]:
        """The sets on which an arm is `better` or `worse` than the baseline, and the `others`."""
        sets: dict[str, list[str]] = {"better": [], "worse": [], "others": []}
        for name, comparison in self.comparisons.items():
            (own,) = (one for one in comparison.differences if one.arm == arm)
            place = MEAN if MEAN in comparison.places else comparison.robots[0]
            sets[own.verdict(place) or "others"].append(name)
        return sets

    def told(self, arm: str) -> dict[str, list[str]]:
        """The same of the paper's numbers, where it has both."""
        sets: dict[str, list[str]] = {"better": [], "worse": [], "others": []}
        for name, values in self.reported.items():
            if arm not in values or self.baseline not in values:
                continue
            (mean, error), (base, base_error) = values[arm], values[self.baseline]
            bound = Z_95 * (error**2 + base_error**2) ** 0.5
            difference = mean - base
            verdict = "better" if difference > bound else "worse" if difference < -bound else ""
            sets[verdict or "others"].append(name)
        return sets

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the comparisons allow to say of each arm, and whether the paper says so too."""
        return tuple(
            f"{arm} against {self.baseline}: {_in_words(self.found(arm))}."
            + (f" The paper: {_in_words(self.told(arm))}." if any(self.told(arm).values()) else "")
            for arm in self.others
        )


def table_findings(table: ReproducedTable) -> Findings:
    """A section for each set, and all of them in one CSV and one LaTeX table."""
    sections = tuple(
        PageSection(
            title=name,
            text=(
                "Mean return over robots, and its standard error over seeds. The baseline is "
                f"{table.baseline}."
            ),
            table=DataTable(_COLUMNS, tuple(_rows(table, name))),
            chart=_differences(table, name),
            by_robot=_robot_table(comparison),
        )
        for name, comparison in table.comparisons.items()
    )
    rows = [{"set": one.title, **row} for one in sections for row in one.table.rows]
    return Findings(
        sentences=table.sentences,
        sections=sections,
        data=DataTable(_DATA_COLUMNS, tuple(rows)),
        latex=reproduction_latex(table),
    )


def reproduction_latex(table: ReproducedTable) -> str:
    """A row for each set, a column for each arm: ours, and in the line below the paper's."""
    sets = table.comparisons
    lines = [
        "% Mean return over robots, its standard error over seeds; in brackets the paper's.",
        rf"\begin{{tabular}}{{l{'r' * len(table.arms)}}}",
        r"\toprule",
        " & ".join(["", *map(tex, table.arms)]) + r" \\",
        r"\midrule",
    ]
    for name, comparison in sets.items():
        by_name = {arm.name: arm for arm in comparison.arms}
        ours = [_tex(*_mean(comparison, by_name[arm])) for arm in table.arms]
        theirs = table.reported.get(name, {})
        known = [f"({_tex(*theirs[arm])})" if arm in theirs else "" for arm in table.arms]
        lines.append(" & ".join([tex(name), *ours]) + r" \\")
        lines.append(" & ".join(["", *known]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


_COLUMNS = (
    TableColumn("arm", "method"),
    TableColumn("return", "here", digits=1, error="error", strong=True),
    TableColumn("paper_return", "the paper", digits=1, error="paper_error"),
    TableColumn("verdict", "here, against the baseline"),
)
_DATA_COLUMNS = (
    TableColumn("set", "set"),
    TableColumn("arm", "method"),
    TableColumn("seeds", "seeds"),
    *_COLUMNS[1:],
)


def _rows(table: ReproducedTable, name: str) -> list[dict[str, Any]]:
    """A row for each arm on a set."""
    comparison, rows = table.comparisons[name], []
    verdicts = {own.arm: own for own in comparison.differences}
    place = MEAN if MEAN in comparison.places else comparison.robots[0]
    for arm in comparison.arms:
        ours, error = _mean(comparison, arm)
        theirs, their_error = table.reported.get(name, {}).get(arm.name, (None, None))
        own = verdicts.get(arm.name)
        verdict = "baseline" if own is None else own.verdict(place) or "cannot be told"
        rows.append(
            {
                "arm": arm.name,
                "seeds": len(arm.seeds),
                "return": ours,
                "error": error,
                "paper_return": theirs,
                "paper_error": their_error,
                "verdict": verdict,
            }
        )
    return rows


def _mean(comparison: Comparison, arm: Arm) -> tuple[float, float | None]:
    place = MEAN if MEAN in comparison.places else comparison.robots[0]
    scores = arm.scores["return"][place]
    return scores.mean, scores.se


def _differences(table: ReproducedTable, name: str) -> Chart:
    """Each arm minus the baseline, here and in the paper."""
    comparison, reported = table.comparisons[name], table.reported.get(name, {})
    place = MEAN if MEAN in comparison.places else comparison.robots[0]
    values: list[Interval] = []
    for own in comparison.differences:
        found = own.differences[place]
        values.append(Interval(own.arm, "here", found.mean, *(found.interval or (None, None))))
        if own.arm in reported and table.baseline in reported:
            (mean, error), (base, base_error) = reported[own.arm], reported[table.baseline]
            bound = Z_95 * (error**2 + base_error**2) ** 0.5
            middle = mean - base
            values.append(Interval(own.arm, "paper", middle, middle - bound, middle + bound))
    return interval_chart(
        f"differences-{name}",
        f"Difference from {table.baseline}, {name}",
        values,
        {"here": SeriesStyle("var(--series-1)"), "paper": SeriesStyle("var(--muted)")},
        unit="return",
        caption="Method minus baseline over robots, with 95 % intervals over seeds.",
    )


def _robot_table(comparison: Comparison) -> DataTable:
    """A row for each robot, and a column for each arm."""
    columns = [TableColumn("robot", "robot")]
    columns += [
        TableColumn(f"arm{index}", arm.name, digits=1, error=f"error{index}")
        for index, arm in enumerate(comparison.arms)
    ]
    rows = []
    for robot in comparison.robots:
        row: dict[str, Any] = {"robot": robot}
        for index, arm in enumerate(comparison.arms):
            scores = arm.scores["return"][robot]
            row |= {f"arm{index}": scores.mean, f"error{index}": scores.se}
        rows.append(row)
    return DataTable(tuple(columns), tuple(rows))


def _in_words(sets: Mapping[str, Sequence[str]]) -> str:
    parts = [
        f"{verdict} on {', '.join(sets[verdict])}"
        for verdict in ("better", "worse")
        if sets[verdict]
    ]
    if not parts and len(sets["others"]) > 1:
        return "no difference can be told on any set"
    if sets["others"]:
        parts.append("no difference can be told on " + ", ".join(sets["others"]))
    return "; ".join(parts)


def _tex(mean: float, error: float | None) -> str:
    return f"${mean:.2f}$" if error is None else rf"${mean:.2f} \pm {error:.2f}$"
