"""Scales of a reproduction: the paper's own, one for a workstation, and one to try it out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bodyplan.experiments.paper_arms import GROUPS, PaperArm
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.registry import ALGORITHMS

ScaleName = Literal["smoke", "small", "paper"]


@dataclass(frozen=True)
class ReproductionScale:
    """Sizes of a reproduction."""

    name: ScaleName
    robots: tuple[str, ...]
    """Names; empty for all."""
    steps: int
    """Control steps of each robot in each set."""
    seeds: int
    groups: int
    """Groups of robots, where a method has groups."""
    episodes: int
    """Of each robot in an evaluation."""
    training: Mapping[str, Any]
    """Settings of `TrainConfig`."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """Of the algorithms that have them."""
    decays: bool = True
    """Whether the actor's rate falls to zero over the run."""
    measurements: int = 100
    """Of conflict, during a training of an arm that has them."""
    nested: tuple[tuple[str, ...], ...] = ()
    """Sets of robots that grow in diversity; the last step, all robots, goes without saying."""
    left_out: tuple[str, ...] = ()
    """Robots that a pre-training goes without, each in turn; empty for all."""
    finetune_updates: int = 2_000
    group_counts: tuple[int, ...] = (1, 2, 4, 7, 10, 13)
    """Numbers of groups to compare; the paper's."""

    def config(self, arm: PaperArm, data: Path, seed: int) -> TrainConfig:
        """The training of an arm; its folder is decided later.

        Args:
            arm: the method.
            data: folder of the dataset.
            seed: of the run.
        """
        sized = {
            name: self.groups if value == GROUPS else value for name, value in arm.settings.items()
        }
        method = ALGORITHMS.find(arm.algorithm)
        known = method.__dataclass_fields__
        chosen = {name: own for name, own in self.hyperparameters.items() if name in known}
        if self.decays:
            chosen["actor_decay"] = self.training["updates"]
        if arm.measured:
            sized["conflicts_every"] = self.every(self.measurements)
        return TrainConfig(
            data=data,
            out=data,
            algorithm=method(**chosen),
            combine=arm.combine,
            seed=seed,
            **{**self.training, **sized},
        )

    def every(self, times: int, updates: int | None = None) -> int:
        """Updates between things that are done so many times, in whole intervals of the log.

        Args:
            times: how often.
            updates: in how many updates; by default those of a training.
        """
        interval: int = self.training.get("log_every", TrainConfig.log_every)
        intervals = (updates or self.training["updates"]) // interval
        return max(1, intervals // times) * interval

    def in_words(self) -> dict[str, str]:
        """The sizes for a reader."""
        training = self.training
        return {
            "Scale": self.name,
            "Robots": ", ".join(self.robots) or "all sixteen",
            "Steps of each robot": f"{self.steps:,}",
            "Updates": f"{training['updates']:,}",
            "Batch of each robot": str(training["batch_size"]),
            "Network": training["network"],
            "Seeds": str(self.seeds),
            "Episodes": f"{self.episodes} of each robot",
            "Groups": str(self.groups),
        }


ALIKE = ("unitree_a1", "unitree_go1", "unitree_go2")
"""Three robots of one build and maker."""
QUADRUPEDS = (
    *ALIKE,
    *("anymal_b", "anymal_c", "barkour_v0", "barkour_vb", "badger", "bittle"),
)
SCALES: Mapping[ScaleName, ReproductionScale] = {
    "smoke": ReproductionScale(
        name="smoke",
        robots=("unitree_a1", "unitree_h1", "hexapod"),
        steps=4_000,
        seeds=2,
        groups=2,
        episodes=2,
        training={
            "network": "tiny",
            "batch_size": 32,
            "updates": 300,
            "log_every": 100,
            "checkpoint_every": 300,
            "observation_scale": "shared",
        },
        hyperparameters={"learning_rate": 2e-3, "tau": 0.01},
        nested=(("unitree_a1", "hexapod"),),
        left_out=("unitree_a1", "unitree_h1"),
        finetune_updates=300,
        group_counts=(1, 2, 3),
    ),
    "small": ReproductionScale(
        name="small",
        robots=(),
        steps=100_000,
        seeds=3,
        groups=4,
        episodes=16,
        training={
            "network": "small",
            "batch_size": 64,
            "updates": 20_000,
            "log_every": 100,
            "checkpoint_every": 1_000,
            "observation_scale": "shared",
        },
        hyperparameters={"learning_rate": 1e-3, "tau": 0.01},
        nested=(ALIKE, QUADRUPEDS),
        left_out=("unitree_go1", "bittle", "unitree_h1", "hexapod"),
    ),
    "paper": ReproductionScale(
        name="paper",
        robots=(),
        steps=1_000_000,
        seeds=5,
        groups=4,
        episodes=50,
        training={"network": "paper", "batch_size": 1024, "updates": 100_000},
        decays=False,
        nested=(ALIKE, QUADRUPEDS),
        finetune_updates=10_000,
    ),
}
