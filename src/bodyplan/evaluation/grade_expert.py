"""Grades an expert: the returns of every snapshot of its run in the plain task.

Grading uses reference physics, full penalties and random initial states. Each snapshot is graded by
sampled actions, because datasets are recorded with sampled actions. The `expert` entry is about
the last snapshot's mean action.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import HORIZON, Observation
from bodyplan.evaluation.rollout import rollout, score
from bodyplan.robots.robot import Robot


def grade_expert(
    snapshots: Snapshots,
    robot: Robot | str,
    episodes: int = 32,
    seed: int = 0,
    episode_steps: int = HORIZON,
) -> Snapshots:
    """Fill the card's `return_mean`, `length_mean` and `expert`.

    Args:
        snapshots: the policies of a run.
        robot: the robot they were trained for.
        episodes: number of episodes for each snapshot, and for the expert.
        seed: seed of initial states and actions.
        episode_steps: control steps after which an episode ends.
    """
    count = len(snapshots)
    policies = [snapshots.policy(index) for index in range(count)]
    rng = np.random.default_rng(seed)

    def sample_actions_of_all(observation: Observation) -> Float[np.ndarray, "N J"]:
        """Robot n acts by snapshot n modulo S, so that one environment grades all snapshots."""
        per_policy = [
            policy.sample(Observation(*(part[i::count] for part in observation)), rng)
            for i, policy in enumerate(policies)
        ]
        actions = np.empty((count * episodes, per_policy[0].shape[1]), np.float32)
        for i, own_actions in enumerate(per_policy):
            actions[i::count] = own_actions
        return actions

    def make_environment(num_envs: int) -> Environment:
        return Environment(
            robot,
            snapshots.command,
            num_envs,
            initial_state="random",
            seed=seed,
            horizon=episode_steps,
        )

    outcome = rollout(make_environment(count * episodes), sample_actions_of_all)
    expert = score(rollout(make_environment(episodes), policies[-1].mean))
    grades = {
        "return_mean": outcome.returns.reshape(episodes, count).mean(axis=0).round(3).tolist(),
        "length_mean": outcome.lengths.reshape(episodes, count).mean(axis=0).round(1).tolist(),
        "expert": {name: value for name, value in expert.items() if name != "returns"},
    }
    return dataclasses.replace(snapshots, card=snapshots.card | grades)
