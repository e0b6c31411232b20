"""Logs of one's own: raw ones become what the environment sensed, or the fault is told."""

import importlib.util
import json
import re
import resource
import signal
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from file_faults import failing

from bodyplan.cli.data_import import ImportArrays
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.io.array_import import import_arrays
from bodyplan.datasets.io.quantities import QUANTITIES
from bodyplan.envs.environment import Environment
from bodyplan.envs.gymnasium_spaces import apply_layout
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.robots.toml_writer import to_toml

ROBOT, STEPS, SLOTS = "unitree_go1", 60, 4
EXAMPLES = Path(__file__).parents[1] / "examples"
DOCS = Path(__file__).parents[1] / "docs" / "interchange.md"
PLAIN = {
    "joint_positions": "q",
    "joint_velocities": "dq",
    "angular_velocity": "w",
    "gravity": "gravity",
    "linear_velocity": "v",
    "height": "z",
    "foot_contacts": "contact",
    "actions": "action",
    "rewards": "reward",
    "terminated": "fell",
    "episodes": "episode",
}


@pytest.fixture(scope="module")
def walked(load):
    """Episodes of a Go1 under a random policy: frames with the last, and what was observed."""
    robot = load(ROBOT)
    environment = Environment(
        robot, "forward", SLOTS, initial_state="random", seed=5, threads=1, horizon=STEPS
    )
    rng = np.random.default_rng(0)
    frames, steps = [_frame(environment)], []
    for _ in range(STEPS):
        spread = np.array([[1.0], [4.0], [1.0], [4.0]])  # two will fall
        action = np.clip(spread * rng.normal(size=(SLOTS, robot.num_joints)), -9.0, 9.0)
        step = environment.step(action)
        frames.append(_frame(environment))
        steps.append({"action": action, "reward": step.reward, "fell": step.terminated})
    lengths = [_length([step["fell"][slot] for step in steps]) for slot in range(SLOTS)]
    assert min(lengths) < STEPS  # some of them fell
    assert max(lengths) == STEPS
    both = ((frames, 1), (steps, 0))
    raw = {
        name: np.concatenate(
            [
                [row[name][slot] for row in rows[: length + more]]
                for slot, length in enumerate(lengths)
            ]
        )
        for rows, more in both
        for name in rows[0]
    }
    raw["episode"] = np.repeat(np.arange(SLOTS), lengths)
    raw["lengths"] = np.array(lengths)
    return raw


def _length(fell):
    return fell.index(True) + 1 if True in fell else STEPS


def _frame(environment):
    state = environment.simulator.robot_state()
    seen = environment.observation
    return {
        "q": state.joint_positions.copy(),
        "dq": state.joint_velocities.copy(),
        "w": state.angular_velocity.copy(),
        "gravity": state.gravity.copy(),
        "quaternion": environment.qpos[:, 3:7].copy(),
        "v": state.linear_velocity.copy(),
        "world_v": environment.simulator.qvel[:, :3].copy(),
        "z": state.height.copy(),
        "contact": state.foot_contact.copy(),
        **{f"seen_{name}": part.copy() for name, part in seen._asdict().items()},
    }


def opening(raw):
    """Rows of the frames that steps begin with, and of those after them."""
    start = np.arange(len(raw["episode"])) + raw["episode"]
    return start, start + 1


@pytest.fixture
def bring(tmp_path):
    """Writes a log and its mapping, and imports it."""

    def bring(logs, entries, robots=None, write=np.savez, file="log.npz", **more):
        write(tmp_path / file, **logs)
        table = {"robot": ROBOT, "files": file, **entries, **more}
        text = to_toml({"command": [1.0, 0.0, 0.0], "robots": robots or [table]})
        (tmp_path / "mapping.toml").write_text(text)
        return import_arrays(tmp_path / "mapping.toml", tmp_path / "out")

    return bring


def assert_seen(dataset, raw, parts=("joints", "feet", "general")):
    episodes = dataset.episodes[ROBOT]
    assert dataset.verify() == []
    for name in parts:
        np.testing.assert_allclose(
            getattr(episodes, name), raw[f"seen_{name}"], atol=1e-6, err_msg=name
        )
    np.testing.assert_allclose(episodes.actions, raw["action"], atol=1e-6)
    np.testing.assert_array_equal(episodes.rewards, raw["reward"])
    np.testing.assert_array_equal(episodes.terminated, raw["fell"])
    np.testing.assert_array_equal(episodes.lengths, raw["lengths"])


