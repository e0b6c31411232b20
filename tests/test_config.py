"""The configuration: what is out of bounds, its form in config.json, and that of older runs."""

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.awac import AWAC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.combiners.cagrad import CAGrad
from bodyplan.learn.combiners.selective import Selective
from bodyplan.learn.config import TrainConfig, check_config
from bodyplan.learn.registry import ALGORITHMS, COMBINERS
from bodyplan.learn.run import claim_folder

CONFIG = TrainConfig(data="data", out="out", algorithm=IQL(beta=1.0), combine="grouped", groups=2)

algorithms = st.one_of(
    st.sampled_from(ALGORITHMS.names()),
    st.builds(IQL, beta=st.floats(0.0, 10.0), log_probability=st.sampled_from(["mean", "sum"])),
    st.builds(AWAC, temperature=st.floats(0.1, 5.0)),
)
combiners = st.one_of(
    st.sampled_from(COMBINERS.names()),
    st.builds(CAGrad, c=st.floats(0.0, 1.0)),
    st.builds(Selective, warm_up=st.integers(0, 9)),
)


@given(
    algorithm=algorithms,
    combine=combiners,
    groups=st.sampled_from([3, "groups.json", [["a"], ["b", "c"]]]),
    robots=st.lists(st.sampled_from("abc"), unique=True).map(tuple),
    weights=st.one_of(st.none(), st.dictionaries(st.sampled_from("abc"), st.floats(0.1, 9.0))),
)
def test_json_holds_all_settings(algorithm, combine, groups, robots, weights):
    config = TrainConfig(
        "data", "out", algorithm, combine, groups=groups, robots=robots, weights=weights
    )
    written = json.loads(json.dumps(config.to_json()))
    again = TrainConfig.from_json(written)
    assert again.to_json() == config.to_json()
    assert ALGORITHMS.make(again.algorithm) == ALGORITHMS.make(algorithm)
    assert COMBINERS.make(again.combine) == COMBINERS.make(combine)


def test_runs_of_older_versions_are_read_and_continued(tmp_path):
    """They call `init_from` `begin_with`."""
    config = replace(CONFIG, groups=[["dog"]])
    older = config.to_json()
    older["begin_with"] = older.pop("init_from")
    assert TrainConfig.from_json({**older, "begin_with": "runs/first"}).init_from == "runs/first"
    (tmp_path / "config.json").write_text(json.dumps(older))
    (tmp_path / "metrics.jsonl").write_text('{"update": 100}\n{"update": 200}\n')  # it has begun
    claim_folder(tmp_path, config.to_json())
    with pytest.raises(BodyplanError, match="init_from"):
        claim_folder(tmp_path, replace(config, init_from="runs/other").to_json())


@dataclass(frozen=True, kw_only=True)
class CarefulIQL(IQL):
    """An algorithm that no package offers, as in a notebook."""

    care: float = 0.5


def test_a_class_that_is_only_defined_goes_by_its_name():
    document = replace(CONFIG, algorithm=CarefulIQL(care=0.1)).to_json()
    assert document["algorithm"] == "careful_iql"
    assert TrainConfig.from_json(document).algorithm == CarefulIQL(care=0.1)


def test_a_name_that_is_taken_is_refused():
    namesake = dataclass(frozen=True, kw_only=True)(type("IQL", (IQL,), {}))
    with pytest.raises(BodyplanError, match="iql"):
        ALGORITHMS.name_of(namesake())


def test_hyperparameters_are_replaced_by_name():
    config = CONFIG.with_hyperparameters(expectile=0.9)
    assert config.algorithm == IQL(beta=1.0, expectile=0.9)
    assert TrainConfig("data", "out").with_hyperparameters(beta=0.0).algorithm == IQL(beta=0.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"checkpoint_every": 150}, "checkpoint_every"),
        ({"evaluate_every": 50}, "evaluate_every"),
        ({"algorithm": "td3_bc", "log_every": 5, "checkpoint_every": 5}, "log_every"),
        ({"batch_size": 10, "actor_steps_per_iteration": 3}, "actor_steps_per_iteration"),
        ({"combine": "pooled", "group_critic": True}, "group_critic"),
        ({"algorithm": "alchemy"}, "alchemy"),
        ({"combine": "blend"}, "blend"),
    ],
)
def test_what_is_out_of_bounds_is_named(change, named):
    with pytest.raises(BodyplanError, match=named):
        check_config(replace(CONFIG, **change), devices=1)
