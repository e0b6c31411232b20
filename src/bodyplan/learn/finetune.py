"""Fine-tuning: a finished run's settings and networks, on another robot's data.

Fine-tuning and training from scratch on the new robot take the same number of updates, so that the
value of pre-training can be read off (arXiv 2602.18025, Figure 1, and its reviewers).
"""

from dataclasses import replace
from pathlib import Path

from bodyplan.learn.config import TrainConfig
from bodyplan.learn.registry import ALGORITHMS
from bodyplan.learn.run import Run


def finetune_config(
    run: Run,
    robots: tuple[str, ...],
    data: str | Path,
    out: str | Path,
    from_scratch: bool = False,
) -> TrainConfig:
    """The configuration that continues from a finished run, on other robots.

    Settings that concern the many robots of pre-training (combiner, groups, robots in an update,
    weights, conflicts) take their defaults.

    Args:
        run: the run to start from.
        robots: robots of the dataset to train on; all of them where none is named.
        data: folder of the dataset.
        out: folder of the new run.
        from_scratch: start with fresh networks instead, for comparison.

    Raises:
        BodyplanError: the run is damaged or of another version.
    """
    continued = continued_config(run.train_config, robots)
    return replace(continued, data=data, out=out, init_from=None if from_scratch else run.path)


def continued_config(config: TrainConfig, robots: tuple[str, ...]) -> TrainConfig:
    """The same from fresh networks on other robots, without what concerns many of them."""
    return replace(
        config,
        robots=robots,
        combine=TrainConfig.combine,
        groups=TrainConfig.groups,
        group_by=TrainConfig.group_by,
        group_critic=TrainConfig.group_critic,
        robots_per_update=TrainConfig.robots_per_update,
        weights=TrainConfig.weights,
        conflicts_every=TrainConfig.conflicts_every,
        init_from=None,
    )


def with_updates(
    config: TrainConfig, updates: int, learning_rate: float | None = None
) -> TrainConfig:
    """The same with another number of updates; a learning rate that decays does so within them."""
    algorithm = ALGORITHMS.make(config.algorithm)
    return replace(config, updates=updates).with_hyperparameters(
        learning_rate=learning_rate or algorithm.learning_rate,
        actor_decay=updates if algorithm.actor_decay else 0,
    )
