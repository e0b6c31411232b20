"""Files are whole or absent, whatever happens to the writer, and damage is named when read."""

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bodyplan.errors import BodyplanError
from bodyplan.storage import (
    atomic_write,
    read_array,
    read_json,
    read_tensors,
    require_space,
    sha256,
    write_array,
    write_json,
    write_tensors,
)

DTYPES = st.sampled_from(["?", "u1", "i4", "i8", "u8", "f2", "f4", "f8"])
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)

WRITERS = {
    "card.json": lambda path: write_json(path, {"robots": ["unitree_go1"], "steps": 12}),
    "joints.npy": lambda path: write_array(path, ARRAY),
    "policy.safetensors": lambda path: write_tensors(path, {"w": ARRAY}, {"card": "{}"}),
}
READERS = {
    "card.json": read_json,
    "joints.npy": read_array,
    "policy.safetensors": read_tensors,
}
FORMATS = sorted(WRITERS)


def folder_content(folder):
    return sorted(path.name for path in folder.iterdir())


# Round trips, read back by the formats' own libraries


def test_json_round_trip_is_plain_json(tmp_path):
    path = tmp_path / "made" / "on the way" / "card.json"
    write_json(path, {"name": "é", "mean": np.float32(0.5), "ends": np.arange(3), "path": path})
    expected = {"name": "é", "mean": 0.5, "ends": [0, 1, 2], "path": str(path)}
    assert read_json(path) == expected == json.loads(path.read_bytes())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float32("nan")])
def test_json_refuses_what_json_cannot_say(tmp_path, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "card.json", {"return_mean": number})
    assert folder_content(tmp_path) == []


@given(array=ARRAYS, mmap=st.booleans())
@settings(max_examples=30, deadline=None)
def test_array_round_trip(tmp_path_factory, array, mmap):
    path = tmp_path_factory.getbasetemp() / "a.npy"
    write_array(path, array.T)  # Fortran order: must be stored as it reads, not as it lies
    for read in (read_array(path, mapped=mmap), np.load(path, allow_pickle=False)):
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array.T)


def test_arrays_are_mapped_read_only_unless_told_otherwise(tmp_path):
    write_array(tmp_path / "a.npy", ARRAY)
    mapped = read_array(tmp_path / "a.npy")
    assert not mapped.flags.owndata
    assert not mapped.flags.writeable
    assert read_array(tmp_path / "a.npy", mapped=False).flags.writeable


def test_array_of_objects_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Python objects"):
        write_array(tmp_path / "a.npy", np.array([{}]))
    assert folder_content(tmp_path) == []


@given(tensors=st.dictionaries(st.text("abc.", min_size=1), ARRAYS, max_size=3))
@settings(max_examples=20, deadline=None)
def test_tensors_round_trip(tmp_path_factory, tensors):
    path = tmp_path_factory.getbasetemp() / "p.safetensors"
    tensors = {name: tensor.T for name, tensor in tensors.items()}
    write_tensors(path, tensors, {"card": '{"é": 1}'})
    ours, metadata = read_tensors(path)
    theirs = safetensors.numpy.load_file(path)
    assert metadata == {"card": '{"é": 1}'}
    assert set(ours) == set(theirs) == set(tensors)
    for name, tensor in tensors.items():
        assert ours[name].dtype == tensor.dtype
        np.testing.assert_array_equal(ours[name], tensor)
        np.testing.assert_array_equal(theirs[name], tensor)


def test_strided_tensors_are_stored_as_they_read(tmp_path):
    write_tensors(tmp_path / "p.safetensors", {"every other": np.arange(6.0)[::2]}, {})
    np.testing.assert_array_equal(
        read_tensors(tmp_path / "p.safetensors")[0]["every other"], [0.0, 2.0, 4.0]
    )