def test_raw_logs_become_what_the_environment_observed(walked, bring):
    dataset = bring(walked, PLAIN)
    assert_seen(dataset, walked)
    card = dataset.card
    assert (card["source"], card["recipe"], card["command"]) == ("arrays", "logs", [1.0, 0.0, 0.0])
    assert card["robots"][ROBOT]["given_up"] == 0
    assert card["robots"][ROBOT]["notes"] == []
    assert "conditions" not in card


def test_units_scales_and_targets(walked, bring, load):
    robot = load(ROBOT)
    logs = walked | {
        "q": np.degrees(walked["q"]),
        "dq": walked["dq"] * 30.0 / np.pi,
        "w": np.degrees(walked["w"]),
        "gravity": -9.81 * walked["gravity"],
        "z": 1000.0 * walked["z"] + 50.0,
        "v": walked["v"] * 3.6,
        "contact": np.where(walked["contact"], 80, 3),
        "action": np.degrees(robot.nominal + robot.action_scale * walked["action"]),
        "reward": walked["reward"] - 1.0,
    }
    entries = PLAIN | {
        "joint_positions": {"array": "q", "unit": "deg"},
        "joint_velocities": {"array": "dq", "unit": "rpm"},
        "angular_velocity": {"array": "w", "scale": np.pi / 180.0},
        "gravity": {"array": "gravity", "scale": -1.0 / 9.81},
        "height": {"array": "z", "unit": "mm", "offset": -0.05},
        "linear_velocity": {"array": "v", "unit": "km/h"},
        "foot_contacts": {"array": "contact", "threshold": 20.0},
        "actions": {"array": "action", "unit": "deg", "kind": "target"},
        "rewards": {"array": "reward", "offset": 1.0},
    }
    dataset = bring(logs, entries)
    rewards = np.array(dataset.episodes[ROBOT].rewards)
    np.testing.assert_allclose(rewards, walked["reward"], atol=1e-6)
    assert_seen(dataset, walked | {"reward": rewards})


def test_offsets_in_rad(walked, bring, load):
    logs = walked | {"action": walked["action"] * load(ROBOT).action_scale}
    entries = PLAIN | {"actions": {"array": "action", "unit": "rad"}}
    assert_seen(bring(logs, entries), walked)


def test_other_orders_of_joints_feet_and_columns(walked, bring, load):
    robot = load(ROBOT)
    rng = np.random.default_rng(1)
    joints, feet = rng.permutation(robot.num_joints), rng.permutation(robot.num_feet)
    logs = dict(walked)
    for name in ("q", "dq", "action"):
        logs[name] = walked[name][:, joints]
    logs["contact"] = walked["contact"][:, feet]
    logs["imu"] = np.column_stack([walked["z"], walked["w"][:, ::-1], walked["gravity"]])
    entries = PLAIN | {
        "joint_order": [robot.joints[place] for place in joints],
        "foot_order": [robot.feet[place].name for place in feet],
        "angular_velocity": {"array": "imu", "columns": [3, 2, 1]},
        "gravity": {"array": "imu", "columns": [4, 5, 6]},
        "height": {"array": "imu", "columns": [0]},
    }
    assert_seen(bring(logs, entries), walked)


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
def test_quaternions_and_world_velocities(walked, bring, order):
    logs = dict(walked)
    logs["quaternion"] = 1.01 * np.roll(walked["quaternion"], -1 if order == "xyzw" else 0, axis=1)
    entries = {name: own for name, own in PLAIN.items() if name != "gravity"} | {
        "orientation": {"array": "quaternion", "order": order},
        "linear_velocity": {"array": "world_v", "frame": "world"},
    }
    assert_seen(bring(logs, entries), walked)


def test_the_wrong_order_of_a_quaternion_is_noticed(walked, bring):
    entries = {name: own for name, own in PLAIN.items() if name != "gravity"}
    ahead = np.tile([1.0, 0.0, 0.1, 0.0], (len(walked["q"]), 1))
    with pytest.raises(BodyplanError, match="quaternion"):
        bring(
            walked | {"quaternion": ahead},
            entries | {"orientation": {"array": "quaternion", "order": "xyzw"}},
        )


def test_next_arrays(walked, bring):
    start, after = opening(walked)
    sensed = ("q", "dq", "w", "gravity", "v", "z", "contact")
    logs = walked | {name: walked[name][start] for name in sensed}
    logs |= {f"next_{name}": walked[name][after] for name in sensed}
    entries = {
        name: {"array": own, "next": f"next_{own}"} if own in sensed else own
        for name, own in PLAIN.items()
    }
    assert_seen(bring(logs, entries), walked)


