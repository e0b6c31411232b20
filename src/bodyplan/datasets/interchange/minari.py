"""Minari: one of its datasets for each robot, and back to the same bytes.

    <root>/bodyplan/<robot>/<recipe>-<command>-v0/data/
        metadata.json       Minari's own, and under "bodyplan" the card and checksums
        main_data.hdf5      episodes as Minari keeps them; where a robot's body changes, infos say
                            in `descriptor_ids` which descriptor set each frame is of
        descriptors.npz     the descriptor sets, as in a bodyplan dataset

Observations are the vectors of the robot's registered environment (`layouts.flatten`). Minari's
own writer makes the HDF5 file. It is read here without Minari, which would believe whatever is in
it: nothing is parsed before its checksum is known to be right.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from bodyplan.datasets.episodes import Dataset, Episodes
from bodyplan.datasets.interchange.minari_identity import describe, environment_spec, minari_id
from bodyplan.datasets.layout import CARD, DESCRIPTORS, FRAMES, IDS
from bodyplan.envs.gymnasium import ACTION_LIMIT
from bodyplan.envs.layouts import flat_space, flatten, unflatten
from bodyplan.envs.walking import Observation
from bodyplan.errors import BodyplanError
from bodyplan.storage import atomic_folder, read_json, sha256, write_array, write_json

Progress = Callable[[str, int, int], None]
"""Called with a robot's name, its steps so far and its steps in all."""

FORMAT = 1
METADATA = "metadata.json"
EPISODES = "main_data.hdf5"
KEY = "bodyplan"
"""Of what bodyplan adds to Minari's metadata."""

_THEIRS = {"rewards": "rewards", "terminated": "terminations", "truncated": "truncations"}
_BY_ROBOT = ("robots", "snapshots", "replay")
"""Fields of a card that have an entry for each robot."""
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError)
"""What h5py raises of files that are not as they should be."""
_MEND = "restore it or export it again"


def export_minari(
    dataset: Dataset,
    root: str | Path | None = None,
    robots: Sequence[str] | None = None,
    version: int = 0,
    progress: Progress | None = None,
) -> list[str]:
    """Writes a Minari dataset for each robot; returns their ids.

    One that is there already with the same content is left as it is, so that an export which was
    killed can be repeated.

    Args:
        dataset: what to export.
        root: Minari's folder of datasets, its own default where not given.
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
            f"{dataset.path} has no data of {sorted(unknown)}; choose among {dataset.robots}."
        )
    if version < 0:
        raise BodyplanError(f"version {version} must not be negative.")
    ids = [minari_id(name, dataset.episodes[name], dataset.card, version) for name in names]
    if not names or len(set(ids)) < len(ids):
        raise BodyplanError(f"{names} must name at least one robot and give each an id: {ids}.")
    if faults := dataset.verify():
        raise BodyplanError(f"what has a fault is not exported: {faults[0]}")
    home = _root(root)
    records = [_record(name, dataset.card) for name in names]
    for own, record in zip(ids, records, strict=True):
        _require_free(home / own, own, record)
    for own, record in zip(ids, records, strict=True):
        if not (home / own).is_dir():
            _export(dataset, record, own, home, progress)
    return ids


def import_minari(
    ids: Sequence[str],
    out: str | Path,
    root: str | Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Puts Minari datasets that bodyplan wrote into one dataset, byte for byte what they were.

    Args:
        ids: of Minari datasets of different robots, recorded alike.
        out: the new dataset's folder.
        root: Minari's folder of datasets, its own default where not given.
        progress: called after every episode.

    Raises:
        BodyplanError: an id is unknown, not of bodyplan, damaged, or differs from the others in
            its card; `out` holds something; the disk is full.
    """
    out, home = Path(out), _root(root)
    sources = [_Source.open(home, own) for own in ids]
    card = _joint_card(sources)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise BodyplanError(f"{out} holds something already; choose another folder.")
    with atomic_folder(out) as folder:
        for source in sources:
            source.write(folder / source.robot, progress)
        write_json(folder / CARD, card)
        if faults := Dataset.open(folder).verify():
            raise BodyplanError(
                f"{', '.join(ids)} in {home} hold no sound dataset: "
                f"{faults[0].replace(str(folder), str(out))}"
            )
    return Dataset.open(out)


