"""Grading an expert: what every snapshot of its run is worth in the task itself.

Reference physics, full penalties, random initial states. The data a snapshot will yield has
sampled actions, so each is graded that way; the expert's own figures are the last one's mean
action.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Observation
from bodyplan.evaluation.rollout import rollout, score
from bodyplan.robots.robot import Robot


def grade_expert(
    snapshots: Snapshots, robot: Robot | str, episodes: int = 32, seed: int = 0
) -> Snapshots:
    """Fill the card's `return_mean`, `length_mean` and `expert` by living the episodes.

    Args:
        snapshots: a run's policies.
        robot: the body they were trained for.
        episodes: for each snapshot, and for the expert.
        seed: decides initial states and actions.
    """
    count = len(snapshots)
    policies = [snapshots.policy(index) for index in range(count)]
    rng = np.random.default_rng(seed)

    def sample(observation: Observation) -> Float[np.ndarray, "N J"]:
        shares = [
            policy.sample(Observation(*(part[i::count] for part in observation)), rng)
            for i, policy in enumerate(policies)
        ]
        actions = np.empty((count * episodes, shares[0].shape[1]), np.float32)
        for i, share in enumerate(shares):
            actions[i::count] = share
        return actions

    everyone = Environment(
        robot, snapshots.command, count * episodes, initial_state="random", seed=seed
    )
    outcome = rollout(everyone, sample)
    last = Environment(robot, snapshots.command, episodes, initial_state="random", seed=seed)
    expert = score(rollout(last, policies[-1].mean))
    figures = {
        "return_mean": outcome.returns.reshape(episodes, count).mean(axis=0).round(3).tolist(),
        "length_mean": outcome.lengths.reshape(episodes, count).mean(axis=0).round(1).tolist(),
        "expert": {name: value for name, value in expert.items() if name != "returns"},
    }
    return dataclasses.replace(snapshots, card=snapshots.card | figures)
