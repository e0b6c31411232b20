"""Minari, out: one of its datasets for each robot, written by its own writer."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import DESCRIPTOR_IDS, DESCRIPTORS
from bodyplan.datasets.io.minari_metadata import (
    EPISODES,
    KEY,
    MINARI_STEP_ARRAYS,
    digest,
    environment_spec,
    find_root,
    minari_description,
    minari_id,
    minari_record,
    require_free,
)
from bodyplan.envs.gymnasium_spaces import action_space, flat_observation_space, flatten_observation
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.progress import OnProgress
from bodyplan.storage import atomic_folder, sha256, write_json

if TYPE_CHECKING:
    from minari.data_collector import EpisodeBuffer

_NAMESPACE = "namespace_metadata.json"
"""Makes a folder one of Minari's namespaces."""


def export_minari(
    dataset: Dataset,
    root: str | Path | None = None,
    robots: Sequence[str] | None = None,
    version: int = 0,
    progress: OnProgress | None = None,
) -> list[str]:
    """Writes a Minari dataset for each robot; returns their ids.

    Each is whole or absent. One that is there already with the same content stays as it is, so
    the same call goes on where an export was killed.

    Args:
        dataset: what to export.
        root: Minari's folder of datasets; where not given, the one that Minari itself uses.
        robots: names; all of the dataset's where not given.
        version: the number at the end of the ids.
        progress: called after every episode.

    Raises:
        BodyplanError: a robot is unknown, the dataset has a fault, an id is taken by other data,
            or the disk is full.
    """
    names = dataset.robots if robots is None else tuple(robots)
    if unknown := set(names) - set(dataset.robots):
        raise BodyplanError(
            f"{dataset.path} has no robots {sorted(unknown)}; choose among {list(dataset.robots)}."
        )
    if version < 0:
        raise BodyplanError(f"version {version} must be at least 0.")
    ids = [minari_id(name, dataset.episodes[name], dataset.card, version) for name in names]
    if not ids or len(set(ids)) < len(ids):
        raise BodyplanError(
            f"robots {list(names)} must be at least one, and have ids of their own, not {ids}."
        )
    if faults := dataset.verify():
        raise BodyplanError(f"data with a fault are not exported: {faults[0]}")
    home = find_root(root)
    for name, own in zip(names, ids, strict=True):
        require_free(home / own, own, minari_record(name, dataset.card))
    for name, own in zip(names, ids, strict=True):
        if not (home / own).exists():
            _export(dataset, name, own, home, progress)
    return ids


def _export(
    dataset: Dataset, robot: str, own: str, home: Path, progress: OnProgress | None
) -> None:
    import minari
    from minari.dataset.minari_storage import MinariStorage

    episodes = dataset.episodes[robot]
    joints, feet = episodes.joints.shape[1], episodes.feet.shape[1]
    with atomic_folder(home / own) as folder:
        data = folder / "data"
        storage = MinariStorage.new(
            data,
            observation_space=flat_observation_space(joints, feet),
            action_space=action_space(joints),
            env_spec=environment_spec(robot, episodes, dataset.card),
        )
        shutil.copyfile(dataset.path / robot / DESCRIPTORS, data / DESCRIPTORS)
        storage.update_episodes(_buffers(robot, episodes, progress))
        files = {name: sha256(data / name) for name in (EPISODES, DESCRIPTORS)}
        told: dict[str, Any] = {**minari_record(robot, dataset.card), "files": files}
        storage.update_metadata(
            {
                "dataset_id": own,
                "minari_version": minari.__version__,
                "description": minari_description(robot, episodes, dataset.card),
                KEY: {**told, "sha256": digest(told)},
            }
        )
    for namespace in (home / own).parents[:2]:
        if not (namespace / _NAMESPACE).is_file():
            write_json(namespace / _NAMESPACE, {})


def _buffers(
    robot: str, episodes: Episodes, progress: OnProgress | None
) -> Iterator["EpisodeBuffer"]:
    """The episodes one by one, so that no more than one is in memory."""
    from minari.data_collector import EpisodeBuffer

    ids, start = episodes.descriptor_ids, 0
    for number, end in enumerate(episodes.episode_ends.tolist()):
        # One frame more than steps, and so of every episode before.
        steps, frames = slice(start, end), slice(start + number, end + number + 1)
        parts = (episodes.joints[frames], episodes.feet[frames], episodes.general[frames])
        yield EpisodeBuffer(
            observations=flatten_observation(Observation(*parts)),
            infos={} if ids is None else {DESCRIPTOR_IDS: np.array(ids[frames])},
            **{
                theirs: np.array(getattr(episodes, ours)[steps])
                for ours, theirs in MINARI_STEP_ARRAYS.items()
            },
        )
        start = end
        if progress:
            progress(robot, end, episodes.num_steps)
