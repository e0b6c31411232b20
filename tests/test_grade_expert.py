"""Grading: each snapshot gets its own return, whatever the others in the same environment do."""

import numpy as np
import pytest

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.envs.environment import Environment
from bodyplan.evaluation.grade_expert import grade_expert
from bodyplan.evaluation.rollout import rollout

FORWARD, STEPS = (1.0, 0.0, 0.0), 80


@pytest.fixture(scope="module")
def run():
    """First and last snapshot of a packaged run, made deterministic."""
    packaged = Snapshots.load("unitree_go1", FORWARD)
    tensors = {name: tensor[[0, -1]] for name, tensor in packaged.tensors.items()}
    tensors["log_std"] = np.full_like(tensors["log_std"], -20.0)
    steps = [packaged.steps[0], packaged.steps[-1]]
    return Snapshots(tensors, {"robot": "unitree_go1", "command": FORWARD, "steps": steps})


@pytest.fixture(scope="module")
def graded(run):
    return grade_expert(run, "unitree_go1", episodes=2, seed=4, episode_steps=STEPS)


def outcome(policy, count):
    """What `count` robots do that start as those of the grading, all under one policy."""
    environment = Environment(
        "unitree_go1", FORWARD, count, initial_state="random", seed=4, horizon=STEPS
    )
    return rollout(environment, policy.mean)


def test_each_snapshot_is_graded_as_if_it_walked_alone(run, graded):
    alone = [outcome(run.policy(index), 4) for index in range(2)]
    # Of four robots the first and third acted by the first snapshot, the others by the last.
    returns = [alone[index].returns[index::2].mean() for index in range(2)]
    assert graded.return_mean == pytest.approx(returns, rel=1e-2, abs=1e-3)
    lengths = [alone[index].lengths[index::2].mean() for index in range(2)]
    assert graded.card["length_mean"] == pytest.approx(lengths, abs=1.0)
    assert returns[0] < returns[1]
    assert graded.card["steps"] == run.card["steps"]


def test_the_expert_is_the_mean_action_of_the_last_snapshot(run, graded):
    alone = outcome(run.policy(-1), 2)
    expert = graded.card["expert"]
    assert expert["return_mean"] == pytest.approx(alone.returns.mean(), abs=1e-3)
    assert "returns" not in expert
