"""Exports a dataset to Minari: one Minari dataset for each robot, written by Minari itself."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import DESCRIPTOR_IDS, DESCRIPTORS, FRAME_ARRAYS, STEP_ARRAYS
from bodyplan.datasets.io.minari_metadata import (
    EPISODES_FILE,
    MINARI_STEP_ARRAYS,
    RECORD_KEY,
    environment_spec,
    minari_description,
    minari_id,
    minari_record,
    minari_root,
    origin,
    record_checksum,
    reference_scores,
    require_free_id,
)
from bodyplan.envs.gymnasium_spaces import action_space, flat_observation_space, flatten_observation
from bodyplan.errors import BodyplanError
from bodyplan.locking import writer_lock
from bodyplan.progress import OnProgress
from bodyplan.storage import atomic_folder, require_space, sha256, write_json

if TYPE_CHECKING:
    from minari.data_collector import EpisodeBuffer

_NAMESPACE = "namespace_metadata.json"
"""The file that marks a folder as one of Minari's namespaces."""
EPISODE_BYTES = 32 << 10
"""Of an episode in HDF5 beside its arrays, at most."""


def export_minari(
    dataset: Dataset,
    root: str | Path | None = None,
    robots: Sequence[str] | None = None,
    version: int = 0,
    progress: OnProgress | None = None,
    author: Sequence[str] = (),
    code_permalink: str | None = None,
) -> list[str]:
    """Writes a Minari dataset for each robot and returns their ids.

    Each Minari dataset is complete or absent. One that exists already with the same content is left
    as it is, so the same call continues an export that was killed.

    Args:
        dataset: the dataset.
        root: Minari's folder of datasets; by default the one that Minari itself uses.
        robots: names of the robots; all of the dataset by default.
        version: the number at the end of the ids.
        progress: called after every episode.
        author: names of who made the data; bodyplan by default, for data that it built.
        code_permalink: link to the code that made the data.

    Raises:
        BodyplanError: a robot is unknown, the dataset has a fault, an id has other data, or the
            disk is full.
    """
    names = dataset.robots if robots is None else tuple(robots)
    if unknown := set(names) - set(dataset.robots):
        raise BodyplanError(
            f"{dataset.path} has no robot {', '.join(sorted(unknown))}; it has "
            f"{', '.join(dataset.robots)}."
        )
    if version < 0:
        raise BodyplanError(f"version {version} must be at least 0.")
    ids = [minari_id(name, dataset.episodes[name], dataset.card, version) for name in names]
    if not ids or len(set(ids)) < len(ids):
        raise BodyplanError(
            f"robots {list(names)} must be at least one, and have different ids, not {ids}."
        )
    if faults := dataset.verify():
        raise BodyplanError(f"a dataset with a fault cannot be exported: {faults[0]}")
    home = minari_root(root)
    for name, own_id in zip(names, ids, strict=True):
        require_free_id(home / own_id, own_id, minari_record(name, dataset.card))
    made_by = origin(dataset.card, author, code_permalink)
    for name, own_id in zip(names, ids, strict=True):
        folder = home / own_id
        if not folder.exists():
            with writer_lock(folder):
                _export_robot(dataset, name, folder, own_id, made_by, progress)
        for namespace in folder.parents[:2]:  # also where a kill prevented it
            if not (namespace / _NAMESPACE).is_file():
                write_json(namespace / _NAMESPACE, {})
    return ids


def _export_robot(
    dataset: Dataset,
    robot: str,
    folder: Path,
    own_id: str,
    made_by: Mapping[str, Any],
    progress: OnProgress | None,
) -> None:
    import minari
    from minari.dataset.minari_storage import MinariStorage

    episodes = dataset.episodes[robot]
    arrays = (getattr(episodes, name) for name in (*FRAME_ARRAYS, *STEP_ARRAYS))
    # HDF5 does not survive a full disk, so the space is asked for first.
    require_space(
        folder, sum(array.nbytes for array in arrays) + EPISODE_BYTES * (len(episodes) + 1)
    )
    joints, feet = episodes.joints.shape[1], episodes.feet.shape[1]
    with atomic_folder(folder) as partial:
        data = partial / "data"
        storage = MinariStorage.new(
            data,
            observation_space=flat_observation_space(joints, feet),
            action_space=action_space(joints),
            env_spec=environment_spec(robot, episodes, dataset.card),
        )
        shutil.copyfile(dataset.path / robot / DESCRIPTORS, data / DESCRIPTORS)
        storage.update_episodes(_buffers(robot, episodes, progress))
        files = {name: sha256(data / name) for name in (EPISODES_FILE, DESCRIPTORS)}
        record: dict[str, Any] = {**minari_record(robot, dataset.card), "files": files}
        storage.update_metadata(
            {
                "dataset_id": own_id,
                "minari_version": minari.__version__,
                "description": minari_description(robot, episodes, dataset.card),
                **reference_scores(robot, episodes, dataset.card, dataset.models),
                **made_by,
                RECORD_KEY: {**record, "sha256": record_checksum(record)},
            }
        )


def _buffers(
    robot: str, episodes: Episodes, progress: OnProgress | None
) -> Iterator["EpisodeBuffer"]:
    """The episodes one by one, so that only one is in memory."""
    from minari.data_collector import EpisodeBuffer

    for episode, end in zip(episodes, episodes.episode_ends.tolist(), strict=True):
        ids = episode.descriptor_ids
        yield EpisodeBuffer(
            observations=flatten_observation(episode.observations),
            infos={} if ids is None else {DESCRIPTOR_IDS: np.array(ids)},
            **{
                minari_name: np.array(getattr(episodes, name)[end - episode.length : end])
                for name, minari_name in MINARI_STEP_ARRAYS.items()
            },
        )
        if progress:
            progress(robot, end, episodes.num_steps)
