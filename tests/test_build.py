"""Building datasets in the real simulation: sound, repeatable, resumable, or refused."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import COMMAND, synthetic_snapshots

from bodyplan.datasets import build, parallel_recording, recipes, recording_parts
from bodyplan.datasets import format as dataset_format
from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.policy_snapshots import Snapshots, snapshot_path
from bodyplan.envs.disturbances import Disturbances
from bodyplan.errors import BodyplanError
from bodyplan.locking import writer_lock
from bodyplan.robots.robot import Robot
from bodyplan.storage import sha256

ROBOTS = ("unitree_go1", "hexapod")
STEPS = 230
STARFISH = Path(__file__).parents[1] / "examples" / "starfish" / "starfish.xml"


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    for robot, joints, feet in (("unitree_go1", 12, 4), ("hexapod", 18, 6)):
        run = synthetic_snapshots(robot, joints, feet, (0, 100, 200, 300), (1.0, 5.0, 20.0, 50.0))
        run.save(snapshot_path(robot, COMMAND, folder))
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(recording_parts, "PART_STEPS", 100)
    monkeypatch.setattr(recipes, "SLOT_STEPS", 25)


@pytest.fixture
def make(experts):
    def make(out, **changes):
        arguments = {"recipe": "suboptimal70", "command": "forward", "steps": STEPS, "seed": 3}
        return build_dataset(
            **({"out": out, "robots": ROBOTS, "snapshots": experts} | arguments | changes)
        )

    return make


@pytest.fixture(scope="module")
def finished(experts, tmp_path_factory):
    """An undisturbed build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording_parts, "PART_STEPS", 100)
        patch.setattr(recipes, "SLOT_STEPS", 25)
        out = tmp_path_factory.mktemp("finished") / "data"
        return build_dataset(out, ROBOTS, "suboptimal70", "forward", STEPS, 3, snapshots=experts)


def files(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path) for path in paths}


def test_a_build_is_a_sound_dataset(finished):
    assert finished.verify() == []
    assert finished.robots == ROBOTS
    assert not finished.path.with_name("data.partial").exists()
    assert sorted(path.name for path in finished.path.iterdir()) == sorted(["card.json", *ROBOTS])
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


def test_disturbed_data_are_sound_and_repeat_whatever_the_threads(make, tmp_path, monkeypatch):
    rough = make(tmp_path / "rough", disturbances=ROUGH)
    assert rough.verify() == []
    assert rough.card["conditions"] == {
        "randomise": True,
        "redraw": 0.1,
        "pushes": 0.02,
        "noise": True,
        "dropout": True,
    }
    for episodes in rough.episodes.values():
        assert episodes.num_descriptors > episodes.num_episodes  # some within an episode
        flat = np.concatenate([part.reshape(len(part), -1) for part in episodes.descriptors], 1)
        assert len(np.unique(flat, axis=0)) == len(flat)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build, "join_parts", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "again", disturbances=ROUGH, threads=1)
    again = make(tmp_path / "again", disturbances=ROUGH, threads=2)
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


def test_bytes_do_not_depend_on_which_part_is_ready_first(finished, make, tmp_path, monkeypatch):
    original, waiting = parallel_recording.record_rollouts, threading.Event()

    def last_first(run, number, *others):
        if (run.robot.name, number) == (ROBOTS[0], 0):
            assert waiting.wait(30)
        episodes = original(run, number, *others)
        if (run.robot.name, number) == (ROBOTS[1], 2):
            waiting.set()
        return episodes

    monkeypatch.setattr(parallel_recording, "record_rollouts", last_first)
    assert files(make(tmp_path / "data", threads=3).path) == files(finished.path)


def test_progress_tells_of_each_robot_and_of_all(make, tmp_path):
    seen = []
    make(tmp_path / "data", threads=2, progress=lambda *call: seen.append(call))
    for name, total in (
        (ROBOTS[0], STEPS),
        (ROBOTS[1], STEPS),
        (parallel_recording.EVERYONE, 2 * STEPS),
    ):
        done = [steps for who, steps, of in seen if who == name and of == total]
        assert done == sorted(done)
        assert done[-1] == total
    assert {who for who, _, _ in seen} == {*ROBOTS, parallel_recording.EVERYONE}


@pytest.mark.parametrize("fault", [BodyplanError("a fall through the floor"), KeyboardInterrupt()])
def test_a_fault_of_one_stops_all(make, tmp_path, monkeypatch, fault):
    original, begun, ticks = parallel_recording.record_rollouts, threading.Event(), []

    def record(run, number, start, stop, tick):
        if run.robot.name == ROBOTS[1]:
            assert begun.wait(30)
            raise fault

        def slow(steps):
            begun.set()
            ticks.append(steps)
            time.sleep(0.05)
            tick(steps)

        return original(run, number, start, stop, slow)

    monkeypatch.setattr(parallel_recording, "record_rollouts", record)
    with pytest.raises(type(fault)):
        make(tmp_path / "data", threads=4)
    assert len(ticks) < 40  # of the 75 of the first robot alone
    assert not (tmp_path / "data").exists()


