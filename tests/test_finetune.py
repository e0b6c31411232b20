"""Going on from a pre-trained run: its networks, its scale, fresh optimisers, another robot."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.errors import BodyplanError
from bodyplan.experiments.pretraining import train
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.checkpoint import restore_checkpoint
from bodyplan.learn.checkpoint_files import checkpoints
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.finetune import finetune_config
from bodyplan.learn.training_setup import TrainingSetup
from bodyplan.storage import read_json, write_json


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    place = tmp_path_factory.mktemp("pretraining")
    write_dataset(place / "data", {"dog": (3, 2), "crab": (4, 2)}, steps=600)
    write_dataset(place / "new", {"ant": (6, 6)}, steps=600, seed=1)
    (place / "groups.json").write_text('[["crab"], ["dog"]]')
    config = TrainConfig(
        data=place / "data",
        out=place / "run",
        combine="grouped",
        groups=place / "groups.json",
        network="tiny",
        batch_size=16,
        updates=40,
        log_every=20,
        checkpoint_every=40,
        observation_scale="shared",
        algorithm=IQL(learning_rate=3e-3, beta=2.0),
    )
    return train(config)


def config_for(run, name, **change):
    place = run.path.parent
    config = finetune_config(run, ("ant",), place / "new", place / name, **change)
    return replace(config, updates=20, checkpoint_every=20)


def test_networks_and_scale_are_the_runs_and_the_rest_is_fresh(pretrained):
    config = config_for(pretrained, "tuned")
    assert config.combine == "pooled"
    assert config.algorithm == IQL(learning_rate=3e-3, beta=2.0)
    plan = TrainingSetup.of(config)
    state = plan.initial_state(seed=7)
    original = TrainingSetup.of(replace(config, init_from=None)).learner.init(0, plan.sizes)
    path = checkpoints(pretrained.path / "checkpoints")[-1][1]
    ended = restore_checkpoint(path, original)
    for part in (lambda s: s.actor.policy, lambda s: (s.critic.value, s.critic.q, s.critic.target)):
        for mine, theirs in zip(*(jax.tree.leaves(part(s)) for s in (state, ended)), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.actor.optimiser))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.critic.q_optimiser))
    assert int(state.update) == 0
    assert plan.data.observation_scale.to_json() == pretrained.policy.observation_scale.to_json()


@pytest.mark.slow
def test_it_trains_and_says_where_it_came_from(pretrained):
    tuned = train(config_for(pretrained, "tuned"))
    scratch = train(config_for(pretrained, "scratch", from_scratch=True))
    assert tuned.config["init_from"] == str(pretrained.path)
    assert scratch.config["init_from"] is None
    assert tuned.policy.card["robots"] == ["ant"]
    assert tuned.metrics[0]["actor/loss"] < scratch.metrics[0]["actor/loss"]


def test_what_does_not_fit_is_named(pretrained, tmp_path):
    config = replace(config_for(pretrained, "other"), algorithm="bc")
    with pytest.raises(BodyplanError, match="iql"):
        train(config)
    with pytest.raises(BodyplanError, match="config.json"):
        elsewhere = replace(pretrained, path=tmp_path)
        settings = read_json(pretrained.path / "config.json")
        write_json(tmp_path / "config.json", {**settings, "iql": {"magic": 1.0}})
        finetune_config(elsewhere, ("ant",), config.data, tmp_path / "out")
    with pytest.raises(BodyplanError, match="shape|is needed|lacks"):
        train(replace(config_for(pretrained, "wide"), network="small"))
