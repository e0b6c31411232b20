"""A policy on trial: what it is shown of the bodies, what the outcome says of the conditions."""

import numpy as np
import pytest

from bodyplan.envs.conditions import Conditions
from bodyplan.errors import BodyplanError
from bodyplan.evaluate.evaluation import Trial, evaluate


class Still:
    """Does nothing, and remembers the shapes of the bodies it was shown."""

    def __init__(self):
        self.seen = []

    def act(self, observation, descriptor):
        self.seen.append(descriptor.joints.shape)
        return np.zeros(observation.joints.shape[:2])


def test_a_clean_trial_shows_one_body_and_a_disturbed_one_shows_each(load):
    outcomes = {}
    for name, conditions in (("clean", Conditions()), ("wild", Conditions(randomise=True))):
        policy = Still()
        trial = Trial(episodes=3, conditions=conditions)
        outcomes[name] = evaluate(policy, [load("unitree_h1")], trial=trial)
        assert set(policy.seen) == {(19, 23) if name == "clean" else (3, 19, 23)}
    assert outcomes["wild"]["conditions"]["randomise"]
    assert not any(outcomes["clean"]["conditions"].values())
    returns = [outcome["robots"]["unitree_h1"]["return_mean"] for outcome in outcomes.values()]
    assert returns[0] != returns[1]


def test_no_episode_is_no_trial(load):
    with pytest.raises(BodyplanError, match="--episodes must be at least 1"):
        evaluate(Still(), [load("unitree_h1")], trial=Trial(episodes=0))
