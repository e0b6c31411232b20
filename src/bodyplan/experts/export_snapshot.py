"""What a snapshot keeps of a learner: the policy that acts, no more."""

import numpy as np

from bodyplan.experts.action_prior import ActionPrior
from bodyplan.experts.ppo import PPOState


def snapshot_tensors(learner: PPOState) -> dict[str, np.ndarray]:
    """The present policy in the layout of `Snapshots`, without the snapshot axis."""
    actor, normaliser = learner.actor, learner.actor_normaliser
    tensors = {}
    for index, layer in enumerate(actor.network().layers):
        tensors[f"layers.{index}.weight"] = np.asarray(layer.weight, np.float16)
        tensors[f"layers.{index}.bias"] = np.asarray(layer.bias, np.float16)
    return tensors | {
        "log_std": np.log(np.asarray(actor.std())).astype(np.float16),
        "observation_mean": np.asarray(normaliser.mean, np.float32),
        "observation_std": np.asarray(normaliser.std, np.float32),
    }


def constant_tensors(prior: ActionPrior | None) -> dict[str, np.ndarray]:
    """What all snapshots of a run share: its action prior, where it has one."""
    if prior is None:
        return {}
    return {"skip.weight": prior.weight, "skip.bias": prior.bias}
