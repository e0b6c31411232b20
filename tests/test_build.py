"""Building datasets in the real simulation: sound, repeatable, resumable, or refused."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from file_faults import failing
from synthetic import COMMAND, synthetic_snapshots

from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.parallel_recording import ALL_ROBOTS
from bodyplan.datasets.policy_snapshots import Snapshots, snapshot_path
from bodyplan.datasets.rollout_schedule import RecordingSizes
from bodyplan.envs.disturbances import Disturbances
from bodyplan.errors import BodyplanError
from bodyplan.locking import writer_lock
from bodyplan.provenance import PROVENANCE_FILE
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json, sha256

ROBOTS = ("unitree_go1", "hexapod")
STEPS = 230
SIZES = RecordingSizes(part_steps=100, rollout_steps=25)
STARFISH = Path(__file__).parents[1] / "examples" / "starfish" / "starfish.xml"


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    for robot, joints, feet in (("unitree_go1", 12, 4), ("hexapod", 18, 6)):
        run = synthetic_snapshots(robot, joints, feet, (0, 100, 200, 300), (1.0, 5.0, 20.0, 50.0))
        run.save(snapshot_path(robot, COMMAND, folder))
    return folder


@pytest.fixture(scope="module")
def make(experts):
    def make(out, **changes):
        arguments = {
            "robots": ROBOTS,
            "recipe": "suboptimal70",
            "steps": STEPS,
            "seed": 3,
            "snapshots": experts,
            "sizes": SIZES,
        }
        return build_dataset(str(out), **(arguments | changes))

    return make


@pytest.fixture(scope="module")
def finished(make, tmp_path_factory):
    """An undisturbed build."""
    return make(tmp_path_factory.mktemp("finished") / "data")


def files(folder):
    """All that a build determines; where and when it was made differs."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != PROVENANCE_FILE)
    return {str(path.relative_to(folder)): sha256(path) for path in paths}


def test_a_build_is_a_sound_dataset(finished):
    assert finished.verify() == []
    assert finished.robots == ROBOTS
    assert not finished.path.with_name("data.partial").exists()
    expected = ["card.json", PROVENANCE_FILE, *ROBOTS]
    assert sorted(path.name for path in finished.path.iterdir()) == sorted(expected)
    assert (
        read_json(finished.path / PROVENANCE_FILE)["mujoco"] == finished.card["versions"]["mujoco"]
    )
    card = finished.card
    assert (card["recipe"], card["command"], card["seed"]) == ("suboptimal70", [1.0, 0.0, 0.0], 3)
    assert (card["physics"], card["initial_state"]) == ("reference", "random")
    assert set(card["versions"]) == {"bodyplan", "mujoco", "numpy"}
    for name, episodes in finished.episodes.items():
        entry = card["robots"][name]
        assert sum(segment["steps"] for segment in entry["segments"]) == STEPS
        assert episodes.num_steps == entry["steps"] == STEPS
        assert len(list((finished.path / name).iterdir())) == 9
    assert "conditions" not in card
    assert card["recording_sizes"] == {"part_steps": 100, "rollout_steps": 25, "max_envs": 256}


def test_each_frame_shows_the_action_that_led_to_it(finished):
    for episodes in finished.episodes.values():
        after = episodes.joints[episodes.frame_indices() + 1]
        np.testing.assert_allclose(after[:, :, 2], episodes.actions / 10.0, atol=1e-6)


def test_bytes_depend_on_the_seed_and_not_on_the_threads(finished, make, tmp_path):
    assert files(make(tmp_path / "same", threads=1).path) == files(finished.path)
    other = make(tmp_path / "other", seed=4)
    assert (other.episodes["hexapod"].actions != finished.episodes["hexapod"].actions).any()


def test_a_robots_bytes_do_not_depend_on_the_other_robots(finished, make, tmp_path):
    alone = make(tmp_path / "alone", robots=["hexapod"])
    assert files(alone.path / "hexapod") == files(finished.path / "hexapod")


ROUGH = Disturbances(randomise=True, redraw=0.1, pushes=0.02, noise=True, dropout=True)