def test_equal_tensors_give_equal_bytes(tmp_path):
    letters = "abcdefghij"
    for name, order in (("one", letters), ("two", letters[::-1])):
        write_tensors(
            tmp_path / name,
            dict.fromkeys(order, ARRAY),
            {letter: letter for letter in order},
        )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_sha256_of_the_standard_example(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert sha256(tmp_path / "abc") == published == hashlib.sha256(b"abc").hexdigest()


# A writer that does not finish


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failing_writer_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "card.json"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("half of the ne")
        raise error
    assert path.read_text() == "old"
    assert folder_content(tmp_path) == ["card.json"]


def test_nothing_appears_before_the_writer_is_done(tmp_path):
    path = tmp_path / "joints.npy"
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
        assert temporary.suffix == path.suffix
    assert path.read_bytes() == b"new"
    assert folder_content(tmp_path) == ["joints.npy"]


def test_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    write_tensors(path, {"w": ARRAY}, {})
    program = (
        "import sys, time\n"
        "from bodyplan.storage import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary, temporary.open('wb') as file:\n"
        "    file.write(b'x' * 100_000)\n"
        "    file.flush()\n"
        "    print('half', flush=True)\n"
        "    time.sleep(60)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE)
    with writer:
        assert writer.stdout.readline() == b"half\n"
        assert len(folder_content(tmp_path)) == 2
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    np.testing.assert_array_equal(read_tensors(path)[0]["w"], ARRAY)

    write_tensors(path, {"w": ARRAY + 1}, {})
    np.testing.assert_array_equal(read_tensors(path)[0]["w"], ARRAY + 1)
    assert folder_content(tmp_path) == [path.name]


def _link_temporary_to_a_full_device(path):
    with pytest.raises(BaseException, match="learn the name"), atomic_write(path) as temporary:
        raise BaseException("learn the name")
    beginning, number, end = re.fullmatch(r"(.*-)(\d+)(\..*\.partial.*)", temporary.name).groups()
    following = f"{beginning}{int(number) + 1}{end}"  # names of one process count up
    temporary.with_name(following).symlink_to("/dev/full")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the full device of Linux")
@pytest.mark.parametrize("name", FORMATS)
def test_full_disk_is_said_and_leaves_the_old_file(tmp_path, name):
    path = tmp_path / name
    path.write_text("old")
    _link_temporary_to_a_full_device(path)
    with pytest.raises(BodyplanError, match=f"no space left .*{name}") as caught:
        WRITERS[name](path)
    assert str(tmp_path) in str(caught.value)
    assert path.read_text() == "old"
    assert folder_content(tmp_path) == [name]


@pytest.mark.parametrize("name", FORMATS)
def test_disk_that_fills_while_flushing_is_said(tmp_path, name, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BodyplanError, match="no space left"):
        WRITERS[name](tmp_path / name)
    assert folder_content(tmp_path) == []


def test_unwritable_place_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BodyplanError, match="cannot be written"):
        write_json(tmp_path / "file" / "card.json", {})


# A file that is not what it should be


@pytest.mark.parametrize("name", FORMATS)
def test_every_truncation_is_found(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    needed = len(whole.rstrip(b"\n")) if name.endswith(".json") else len(whole)
    for length in range(needed):
        path.write_bytes(whole[:length])
        with pytest.raises(BodyplanError) as caught:
            READERS[name](path)
        assert str(path) in str(caught.value)


@pytest.mark.filterwarnings("ignore:Data type alias 'a'")  # one wrong byte makes it one
@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_wrong_bytes_are_read_or_reported(tmp_path_factory, name, data):
    path = tmp_path_factory.getbasetemp() / name
    WRITERS[name](path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged)
        try:
            READERS[name](path)
        except BodyplanError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("read", [read_json, read_array, read_tensors, sha256])
def test_missing_file_is_named(tmp_path, read):
    for absent in (tmp_path / "absent", tmp_path):
        with pytest.raises(BodyplanError, match=f"{absent} is missing"):
            read(absent)


def test_pickled_array_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(BodyplanError, match="not an .npy array"):
        read_array(path)


def test_two_writers_do_not_mix_and_what_a_killed_one_left_is_removed(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        second.write_text("second")
        first.write_text("first")
    assert path.read_text() == "first"
    program = (
        "import os, sys; from bodyplan.storage import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file: file.write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)])
    assert len(folder_content(tmp_path)) == 2
    with atomic_write(path) as third:
        third.write_text("third")
    assert folder_content(tmp_path) == ["a.txt"]


def test_space_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    require_space(tmp_path / "set" / "file", 1 << 20)
    with pytest.raises(BodyplanError, match=r"space|larger"):
        require_space(tmp_path / "set" / "file", 1 << 60)
    assert list((tmp_path / "set").iterdir()) == []
