"""Trees on disk: they come back whole, and what is wrong with a file is said."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.learn.checkpoint import (
    restore_checkpoint,
    restore_tree,
    save_checkpoint,
    save_tree,
)
from bodyplan.learn.checkpoint_files import checkpoints
from bodyplan.storage import read_tensors


class Pair(NamedTuple):
    weight: object
    count: object


def tree(scale=1.0):
    pair = Pair(jnp.arange(6.0).reshape(2, 3) * scale, jnp.array(7, jnp.int32))
    return {"net": pair, "key": jnp.array([1, 2**32 - 1], jnp.uint32), "empty": ()}


def test_a_tree_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "tree.safetensors"
    original = tree(1 / 3)
    save_tree(path, original)
    found = restore_tree(path, tree(0.0))
    assert isinstance(found["net"], Pair)
    assert found["empty"] == ()
    for name in ("weight", "count"):
        left, right = getattr(found["net"], name), getattr(original["net"], name)
        assert left.dtype == right.dtype
        assert np.asarray(left).tobytes() == np.asarray(right).tobytes()
    np.testing.assert_array_equal(found["key"], original["key"])


def test_tensors_are_named_by_their_path(tmp_path):
    save_tree(tmp_path / "tree.safetensors", tree())
    tensors, _ = read_tensors(tmp_path / "tree.safetensors")
    assert set(tensors) == {"net.weight", "net.count", "key"}


@pytest.mark.parametrize(
    ("like", "word"),
    [
        ({"a": np.zeros(3)}, "tensor a"),
        ({}, "tensor key"),
        ({**tree(), "key": np.zeros(3, np.uint32)}, r"key as uint32 \[2\] where uint32 \[3\]"),
        ({**tree(), "key": np.zeros(2, np.int32)}, r"key as uint32 \[2\] where int32 \[2\]"),
    ],
)
def test_another_tree_is_refused_by_name(tmp_path, like, word):
    path = tmp_path / "tree.safetensors"
    save_tree(path, tree())
    with pytest.raises(BodyplanError, match=word) as error:
        restore_tree(path, like)
    assert str(path) in str(error.value)


def test_only_the_latest_checkpoints_are_kept_in_order_of_updates(tmp_path):
    for update in (900, 1000, 10_000):
        save_checkpoint(tmp_path, update, tree())
    (tmp_path / ".11000.partial.safetensors").write_bytes(b"cut short")
    assert [update for update, _ in checkpoints(tmp_path)] == [1000, 10_000]
    for update, kept, left in ((20_000, 3, 3), (30_000, 0, 4), (40_000, 1, 1)):
        save_checkpoint(tmp_path, update, tree(), kept=kept)
        assert len(checkpoints(tmp_path)) == left


def test_a_damaged_checkpoint_names_itself_and_the_way_out(tmp_path):
    older = save_checkpoint(tmp_path, 100, tree(1.0))
    latest = save_checkpoint(tmp_path, 200, tree(2.0))
    latest.write_bytes(latest.read_bytes()[:-5])
    with pytest.raises(BodyplanError, match="update 100") as error:
        restore_checkpoint(latest, tree())
    assert str(latest) in str(error.value)
    latest.unlink()
    np.testing.assert_array_equal(
        restore_checkpoint(older, tree())["net"].weight, tree()["net"].weight
    )
    older.write_bytes(b"")
    with pytest.raises(BodyplanError, match="start over"):
        restore_checkpoint(older, tree())