def test_disturbed_data_are_sound_and_repeat_whatever_the_threads(make, tmp_path):
    rough = make(tmp_path / "rough", robots="unitree_go1", disturbances=ROUGH)
    assert rough.verify() == []
    assert rough.card["conditions"] == {
        "randomise": True,
        "redraw": 0.1,
        "pushes": 0.02,
        "noise": True,
        "dropout": True,
    }
    for episodes in rough.values():
        assert episodes.num_descriptors > episodes.num_episodes  # some within an episode
        flat = np.concatenate([part.reshape(len(part), -1) for part in episodes.descriptors], 1)
        assert len(np.unique(flat, axis=0)) == len(flat)
    with (
        failing("open", ".joints.partial.npy", KeyboardInterrupt()),
        pytest.raises(KeyboardInterrupt),
    ):
        make(tmp_path / "again", robots="unitree_go1", disturbances=ROUGH, threads=1)
    again = make(tmp_path / "again", robots="unitree_go1", disturbances=ROUGH, threads=2)
    assert files(again.path) == files(rough.path)


def test_the_first_frame_of_an_episode_is_of_the_body_it_names(make, tmp_path):
    disturbances = Disturbances(randomise=True)
    dataset = make(tmp_path / "data", disturbances=disturbances, initial_state="nominal")
    for name, episodes in dataset.episodes.items():
        first = np.concatenate(
            [[0], episodes.episode_ends[:-1] + np.arange(1, episodes.num_episodes)]
        )
        told = episodes.descriptors.joints[episodes.descriptor_ids[first], :, 7]
        # Robots start in the pose of their files, sensed from that of their specimen.
        start = 4.6 * (episodes.joints[first, :, 0] + told)
        nominal = Robot.load(name).nominal
        np.testing.assert_allclose(start, np.tile(nominal, (len(first), 1)), atol=1e-5)
        assert np.ptp(told, axis=0).min() > 1e-4


def test_progress_is_of_each_robot_and_of_all(make, tmp_path):
    seen = []
    make(tmp_path / "data", threads=2, progress=lambda *call: seen.append(call))
    for name, total in ((ROBOTS[0], STEPS), (ROBOTS[1], STEPS), (ALL_ROBOTS, 2 * STEPS)):
        done = [steps for who, steps, of in seen if who == name and of == total]
        assert done == sorted(done)
        assert done[-1] == total


def test_an_error_of_one_robot_ends_the_build(make, tmp_path):
    def progress(robot, done, total):
        if robot == ROBOTS[1] and done > 50:
            raise BodyplanError("a fall through the floor")

    with pytest.raises(BodyplanError, match="floor"):
        make(tmp_path / "data", threads=4, progress=progress)
    assert not (tmp_path / "data").exists()


KILLED = """
import sys, time
from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.rollout_schedule import RecordingSizes
out, experts, robots = sys.argv[1], sys.argv[2], sys.argv[3:]
def slow(*_):
    time.sleep(0.004)
    print("at work", flush=True)
build_dataset(
    out, robots, "suboptimal70", "forward", 600, 3, progress=slow, snapshots=experts, threads=2,
    sizes=RecordingSizes(part_steps=100, rollout_steps=25),
)
"""


def test_a_build_killed_five_times_ends_with_the_same_bytes(make, experts, tmp_path):
    out, partial = tmp_path / "data", tmp_path / "data.partial"
    arguments = [sys.executable, "-c", KILLED, str(out), str(experts), *ROBOTS]
    # Moments are counted in steps, not in seconds, so that a busy machine changes nothing.
    finished = 0
    for moment in (30, 120, 60, 120, 90):
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            for _ in range(moment):
                assert process.stdout.readline() == b"at work\n"
            while moment == 90 and not any(partial.rglob("part-*.npz")):
                assert process.stdout.readline() == b"at work\n"  # the last one finishes a part
            os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
        kept = {path: path.stat().st_mtime_ns for path in partial.rglob("part-*.npz")}
        assert len(kept) >= finished  # what was finished stayed
        finished = len(kept)
    assert kept
    whole = threading.Event()

    def check(*_):
        if not whole.is_set():
            assert {path: path.stat().st_mtime_ns for path in kept} == kept
            whole.set()

    assert make(out, steps=600, progress=check).verify() == []
    assert whole.is_set()
    assert files(out) == files(make(tmp_path / "undisturbed", steps=600).path)
    assert not partial.exists()


@pytest.mark.parametrize(
    ("operation", "ending"),
    [
        ("open", ".joints.partial.npy"),  # before a robot's arrays are written
        ("os.remove", "part-0000.npz"),  # after them, before its parts are removed
        ("os.rename", "data.partial/card.json"),  # before the card
        ("os.rename", "/data"),  # before the folder gets its name
    ],
)
def test_interrupted_while_finishing(finished, make, tmp_path, operation, ending):
    with (
        failing(operation, ending, KeyboardInterrupt()),
        pytest.raises(KeyboardInterrupt),
    ):
        make(tmp_path / "data")
    assert not (tmp_path / "data").exists()
    assert files(make(tmp_path / "data").path) == files(finished.path)


