"""A run of an experiment: trained, then evaluated, in a folder named by what decides its result.

The same settings on the same data lead to the same folder. A finished run is therefore found again
by every experiment that needs it, and an interrupted one is continued.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from bodyplan.datasets.format import CARD
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluated_runs import EVALUATION
from bodyplan.evaluation.evaluation import Evaluation, EvaluationConfig
from bodyplan.learn.config import NOT_IN_IDENTITY, TrainConfig
from bodyplan.learn.metrics_file import read_lines
from bodyplan.learn.run import METRICS, Run
from bodyplan.storage import sha256

KEY_LENGTH = 12
"""Hexadecimal digits of a folder's name; two of a million runs share them once in 500 cases."""


@dataclass(frozen=True)
class ExperimentRun:
    """One training, one evaluation, and the name that a table gives them."""

    name: str
    """Of its arm, without the seed."""
    config: TrainConfig
    evaluation: EvaluationConfig

    @classmethod
    def of(
        cls, name: str, config: TrainConfig, evaluation: EvaluationConfig, folder: Path
    ) -> "ExperimentRun":
        """The run in the folder that its content names, in `folder`.

        Raises:
            BodyplanError: there are no data.
        """
        return cls(name, replace(config, out=folder / run_key(config)), evaluation)

    @property
    def label(self) -> str:
        """Its name and seed."""
        return f"{self.name} seed {self.config.seed}".strip()

    @property
    def path(self) -> Path:
        """Its folder."""
        return Path(self.config.out)

    @property
    def updates_done(self) -> int:
        """Updates that its metrics tell of; 0 where it has not begun."""
        return max((line["update"] for line in self._metrics()), default=0)

    @property
    def updates_per_s(self) -> float | None:
        """How fast it was, in the median interval; None where it has not begun."""
        rates = [line["updates_per_s"] for line in self._metrics() if "updates_per_s" in line]
        return median(rates) if rates else None

    def _metrics(self) -> list[dict[str, Any]]:
        path = self.path / METRICS
        return read_lines(path) if path.is_file() else []

    def is_finished(self) -> bool:
        """Whether it is trained, and evaluated as is asked here."""
        path = self.path / EVALUATION
        if not (Run(self.path).has_policy and path.is_file()):
            return False
        return Evaluation.load(path).answers(self.evaluation, self.config.updates)

    def execute(self) -> None:
        """Train what is missing, then evaluate, unless this is done.

        Raises:
            BodyplanError: a setting, the data or the folder do not fit.
            TrainingDiverged: a loss or a parameter is no longer finite.
        """
        from bodyplan.evaluation.evaluate import evaluate  # and JAX with it
        from bodyplan.experiments.pretraining import train

        if self.is_finished():
            return
        run, asked = train(self.config), self.evaluation
        evaluate(
            run,
            episodes=asked.episodes,
            seed=asked.seed,
            initial_state=asked.initial_state,
            threads=asked.threads,
            disturbances=asked.disturbances,
        ).save(run.path / EVALUATION)


def run_key(config: TrainConfig) -> str:
    """What decides a run's result, as a few hexadecimal digits: its settings and its data.

    Raises:
        BodyplanError: there are no data, or the file of groups cannot be read.
    """
    card = Path(config.data) / CARD
    if not card.is_file():
        raise BodyplanError(f"{config.data} is no dataset, for it has no {CARD}; build it first")
    decides = {
        name: value for name, value in config.to_json().items() if name not in NOT_IN_IDENTITY
    }
    if isinstance(config.groups, str | Path):
        decides["groups"] = sha256(Path(config.groups))
    document = json.dumps(decides | {"card": sha256(card)}, sort_keys=True, default=str)
    return hashlib.sha256(document.encode()).hexdigest()[:KEY_LENGTH]
