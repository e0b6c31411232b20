"""Training state on disk: any pytree of arrays as one safetensors file, leaf by leaf.

A leaf is named by its path through the tree, so a checkpoint can be read without this library. Typed
PRNG keys are stored as their integers. Writing is atomic.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from bodyplan.errors import BodyplanError
from bodyplan.storage import read_tensors, write_tensors


def save(path: str | Path, tree: PyTree, metadata: dict[str, str] | None = None) -> None:
    """Write a pytree of arrays.

    Raises:
        BodyplanError: the disk is full, or the place cannot be written to.
    """
    tensors = {name: np.asarray(_plain(leaf)) for name, leaf in _leaves(tree)}
    write_tensors(path, tensors, metadata or {})


def restore(path: str | Path, like: PyTree) -> tuple[PyTree, dict[str, str]]:
    """Read a pytree with the structure, shapes and types of `like`; also the metadata.

    Raises:
        BodyplanError: the file is missing or damaged, or holds another tree.
    """
    tensors, metadata = read_tensors(path)
    leaves = []
    for name, leaf in _leaves(like):
        wanted = np.asarray(_plain(leaf))
        found = tensors.pop(name, None)
        if found is None or (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise BodyplanError(
                f"{path} does not fit this run at '{name}'; it was written with other settings or "
                "by another version: remove it or choose another folder."
            )
        leaves.append(_as(leaf, found))
    if tensors:
        raise BodyplanError(f"{path} holds more than this run: {sorted(tensors)[0]}; remove it.")
    return jax.tree.unflatten(jax.tree.structure(like), leaves), metadata


def _leaves(tree: PyTree) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _plain(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _as(leaf: Any, found: np.ndarray) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(found)
    return jax.numpy.asarray(found) if isinstance(leaf, jax.Array) else found


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
