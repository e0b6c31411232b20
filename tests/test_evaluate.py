"""A policy on trial: what it is shown of the bodies, what the outcome says of the disturbances."""

import json
from pathlib import Path

import numpy as np
import pytest

from bodyplan.cli import main
from bodyplan.envs.disturbances import Disturbances
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluate import Trial, evaluate
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy
from bodyplan.learn.policy import Policy

STARFISH = Path(__file__).parents[1] / "examples" / "starfish" / "starfish.xml"


class Still:
    """Does nothing, and remembers the shapes of the bodies it was shown."""

    def __init__(self):
        self.seen = []

    def act(self, observation, descriptor):
        self.seen.append(descriptor.joints.shape)
        return np.zeros(observation.joints.shape[:2])


def test_a_clean_trial_shows_one_body_and_a_disturbed_one_shows_each(load):
    outcomes = {}
    for name, disturbances in (("clean", Disturbances()), ("wild", Disturbances(randomise=True))):
        policy = Still()
        trial = Trial(episodes=3, disturbances=disturbances)
        outcomes[name] = evaluate(policy, [load("unitree_h1")], trial=trial)
        assert set(policy.seen) == {(19, 23) if name == "clean" else (3, 19, 23)}
    assert outcomes["wild"]["conditions"]["randomise"]
    assert not any(outcomes["clean"]["conditions"].values())
    returns = [outcome["robots"]["unitree_h1"]["return_mean"] for outcome in outcomes.values()]
    assert returns[0] != returns[1]


def test_no_episode_is_no_trial(load):
    with pytest.raises(BodyplanError, match="--episodes must be at least 1"):
        evaluate(Still(), [load("unitree_h1")], trial=Trial(episodes=0))


def released(folder, **facts):
    """A run whose policy has learned nothing, and whose data are gone."""
    sizes = PRESETS["tiny"]
    network = URMAPolicy(np.random.default_rng(0), sizes)
    Policy.of(network, IQL(), sizes, None, **facts).save(folder / "policy")
    config = {"data": str(folder / "gone"), "robots": ["unitree_h1"]}
    (folder / "config.json").write_text(json.dumps(config))
    return [str(folder), "--episodes", "1"]


def test_a_run_is_asked_for_what_it_learned_even_where_its_data_are_gone(tmp_path, capsys):
    run = released(tmp_path, command=[-1.0, 0.0, 0.0])
    assert main(["evaluate", *run]) == 0
    told = json.loads((tmp_path / "evaluation.json").read_text())
    assert told["command"] == [-1.0, 0.0, 0.0]
    assert told["robots"]["unitree_h1"]["return_se"] is None  # one episode has no spread


def test_a_run_that_tells_no_command_needs_one(tmp_path, capsys):
    run = released(tmp_path)
    assert main(["evaluate", *run]) == 2
    assert "give --command" in capsys.readouterr().err
    assert not (tmp_path / "evaluation.json").exists()


def test_robots_of_ones_own_go_by_the_names_that_a_run_gives_them(tmp_path):
    run = released(tmp_path, command=[1.0, 0.0, 0.0], models={"starfish": str(STARFISH)})
    assert main(["evaluate", *run, "--robots", "starfish"]) == 0
    told = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(told["robots"]) == ["starfish"]
