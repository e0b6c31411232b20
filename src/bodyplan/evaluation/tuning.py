"""What arms tried before they were compared, and what each chose.

Whoever tries more settings looks better (Dodge et al. 2019, "Show Your Work", arXiv 1909.03004). So
every arm tries as many, with seeds of their own, and is compared with other seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb


@dataclass(frozen=True)
class TunedArm:
    """An arm, the settings it tried, and what each scored."""

    name: str
    scores: Mapping[str, float]
    """By setting in words: mean over the seeds of tuning and over robots."""

    @property
    def chosen(self) -> str:
        """The setting of the highest score; of equal ones the first."""
        return max(self.scores, key=lambda label: self.scores[label])

    @property
    def expected_best(self) -> list[float]:
        """The best score to expect of 1, 2, ... of these settings, drawn without replacement.

        The i-th lowest of K scores is the best of n draws in C(i - 1, n - 1) of C(K, n) cases.
        """
        ranked = sorted(self.scores.values())
        count = len(ranked)
        return [
            sum(score * comb(rank, n - 1) for rank, score in enumerate(ranked)) / comb(count, n)
            for n in range(1, count + 1)
        ]
