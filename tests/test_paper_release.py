"""The official release read back: files in its layout, written from known episodes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bodyplan.cli.data_import import ImportRelease
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.io.dataset_writer import EpisodeWriter
from bodyplan.datasets.io.paper_release import RELEASE_ROBOTS, ArrayNames, import_release
from bodyplan.datasets.io.paper_release_robot import robot_mismatch
from bodyplan.envs.disturbances import Disturbances
from bodyplan.envs.environment import Environment
from bodyplan.envs.gymnasium_spaces import apply_layout
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor

ROBOTS = ("unitree_go1", "hexapod", "unitree_h1")
STEPS = 240
FORWARD = (1.0, 0.0, 0.0)


def known_episodes(robot, seed=0, steps=STEPS, bodies=1, every=37):
    """Random episodes of a robot; its body changes every so many frames, whatever the episode."""
    rng = np.random.default_rng([seed, len(robot.name), robot.num_joints])
    ends = np.unique(np.append(rng.integers(1, steps, 5), steps))
    frames = steps + len(ends)
    terminated, truncated = np.zeros(steps, bool), np.zeros(steps, bool)
    terminated[ends[::2] - 1], truncated[ends[1::2] - 1] = True, True
    general = rng.uniform(-0.9, 0.9, (frames, 13))
    general[:, 6:9] = FORWARD
    return Episodes(
        rng.normal(0.0, 1.0, (frames, robot.num_joints, 3)).astype(np.float32),
        rng.uniform(-1.0, 1.0, (frames, robot.num_feet, 2)).astype(np.float32),
        general.astype(np.float32),
        rng.normal(0.0, 1.0, (steps, robot.num_joints)).astype(np.float32),
        rng.uniform(0.0, 0.1, steps).astype(np.float32),
        terminated,
        truncated,
        ends,
        bodies_like(robot, bodies, rng),
        (np.arange(frames) // every % bodies).astype(np.int32) if bodies > 1 else None,
    )


def bodies_like(robot, count, rng):
    joints, feet, context = (np.repeat(part[None], count, 0) for part in robot.descriptor)
    joints[1:, :, 7] += rng.uniform(-0.01, 0.01, (count - 1, robot.num_joints)) / 4.6
    heavier = rng.uniform(0.98, 1.02, (count - 1, 4))
    context[1:, :4] = (context[1:, :4] + 1.0) * heavier - 1.0
    joints[:, :, 16:], feet[:, :, 3:] = context[:, None], context[:, None]
    return RobotDescriptor(joints, feet, context)


def write_release(folder, by_slot, flags=(1,), width=668):
    """The arrays of a release; slots side by side, zeros behind each robot's own numbers."""
    steps = by_slot[0].num_steps
    arrays = {
        "observations": np.zeros((steps, len(by_slot), width), np.float32),
        "next_observations": np.zeros((steps, len(by_slot), width), np.float32),
        "actions": np.zeros((steps, len(by_slot), 24), np.float32),
        "rewards": np.zeros((steps, len(by_slot)), np.float32),
        "terminateds": np.zeros((steps, len(by_slot), *flags), np.float32),
        "truncateds": np.zeros((steps, len(by_slot), *flags), np.float32),
    }
    for index, known in enumerate(by_slot):
        seen = Observation(known.joints, known.feet, known.general)
        ids = np.zeros(len(known.joints), int) if known.num_descriptors == 1 else None
        ids = known.descriptor_ids if ids is None else ids
        told = RobotDescriptor(*(part[ids] for part in known.descriptors))
        vectors = apply_layout("paper", told, seen)
        frame = known.frame_indices()
        arrays["observations"][:, index, : vectors.shape[1]] = vectors[frame]
        arrays["next_observations"][:, index, : vectors.shape[1]] = vectors[frame + 1]
        arrays["actions"][:, index, : known.actions.shape[1]] = known.actions
        arrays["rewards"][:, index] = known.rewards
        arrays["terminateds"][:, index] = known.terminated.reshape(-1, *flags)
        arrays["truncateds"][:, index] = known.truncated.reshape(-1, *flags)
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def change(folder, name, edit):
    array = np.load(folder / f"{name}.npy")
    edit(array)
    np.save(folder / f"{name}.npy", array)