def test_without_closing_frames(walked, bring):
    start, _ = opening(walked)
    sensed = ("q", "dq", "w", "gravity", "v", "z", "contact")
    dataset = bring(walked | {name: walked[name][start] for name in sensed}, PLAIN)
    assert dataset.verify() == []
    ends = np.cumsum(walked["lengths"])
    fell = walked["fell"][ends - 1]
    assert dataset.card["robots"][ROBOT]["given_up"] == np.count_nonzero(~fell) > 0
    episodes = dataset.episodes[ROBOT]
    np.testing.assert_array_equal(episodes.lengths, walked["lengths"] - ~fell)
    np.testing.assert_array_equal(episodes.terminated[episodes.episode_ends - 1], fell)
    frame = 0
    for number, (end, length) in enumerate(zip(ends, walked["lengths"], strict=True)):
        own = walked["seen_joints"][end - length + number : end + number]
        kept = np.concatenate([own, own[-1:]]) if fell[number] else own
        found = np.array(episodes.joints[frame : frame + len(kept)])
        if fell[number]:  # what led to the repeated frame is known
            np.testing.assert_allclose(found[-1, :, 2], walked["action"][end - 1] / 10, atol=1e-6)
            found[-1, :, 2] = kept[-1, :, 2]
        np.testing.assert_allclose(found, kept, atol=1e-6)
        frame += len(kept)
    assert frame == len(episodes.joints)


def test_scaled_observations(walked, bring, load):
    robot = load(ROBOT)
    seen = Observation(*(walked[f"seen_{name}"] for name in Observation._fields))
    logs = walked | {"flat": apply_layout("flat", robot.descriptor, seen)}
    kept = {name: PLAIN[name] for name in ("actions", "rewards", "terminated", "episodes")}
    assert_seen(bring(logs, kept | {"observations": "flat"}), walked)


def test_scaled_parts_with_joints_in_another_order(walked, bring, load):
    joints = np.random.default_rng(2).permutation(12)
    logs = walked | {
        "joints": walked["seen_joints"][:, joints],
        "feet": walked["seen_feet"],
        "general": walked["seen_general"],
        "action": walked["action"][:, joints],
    }
    kept = {name: PLAIN[name] for name in ("actions", "rewards", "terminated", "episodes")}
    parts = {name: name for name in ("joints", "feet", "general")}
    order = [load(ROBOT).joints[place] for place in joints]
    assert_seen(bring(logs, kept | parts, joint_order=order), walked)


@pytest.mark.parametrize("way", ["truncated", "episode_ends", "files"])
def test_ways_to_tell_where_episodes_end(walked, tmp_path, bring, way):
    entries = {name: own for name, own in PLAIN.items() if name != "episodes"}
    ends = np.cumsum(walked["lengths"])
    if way == "files":
        for number, (end, length) in enumerate(zip(ends, walked["lengths"], strict=True)):
            cut = {
                name: own[end - length : end]
                if len(own) == ends[-1]
                else own[end - length + number : end + number + 1]
                for name, own in walked.items()
                if name != "lengths"
            }
            np.savez(tmp_path / f"run_{number}.npz", **cut)
        dataset = bring({}, entries, files="run_*.npz")
        assert dataset.card["robots"][ROBOT]["files"] == SLOTS
    else:
        over = np.isin(np.arange(ends[-1]), ends - 1)
        logs = walked | {"truncated": over, "episode_ends": ends}
        dataset = bring(logs, entries | {way: way})
    assert_seen(dataset, walked)


@pytest.mark.parametrize("kind", ["h5", "folder"])
def test_other_containers(walked, tmp_path, bring, kind):
    def write_h5(path, **logs):
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, array in logs.items():
                file.create_dataset(f"run/{name}", data=array)

    def write_folder(path, **logs):
        path.mkdir()
        for name, array in logs.items():
            np.save(path / f"{name}.npy", array)

    if kind == "h5":
        entries = {name: f"run/{own}" for name, own in PLAIN.items()}
        dataset = bring(walked, entries, write=write_h5, file="log.h5")
    else:
        dataset = bring(walked, PLAIN, write=write_folder, file="log")
    assert_seen(dataset, walked)


