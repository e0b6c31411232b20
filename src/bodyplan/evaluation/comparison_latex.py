"""A comparison as a LaTeX table for a paper, with the rules of booktabs."""

from collections.abc import Sequence

from bodyplan.evaluation.comparison import MEAN, Comparison, SeedScores
from bodyplan.evaluation.comparison_sentences import SCORE_NAMES

_DIGITS = {"return": 2, "normalised": 3}
_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def latex_table(comparison: Comparison) -> str:
    """A row for each robot and a column for each arm: the mean over seeds and its standard error.

    Bold is what `Arm.best` marks. The last rows are over robots. The preamble needs the package
    booktabs.
    """
    arms, score = comparison.arms, comparison.score
    digits = _DIGITS[score]
    name = SCORE_NAMES[score].capitalize()
    lines = [
        f"% {name}: mean over seeds and its standard error; IQM with its 95 % stratified bootstrap",
        "% interval. Bold: the best, and what the 95 % interval of the difference cannot tell from",
        "% it; nothing where no two can be told apart.",
        rf"\begin{{tabular}}{{l{'r' * len(arms)}}}",
        r"\toprule",
        _line(["", *(_escaped(arm.name) for arm in arms)]),
        r"\midrule",
    ]
    for robot in comparison.robots:
        cells = [_mean(arm.scores[score][robot], digits, arm.best[robot]) for arm in arms]
        lines.append(_line([_escaped(robot), *cells]))
    cells = [_mean(arm.scores[score][MEAN], digits, arm.best[MEAN]) for arm in arms]
    iqms = [_iqm(arm.scores[score][MEAN], digits) for arm in arms]
    lines += [
        r"\midrule",
        _line(["Mean", *cells]),
        _line(["IQM", *iqms]),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _mean(scores: SeedScores, digits: int, bold: bool) -> str:
    text = f"{scores.mean:z.{digits}f}"
    if scores.se is not None:
        text += rf" \pm {scores.se:.{digits}f}"
    return rf"$\mathbf{{{text}}}$" if bold else f"${text}$"


def _iqm(scores: SeedScores, digits: int) -> str:
    text = f"{scores.iqm:z.{digits}f}"
    if scores.iqm_interval is not None:
        low, high = scores.iqm_interval
        text += rf"\ [{low:z.{digits}f}, {high:z.{digits}f}]"
    return f"${text}$"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in text)