def _export(
    dataset: Dataset, record: dict[str, Any], own: str, home: Path, progress: Progress | None
) -> None:
    import minari
    from minari.dataset.minari_storage import MinariStorage

    robot = record["robot"]
    episodes, card = dataset.episodes[robot], dataset.card
    joints, feet = episodes.joints.shape[1], episodes.feet.shape[1]
    with atomic_folder(home / own) as folder:
        data = folder / "data"
        storage = MinariStorage.new(
            data,
            observation_space=flat_space(joints, feet),
            action_space=Box(-ACTION_LIMIT, ACTION_LIMIT, (joints,), np.float32),
            env_spec=environment_spec(robot, episodes, card),
        )
        shutil.copyfile(dataset.path / robot / DESCRIPTORS, data / DESCRIPTORS)
        storage.update_episodes(_buffers(robot, episodes, progress))
        record["files"] = {name: sha256(data / name) for name in (EPISODES, DESCRIPTORS)}
        storage.update_metadata(
            {
                "dataset_id": own,
                "minari_version": minari.__version__,
                "description": describe(robot, episodes, card),
                KEY: {**record, "sha256": _digest(record)},
            }
        )
    for namespace in (home / own).parent, (home / own).parent.parent:
        if not (namespace / _NAMESPACE).is_file():
            write_json(namespace / _NAMESPACE, {})


def _buffers(
    robot: str, episodes: Episodes, progress: Progress | None
) -> Iterator["EpisodeBuffer"]:
    """The episodes one by one, so that no more than one is in memory."""
    from minari.data_collector import EpisodeBuffer

    start = 0
    for number, end in enumerate(episodes.episode_ends.tolist()):
        # An episode has one frame more than steps, and so has every one before it.
        steps, frames = slice(start, end), slice(start + number, end + number + 1)
        ids = episodes.descriptor_ids
        yield EpisodeBuffer(
            observations=flatten(Observation(*(getattr(episodes, n)[frames] for n in FRAMES))),
            actions=np.array(episodes.actions[steps]),
            infos={} if ids is None else {IDS: np.array(ids[frames])},
            **{
                theirs: np.array(getattr(episodes, ours)[steps]) for ours, theirs in _THEIRS.items()
            },
        )
        start = end
        if progress:
            progress(robot, end, episodes.num_steps)


