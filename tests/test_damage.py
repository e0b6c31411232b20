"""Damage of every kind to every file of a dataset: always one sentence, never another exception."""

import io
import json
import resource
import zipfile

import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import card_checksum
from bodyplan.errors import BodyplanError
from bodyplan.storage import read_archive, read_array, write_json

FILES = ("card.json", *(f"dog/{name}.npy" for name in ("joints", "feet", "general", "actions")))
FILES += tuple(f"dog/{name}.npy" for name in ("rewards", "terminated", "truncated"))
FILES += ("dog/episode_ends.npy", "dog/descriptor_ids.npy", "dog/descriptors.npz")
TRIES = 40


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    dataset = write_dataset(tmp_path_factory.mktemp("set"), {"dog": (4, 2)}, steps=60, bodies=2)
    write_json(dataset.path / "card.json", dataset.card | {"seal": card_checksum(dataset.card)})
    return Dataset.open(dataset.path)


def faults(path):
    """What opening or verifying has to say; no other exception may pass."""
    try:
        return Dataset.open(path).verify()
    except BodyplanError as error:
        return [str(error)]


def damaged(content, rng):
    """The content with a few bits flipped, mostly near its start where headers are."""
    flipped = bytearray(content)
    reach = len(content) if rng.random() < 0.4 else min(len(content), 160)
    for place in rng.integers(0, reach, rng.integers(1, 4)):
        flipped[place] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


def test_the_sound_set_is_sound(dataset):
    assert dataset.verify() == []


@pytest.mark.parametrize("file", FILES)
class TestEveryFile:
    @pytest.fixture
    def path(self, dataset, file):
        path = dataset.path / file
        content = path.read_bytes()
        yield path
        path.write_bytes(content)

    def test_flipped_bits(self, dataset, path, file):
        content = path.read_bytes()
        rng = np.random.default_rng([1, FILES.index(file)])
        for _ in range(TRIES):
            changed = damaged(content, rng)
            path.write_bytes(changed)
            harmless = changed == content or (file == "card.json" and _same(changed, content))
            assert bool(faults(dataset.path)) != harmless

    def test_cut_and_lengthened(self, dataset, path, file):
        content = path.read_bytes()
        for length in (0, 1, 9, 64, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:length])
            harmless = file == "card.json" and _same(content[:length], content)
            assert bool(faults(dataset.path)) != harmless
        path.write_bytes(content + b"\0" * 7)
        assert faults(dataset.path)

    def test_missing(self, dataset, path, file):
        path.unlink()
        (sentence,) = faults(dataset.path)
        assert path.name in sentence


def _same(changed, content):
    try:
        return json.loads(changed) == json.loads(content)
    except ValueError:
        return False


def test_every_entry_of_a_card_may_be_anything(dataset):
    path = dataset.path / "card.json"
    kept = path.read_bytes()
    card = json.loads(kept)
    del card["seal"]
    for place in _places(card):
        for value in (None, -1.5, "word", [], {"a": 1}, 1e300, [[["x"]]]):
            changed = json.loads(json.dumps(card))
            _put(changed, place, value)
            path.write_text(json.dumps(changed))
            faults(dataset.path)  # whatever it says, it says it in a sentence
    path.write_bytes(kept)


def _places(content, above=()):
    for key, value in content.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _places(value, (*above, key))


def _put(content, place, value):
    for key in place[:-1]:
        content = content[key]
    content[place[-1]] = value


def header(shape, dtype="<f4"):
    target = io.BytesIO()
    facts = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(target, facts)
    return target.getvalue()


@pytest.mark.parametrize("shape", [(10**12,), (2**62, 8), (10**30,), (-4, -1), (0, 10**12)])
def test_a_header_that_promises_too_much_takes_no_memory(tmp_path, shape):
    content = header(shape) + b"\0" * 16
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(BodyplanError, match=r"a.npy .*header"):
        read_array(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(BodyplanError, match=r"b.npz .*header"):
        read_archive(tmp_path / "b.npz", ["a"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_pickles_and_compressed_archives_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(BodyplanError, match=r"a.npy .*object"):
        read_array(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", a=np.array([{}], object), allow_pickle=True)
    with pytest.raises(BodyplanError, match=r"b.npz .*object"):
        read_archive(tmp_path / "b.npz", ["a"])
    np.savez_compressed(tmp_path / "c.npz", a=np.zeros(10**6))
    with pytest.raises(BodyplanError, match=r"c.npz .*compressed"):
        read_archive(tmp_path / "c.npz", ["a"])


def test_json_nested_too_deeply_is_refused(dataset, tmp_path):
    (tmp_path / "card.json").write_text('{"a":' * 100_000)
    with pytest.raises(BodyplanError, match=r"card.json .*JSON"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("name", ["../dog", "..", "a/b", ""])
def test_a_robot_that_is_no_folder_of_the_set_is_refused(dataset, tmp_path, name):
    entry = dataset.card["robots"]["dog"]
    write_json(tmp_path / "card.json", dataset.card | {"robots": {name: entry}})
    with pytest.raises(BodyplanError, match="no names of folders"):
        Dataset.open(tmp_path)