def test_a_command_of_its_own_and_what_is_unknown(walked, bring, load):
    command = np.tile([1.0, 0.0, 0.0], (len(walked["q"]), 1))
    command[:20] = (0.5, 0.0, 0.2)
    entries = PLAIN | {"command": "command", "height": "unknown", "linear_velocity": "unknown"}
    dataset = bring(walked | {"command": command}, entries)
    assert dataset.verify() == []
    general = dataset.episodes[ROBOT].general
    np.testing.assert_allclose(general[:, 6:9], command, atol=1e-7)
    assert dataset.card["command"] == [1.0, 0.0, 0.0]
    assert dataset.card["conditions"] == {"commands": pytest.approx(20 / len(command))}
    assert dataset.card["robots"][ROBOT]["unknown"] == ["linear_velocity", "height"]
    assert (general[:, :3] == 0.0).all()
    robot = load(ROBOT)
    expected = robot.drop_height / robot.box_size[2] - 1.0
    np.testing.assert_allclose(general[:, 12], expected, atol=1e-6)
    assert_seen(dataset, walked, ("joints", "feet"))


def test_several_robots(walked, bring, load, tmp_path):
    hexapod = load("hexapod")
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "hexapod.npz",
        q=np.tile(hexapod.nominal, (30, 1)),
        dq=rng.normal(size=(30, 18)),
        action=rng.normal(size=(30, 18)),
        reward=np.ones(30),
    )
    other = {
        "robot": "hexapod",
        "files": "hexapod.npz",
        "joint_positions": "q",
        "joint_velocities": "dq",
        "angular_velocity": [0.0, 0.0, 0.0],
        "gravity": [0.0, 0.0, -1.0],
        "linear_velocity": "unknown",
        "height": "unknown",
        "foot_contacts": [1, 1, 1, 0, 0, 0],
        "actions": "action",
        "rewards": "reward",
        "terminated": False,
    }
    first = {"robot": ROBOT, "files": "log.npz", **PLAIN}
    dataset = bring(walked, {}, robots=[first, other])
    assert_seen(dataset, walked)
    assert dataset.verify() == []
    assert dataset.episodes["hexapod"].num_steps == 29
    with pytest.raises(BodyplanError, match="two tables"):
        bring(walked, {}, robots=[first, first])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_positions": "Q"}, "'Q'.*'action'"),
        ({"joint_position": "q"}, "did you mean 'joint_positions'"),
        ({"tempo": 50}, "'tempo'.*robot, .*, episode_ends"),
        ({"joint_positions": {"array": "q", "units": "deg"}}, "did you mean 'unit'"),
        ({"joint_positions": {"array": "q", "unit": "grad"}}, "'grad'.*rad"),
        ({"joint_positions": {"unit": "deg"}}, "joint_positions.*array"),
        ({"joint_positions": "unknown"}, "cannot be unknown"),
        ({"joint_positions": True}, "1 numbers for joint_positions"),
        ({"joint_positions": "w"}, "'w' has 3 columns.*12"),
        ({"joint_positions": {"array": "q", "columns": [12]}}, "no column 12"),
        ({"joint_positions": {"array": "q", "columns": "0:3"}}, "columns is text"),
        ({"joint_positions": {"array": "q", "scale": 57.3}}, "degrees"),
        ({"joint_positions": "reward"}, "joint_positions and foot_contacts"),
        ({"gravity": {"array": "gravity", "scale": -1.0}}, "on its back"),
        ({"gravity": {"array": "gravity", "scale": 9.81}}, "gravity in row 0 .*9.81"),
        ({"orientation": "quaternion"}, "order"),
        ({"actions": {"array": "action", "scale": 100.0}}, 'kind = "target"'),
        (
            {"actions": {"array": "action", "kind": "target", "scale": 9.0}},
            'kind = "offset"',
        ),
        ({"actions": {"array": "action", "kind": "torque"}}, "kind = 'torque'"),
        ({"actions": 0.0}, "actions"),
        ({"rewards": {"array": "reward", "offset": -1.0}}, "least"),
        ({"terminated": "q"}, r"'q' \(terminated\) has 225 rows"),
        ({"terminated": {"array": "fell", "scale": 2.0}}, "terminated contains 2"),
        ({"truncated": "fell"}, "truncated and episodes"),
        ({"joint_order": ["hip"]}, "'hip'"),
        ({"foot_order": ["FR_foot", "FL_foot", "RR_foot"]}, "lacks RL_foot"),
        ({"foot_order": ["FR_foot", "FL_foot", "RR_foot", "RL_foot", "RL_foot"]}, "twice"),
        ({"foot_order": ["FR_foot", "FL_foot", "RR_foot", "RL_fot"]}, "did you mean 'RL_foot'"),
        ({"rate": 200}, "rate = 200"),
        ({"files": ""}, "names no file"),
        ({"files": ["./"]}, "names no file"),
        ({"files": []}, "files is wrong .*a list that is not empty"),
        ({"joint_positions": {"array": "q", "scale": 0.0}}, "scale = 0"),
        ({"files": "*.h5"}, "'.*h5'"),
        ({"files": "/logs/*.npz"}, "absolute path '/logs/"),
        ({"files": 3}, "files is a whole number"),
        ({"robot": "unitree_go7"}, "unitree_go7"),
        ({"linear_velocity": {"array": "v", "frame": "world"}}, "orientation"),
        ({"observations": "seen_general"}, "13 columns.*observations"),
        ({"joint_positions": {"array": "q", "next": "q"}}, "'q' .joint_positions"),
    ],
)
def test_faults_of_the_mapping_are_named(walked, bring, tmp_path, changes, message):
    with pytest.raises(BodyplanError, match=message):
        bring(walked, PLAIN | changes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.npz", "mapping.toml"]


@pytest.mark.parametrize(
    "missing", ["joint_velocities", "gravity", "height", "actions", "terminated", "foot_contacts"]
)
def test_missing_quantities_are_named(walked, bring, missing):
    entries = {name: own for name, own in PLAIN.items() if name != missing}
    with pytest.raises(BodyplanError, match=f"{missing}.*add"):
        bring(walked, entries)


def test_faults_of_the_arrays_are_named(walked, bring):
    q = walked["q"].copy()
    q[17, 3] = np.nan
    with pytest.raises(BodyplanError, match="'q' .*row 17, column 3"):
        bring(walked | {"q": q}, PLAIN)
    with pytest.raises(BodyplanError, match="'dq' .joint_velocities"):
        bring(walked | {"dq": walked["dq"][1:]}, PLAIN)
    with pytest.raises(BodyplanError, match="'reward' .rewards"):
        bring(walked | {"reward": walked["reward"][1:]}, PLAIN)
    with pytest.raises(BodyplanError, match="'q' contains object"):
        bring(walked | {"q": np.array([{}, None])}, PLAIN)
    with pytest.raises(BodyplanError, match="'q' contains <U1"):
        bring(walked | {"q": np.array(["a"])}, PLAIN)


@pytest.mark.parametrize("text", ["robots = 3", "recipe = [", "robots = [3]", "x = 1", ""])
def test_no_mapping(tmp_path, text):
    (tmp_path / "mapping.toml").write_text(text)
    with pytest.raises(BodyplanError, match="mapping.toml"):
        import_arrays(tmp_path / "mapping.toml", tmp_path / "out")
    with pytest.raises(BodyplanError, match=r"gone.toml"):
        import_arrays(tmp_path / "gone.toml", tmp_path / "out")


def test_data_in_place_of_a_mapping(walked, tmp_path):
    np.savez(tmp_path / "log.npz", **walked)
    with pytest.raises(BodyplanError, match="log.npz .*TOML"):
        import_arrays(tmp_path / "log.npz", tmp_path / "out")
    (tmp_path / "mapping.toml").write_text("# Läufe", encoding="latin-1")
    with pytest.raises(BodyplanError, match="mapping.toml .*utf-8"):
        import_arrays(tmp_path / "mapping.toml", tmp_path / "out")


def test_a_folder_without_arrays(bring):
    with pytest.raises(BodyplanError, match="log .*'action'"):
        bring({}, PLAIN, write=lambda path: path.mkdir(), file="log")


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("my_dataset", EXAMPLES / "my_dataset.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recorded(example, tmp_path_factory):
    """A walk as the example's logger writes it, and the entries of its mapping."""
    folder = tmp_path_factory.mktemp("recorded")
    example.record(folder, runs=1, steps=160)
    with np.load(folder / "walk_0.npz") as file:
        logs = dict(file)
    table = tomllib.loads(example.MAPPING.read_text())["robots"][0]
    return logs, {name: own for name, own in table.items() if name not in ("robot", "files")}


def faster(array, times):
    """As if logged so many times as often."""
    before, rows = np.arange(len(array)), np.arange(times * len(array) - 1) / times
    columns = array.reshape(len(array), -1).T
    between = np.stack([np.interp(rows, before, column) for column in columns], axis=1)
    return between.reshape(-1, *array.shape[1:])


class TestPlausibility:
    def test_a_right_log_passes_without_a_note(self, recorded, bring):
        entry = bring(*recorded).card["robots"][ROBOT]
        assert (entry["steps"], entry["notes"]) == (159, [])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"dq": np.degrees}, "joint_velocities .*0.017 times"),
            ({"dq": np.radians}, "joint_velocities .*57 times"),
            ({"dq": lambda dq: dq[:, ::-1]}, "joint_velocities.*joint_order"),
            ({"dq": lambda dq: -dq}, "joint_velocities .*-1 times"),
            ({"dq": lambda dq: 0.0 * dq}, "joint_velocities .*0 times"),
            ({"gyro": np.radians}, "orientation .*angular_velocity.*unit"),
            ({"gyro": np.degrees}, "orientation .*angular_velocity"),
            ({"gyro": lambda gyro: gyro[:, [1, 0, 2]]}, "orientation .*columns"),
            ({"gyro": lambda gyro: gyro * [1, -1, -1]}, "orientation .*frame"),
            ({"quaternion": lambda q: np.roll(q, 1, axis=1)}, "on its back.*quaternion"),
            (
                {"quaternion": lambda q: q * [-1, -1, -1, 1]},
                "orientation .*-0.99 times",
            ),
        ],
    )
    def test_what_does_not_move_as_told(self, recorded, bring, changes, message):
        logs, entries = recorded
        wrong = {name: change(logs[name]) for name, change in changes.items()}
        with pytest.raises(BodyplanError, match=f"log.npz: .*{message}"):
            bring(logs | wrong, entries)

    def test_the_order_of_a_quaternion_that_leaves_the_robot_upright(self, recorded, bring):
        logs, entries = recorded
        other = {"orientation": {"array": "quaternion", "order": "wxyz"}}
        with pytest.raises(BodyplanError, match="order of the quaternion"):
            bring(logs, entries | other)

    @pytest.mark.parametrize(("rate", "told"), [(25, r"[12]\.?\d?"), (100, "0.[45]")])
    def test_another_rate(self, recorded, bring, rate, told):
        logs, entries = recorded
        change = (lambda own: own[::2]) if rate == 25 else (lambda own: faster(own, 2))
        logs = {name: change(own) for name, own in logs.items()} | {"fell": np.zeros(1000, bool)}
        logs["fell"] = logs["fell"][: len(logs["q"])]
        with pytest.raises(BodyplanError, match=f".{told}\\d* times.*the rate"):
            bring(logs, entries)
        still = logs | {name: 0.0 * logs[name] + logs[name][:1] for name in ("q", "dq")}
        still["dq"] *= 0.0
        with pytest.raises(BodyplanError, match="angular_velocity.*the rate"):
            bring(still, entries)

    def test_a_robot_that_stands_is_not_judged(self, recorded, bring):
        logs, entries = recorded
        rng = np.random.default_rng(0)
        noise = {"q": 0.002, "dq": 0.1, "gyro": 1.0, "quaternion": 0.003}
        still = {
            name: logs[name][:1] + rng.normal(0.0, size, logs[name].shape)
            for name, size in noise.items()
        }
        assert bring(logs | still, entries).verify() == []

    def test_a_short_log_is_not_judged(self, recorded, bring):
        logs, entries = recorded
        short = {name: own[:49] for name, own in logs.items()}
        assert bring(short | {"dq": 0.0 * short["dq"]}, entries).verify() == []

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"scale": 1000.0}, "height in row 0 .*unitree_go1 .*unit"),
            ({"unit": "mm"}, "height in row .* is 0.000"),
            ({"scale": -1.0}, "height in row 0 is -"),
        ],
    )
    def test_heights_that_are_none(self, walked, bring, given, message):
        with pytest.raises(BodyplanError, match=message):
            bring(walked, PLAIN | {"height": {"array": "z", **given}})

    def test_joints_out_of_their_range(self, walked, bring):
        with pytest.raises(BodyplanError, match="'F._calf_joint' .*0.5 rad"):
            columns = [2, 1, 0, 5, 4, 3, *range(6, 12)]
            bring(walked, PLAIN | {"joint_positions": {"array": "q", "columns": columns}})
        rare = walked["q"].copy()
        rare[::40, 0] += 3.0  # spikes of a sensor
        bring(walked | {"q": rare}, PLAIN)

    def test_what_is_odd_is_noted_and_told(self, walked, bring, tmp_path, capsys, load):
        walked = walked | {"force": np.where(walked["contact"], 30.0, 0.0)}
        walked["force"][:, 0], walked["force"][:, 3] = 5.0, 90.0
        entries = PLAIN | {
            "foot_contacts": {"array": "force", "threshold": 20.0},
            "rewards": {"array": "reward", "offset": 1.0},
        }
        feet = [foot.name for foot in load(ROBOT).feet]
        notes = bring(walked, entries).card["robots"][ROBOT]["notes"]
        assert len(notes) == 3
        assert re.match(r"\d+ steps .*1\S* .*0.\d+", notes[0])
        assert f"'{feet[0]}' never" in notes[1]
        assert f"'{feet[3]}' always" in notes[2]
        ImportArrays(tmp_path / "mapping.toml", tmp_path / "again").run()
        said = capsys.readouterr().out
        assert all(f"{ROBOT}: {note}" in said for note in notes)