def assert_same(read, known):
    for name, array in known.arrays().items():
        np.testing.assert_array_equal(getattr(read, name), array, name)
        assert getattr(read, name).dtype == array.dtype, name
    for part, original in zip(read.descriptors, known.descriptors, strict=True):
        np.testing.assert_array_equal(part, original)


SEVEN_ROWS = 668 * 4 * len(ROBOTS) * 7


@pytest.fixture
def known(load):
    return [
        known_episodes(load(name), bodies=bodies)
        for name, bodies in zip(ROBOTS, (1, 3, 6), strict=True)
    ]


@pytest.fixture
def source(known, tmp_path):
    return write_release(tmp_path / "release", known)


def read(source, out, **changes):
    return import_release(source, out, **({"slots": ROBOTS, "bytes_at_once": SEVEN_ROWS} | changes))


def test_what_was_written_is_read_back(known, source, tmp_path):
    dataset = read(source, tmp_path / "out", recipe="suboptimal70", seed=3)
    assert dataset.robots == ROBOTS
    for name, own in zip(ROBOTS, known, strict=True):
        assert_same(dataset.episodes[name], own)
    assert dataset.verify() == []
    card = dataset.card
    assert (card["source"], card["recipe"], card["seed"]) == ("release", "suboptimal70", 3)
    assert card["command"] == list(FORWARD)
    assert card["conditions"]["noise"]
    assert [card["robots"][name]["cut"] for name in ROBOTS] == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "release"]


def test_the_number_of_rows_read_at_once_does_not_matter(source, tmp_path):
    seven = read(source, tmp_path / "seven")
    for size in (1, 2**30):
        other = read(source, tmp_path / str(size), bytes_at_once=size)
        assert other.card["robots"] == seven.card["robots"]


def test_a_chosen_robot_of_the_sixteen(load, tmp_path):
    own = known_episodes(load("hexapod"), bodies=2)
    empty = np.zeros((STEPS, 15, 668), np.float32)
    source = write_release(tmp_path / "release", [own])
    for name in ("observations", "next_observations", "actions", "rewards"):
        array = np.load(source / f"{name}.npy")
        blank = empty[..., : array.shape[2]] if array.ndim > 2 else empty[..., 0]
        np.save(source / f"{name}.npy", np.concatenate([blank, array], axis=1))
    for name in ("terminateds", "truncateds"):
        array = np.load(source / f"{name}.npy")[..., 0]
        np.save(source / f"{name}.npy", np.repeat(array, 16, axis=1))
    dataset = import_release(source, tmp_path / "out", robots=["hexapod"])
    assert dataset.robots == (RELEASE_ROBOTS[15],)
    assert_same(dataset.episodes["hexapod"], own)
    with pytest.raises(BodyplanError, match="did you mean 'hexapod'"):
        import_release(source, tmp_path / "other", robots=["hexapot"])


def test_hdf5_with_other_names(known, source, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "release.h5", "w") as file:
        for path in source.glob("*.npy"):
            file.create_dataset(f"all/{path.stem}", data=np.load(path), compression="gzip")
    names = ArrayNames(**{own: f"all/{name}" for own, name in vars(ArrayNames()).items()})
    dataset = read(tmp_path / "release.h5", tmp_path / "out", names=names)
    for name, own in zip(ROBOTS, known, strict=True):
        assert_same(dataset.episodes[name], own)


def test_flags_without_a_last_axis_and_both_at_once(known, tmp_path):
    source = write_release(tmp_path / "release", known, flags=())
    change(source, "truncateds", lambda array: array.__setitem__(slice(None), 0.0))
    change(
        source,
        "truncateds",
        lambda array: array.__iadd__(
            np.stack([own.terminated | own.truncated for own in known], axis=1)
        ),
    )
    dataset = read(source, tmp_path / "out")
    for name, own in zip(ROBOTS, known, strict=True):
        assert_same(dataset.episodes[name], own)


def test_a_row_that_does_not_follow_ends_an_episode(known, source, tmp_path):
    own = known[0]
    place = int(own.episode_ends[0]) + 2  # in the midst of the second episode
    change(source, "next_observations", lambda array: array.__setitem__((place, 0, 24), 0.5))
    dataset = read(source, tmp_path / "out", robots=[ROBOTS[0]])
    episodes = dataset.episodes[ROBOTS[0]]
    assert dataset.card["robots"][ROBOTS[0]]["cut"] == 1
    assert dataset.verify() == []
    assert sorted({*episodes.episode_ends} - {*own.episode_ends}) == [place + 1]
    assert episodes.truncated[place]
    closing = episodes.joints[episodes.frame_indices()[place] + 1]
    assert closing[0, 1] == np.float32(0.5)
    np.testing.assert_array_equal(episodes.rewards, own.rewards)


