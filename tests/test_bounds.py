"""Every number has bounds, and what is out of them is one sentence, on the command line and off."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, get_args

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le, Lt

from bodyplan.bounds import (
    AboveZero,
    AnyInteger,
    CountFromOne,
    DistinctNames,
    OutOfBoundsError,
    Share,
    all_fields,
    allowed_text,
    faults,
    is_bounded,
    kind_of,
    require_bounds,
)
from bodyplan.cli import COMMANDS, command_class, main
from bodyplan.envs.disturbances import Disturbances
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.experiments.transfer import TransferConfig
from bodyplan.experts.expert_config import ExpertConfig
from bodyplan.experts.ppo import PPOConfig
from bodyplan.grouping.body_metric import BodyMetric
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.registry import ALGORITHMS, COMBINERS


@dataclass(frozen=True)
class Inner:
    share: Share = 0.5


@dataclass(frozen=True)
class Settings:
    count: CountFromOne | None = 1
    rate: AboveZero = 0.1
    scale: Literal["none", "shared"] = "none"
    robots: DistinctNames = ()
    weights: dict[str, AboveZero] | None = None
    size: tuple[CountFromOne, CountFromOne] = (1, 1)
    free: AnyInteger = 0
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"count": 0}, "count is 0; give 1 or more"),
        ({"count": 10**20}, f"count is {10**20}; give a whole number from 1 to 1,000,000,000"),
        ({"count": 1.5}, "count is 1.5; give a whole number 1 or more"),
        ({"count": "3"}, ""),  # of a union, where it may be another kind
        ({"rate": 0.0}, "rate is 0.0; give a number above 0"),
        ({"rate": float("nan")}, "rate is nan; give a number above 0"),
        ({"rate": np.float32("inf")}, "rate is inf; give a number above 0"),
        ({"rate": "fast"}, "rate is 'fast'; give a number above 0"),
        ({"scale": "perrobot"}, "scale is 'perrobot'; give one of none, shared"),
        ({"robots": ("a", "b", "a")}, "robots names a twice; give each name once"),
        ({"weights": {"a": 1.0, "b": -1.0}}, "weights gives b -1.0; give a number above 0"),
        ({"size": (4, 0)}, "size is 0; give 1 or more"),
        ({"inner": Inner(2.0)}, "share is 2.0; give a number from 0 to 1"),
        ({"free": -5, "count": None, "weights": {"a": 2.0}}, ""),
    ],
)
def test_a_value_out_of_bounds_is_one_sentence(values, sentence):
    found = [fault.sentence(fault.path[-1]) for fault in faults(replace(Settings(), **values))]
    assert found == ([sentence] if sentence else [])


def test_arrays_pass():
    """Such as stand for numbers while a program is compiled."""
    require_bounds(Settings(rate=np.zeros(3)))


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (CountFromOne | None, "1 or more"),
        (Share, "from 0 to 1"),
        (Annotated[float, Ge(0.0), Lt(1.0)], "from 0 to below 1"),
        (Annotated[float, Gt(0.0), Le(1.0)], "above 0 and at most 1"),
        (AnyInteger, ""),
        (str, ""),
    ],
)
def test_bounds_in_words(hint, text):
    assert allowed_text(hint) == text


CONFIGS = (
    *(TrainConfig, EvaluationConfig, Disturbances, BodyMetric),
    *(ExpertConfig, PPOConfig, TransferConfig),
    *(ALGORITHMS.find(name) for name in ALGORITHMS.builtin),
    *(COMBINERS.find(name) for name in COMBINERS.builtin),
)
TARGETS = {
    " ".join([name, *sub]): target
    for name, entry in COMMANDS.items()
    for sub, target in (
        [((), entry.target)]
        if isinstance(entry.target, str)
        else [((sub,), target) for sub, target in entry.target.items()]
    )
}


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_every_number_of_a_configuration_has_bounds(kind):
    assert [place for place, hint in all_fields(kind) if not is_bounded(hint)] == []


@pytest.mark.parametrize("command", TARGETS)
def test_every_number_on_the_command_line_has_bounds(command):
    kind = command_class(TARGETS[command])
    assert [place for place, hint in all_fields(kind) if not is_bounded(hint)] == []


def outside(hint):
    """A text that is beyond a hint's bounds; None where it has none."""
    for own in get_args(hint) if kind_of(hint) is hint else (hint,):
        for mark in getattr(own, "__metadata__", ()):
            match mark:
                case Ge(low):
                    return str(type(low)(low - 1))
                case Gt(low):
                    return str(low)
    return None


REQUIRED = {
    "robots show": ["badger"],
    "experts train": ["badger"],
    "experts show": ["badger"],
    "experts film": ["badger"],
    "train": ["--data", "x"],
    "transfer": ["--data", "x"],
    "finetune": ["x", "--robot", "badger", "--data", "x"],
    "evaluate": ["x"],
    "sweep": ["x"],
    "conflicts": ["x"],
    "report": ["x"],
    "compare": ["x"],
    "data export": ["x"],
    "data import": ["x"],
    "data import-release": ["x"],
    "data import-minari": ["x"],
}
ALWAYS_OUT = ("sweep", "train", "transfer", "finetune", "data build", "robots generate")


@pytest.mark.parametrize("command", TARGETS)
def test_numbers_out_of_bounds_are_refused_by_name(command, capsys):
    kind = command_class(TARGETS[command])
    bounded = [(place, text) for place, hint in all_fields(kind) if (text := outside(hint))]
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    named = capsys.readouterr().out.split()
    for place, text in bounded[:12]:
        own = place[-1].replace("_", "-")
        option = next(word for word in named if word == f"--{own}" or word.endswith(f".{own}"))
        words = [*command.split(), *REQUIRED.get(command, [])]
        out = ["--out", "y"] if command in ALWAYS_OUT or command.startswith("data im") else []
        values = [text] * (2 if own == "size" else 1)
        assert main([*words, *out, option, *values]) == 2, option
        error = capsys.readouterr().err
        assert error.startswith(f"error: {option} ")
        assert "give" in error
        assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"reward_scale": "perrobot"},
        {"group_by": "legs"},
        {"seed": -1},
        {"devices": -1},
        {"robots": ("badger", "badger")},
        {"held_out": 1.0},
        {"updates": 10**20},
        {"out": "/", "data": "x"},
        {"weights": {"badger": float("nan")}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_a_configuration_is_checked_where_it_is_made(values):
    with pytest.raises(OutOfBoundsError, match=next(iter(values))):
        TrainConfig(**{"data": "x", "out": "y", **values})


@pytest.mark.parametrize("setting", ["learning_rate", "expectile", "gamma", "gradient_clip"])
@pytest.mark.parametrize("value", [-1.0, 5e9, float("nan")])
def test_a_method_is_checked_where_it_is_made(setting, value):
    if setting == "gradient_clip" and value > 0:
        pytest.skip("a clip that nothing reaches is none")
    with pytest.raises(OutOfBoundsError, match=setting):
        ALGORITHMS.make("iql", {setting: value})


def test_help_says_what_a_number_can_be(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "(from 0 to 1; default: 0.99)" in text
    assert "(above 0 and below 1; default: 0.7)" in text
