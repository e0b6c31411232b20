"""A pre-trained run on another robot's data: the same settings, its networks to begin with.

Fine-tuning and training from scratch on the new robot take the same number of updates, so that what
pre-training is worth can be read off (arXiv 2602.18025, Figure 1, and its reviewers).
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms import ALGORITHMS
from bodyplan.learn.combiners import COMBINERS
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.run import CONFIG, Run

_OF_THE_MIXTURE = (
    *("combine", "groups", "group_by", "group_critic", "weights", "begin_with", "conflicts_every"),
)
"""Settings that speak of the many robots of pre-training."""


def finetuning(
    run: Run, robots: tuple[str, ...], data: Path, out: Path, from_scratch: bool = False
) -> TrainConfig:
    """The configuration that goes on from a finished run, on other robots.

    Args:
        run: what to begin with.
        robots: robots of the dataset to train on; all of them where none is named.
        data: folder of the dataset.
        out: folder of the new run.
        from_scratch: begin with fresh networks instead, for comparison.

    Raises:
        BodyplanError: the run is damaged or of another version.
    """
    settings = {**run.config, "robots": robots, "data": data, "out": out}
    unwanted = {*_OF_THE_MIXTURE, *COMBINERS}
    known: dict[str, Any] = {
        one.name: settings[one.name]
        for one in fields(TrainConfig)
        if one.name in settings and one.name not in unwanted
    }
    try:
        name = known["algorithm"]
        known[name] = ALGORITHMS[name](**known[name])
        config = TrainConfig(**known)
    except (KeyError, TypeError) as error:
        raise BodyplanError(
            f"{run.path / CONFIG} is of another version of bodyplan ({error}); train again"
        ) from error
    return config if from_scratch else replace(config, begin_with=run.path)


def lasting(config: TrainConfig, updates: int, learning_rate: float | None = None) -> TrainConfig:
    """The same with another number of updates; a learning rate that fell to 0 does so in these."""
    hyper = getattr(config, config.algorithm)
    decay = updates // hyper.actor_every if hyper.actor_decay else 0
    hyper = replace(hyper, learning_rate=learning_rate or hyper.learning_rate, actor_decay=decay)
    return replace(config, updates=updates, **{config.algorithm: hyper})