class TestHdf5:
    def test_what_leads_elsewhere_is_refused(self, walked, bring, tmp_path):
        h5py = pytest.importorskip("h5py")
        shape = walked["q"].shape
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["q"] = walked["q"]

        def external_link(file):
            file["q"] = h5py.ExternalLink("other.h5", "q")

        def soft_link(file):
            file["q"] = h5py.SoftLink("/dq")

        def external_storage(file):
            raw = [(str(tmp_path / "other.h5"), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("q", shape, float, external=raw)

        def virtual(file):
            layout = h5py.VirtualLayout(shape, float)
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "q", shape)
            file.create_virtual_dataset("q", layout)

        def strings(file):
            file.create_dataset("q", data=["a"] * 5)

        def references(file):
            file.create_dataset("q", data=[file["dq"].ref], dtype=h5py.ref_dtype)

        for put, message in (
            (external_link, r"'q' .*ExternalLink"),
            (soft_link, r"'q' .*SoftLink"),
            (external_storage, "'q' is in other files"),
            (virtual, "'q' is in other files"),
            (strings, "'q' contains object"),
            (references, "'q' contains object"),
        ):

            def write(path, put=put, **logs):
                with h5py.File(path, "w") as file:
                    for name, array in logs.items():
                        if name != "q":
                            file[name] = array
                    put(file)

            with pytest.raises(BodyplanError, match=message):
                bring(walked, PLAIN, write=write, file="log.h5")


FUZZED = """
import sys
from pathlib import Path
import numpy as np
from bodyplan.datasets.io.array_files import open_arrays, require_array
from bodyplan.errors import BodyplanError

path, kind = Path(sys.argv[1]), sys.argv[2]
whole, rng = path.read_bytes(), np.random.default_rng(7)
told = same = 0

def read():
    with open_arrays(path) as container:
        return {name: require_array(container, name).rows() for name in ("q", "reward")}

truth = read()
cuts = [whole[:n] for n in np.linspace(0, len(whole) - 1, 60).astype(int)]
flips = []
for place in [*range(0, 256), *rng.integers(0, len(whole), 200)]:
    flipped = bytearray(whole)
    flipped[place] ^= 1 << int(rng.integers(8))
    flips.append(bytes(flipped))
for content in cuts + flips:
    path.write_bytes(content)
    try:
        found = read()
    except BodyplanError as error:
        assert path.name in str(error), error
        told += 1
        continue
    equal = all(np.array_equal(found[name], truth[name]) for name in truth)
    same += equal
    assert equal or kind == "h5", "a damaged array was read"
print(told, same, len(cuts) + len(flips))
"""


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_no_damage_gets_through_as_anything_but_one_sentence(walked, tmp_path, kind):
    """An `.npz` has checksums, plain HDF5 has none: flipped numbers there are other numbers."""
    path = tmp_path / f"log.{kind}"
    arrays_ = {"q": walked["q"], "reward": walked["reward"]}
    if kind == "npz":
        np.savez(path, **arrays_)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, array in arrays_.items():
                file.create_dataset(name, data=array, chunks=True, compression="gzip")
    command = [sys.executable, "-c", FUZZED, str(path), kind]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    told, _, _ = map(int, ran.stdout.split())
    assert told > 100


def test_a_zip_whose_header_promises_too_much(walked, tmp_path, bring):
    def write(path, **logs):
        np.savez(path, **{name: own for name, own in logs.items() if name != "q"})
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 12), }"
        header = header.ljust(117) + b"\n"
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("q.npy", b"\x93NUMPY\x01\x00" + bytes([118, 0]) + header)

    with pytest.raises(BodyplanError, match="'q' is damaged"):
        bring(walked, PLAIN, write=write)


