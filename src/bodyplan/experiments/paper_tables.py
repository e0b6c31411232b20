"""The tables of the cross-embodiment paper: which arms on which sets, and what it reports.

Abe, Osa, Mukuta, Harada, "Cross-Embodiment Offline RL for Heterogeneous Robot Datasets", arXiv
2602.18025, ICLR 2026. Numbers are mean returns over the sixteen robots and their standard errors
over five seeds. Its ablations have runs of their own, so that IQL and IQL+EG differ a little there
from the main table. Where a number is missing here, no copy of the paper at hand has it.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Reported = Mapping[str, Mapping[str, tuple[float, float]]]
"""By set and arm: mean return and its standard error."""


@dataclass(frozen=True)
class PaperArm:
    """A method of the paper, as settings of a training."""

    name: str
    algorithm: str
    combine: str = "pooled"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of `TrainConfig`. `actor_steps_per_iteration` and `groups` may be
    `groups`: as many as the scale has groups."""


@dataclass(frozen=True)
class PaperTable:
    """A table: mean returns of arms on sets."""

    name: str
    title: str
    question: str
    """What the table answers; the page tells what is found."""
    sets: tuple[str, ...]
    """Recipe and command, as in `suboptimal70-forward`."""
    arm_names: tuple[str, ...]
    baseline: str
    """The arm that the others are compared with."""

    @property
    def arms(self) -> tuple[PaperArm, ...]:
        """The methods."""
        return tuple(ARMS[name] for name in self.arm_names)

    @property
    def reported(self) -> Reported:
        """What the paper reports, of the arms that it has numbers of."""
        # The first table has two columns of the third.
        return _reported("table3" if self.name == "table1" else self.name)


GROUPS = "groups"
ARMS = {
    arm.name: arm
    for arm in (
        PaperArm("BC", "bc"),
        PaperArm("TD3+BC", "td3_bc"),
        PaperArm("IQL", "iql"),
        PaperArm("IQL+SEL", "iql", "selective"),
        PaperArm("IQL+PCGrad", "iql", "pcgrad"),
        PaperArm("BC+EG", "bc", "grouped", {GROUPS: GROUPS}),
        PaperArm("TD3+BC+EG", "td3_bc", "grouped", {GROUPS: GROUPS}),
        PaperArm("IQL+EG", "iql", "grouped", {GROUPS: GROUPS}),
        PaperArm("IQL+random groups", "iql", "grouped", {GROUPS: GROUPS, "group_by": "random"}),
        PaperArm("IQL+heuristic groups", "iql", "grouped", {"group_by": "heuristic"}),
        PaperArm(
            "IQL, as many actor steps", "iql", "pooled", {"actor_steps_per_iteration": GROUPS}
        ),
        PaperArm("IQL+EG-Actor+Critic", "iql", "grouped", {GROUPS: GROUPS, "group_critic": True}),
    )
}
"""By name."""
SETS = (
    *("expert-forward", "expert-backward", "expert_replay-forward", "expert_replay-backward"),
    *("suboptimal70-forward", "suboptimal70-backward"),
)


def _reported(table: str) -> Reported:
    """What the paper reports in a table."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    with (Path(__file__).parent / "paper_numbers.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["table"] == table:
                values = float(row["return"]), float(row["error"])
                found.setdefault(row["set"], {})[row["arm"]] = values
    return found


PAPER_TABLES = {
    table.name: table
    for table in (
        PaperTable(
            "table1",
            "Behaviour cloning and IQL on six sets",
            "Does offline RL pay on suboptimal data of many robots?",
            SETS,
            ("BC", "IQL"),
            "BC",
        ),
        PaperTable(
            "table3",
            "All methods on six sets",
            "Which method earns most, and where does embodiment grouping (EG) pay?",
            SETS,
            ("BC", "TD3+BC", "IQL", "IQL+SEL", "IQL+PCGrad", "BC+EG", "TD3+BC+EG", "IQL+EG"),
            "IQL",
        ),
        PaperTable(
            "table4",
            "Groups of other kinds on the 70 % suboptimal set",
            "Do bodies matter, or would any partition of the robots do?",
            ("suboptimal70-forward",),
            ("IQL", "IQL+random groups", "IQL+heuristic groups", "IQL+EG"),
            "IQL+EG",
        ),
        PaperTable(
            "table5",
            "As many actor steps without groups, on the 70 % suboptimal set",
            "Is it the groups, or only that the actor steps more often?",
            ("suboptimal70-forward",),
            ("IQL", "IQL, as many actor steps", "IQL+EG"),
            "IQL+EG",
        ),
        PaperTable(
            "table10",
            "Critics that step group by group too, on the 70 % suboptimal set",
            "Should critics be grouped as well?",
            ("suboptimal70-forward",),
            ("IQL+EG", "IQL+EG-Actor+Critic"),
            "IQL+EG",
        ),
    )
}
"""By name."""
