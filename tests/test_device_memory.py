"""Memory of training: data that do not fit are refused before they are packed; lacks are told."""

import jax
import jax.numpy as jnp
import pytest
from synthetic import write_dataset

from bodyplan.errors import BodyplanError
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.device_memory import enough_memory, require_room


def test_data_that_memory_cannot_hold_are_refused(tmp_path, monkeypatch):
    data = TrainingData.of(write_dataset(tmp_path, {"dog": (4, 2)}, steps=90))
    require_room(data)
    monkeypatch.setattr("bodyplan.memory.available_memory", lambda: 1000)
    with pytest.raises(BodyplanError, match=r"the data of this training needs? .*data_on host"):
        require_room(data)


def test_a_lack_of_memory_is_a_sentence_and_other_errors_are_themselves():
    with (
        pytest.raises(BodyplanError, match="suffice .*batch_size"),
        enough_memory(),
    ):
        jnp.zeros(2**50, jnp.int8).block_until_ready()
    with pytest.raises(BodyplanError, match="memory does not suffice"), enough_memory():
        raise MemoryError
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), enough_memory():
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")