def test_a_killed_import_leaves_no_dataset(walked, tmp_path, bring):
    program = """
import os, signal, sys
from bodyplan.datasets.io.array_import import import_arrays

def kill(event, arguments):  # when the card is about to be written
    if event == "open" and str(arguments[0]).endswith(".card.partial.json"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
import_arrays(sys.argv[1], sys.argv[2])
"""
    whole = bring(walked, PLAIN)
    command = [sys.executable, "-c", program, str(tmp_path / "mapping.toml"), str(tmp_path / "b")]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    left = [path for path in tmp_path.iterdir() if path.is_dir() and path != whole.path]
    assert [path.name.endswith(".b.partial") for path in left] == [True]
    with pytest.raises(BodyplanError):
        Dataset.open(left[0])
    again = import_arrays(tmp_path / "mapping.toml", tmp_path / "b")
    assert again.card["robots"] == whole.card["robots"]
    assert not left[0].exists()


def test_a_small_file_that_stands_for_a_large_one_is_not_inflated(walked, bring, monkeypatch):
    logs = walked | {"reward": np.zeros(10**6, np.float32)}
    started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BodyplanError, match="'reward' .*1000000 rows"):
        bring(logs, PLAIN, write=np.savez_compressed)
    logs = walked | {"action": np.zeros((3 * 10**6, 12), np.float32)}
    monkeypatch.setattr("bodyplan.memory.available_memory", lambda: 10**8)
    with pytest.raises(BodyplanError, match="'action' needs .* GiB of memory"):
        bring(logs, PLAIN, write=np.savez_compressed)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - started < 400_000  # kB


