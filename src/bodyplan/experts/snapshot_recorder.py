"""Snapshot recorder: keeps policies of a PPO run at equal distances of training steps."""

from typing import Any

import numpy as np

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.experts.action_prior import ActionPrior
from bodyplan.experts.ppo import PPOState


class SnapshotRecorder:
    """The policies kept so far, in arrays that have room for all of them."""

    def __init__(self, count: int, total_steps: int, state: PPOState) -> None:
        """No snapshot yet.

        Args:
            count: S, snapshots of the whole run.
            total_steps: training steps of the whole run.
            state: gives the arrays' shapes.
        """
        self.count = count
        self.total_steps = total_steps
        self.steps: list[int] = []
        """Training steps at which each snapshot was taken."""
        self.tensors = {
            name: np.zeros((count, *tensor.shape), tensor.dtype)
            for name, tensor in policy_tensors(state).items()
        }
        """Arrays of the policies, stacked over S."""

    def record(self, steps: int, state: PPOState) -> None:
        """Keep the policy if the next snapshot is due."""
        taken = len(self.steps)
        if steps < (taken + 1) * self.total_steps / self.count:
            return
        for name, tensor in policy_tensors(state).items():
            self.tensors[name][taken] = tensor
        self.steps.append(steps)

    def snapshots(self, prior: ActionPrior | None, card: dict[str, Any]) -> Snapshots:
        """The snapshots taken so far, with the run's action prior as a layer.

        Args:
            prior: the action prior, where the robot has one.
            card: what the file says about the run.
        """
        # A short run may have fewer updates than snapshots were asked for.
        tensors = {name: tensor[: len(self.steps)] for name, tensor in self.tensors.items()}
        if prior is not None:
            tensors |= {"skip.weight": prior.weight, "skip.bias": prior.bias}
        return Snapshots(tensors, card)


def policy_tensors(state: PPOState) -> dict[str, np.ndarray]:
    """The present policy in the layout of `Snapshots`, without the snapshot axis."""
    actor, normaliser = state.actor, state.actor_normaliser
    tensors = {}
    for index, layer in enumerate(actor.network().layers):
        tensors[f"layers.{index}.weight"] = np.asarray(layer.weight, np.float16)
        tensors[f"layers.{index}.bias"] = np.asarray(layer.bias, np.float16)
    return tensors | {
        "log_std": np.log(np.asarray(actor.std())).astype(np.float16),
        "observation_mean": np.asarray(normaliser.mean, np.float32),
        "observation_std": np.asarray(normaliser.std, np.float32),
    }
