"""A configuration as options, and back through the command line and config.json."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bodyplan.cli import command_class
from bodyplan.cli.parsing import parse
from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.awac import AWAC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.combiners.cagrad import CAGrad
from bodyplan.learn.combiners.selective import Selective
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.registry import ALGORITHMS, COMBINERS
from bodyplan.learn.run import claim_folder
from bodyplan.learn.train_options import config_of_file, train_options

numbers = st.floats(1e-6, 10.0)
names = st.sampled_from(["ant", "bee", "my_dog"])
configs = st.builds(
    TrainConfig,
    data=st.sampled_from(["data/four", "a folder/set"]),
    out=st.just("runs/mine"),
    algorithm=st.one_of(
        st.sampled_from(ALGORITHMS.names()),
        st.builds(IQL, beta=numbers, actor_decay=st.integers(0, 99), gradient_clip=numbers),
        st.builds(TD3BC, alpha=numbers, alpha_on=st.sampled_from(["q", "cloning"])),
        st.builds(AWAC, log_probability=st.sampled_from(["mean", "sum"])),
    ),
    combine=st.one_of(
        st.sampled_from(COMBINERS.names()),
        st.builds(CAGrad, c=numbers),
        st.builds(Selective, warm_up=st.integers(0, 9)),
    ),
    groups=st.sampled_from([3, "my groups.json", [["ant"], ["bee", "my_dog"]]]),
    group_by=st.sampled_from(["embodiment", "random"]),
    group_critic=st.booleans(),
    robots=st.lists(names, unique=True).map(tuple),
    weights=st.none() | st.dictionaries(names, numbers, min_size=1),
    network=st.sampled_from(["paper", "tiny"]),
    updates=st.integers(1, 10**6),
    held_out=st.floats(0.0, 0.9),
    init_from=st.none() | st.just("runs/first"),
    devices=st.none() | st.integers(1, 8),
    seed=st.integers(0, 99),
    tensorboard=st.booleans(),
    wandb=st.none() | st.just("walking"),
)


def parsed(*arguments):
    """What the command line makes of the arguments."""
    return parse(command_class("train:Train"), "bodyplan train", list(arguments))


def flat(options):
    return [text for option in options for text in option]


def as_written(config):
    """Settings as config.json has them."""
    return json.loads(json.dumps(config.to_json(), default=str))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(config=configs)
def test_the_command_line_makes_the_same_configuration_of_the_options(config):
    again = parsed(*flat(train_options(config))).settings.to_config()
    assert as_written(again) == as_written(config)


def test_defaults_are_left_out():
    assert train_options(TrainConfig("data", "out")) == [["--data", "data"], ["--out", "out"]]


@pytest.fixture
def path(tmp_path):
    """The config.json of a run, as training writes it."""
    config = TrainConfig(
        data="data",
        out=tmp_path / "run",
        algorithm=IQL(beta=1.0, gradient_clip=2.0),
        combine="grouped",
        groups=2,
        robots=("ant", "bee"),
        weights={"ant": 2.0},
        tensorboard=True,
        seed=4,
        updates=700,
    )
    found = {"groups": [["ant"], ["bee"]], "groups_from": 2, "dataset_card_sha256": "0" * 64}
    claim_folder(tmp_path / "run", config.to_json() | found, {"python": "3"})
    return tmp_path / "run" / "config.json"


def test_a_runs_file_gives_its_settings_and_options_beside_it_win(path):
    same = parsed("--config", str(path), "--out", "new").settings.to_config()
    original = config_of_file(path)
    assert as_written(replace(same, out=original.out)) == as_written(original)
    assert (same.groups, same.algorithm.beta, same.tensorboard) == (2, 1.0, True)
    options = ("--out=new", "--iql.beta", "0.5", "--updates=900", "--data", "other")
    other = parsed(f"--config={path.parent}", *options, "--no-tensorboard").settings.to_config()
    assert (str(other.out), str(other.data), other.updates) == ("new", "other", 900)
    assert (other.algorithm.beta, other.algorithm.gradient_clip) == (0.5, 2.0)
    assert (other.seed, other.weights, other.tensorboard) == (4, {"ant": 2.0}, False)


def test_groups_of_a_file_or_of_names_are_the_runs(path):
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"groups_from": "gone.json"}))
    again = parsed("--config", str(path), "--out", "new").settings.to_config()
    assert again.groups == [["ant"], ["bee"]]
    del document["groups_from"]  # as older versions wrote it
    path.write_text(json.dumps(document))
    assert config_of_file(path).groups == [["ant"], ["bee"]]


def test_the_folder_of_the_new_run_is_asked_for(path):
    with pytest.raises(BodyplanError, match="--out"):
        parsed("--config", str(path))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "JSON"),
        ("{}", "data is missing"),
        ('{"data": "d", "out": "o", "algorithm": "alchemy"}', "alchemy"),
        ('{"data": "d", "out": "o", "algorithm": "iql", "iql": {"magic": 1}}', "magic"),
        ('{"data": "d", "out": "o", "groups": 7.5, "weights": 3}', "is a"),
    ],
)
def test_what_is_no_configuration_is_named(tmp_path, content, word):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(BodyplanError, match=word) as error:
        config_of_file(path)
    assert str(path) in str(error.value)
    with pytest.raises(BodyplanError, match="missing"):
        config_of_file(tmp_path / "nowhere.json")


def test_groups_that_are_no_json_are_named():
    command = ("--data", "d", "--out", "o", "--groups", "[[ant]]")
    with pytest.raises(BodyplanError, match="--groups"):
        parsed(*command).settings.to_config()