def test_a_full_disk_is_named_and_leaves_nothing(walked, tmp_path, bring):
    full = OSError(28, "No space left on device")
    with (
        failing("open", ".card.partial.json", full),
        pytest.raises(BodyplanError, match="no space left"),
    ):
        bring(walked, PLAIN)
    assert not list(tmp_path.glob("*out*"))


def test_the_command_tells_what_was_left_out(walked, tmp_path, bring, capsys):
    start, _ = opening(walked)
    sensed = ("q", "dq", "w", "gravity", "v", "z", "contact")
    bring(walked | {name: walked[name][start] for name in sensed}, PLAIN | {"height": "unknown"})
    ImportArrays(tmp_path / "mapping.toml", tmp_path / "again").run()
    said = capsys.readouterr().out
    assert "steps had no next observation" in said
    assert "height unknown" in said
    ImportArrays(tmp_path / "mapping.toml", tmp_path / "more", json=True).run()
    assert json.loads(capsys.readouterr().out)["card"]["source"] == "arrays"


def test_the_example_records_logs_that_its_mapping_reads(example, tmp_path):
    example.record(tmp_path, runs=2, steps=30)
    (tmp_path / "mapping.toml").write_text(example.MAPPING.read_text())
    dataset = import_arrays(tmp_path / "mapping.toml", tmp_path / "out")
    assert dataset.verify() == []
    episodes = dataset.episodes[ROBOT]
    assert episodes.lengths.tolist() == [29, 29]
    assert episodes.rewards.mean() > 0.02  # it walks
    # The frames of a walk that begins at rest: in the nominal pose, upright, then it moves.
    np.testing.assert_allclose(episodes.joints[0], 0.0, atol=1e-6)
    np.testing.assert_allclose(episodes.general[0, 9:12], [0.0, 0.0, -1.0], atol=1e-6)
    np.testing.assert_allclose(episodes.joints[1:30, :, 2], episodes.actions[:29] / 10, atol=1e-6)