KILLED = """
import sys, time
from bodyplan.datasets import build as collect, recipes, recording_parts as parts
parts.PART_STEPS, recipes.SLOT_STEPS = 100, 25
out, experts, robots = sys.argv[1], sys.argv[2], sys.argv[3:]
def slow(*_):
    time.sleep(0.004)
    print("at work", flush=True)
collect.build_dataset(
    out, robots, "suboptimal70", "forward", 1000, 3, progress=slow, snapshots=experts, threads=2
)
"""


def test_a_build_killed_ten_times_ends_with_the_same_bytes(make, experts, tmp_path):
    out, partial = tmp_path / "data", tmp_path / "data.partial"
    arguments = [sys.executable, "-c", KILLED, str(out), str(experts), *ROBOTS]
    # Moments are told in progress, not in seconds, so that a busy machine changes nothing.
    moments, found = np.random.default_rng(0).integers(20, 150, 10), []
    for moment in moments:
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            for _ in range(moment):
                assert process.stdout.readline() == b"at work\n"
            os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
        found.append(len(list(partial.rglob("part-*.npz"))))
    assert found[0] < found[-1]  # what was finished stayed
    kept = {path: path.stat().st_mtime_ns for path in partial.rglob("part-*.npz")}
    whole = threading.Event()

    def check(*_):
        if not whole.is_set():
            assert {path: path.stat().st_mtime_ns for path in kept} == kept
            whole.set()

    assert make(out, steps=1000, progress=check).verify() == []
    assert whole.is_set()
    assert files(out) == files(make(tmp_path / "undisturbed", steps=1000).path)
    assert not partial.exists()


@pytest.mark.parametrize(
    ("owner", "name", "last_file"),
    [
        (build, "join_parts", ""),  # before a robot's arrays are written
        (Path, "unlink", ""),  # after them, before its parts are removed
        (dataset_format, "write_json", "data.partial/card.json"),  # before the card
        (Path, "rename", ""),  # before the folder gets its name
    ],
)
def test_interrupted_while_tidying_up(
    finished, make, tmp_path, monkeypatch, owner, name, last_file
):
    original = getattr(owner, name)

    def interrupt(path, *others, **options):
        if str(path).endswith(last_file):
            raise KeyboardInterrupt
        return original(path, *others, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "data")
    assert not (tmp_path / "data").exists()
    assert files(make(tmp_path / "data").path) == files(finished.path)


def test_a_full_disk_is_one_sentence_and_leaves_what_can_be_continued(
    finished, make, tmp_path, monkeypatch
):
    whole = np.savez

    def full(path, **arrays):
        whole(path, **arrays)
        if "part-0001" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(BodyplanError, match="no space left .*run the same command again"):
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
        ({"seed": 4}, "was built with seed 3, not 4; delete it or choose"),
        ({"recipe": "expert"}, "recipe suboptimal70, not expert"),
        ({"initial_state": "nominal"}, "initial_state random, not nominal"),
        ({"robots": ["hexapod"]}, "built for other robots"),
        ({"disturbances": ROUGH}, "built with other disturbances"),
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
    with pytest.raises(BodyplanError, match="built with other disturbances"):
        make(tmp_path / "data", robots=["hexapod"])


