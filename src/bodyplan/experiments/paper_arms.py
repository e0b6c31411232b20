"""The methods and the sets of the cross-embodiment paper, as settings of trainings.

Abe, Osa, Mukuta, Harada, "Cross-Embodiment Offline RL for Heterogeneous Robot Datasets", arXiv
2602.18025, ICLR 2026.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PaperArm:
    """A method of the paper, as settings of a training."""

    name: str
    algorithm: str
    combine: str = "pooled"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of `TrainConfig`. `actor_steps_per_iteration` and `groups` may be
    `groups`: as many as the scale has groups."""
    measured: bool = False
    """Whether conflicts are measured during training, as the figures of conflict need. It changes
    no result, and so figures have these runs in common with tables."""


GROUPS = "groups"
ARMS = {
    arm.name: arm
    for arm in (
        PaperArm("BC", "bc"),
        PaperArm("TD3+BC", "td3_bc", measured=True),
        PaperArm("IQL", "iql", measured=True),
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
SUBOPTIMAL = "suboptimal70-forward"
SETS = (
    *("expert-forward", "expert-backward", "expert_replay-forward", "expert_replay-backward"),
    *(SUBOPTIMAL, "suboptimal70-backward"),
)
