"""When the policies of a run are kept, and that a short run keeps fewer."""

import jax
import numpy as np

from bodyplan.experts.ppo import PPOConfig, init_ppo
from bodyplan.experts.snapshot_recorder import SnapshotRecorder, policy_tensors


def test_a_policy_is_kept_once_a_share_of_the_run_has_passed():
    state = init_ppo(jax.random.key(0), PPOConfig(hidden_size=8), 3, 4, 2, 0.5)
    recorder = SnapshotRecorder(4, 1000, state)
    for steps in range(30, 900, 30):
        recorder.record(steps, state)
    assert recorder.steps == [270, 510, 750]
    snapshots = recorder.snapshots(None, {"steps": recorder.steps})
    assert len(snapshots) == 3
    for name, tensor in policy_tensors(state).items():
        np.testing.assert_array_equal(snapshots.tensors[name], np.stack([tensor] * 3))
    assert np.exp(snapshots.tensors["log_std"][0]).tolist() == [0.5, 0.5]