def test_the_last_row_ends_an_episode(known, source, tmp_path):
    change(source, "terminateds", lambda array: array.__setitem__(-1, 0.0))
    change(source, "truncateds", lambda array: array.__setitem__(-1, 0.0))
    episodes = read(source, tmp_path / "out").episodes[ROBOTS[0]]
    assert episodes.truncated[-1]
    np.testing.assert_array_equal(episodes.joints, known[0].joints)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_without_next_observations(known, source, tmp_path, rows):
    (source / "next_observations.npy").unlink()
    dataset = read(source, tmp_path / "out", bytes_at_once=668 * 4 * len(ROBOTS) * rows)
    assert dataset.verify() == []
    for name, own in zip(ROBOTS, known, strict=True):
        read_back, starts = dataset.episodes[name], own.episode_ends - own.lengths
        assert dataset.card["robots"][name]["given_up"] == own.truncated.sum()
        frames, actions, fell = [], [], []
        for number, (start, end) in enumerate(zip(starts, own.episode_ends, strict=True)):
            rows = np.arange(start, end) + number
            if own.terminated[end - 1]:
                frames += [*own.joints[rows], own.joints[rows[-1]]]
                actions += [*own.actions[start:end]]
                fell += [False] * (end - start - 1) + [True]
            elif end - start > 1:
                frames += [*own.joints[rows]]
                actions += [*own.actions[start : end - 1]]
                fell += [False] * (end - start - 1)
        np.testing.assert_array_equal(read_back.joints, frames)
        np.testing.assert_array_equal(read_back.actions, actions)
        np.testing.assert_array_equal(read_back.terminated, fell)


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("observations", (9, 0, 381), 0.1, "row 9 of slot 0 .*number 381"),
        ("next_observations", (9, 0, 667), 0.1, "row 9 of slot 0 .*number 667"),
        ("actions", (9, 1, 20), 0.1, "row 9 of slot 1 .*number 20"),
        ("observations", (30, 2, 5), np.nan, "row 30 of slot 2 .unitree_h1.*NaN"),
        ("actions", (30, 2, 5), np.inf, "row 30 of slot 2 .unitree_h1.*NaN"),
        ("rewards", (31, 2), np.nan, "row 31 of slot 2 .unitree_h1.*NaN"),
        ("terminateds", (31, 2), 0.5, "terminateds.npy .*row 31"),
        (
            "observations",
            (slice(None), 0, 7),
            1.0,
            "slot 0.*unitree_go1: nominal",
        ),
        ("observations", (slice(None), 0, 3), 0.3, "slot 0.*unitree_go1: .*axes"),
        ("observations", (slice(None), 0, 6), 3.0, "slot 0.*child"),
        ("observations", (slice(None), 0, 20), 3.0, "gains"),
    ],
)
def test_faults_are_named(source, tmp_path, name, place, value, message):
    change(source, name, lambda array: array.__setitem__(place, value))
    with pytest.raises(BodyplanError, match=message):
        read(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slots": ("unitree_go2", *ROBOTS[1:])}, "unitree_go2: nominal"),
        ({"slots": (ROBOTS[1], ROBOTS[0], ROBOTS[2])}, "hexapod"),
        ({"slots": RELEASE_ROBOTS}, r"\[240, 3, 668\], not \[240, 16, any\]"),
        ({"slots": ROBOTS[:2]}, r"\[240, 3, 668\], not \[240, 2, any\]"),
        ({"robots": ("badger",)}, "badger.*unitree_go1"),
        ({"recipe": ""}, "recipe ''"),
        ({"recipe": "sub/70"}, "recipe 'sub/70'"),
        ({"recipe": "sub 70"}, "recipe 'sub 70'"),
        ({"robots": ROBOTS[:1] * 2}, "twice"),
        ({"command": "backward"}, "forward, not backward"),
        ({"names": ArrayNames(next_observations="following")}, "'following'"),
        (
            {"names": ArrayNames(terminated="terminated")},
            "'terminated'.*did you mean 'terminateds'",
        ),
    ],
)
def test_wrong_arguments(source, tmp_path, changes, message):
    with pytest.raises(BodyplanError, match=message):
        read(source, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_wrong_command_is_refused_at_once(source, tmp_path):
    done = []
    with pytest.raises(BodyplanError, match="forward, not 0.5,0,0"):
        read(source, tmp_path / "out", command="0.5,0,0", progress=lambda *told: done.append(told))
    assert done == []  # after a stretch that was not finished
    assert read(source, tmp_path / "out", command="forward").card["command"] == list(FORWARD)


def test_what_is_no_release_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(BodyplanError, match="mine .*'observations'"):
        read(tmp_path / "mine", tmp_path / "out")


@pytest.mark.parametrize(
    ("told", "truth"), [("unitree_go1", "unitree_a1"), ("anymal_c", "anymal_b")]
)
def test_robots_of_one_pose_are_told_apart(load, tmp_path, told, truth):
    np.testing.assert_array_equal(load(told).nominal, load(truth).nominal)
    source = write_release(tmp_path / "release", [known_episodes(load(truth))])
    with pytest.raises(BodyplanError, match=f"describe {told}: .*(range|mass)"):
        read(source, tmp_path / "out", slots=[told])


def test_randomised_robots_are_still_themselves(load):
    disturbances = Disturbances(randomise=True)
    for name in ("unitree_a1", "bittle", "hexapod"):
        environment = Environment(load(name), num_envs=16, disturbances=disturbances, threads=1)
        assert robot_mismatch(environment.descriptor, load(name)) == ""


def test_a_truncated_file(source, tmp_path):
    path = source / "actions.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BodyplanError, match="actions.npy is truncated"):
        read(source, tmp_path / "out")


def test_several_commands(source, tmp_path):
    for name, rows in (("observations", slice(0, 30)), ("next_observations", slice(0, 29))):
        change(
            source,
            name,
            lambda array, rows=rows: array[rows].__setitem__((slice(None), 0, 380 - 14), 0.0),
        )
    dataset = read(source, tmp_path / "out", robots=[ROBOTS[0]])
    assert dataset.card["command"] == list(FORWARD)
    assert 0.0 < dataset.card["conditions"]["commands"] < 0.5
    assert dataset.verify() == []


def test_a_full_folder_is_left_alone(source, tmp_path):
    with pytest.raises(BodyplanError, match="is not empty"):
        read(source, source)


def test_descriptors_that_change_all_the_time(load, tmp_path):
    robot = load("unitree_go1")
    own = known_episodes(robot, bodies=100, every=1)
    writer = EpisodeWriter(tmp_path / "dog", robot.num_joints, robot.num_feet, max_sets=50)
    descriptors = RobotDescriptor(*(part[own.descriptor_ids] for part in own.descriptors))
    with pytest.raises(BodyplanError, match="dog change more than 50 times"):
        writer.append_frames(descriptors, Observation(own.joints, own.feet, own.general))
    writer.abandon()


def test_the_command(source, tmp_path, capsys):
    command = ImportRelease(source, tmp_path / "out", ("hexapod",), slots=ROBOTS, json=True)
    command.run()
    assert json.loads(capsys.readouterr().out)["card"]["source"] == "release"


CHILD = """
import sys
from pathlib import Path
from bodyplan.datasets.io.paper_release import import_release
import_release(sys.argv[1], sys.argv[2], slots=["unitree_go1"], bytes_at_once=4 * 2**20)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_data(load, tmp_path):
    """48,000 rows are 150 MB of observations, six times as many as 8,000."""
    own, peaks = known_episodes(load("unitree_go1"), steps=1000, bodies=4), []
    short = write_release(tmp_path / "short", [own], width=380)
    for times in (8, 48):
        source = tmp_path / f"times{times}"
        source.mkdir()
        for path in short.iterdir():
            np.save(source / path.name, np.concatenate([np.load(path)] * times))
        command = [sys.executable, "-c", CHILD, str(source), str(source / "out")]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        peaks.append(int(ran.stdout) / 1024)
    assert peaks[1] - peaks[0] < 30.0
    assert peaks[1] < 400.0