def test_the_example_makes_its_folder_and_leaves_an_old_one_alone(tmp_path):
    (tmp_path / "new" / "my_data").mkdir(parents=True)
    command = [sys.executable, str(EXAMPLES / "my_dataset.py"), str(tmp_path / "new")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")
    assert "my_data exists" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_the_documentation_knows_every_quantity_and_reads():
    text = DOCS.read_text()
    for name in QUANTITIES:
        assert f"`{name}`" in text, name
    section = text[text.index("## Your own arrays") :]
    assert tomllib.loads(section.split("```toml\n")[1].split("```")[0])["robots"]


def test_the_card_tells_where_a_robot_of_ones_own_is(bring):
    """One that nobody else knows: stands still, as `observations` in the layout `flat`."""
    starfish = EXAMPLES / "starfish" / "starfish.xml"
    environment = Environment(str(starfish), num_envs=1, threads=1)
    rows = []
    for _ in range(8):
        rows.append(apply_layout("flat", environment.descriptor, environment.observation)[0])
        environment.step(np.zeros((1, 15)))
    log = {"o": np.array(rows), "a": np.zeros((8, 15)), "r": np.zeros(8)}
    names = {"observations": "o", "actions": "a", "rewards": "r", "terminated": False}
    dataset = bring(log, names, [{"robot": str(starfish), "files": "log.npz", **names}])
    assert dataset.models == {"starfish": str(starfish.resolve())}
    assert not Path(dataset.card["models"]["starfish"]).is_absolute()
    assert dataset.verify() == []