def test_retrained_experts_and_other_versions_are_other_settings(
    finished, make, experts, tmp_path, monkeypatch
):
    for robot in ROBOTS:
        run = Snapshots.load(robot, COMMAND, experts)
        replace(run, card=run.card | {"settings": {"seed": 1}}).save(
            snapshot_path(robot, COMMAND, tmp_path / "new")
        )
    with pytest.raises(BodyplanError, match="built with other snapshots"):
        make(finished.path, snapshots=tmp_path / "new")
    settings = {key: finished.card[key] for key in finished.card if key not in ("format", "robots")}
    (tmp_path / "data.partial").mkdir()
    (tmp_path / "data.partial" / "settings.json").write_text(json.dumps(settings))
    monkeypatch.setattr(dataset_format, "__version__", "99")
    with pytest.raises(BodyplanError, match="built with other versions"):
        make(tmp_path / "data")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"robots": ["unitree_go7"]}, "no robot is called 'unitree_go7'"),
        ({"robots": ["hexapod", "hexapod"]}, "none of them twice"),
        ({"robots": []}, "at least one robot"),
        ({"robots": ["badger"]}, "no expert of 'badger'"),
        ({"command": "upward"}, "'upward' is no command; give forward"),
        ({"command": "backward"}, "no expert of .* for the command backward"),
        ({"recipe": "best"}, "no recipe 'best'"),
        ({"steps": 0}, "steps 0 must be"),
        ({"seed": -1}, "seed -1 must be at least 0"),
        ({"threads": 0}, "threads 0 must be at least 1"),
        ({"threads": -3}, "threads -3 must be at least 1"),
        ({"initial_state": "lying"}, "'lying' is unknown"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_written(
    make, tmp_path, monkeypatch, changes, message
):
    monkeypatch.setattr(
        "bodyplan.datasets.policy_snapshots.PACKAGED_SNAPSHOTS", tmp_path / "nothing"
    )
    with pytest.raises(BodyplanError, match=message):
        make(tmp_path / "data", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_holds_something_else_is_refused(make, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BodyplanError, match=r"card.json is missing"):
        make(tmp_path)
    with pytest.raises(BodyplanError, match=r"notes.txt is a file; choose another"):
        make(tmp_path / "notes.txt")


def test_experts_of_another_body_are_refused(make, tmp_path):
    synthetic_snapshots("hexapod", 12, 4).save(snapshot_path("hexapod", COMMAND, tmp_path))
    with pytest.raises(BodyplanError, match=r"hexapod has \(75, 18\); train its expert again"):
        make(tmp_path / "data", robots=["hexapod"], snapshots=tmp_path)


def test_a_simulation_that_diverges_is_named_and_not_kept(make, tmp_path, monkeypatch):
    def wild(*arguments):
        episodes = record(*arguments)
        episodes.rewards[7] = np.nan
        return episodes

    record = parallel_recording.record_rollouts
    monkeypatch.setattr(parallel_recording, "record_rollouts", wild)
    with pytest.raises(BodyplanError, match=r"unitree_go1 diverged in part-000[012] .*in rewards"):
        make(tmp_path / "data")
    assert not list((tmp_path / "data.partial").rglob("part-*.npz"))


def test_a_damaged_part_is_named(make, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build, "join_parts", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "data")
    part = tmp_path / "data.partial" / "unitree_go1" / "part-0001.npz"
    part.write_bytes(part.read_bytes()[:1000])
    with pytest.raises(BodyplanError, match=r"part-0001.npz is damaged .*; delete it"):
        make(tmp_path / "data")
    part.unlink()
    assert isinstance(make(tmp_path / "data"), Dataset)


def test_robots_that_own_snapshots_lack_have_packaged_ones(make, experts, tmp_path):
    dataset = make(tmp_path / "data", robots=["hexapod", "badger"], steps=60)
    told = dataset.card["snapshots"]
    assert told["hexapod"] == sha256(snapshot_path("hexapod", COMMAND, experts))
    assert told["badger"] == sha256(snapshot_path("badger", COMMAND))


def test_two_builds_of_one_folder_are_kept_apart(make, tmp_path):
    out = tmp_path / "data"
    with writer_lock(out), pytest.raises(BodyplanError, match="another process"):
        make(out)
    assert not list(tmp_path.glob("data*"))
    make(out, steps=60)
    assert not list(tmp_path.glob(".*"))


def test_a_partial_folder_of_unknown_origin_is_not_gone_on_with(make, tmp_path):
    (tmp_path / "data.partial" / "hexapod").mkdir(parents=True)
    with pytest.raises(BodyplanError, match="does not say what it was to be; delete it"):
        make(tmp_path / "data")


def test_a_file_or_a_folder_that_is_not_there_is_said(make, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BodyplanError, match="is a file; choose another folder"):
        make(tmp_path / "file")
    with pytest.raises(BodyplanError, match="no folder of snapshots at .*nowhere"):
        make(tmp_path / "data", snapshots=tmp_path / "nowhere")
    assert (tmp_path / "file").read_text() == "mine"


def test_the_card_tells_where_robots_of_ones_own_are(make, experts, tmp_path):
    synthetic_snapshots("starfish", 15, 5).save(snapshot_path("starfish", COMMAND, tmp_path))
    dataset = make(tmp_path / "data", robots=[str(STARFISH)], snapshots=tmp_path, steps=60)
    assert dataset.card["models"] == {"starfish": str(STARFISH.resolve())}
    with pytest.raises(BodyplanError, match="starfish"):
        Robot.load("starfish")
    assert Robot.load("starfish", dataset.card["models"]).num_joints == 15
    assert "models" not in make(tmp_path / "known", robots=["hexapod"], steps=60).card


def test_own_robots_go_by_name_where_their_snapshots_tell_the_path(make, tmp_path):
    run = synthetic_snapshots("starfish", 15, 5)
    replace(run, card=run.card | {"model": str(STARFISH)}).save(
        snapshot_path("starfish", COMMAND, tmp_path)
    )
    dataset = make(tmp_path / "data", robots=["starfish"], snapshots=tmp_path, steps=60)
    assert dataset.episodes["starfish"].joints.shape[1] == 15
    assert dataset.card["models"] == {"starfish": str(STARFISH.resolve())}