def test_a_full_disk_is_named_and_leaves_what_can_be_continued(finished, make, tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        failing("os.rename", "unitree_go1/part-0001.npz", full),
        pytest.raises(BodyplanError, match="no space left"),
    ):
        make(tmp_path / "data")
    left = [path.name for path in (tmp_path / "data.partial" / ROBOTS[0]).iterdir()]
    assert "part-0001.npz" not in left
    assert not [name for name in left if name.startswith(".")]
    assert files(make(tmp_path / "data").path) == files(finished.path)


def test_a_finished_build_is_returned_as_it_is(finished, make):
    before = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")}
    assert make(finished.path).card == finished.card
    assert {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "seed 3, not 4"),
        ({"recipe": "expert"}, "recipe suboptimal70, not expert"),
        ({"initial_state": "nominal"}, "initial_state random, not nominal"),
        ({"robots": ["hexapod"]}, "other robots"),
        ({"disturbances": ROUGH}, "other disturbances"),
        ({"sizes": RecordingSizes()}, "recording_sizes|sizes"),
    ],
)
def test_other_settings_are_refused(finished, make, tmp_path, changes, message):
    with pytest.raises(BodyplanError, match=message):
        make(finished.path, **changes)
    partial = tmp_path / "data.partial"
    partial.mkdir()
    settings = {key: finished.card[key] for key in finished.card if key not in ("format", "robots")}
    (partial / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(BodyplanError, match=message):
        make(tmp_path / "data", **changes)


def test_disturbed_data_are_not_taken_for_clean_ones(make, tmp_path):
    make(tmp_path / "data", robots=["hexapod"], disturbances=Disturbances(noise=True))
    with pytest.raises(BodyplanError, match="other disturbances"):
        make(tmp_path / "data", robots=["hexapod"])


def test_retrained_experts_are_another_setting(finished, make, experts, tmp_path):
    for robot in ROBOTS:
        run = Snapshots.load(robot, COMMAND, experts)
        replace(run, card=run.card | {"settings": {"seed": 1}}).save(
            snapshot_path(robot, COMMAND, tmp_path / "new")
        )
    with pytest.raises(BodyplanError, match="other snapshots"):
        make(finished.path, snapshots=tmp_path / "new")


def test_a_build_of_other_versions_is_not_continued(finished, make, tmp_path):
    settings = {key: finished.card[key] for key in finished.card if key not in ("format", "robots")}
    settings["versions"] = settings["versions"] | {"mujoco": "0"}
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(BodyplanError, match="other versions"):
        make(tmp_path / "data")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"robots": ["unitree_go7"]}, "unitree_go7"),
        ({"robots": ["hexapod", "hexapod"]}, "named twice"),
        ({"robots": []}, "no robot is named"),
        ({"robots": [str(STARFISH)]}, "no expert of 'starfish'"),
        ({"command": "upward"}, "'upward'"),
        ({"command": "0.5,0,0"}, "no expert of .*0.5,0,0"),
        ({"command": "0.5,0,0", "robots": "all"}, "0.5,0,0"),
        ({"recipe": "best"}, "no recipe 'best'"),
        ({"steps": 0}, "steps 0 must be"),
        ({"seed": -1}, "seed -1 must be at least 0"),
        ({"threads": 0}, "threads 0 must be at least 1"),
        ({"threads": -3}, "threads -3 must be at least 1"),
        ({"initial_state": "lying"}, "'lying' is unknown"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_written(make, tmp_path, changes, message):
    with pytest.raises(BodyplanError, match=message):
        make(tmp_path / "data", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_holds_something_else_is_refused(make, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BodyplanError, match="holds other files"):
        make(tmp_path)
    with pytest.raises(BodyplanError, match=r"notes.txt is a file"):
        make(tmp_path / "notes.txt")


def test_experts_of_another_body_are_refused(make, tmp_path):
    synthetic_snapshots("hexapod", 12, 4).save(snapshot_path("hexapod", COMMAND, tmp_path))
    with pytest.raises(BodyplanError, match=r"hexapod.*\(75, 18\)"):
        make(tmp_path / "data", robots=["hexapod"], snapshots=tmp_path)


def test_a_damaged_part_is_named(make, tmp_path):
    with (
        failing("open", ".joints.partial.npy", KeyboardInterrupt()),
        pytest.raises(KeyboardInterrupt),
    ):
        make(tmp_path / "data")
    part = tmp_path / "data.partial" / "unitree_go1" / "part-0001.npz"
    part.write_bytes(part.read_bytes()[:1000])
    with pytest.raises(BodyplanError, match=r"part-0001.npz is damaged"):
        make(tmp_path / "data")
    part.unlink()
    assert isinstance(make(tmp_path / "data"), Dataset)


def test_robots_that_own_snapshots_lack_have_packaged_ones(make, experts, tmp_path):
    dataset = make(tmp_path / "data", robots=["hexapod", "badger"], steps=60)
    told = dataset.card["snapshots"]
    assert told["hexapod"] == sha256(snapshot_path("hexapod", COMMAND, experts))
    assert told["badger"] == sha256(snapshot_path("badger", COMMAND))


def test_robots_may_be_one_name_or_all(make, tmp_path):
    assert make(tmp_path / "one", robots="hexapod", steps=60).robots == ("hexapod",)
    assert make(tmp_path / "all", robots="all", steps=60).robots == ("hexapod", "unitree_go1")


def test_two_builds_of_one_folder_are_kept_apart(make, tmp_path):
    out = tmp_path / "data"
    with writer_lock(out), pytest.raises(BodyplanError, match="another process"):
        make(out)
    assert not list(tmp_path.glob("data*"))
    make(out, steps=60)
    assert not list(tmp_path.glob(".*"))


def test_a_build_that_was_killed_in_its_first_write_goes_on(make, tmp_path):
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / ".station-7-0.settings.partial.json").write_text('{"rec')
    assert make(tmp_path / "data", steps=60).verify() == []
    assert not list((tmp_path / "data").glob(".*"))


def test_a_partial_folder_of_unknown_origin_is_not_gone_on_with(make, tmp_path):
    (tmp_path / "data.partial" / "hexapod").mkdir(parents=True)
    with pytest.raises(BodyplanError, match="settings.json"):
        make(tmp_path / "data")


def test_a_file_or_a_folder_that_is_not_there_is_said(make, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BodyplanError, match="is a file"):
        make(tmp_path / "file")
    with pytest.raises(BodyplanError, match="nowhere"):
        make(tmp_path / "data", snapshots=tmp_path / "nowhere")
    assert (tmp_path / "file").read_text() == "mine"


def test_the_card_tells_where_robots_of_ones_own_are(make, experts, tmp_path):
    synthetic_snapshots("starfish", 15, 5).save(snapshot_path("starfish", COMMAND, tmp_path))
    dataset = make(tmp_path / "data", robots=[str(STARFISH)], snapshots=tmp_path, steps=60)
    assert dataset.models == {"starfish": str(STARFISH.resolve())}
    assert not Path(dataset.card["models"]["starfish"]).is_absolute()
    with pytest.raises(BodyplanError, match="starfish"):
        Robot.load("starfish")
    assert Robot.load("starfish", dataset.models).num_joints == 15
    assert "models" not in make(tmp_path / "known", robots=["hexapod"], steps=60).card


def test_own_robots_go_by_name_where_their_snapshots_tell_the_path(make, tmp_path):
    run = synthetic_snapshots("starfish", 15, 5)
    replace(run, card=run.card | {"model": str(STARFISH)}).save(
        snapshot_path("starfish", COMMAND, tmp_path)
    )
    dataset = make(tmp_path / "data", robots=["starfish"], snapshots=tmp_path, steps=60)
    assert dataset.episodes["starfish"].joints.shape[1] == 15
    assert dataset.models == {"starfish": str(STARFISH.resolve())}


def test_a_folder_that_moves_with_its_robots_still_finds_them(make, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for suffix in (".xml", ".toml"):
        target = here / "robots" / f"starfish{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(STARFISH.with_suffix(suffix), target)
    run = synthetic_snapshots("starfish", 15, 5)
    robot = here / "robots" / "starfish.xml"
    replace(run, card=run.card | {"model": str(robot)}).save(
        snapshot_path("starfish", COMMAND, here / "experts")
    )
    experts_file = snapshot_path("starfish", COMMAND, here / "experts")
    assert str(tmp_path).encode() not in experts_file.read_bytes()
    make(here / "data", robots=["starfish"], snapshots=here / "experts", steps=60)
    assert str(tmp_path) not in (here / "data" / "card.json").read_text()
    here.rename(there)
    moved = Dataset.open(there / "data")
    assert moved.models == {"starfish": str(there / "robots" / "starfish.xml")}
    assert Robot.load("starfish", moved.models).num_joints == 15
    again = make(there / "again", robots=["starfish"], snapshots=there / "experts", steps=60)
    assert again.models == moved.models
