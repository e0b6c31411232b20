"""What a user sees while training runs: one bar, the numbers that matter, and what they mean.

iql grouped      ━━━━━━━━━━      5000/10000 0:01:30 eta 0:01:28
55.6 updates/s, actor 1.2, critic 0.0021, return 31.2, falls 12%, rate 0.002
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bodyplan.learn.config import TrainConfig
from bodyplan.learn.policy import Policy
from bodyplan.learn.train import OnInterval
from bodyplan.progress import COLUMNS, ProgressDisplay

_EPISODES = {"held_out": "held-out episodes", "training_data": "the data's episodes"}
_CRITIC_LOSSES = ("critic/q_loss", "critic/v_loss")


class TrainingDisplay:
    """Shows a run's lines of metrics, and the evaluations on its way."""

    def __init__(self, config: TrainConfig, display: ProgressDisplay) -> None:
        """Nothing is shown yet."""
        self._config, self._display = config, display
        self._task = f"{config.algorithm_name} {config.combiner_name}"
        self._evaluation: dict[str, str] = {}
        self._critics = ""

    def log(self, update: int, line: Mapping[str, Any]) -> None:
        """Show a line of metrics.jsonl."""
        self._critics = critics_sentence(line) or self._critics
        note = training_note(line, self._evaluation)
        self._display(self._task, update, self._config.updates, note)

    def watched(self, on_interval: OnInterval) -> OnInterval:
        """The same callback; what it returns is shown from then on."""

        def evaluate(update: int, policy: Policy) -> Mapping[str, Any] | None:
            outcome = on_interval(update, policy)
            self._evaluation = evaluation_parts(outcome or {}) or self._evaluation
            return outcome

        return evaluate

    def finish(self) -> None:
        """Say what the critics have come to."""
        if self._critics:
            self._display.say(self._critics)


def training_note(line: Mapping[str, Any], evaluation: Mapping[str, str]) -> str:
    """The numbers of a line that matter most, as many as fit.

    Args:
        line: of metrics.jsonl.
        evaluation: what `evaluation_parts` made of the last evaluation.
    """
    speed = line["updates_per_s"]
    parts = [f"{speed:,.0f} updates/s" if speed >= 100.0 else f"{speed:.3g} updates/s"]
    if "actor/loss" in line:
        parts.append(f"actor {line['actor/loss']:.3g}")
    parts += [f"critic {line[name]:.2g}" for name in _CRITIC_LOSSES if name in line][:1]
    parts += [f"{name} {text}" for name, text in evaluation.items()]
    if "actor/learning_rate" in line:
        parts.append(f"rate {line['actor/learning_rate']:.1g}")
    note = parts[0]
    for part in parts[1:]:
        if len(note) + len(part) + 2 <= COLUMNS - 2:  # an indent
            note += f", {part}"
    return note


def evaluation_parts(outcome: Mapping[str, Any]) -> dict[str, str]:
    """Mean return and share of falls over robots, as far as an evaluation has them."""
    parts = {}
    for name, key, form in (("return", "return_mean", "{:.1f}"), ("falls", "fall_share", "{:.0%}")):
        values = [score[key] for score in outcome.values() if score.get(key) is not None]
        if values:
            parts[name] = form.format(float(np.mean(values)))
    return parts


def critics_sentence(line: Mapping[str, Any]) -> str:
    """What a line says of critics and weights; empty where it says nothing."""
    sentences = []
    for where, name in _EPISODES.items():
        share = line.get(f"{where}/q_share")
        if share is not None:
            correlation = line.get(f"{where}/q_correlation")
            likeness = "" if correlation is None else f" (correlation {correlation:.2f})"
            sentences.append(f"Q is {share:.0%} of what {name} then earned{likeness}")
    if "actor/late_preference" in line:
        ratio = line["actor/late_preference"]
        sentences.append(f"late data weigh {ratio:.2f} times as much as early data")
    return "; ".join(sentences)
