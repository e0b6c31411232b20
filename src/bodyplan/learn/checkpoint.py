"""Checkpoints: pytrees on disk, as safetensors named by the path to each leaf.

The tree's structure is not stored. To restore a tree, build one of the same structure first, from
the same configuration; names and shapes in the file must agree with it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Array

from bodyplan.errors import BodyplanError
from bodyplan.learn.checkpoint_files import checkpoints, policy_note
from bodyplan.storage import read_tensors, write_tensors

StateTree = TypeVar("StateTree")

KEPT = 2
"""Checkpoints left in a run: the latest, and one to fall back upon should it be damaged."""


def save_tree(path: Path, tree: object, metadata: dict[str, str] | None = None) -> None:
    """Write a pytree of arrays, with notes where given.

    Raises:
        BodyplanError: the disk is full, or the place cannot be written to.
    """
    write_tensors(path, named_arrays(tree), metadata or {})


def named_arrays(tree: object) -> dict[str, np.ndarray]:
    """The leaves of a pytree under the names that they have in a file."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(keys): np.asarray(leaf) for keys, leaf in leaves}


def restore_tree(path: Path, like: StateTree) -> StateTree:
    """Read a pytree with the structure, shapes and types of `like`; NumPy leaves stay NumPy.

    Other leaves of `like` may be arrays or `jax.ShapeDtypeStruct`.

    Raises:
        BodyplanError: the file is missing or damaged, or holds another tree.
    """
    tensors, _ = read_tensors(path)
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    expected = {_name(keys): leaf for keys, leaf in leaves}
    unexpected = sorted(expected.keys() ^ tensors.keys())
    if unexpected:
        holder = "holds an unexpected" if unexpected[0] in tensors else "lacks the"
        raise BodyplanError(
            f"{path} {holder} tensor {unexpected[0]}; it belongs to other settings or another "
            "version of bodyplan, so remove it or restore the right file."
        )
    found = {name: _fitting(path, tensors, name, leaf) for name, leaf in expected.items()}
    restored = [
        found[name] if isinstance(leaf, np.ndarray) else _on_device(found[name])
        for name, leaf in expected.items()
    ]
    return jax.tree.unflatten(structure, restored)


def _fitting(
    path: Path, tensors: Mapping[str, np.ndarray], name: str, leaf: Array | np.ndarray
) -> np.ndarray:
    """The file's tensor for a leaf.

    Raises:
        BodyplanError: there is none, or it is of another shape or type.
    """
    found = tensors.get(name)
    if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
        held = f"lacks {name}," if found is None else f"holds {name} as {_kind(found)}"
        raise BodyplanError(
            f"{path} {held} where {_kind(leaf)} is needed; remove it or restore the right file."
        )
    return found


def _kind(array: Array | np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"


def restore_part(path: Path, like: StateTree, wanted: Callable[[str], bool]) -> StateTree:
    """A tree whose leaves come from a file where their names are wanted, and from `like` elsewhere.

    Raises:
        BodyplanError: the file is damaged, or lacks a wanted leaf of that shape and type.
    """
    tensors, _ = read_tensors(path)
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    named = [(_name(keys), leaf) for keys, leaf in leaves]
    restored = [
        jax.device_put(_fitting(path, tensors, name, leaf), may_alias=False)
        if wanted(name)
        else leaf
        for name, leaf in named
    ]
    return jax.tree.unflatten(structure, restored)


def save_checkpoint(
    folder: Path,
    update: int,
    state: object,
    card: Mapping[str, Any] | None = None,
    kept: int = KEPT,
) -> Path:
    """Write `<update>.safetensors` and remove all but the latest checkpoints.

    Args:
        folder: the run's folder of checkpoints.
        update: updates done.
        state: all that training needs to go on.
        card: of the policy in the state, so that the checkpoint can be evaluated by itself.
        kept: number of checkpoints to leave; 0 leaves all.

    Raises:
        BodyplanError: as `save_tree`.
    """
    path = folder / f"{update}.safetensors"
    save_tree(path, state, policy_note(card, folder) if card else None)
    for _, old in checkpoints(folder)[:-kept] if kept else ():
        old.unlink()
    return path


def restore_checkpoint(path: Path, like: StateTree) -> StateTree:
    """Read a checkpoint; as `restore_tree`, with the way out for a training run.

    Raises:
        BodyplanError: the checkpoint is damaged or of other settings.
    """
    try:
        return restore_tree(path, like)
    except BodyplanError as error:
        older = [update for update, other in checkpoints(path.parent) if other != path]
        outcome = f"continue from update {older[-1]}" if older else "start over"
        raise BodyplanError(
            f"the checkpoint {path} cannot be used; remove that file and run the same command "
            f"again to {outcome} ({error})"
        ) from error


def _on_device(array: np.ndarray) -> Array:
    """A copy, which a program can take over."""
    return jax.device_put(array, may_alias=False)


def _name(keys: jax.tree_util.KeyPath) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator=".")