@dataclass(frozen=True)
class _Source:
    """One of bodyplan's datasets in Minari, its metadata and checksums being right."""

    own: str
    folder: Path
    robot: str
    card: dict[str, Any]

    @classmethod
    def open(cls, home: Path, own: str) -> "_Source":
        folder = home / own / "data"
        if not folder.is_dir():
            raise BodyplanError(
                f"there is no Minari dataset '{own}' in {home}; `minari list local` names those "
                "of Minari's own folder, --minari-root is another."
            )
        record = read_json(folder / METADATA).get(KEY)
        if record is None:
            raise BodyplanError(
                f"{folder / METADATA} is not of a dataset that bodyplan wrote; describe its "
                "arrays in a mapping file and use `bodyplan data import --mapping`."
            )
        try:
            told = {key: value for key, value in record.items() if key != "sha256"}
            whole = record["sha256"] == _digest(told)
            source = cls(own, folder, told["robot"], told["card"])
            checksums, format = told["files"], told["format"]
        except (KeyError, TypeError, AttributeError) as error:
            raise BodyplanError(f"{folder / METADATA} is incomplete ({error}); {_MEND}.") from error
        if not whole:
            raise BodyplanError(f"{folder / METADATA} differs from its checksum; {_MEND}.")
        if format != FORMAT:
            raise BodyplanError(
                f"{folder / METADATA} says format {format}, this version reads {FORMAT}; use the "
                "version of bodyplan that wrote it."
            )
        for name in (EPISODES, DESCRIPTORS):
            if sha256(folder / name) != checksums[name]:
                raise BodyplanError(
                    f"{folder / name} differs from its checksum, it is damaged or was changed "
                    f"after the export; {_MEND}."
                )
        return source

    @property
    def arrays(self) -> dict[str, Any]:
        """Shape, type and checksum of each array, by the names of their files."""
        return self.card["robots"][self.robot]["arrays"]

    def write(self, folder: Path, progress: Progress | None) -> None:
        """Writes the robot's files.

        Raises:
            BodyplanError: what comes out differs from the card.
        """
        shapes = {name: tuple(entry["shape"]) for name, entry in self.arrays.items()}
        ends: list[int] = []
        folder.mkdir()
        shutil.copyfile(self.folder / DESCRIPTORS, folder / DESCRIPTORS)
        with ExitStack() as files:
            opened: dict[str, BinaryIO] = {}
            for rows in self._episodes(shapes):
                for name, array in rows.items():
                    if name not in opened:
                        place = folder / f"{name}.npy"
                        opened[name] = files.enter_context(place.open("wb"))
                        _write_header(opened[name], shapes[place.name], array.dtype)
                    opened[name].write(np.ascontiguousarray(array).data)
                ends.append(len(rows["rewards"]) + (ends[-1] if ends else 0))
                if progress:
                    progress(self.robot, ends[-1], shapes["rewards.npy"][0])
        write_array(folder / "episode_ends.npy", np.array(ends, np.int64))
        for name, entry in self.arrays.items():
            if sha256(folder / name) != entry["sha256"]:
                raise BodyplanError(
                    f"{self.folder / EPISODES} holds another {name} than the card tells of; "
                    f"{_MEND}."
                )

    def _episodes(self, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, np.ndarray]]:
        """Each episode's rows, by the names of bodyplan's arrays."""
        import h5py

        joints, feet = shapes["joints.npy"][1], shapes["feet.npy"][1]
        try:
            with h5py.File(self.folder / EPISODES, "r") as file:
                for number in range(len(file)):
                    group = file[f"episode_{number}"]
                    frames = unflatten(group["observations"][()], joints, feet)
                    rows = {**frames._asdict(), "actions": group["actions"][()]}
                    rows |= {ours: group[theirs][()] for ours, theirs in _THEIRS.items()}
                    if f"{IDS}.npy" in shapes:
                        rows[IDS] = group["infos"][IDS][()]
                    yield rows
        except _DAMAGE as error:
            raise BodyplanError(
                f"{self.folder / EPISODES} cannot be read ({error}); {_MEND}."
            ) from error


def _record(robot: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into Minari's metadata: the card as if there were no other robot."""
    own = dict(card)
    for key in _BY_ROBOT:
        if robot in own.get(key, ()):
            own[key] = {robot: own[key][robot]}
    return {"format": FORMAT, "robot": robot, "card": own}


def _joint_card(sources: Sequence[_Source]) -> dict[str, Any]:
    """One card of many, whose fields must be the same.

    Raises:
        BodyplanError: they are not, or a robot comes twice, or nothing is given.
    """
    robots = [source.robot for source in sources]
    if not robots or len(set(robots)) < len(robots):
        raise BodyplanError(
            f"robots {robots}: name at least one Minari dataset, and none of the same robot twice."
        )
    first, *others = sources
    card = dict(first.card)
    for other in others:
        for key in {**first.card, **other.card}:
            if key in _BY_ROBOT and {first.robot, other.robot} <= 
            if first.card.get(key) != other.card.get(key):
                raise BodyplanError(
                    f"{other.own} has another {key} than {first.own}; import them into two "
                    "datasets."
                )
    return card


def _require_free(folder: Path, own: str, record: Mapping[str, Any]) -> None:
    """Refuses an id that other data have."""
    if not folder.exists():
        return
    path = folder / "data" / METADATA
    there = read_json(path).get(KEY) if path.is_file() else None
    if not isinstance(there, dict) or any(there.get(key) != record[key] for key in record):
        raise BodyplanError(
            f"{folder} holds other data; remove it (`minari delete {own}`) or give another "
            "--version or --minari-root."
        )


def _root(root: str | Path | None) -> Path:
    if root is not None:
        return Path(root)
    from minari.storage import get_dataset_path

    return get_dataset_path()


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
