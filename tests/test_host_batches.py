"""Data on the host: the very bits that the device would have sampled."""

import jax
import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.learn.data.device_batches import DeviceData, draw_indices
from bodyplan.learn.data.host_batches import HostData
from bodyplan.learn.data.training_data import TrainingData


@pytest.mark.parametrize("bodies", [1, 3])
@pytest.mark.parametrize("scales", [("none", "none"), ("per_robot", "shared")])
def test_what_is_read_is_what_is_sampled(tmp_path, bodies, scales):
    data = TrainingData.of(write_dataset(tmp_path, None, 90, 7, bodies=bodies), *scales)
    stream, key = HostData(data), jax.random.key(5)
    sampled = DeviceData.of(data).sample(key, 50)
    read = stream.read([np.asarray(rows) for rows in draw_indices(key, stream.sizes, 50)])
    assert jax.tree.structure(read) == jax.tree.structure(sampled)
    for own, other in zip(jax.tree.leaves(read), jax.tree.leaves(sampled), strict=True):
        assert type(own) is np.ndarray  # read from the file, not a view of it
        assert own.dtype == other.dtype
        assert own.tobytes() == np.asarray(other).tobytes()


def test_axes_of_the_rows_come_first(tmp_path):
    stream = HostData(TrainingData.of(write_dataset(tmp_path, {"dog": (4, 2)}, 90, 7)))
    rows = np.arange(24).reshape(3, 2, 4)
    (batch,) = stream.read([rows])
    (flat,) = stream.read([rows.ravel()])
    assert batch.observation.joints.shape == (3, 2, 4, 4, 3)
    np.testing.assert_array_equal(batch.action.reshape(24, 4), flat.action)
    frames = 2 * (4 * 3 + 2 * 2 + 13)
    assert stream.step_bytes == 4 * (frames + 4 + 1 + 1)
