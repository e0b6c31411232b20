"""To Minari and back: Minari itself reads what is written, and damage is named."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from file_faults import failing
from minari.dataset.minari_dataset import parse_dataset_id
from synthetic import COMMAND, write_dataset

import bodyplan
from bodyplan.cli.data_minari import ExportData, ImportMinari
from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.format import card_checksum
from bodyplan.datasets.io.minari_export import export_minari
from bodyplan.datasets.io.minari_import import import_minari
from bodyplan.datasets.io.minari_metadata import (
    environment_spec,
    minari_id,
    origin,
    record_checksum,
)
from bodyplan.datasets.score_scale import score_scale
from bodyplan.envs.gymnasium_spaces import (
    flatten_observation,
    observation_space,
    unflatten_observation,
)
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.robots.robot import Robot
from bodyplan.storage import atomic_folder, read_json, sha256, write_array, write_json

ROBOTS = {"unitree_go1": (12, 4), "dog": (4, 2)}
IDS = ["bodyplan/unitree_go1/expert-forward-v0", "bodyplan/dog/expert-forward-v0"]
FILES = ("metadata.json", "main_data.hdf5", "descriptors.npz")


def files(folder):
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path) for path in paths}


@pytest.fixture(scope="module", params=[1, 3], ids=["one body", "three bodies"])
def dataset(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "data"
    return write_dataset(path, ROBOTS, steps=130, length=40, bodies=request.param)


@pytest.fixture(scope="module")
def exported(dataset, tmp_path_factory):
    root = tmp_path_factory.mktemp("minari")
    assert export_minari(dataset, root) == IDS
    return root


@pytest.fixture
def loaded(exported, monkeypatch):
    """Minari's own eyes on what was exported."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(exported))
    return lambda own: minari.load_dataset(own)


@pytest.fixture
def small(tmp_path):
    """A root with one small dataset, to be damaged."""
    dataset = write_dataset(tmp_path / "data", {"dog": (4, 2)}, steps=20, length=10, bodies=2)
    export_minari(dataset, tmp_path / "root")
    return tmp_path / "root"


def test_a_root_may_be_relative(dataset, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_minari(dataset, "here", [next(iter(ROBOTS))]) == [IDS[0]]
    back = import_minari([IDS[0]], "back", "here")
    assert back.card["robots"].keys() == {next(iter(ROBOTS))}


def seal_card(folder):
    card = read_json(folder / "card.json")
    write_json(folder / "card.json", card | {"seal": card_checksum(card)})


def source(root):
    return root / IDS[1] / "data"


class TestRoundTrip:
    def test_every_byte_comes_back(self, dataset, exported, tmp_path):
        back = import_minari(IDS, tmp_path / "back", exported)
        assert files(back.path) == files(dataset.path)
        assert back.card == dataset.card
        assert back.verify() == []

    def test_the_declared_space_contains_sampled_actions_beyond_the_mean_limit(
        self, tmp_path, monkeypatch
    ):
        write_dataset(tmp_path / "data", {"unitree_go1": (12, 4)}, steps=40)
        episodes = Dataset.open(tmp_path / "data").episodes["unitree_go1"]
        rng = np.random.default_rng(0)
        means = rng.choice([-10.0, 10.0], episodes.actions.shape)  # where policies clip them
        sampled = rng.normal(means, 2.0).clip(-20.0, 20.0).astype(np.float32)
        sampled[0, :2] = 20.0, -20.0
        card = read_json(tmp_path / "data" / "card.json")
        card["robots"]["unitree_go1"] |= dataclasses.replace(episodes, actions=sampled).write(
            tmp_path / "data" / "unitree_go1"
        )
        write_json(tmp_path / "data" / "card.json", card)
        dataset = Dataset.open(tmp_path / "data")
        assert dataset.verify() == []
        assert (np.abs(sampled) > 10.0).any(axis=1).all()
        (own,) = export_minari(dataset, tmp_path / "root")
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "root"))
        loaded = minari.load_dataset(own)
        taken = np.concatenate([episode.actions for episode in loaded])
        np.testing.assert_array_equal(taken, sampled)
        assert all(loaded.action_space.contains(action) for action in taken)
        assert loaded.recover_environment().action_space == loaded.action_space
        back = import_minari([own], tmp_path / "back", tmp_path / "root")
        assert files(back.path) == files(dataset.path)

    def test_of_one_robot_and_in_another_order(self, dataset, exported, tmp_path):
        alone = import_minari(IDS[1:], tmp_path / "alone", exported)
        assert alone.robots == ("dog",)
        assert files(alone.path / "dog") == files(dataset.path / "dog")
        turned = import_minari(IDS[::-1], tmp_path / "turned", exported)
        assert turned.robots == ("dog", "unitree_go1")
        assert turned.card == dataset.card

    def test_snapshots_of_each_robot_are_put_together_again(self, tmp_path):
        write_dataset(tmp_path / "data", ROBOTS, steps=40)
        card = read_json(tmp_path / "data" / "card.json")
        card["snapshots"] = dict(zip(ROBOTS, "ab", strict=True))
        write_json(tmp_path / "data" / "card.json", card)
        export_minari(Dataset.open(tmp_path / "data"), tmp_path / "root")
        alone = import_minari(IDS[1:], tmp_path / "alone", tmp_path / "root")
        assert alone.card["snapshots"] == {"dog": "b"}
        back = import_minari(IDS, tmp_path / "back", tmp_path / "root")
        assert files(back.path) == files(tmp_path / "data")

    def test_parts_of_a_sealed_dataset_are_sealed_anew(self, tmp_path):
        write_dataset(tmp_path / "data", ROBOTS, steps=40)
        seal_card(tmp_path / "data")
        export_minari(Dataset.open(tmp_path / "data"), tmp_path / "root")
        alone = import_minari(IDS[1:], tmp_path / "alone", tmp_path / "root")
        assert alone.card["seal"] == card_checksum(alone.card)
        assert alone.verify() == []
        back = import_minari(IDS, tmp_path / "back", tmp_path / "root")
        assert files(back.path) == files(tmp_path / "data")

    @pytest.mark.parametrize("known", list(ROBOTS))
    def test_paths_of_robots_of_ones_own_go_with_them(self, tmp_path, known):
        write_dataset(tmp_path / "data", ROBOTS, steps=40)
        path = tmp_path / "data" / "card.json"
        card = json.loads(path.read_text())
        (own,) = set(ROBOTS) - {known}
        robots = card.pop("robots")
        path.write_text(
            json.dumps(card | {"models": {own: f"{own}.xml"}, "robots": robots}, indent=2) + "\n"
        )
        export_minari(Dataset.open(tmp_path / "data"), tmp_path / "root")
        back = import_minari(IDS, tmp_path / "back", tmp_path / "root")
        assert files(back.path) == files(tmp_path / "data")
        ids = dict(zip(ROBOTS, IDS, strict=True))
        alone = import_minari([ids[known]], tmp_path / "alone", tmp_path / "root")
        assert "models" not in alone.card
        alone = import_minari([ids[own]], tmp_path / "own", tmp_path / "root")
        assert alone.card["models"] == {own: f"{own}.xml"}

    def test_robots_of_datasets_with_seals_of_their_own(self, tmp_path):
        for robot, parts in ROBOTS.items():
            write_dataset(tmp_path / robot, {robot: parts}, steps=40)
            seal_card(tmp_path / robot)
            export_minari(Dataset.open(tmp_path / robot), tmp_path / "root")
        both = import_minari(IDS, tmp_path / "both", tmp_path / "root")
        assert both.robots == tuple(ROBOTS)
        assert both.verify() == []

    def test_the_command_line(self, dataset, tmp_path, capsys):
        root, out = tmp_path / "root", tmp_path / "out"
        ExportData(dataset.path, root, ("dog",), json=True).run()
        answer = json.loads(capsys.readouterr().out)
        assert answer["datasets"] == [{"id": IDS[1], "robot": "dog", "steps": 130, "episodes": 4}]
        ImportMinari((IDS[1],), out, root).run()
        assert "dog" in capsys.readouterr().out
        assert files(out / "dog") == files(dataset.path / "dog")

    def test_progress_is_told(self, dataset, tmp_path):
        told = []
        export_minari(dataset, tmp_path, ["dog"], progress=lambda *call: told.append(call))
        assert told == [("dog", done, 130) for done in (40, 80, 120, 130)]
        told.clear()
        import_minari(IDS[1:], tmp_path / "out", tmp_path, lambda *call: told.append(call))
        assert told == [("dog", done, 130) for done in (40, 80, 120, 130)]


class TestInMinari:
    def test_counts_shapes_types_and_returns(self, dataset, loaded):
        for own, (name, (joints, feet)) in zip(IDS, ROBOTS.items(), strict=True):
            episodes, log = dataset.episodes[name], loaded(own)
            assert (log.total_steps, log.total_episodes) == (130, 4)
            for kept, length in zip(log, episodes.lengths, strict=True):
                assert kept.observations.shape == (length + 1, 3 * joints + 2 * feet + 13)
                assert kept.actions.shape == (length, joints)
                assert {kept.observations.dtype, kept.actions.dtype} == {np.dtype(np.float32)}
                assert kept.rewards.dtype == np.float32
                assert kept.terminations.dtype == kept.truncations.dtype == bool
            returns = [kept.rewards.sum(dtype=np.float64) for kept in log]
            np.testing.assert_allclose(returns, episodes.returns, rtol=1e-12)
            assert [bool(kept.terminations[-1]) for kept in log] == [True, False, True, False]
            assert [bool(kept.truncations[-1]) for kept in log] == [False, True, False, True]

    def test_frames_and_bodies_stand_where_they_belong(self, dataset, loaded):
        episodes = dataset.episodes["dog"]
        second = loaded(IDS[1])[1]
        np.testing.assert_array_equal(second.observations[:, :12].ravel(), _rows(episodes.joints))
        np.testing.assert_array_equal(second.observations[:, 12:16].ravel(), _rows(episodes.feet))
        np.testing.assert_array_equal(second.observations[:, 16:], episodes.general[41:82])
        if episodes.descriptor_ids is None:
            assert second.infos == {}
        else:
            np.testing.assert_array_equal(
                second.infos["descriptor_ids"], episodes.descriptor_ids[41:82]
            )

    def test_the_environment_comes_back_and_speaks_alike(self, loaded):
        log = loaded(IDS[0])
        environment = log.recover_environment()
        assert environment.spec.id == "bodyplan/UnitreeGo1-Forward-v0"
        assert environment.observation_space == log.observation_space
        assert environment.action_space == log.action_space
        observation, _ = environment.reset(seed=0)
        assert observation.dtype == log[0].observations.dtype
        robot = Robot.load("unitree_go1")
        parts = unflatten_observation(observation[None], robot.num_joints, robot.num_feet)
        np.testing.assert_array_equal(parts.general[0, 6:9], COMMAND)
        assert parts.general[0, 12] == observation[-1]

    def test_a_robot_without_environment_says_so(self, loaded):
        log = loaded(IDS[1])
        assert log.observation_space.contains(log[0].observations[0])
        with pytest.raises(ValueError, match="env_spec is None"):
            log.recover_environment()

    def test_minari_lists_them_and_their_description(self, exported, loaded):
        assert sorted(minari.list_local_datasets()) == sorted(IDS)
        assert "bodyplan/dog" in minari.namespace.list_local_namespaces()
        assert "for each of 12 joints" in loaded(IDS[0]).storage.metadata["description"]

    def test_minari_filters_and_splits_them(self, loaded):
        log = loaded(IDS[1])
        assert len(log.filter_episodes(lambda episode: episode.terminations[-1])) == 2
        assert [len(part) for part in minari.split_dataset(log, [1, 3], seed=0)] == [1, 3]


def _rows(array):
    return array[41:82].ravel()


def test_flat_vectors_and_their_space_are_those_of_the_environment(load):
    robot = load("unitree_go1")
    rng = np.random.default_rng(0)
    shapes = ((5, 12, 3), (5, 4, 2), (5, 13))
    observation = Observation(*(rng.normal(size=s).astype(np.float32) for s in shapes))
    back = unflatten_observation(flatten_observation(observation), 12, 4)
    for part, original in zip(back, observation, strict=True):
        np.testing.assert_array_equal(part, original)
    assert bodyplan.envs.gymnasium_spaces.flat_observation_space(12, 4) == observation_space(
        "flat", robot
    )
    with pytest.raises(ValueError, match=r"shape \[5, 57\], not \[N, 59\]"):
        unflatten_observation(flatten_observation(observation), 12, 5)


class TestIdentity:
    @pytest.mark.parametrize(
        ("robot", "card", "expected"),
        [
            ("dog", {"recipe": "suboptimal70"}, "bodyplan/dog/suboptimal70-forward-v0"),
            ("dog", {"recipe": "expert_replay"}, "bodyplan/dog/expert_replay-forward-v0"),
            ("dog", {"command": [-1.0, 0.0, 0.0]}, "bodyplan/dog/expert-backward-v0"),
            ("dog", {"command": [0.5, 0.0, -0.2]}, "bodyplan/dog/expert-0p5_0_m0p2-v0"),
            ("dog", {"command": [-1e-7, 2e6, 0.0]}, "bodyplan/dog/expert-m1em07_2e06_0-v0"),
            ("dog", {"command": None}, "bodyplan/dog/expert-forward-v0"),
            ("dog", {"conditions": {"commands": 0.1}}, "bodyplan/dog/expert-random-v0"),
            ("my dog.2", {"recipe": "näher/da"}, "bodyplan/my_dog_2/n_her_da-forward-v0"),
        ],
    )
    def test_every_id_is_one_of_minaris(self, dataset, robot, card, expected):
        whole = {"recipe": "expert", "command": [1.0, 0.0, 0.0]} | card
        own = minari_id(robot, dataset.episodes["dog"], whole)
        assert own == expected
        namespace, name, version = parse_dataset_id(own)
        assert (f"{namespace}/{name}-v{version}", version) == (own, 0)

    @pytest.mark.parametrize(
        ("card", "own", "command"),
        [
            ({"command": [-1.0, 0.0, 0.0]}, "bodyplan/UnitreeGo1-Backward-v0", "backward"),
            ({"command": [0.5, 0.0, 0.1]}, "bodyplan/UnitreeGo1-Command-v0", [0.5, 0.0, 0.1]),
            ({"conditions": {"commands": 0.1}}, "bodyplan/UnitreeGo1-Command-v0", "random"),
        ],
    )
    def test_the_environment_has_the_datas_command(self, dataset, card, own, command):
        spec = environment_spec("unitree_go1", dataset.episodes["unitree_go1"], card)
        assert (spec.id, spec.kwargs["command"]) == (own, command)
        assert gymnasium.spec("bodyplan/UnitreeGo1-Command-v0").kwargs["command"] == "random"

    def test_another_body_of_an_installed_name(self, tmp_path):
        dataset = write_dataset(tmp_path / "data", {"unitree_go1": (4, 2)}, steps=40)
        with pytest.raises(BodyplanError, match=r"\(4, 2\).*\(12, 4\)"):
            export_minari(dataset, tmp_path / "root")
        assert not list((tmp_path / "root").rglob("*-v0*"))


class TestExportIsRefused:
    def test_wrong_arguments(self, dataset, tmp_path):
        with pytest.raises(BodyplanError, match="cat"):
            export_minari(dataset, tmp_path, ["dog", "cat"])
        with pytest.raises(BodyplanError, match="at least one"):
            export_minari(dataset, tmp_path, [])
        with pytest.raises(BodyplanError, match="version -1"):
            export_minari(dataset, tmp_path, version=-1)
        assert list(tmp_path.iterdir()) == []

    def test_data_with_a_fault(self, dataset, tmp_path):
        shutil.copytree(dataset.path, tmp_path / "data")
        rewards = tmp_path / "data" / "dog" / "rewards.npy"
        content = bytearray(rewards.read_bytes())
        content[-1] ^= 1
        rewards.write_bytes(content)
        with pytest.raises(BodyplanError, match=r"dog/rewards.npy .*checksum"):
            export_minari(Dataset.open(tmp_path / "data"), tmp_path / "root")
        assert not (tmp_path / "root").exists()

    def test_an_id_that_other_data_have(self, tmp_path):
        first, second = (
            write_dataset(tmp_path / str(seed), ROBOTS, steps=40, seed=seed) for seed in (0, 1)
        )
        root = tmp_path / "root"
        export_minari(first, root, ["dog"])
        before = files(root)
        with pytest.raises(BodyplanError, match="other data.*minari delete"):
            export_minari(second, root)
        assert files(root) == before
        assert export_minari(second, root, ["dog"], version=1) == [IDS[1].replace("v0", "v1")]

    def test_the_same_data_stay_as_they_are(self, dataset, exported):
        before = {path: path.stat().st_mtime_ns for path in exported.rglob("*")}
        assert export_minari(dataset, exported) == IDS
        assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} == before


KILLED = """
import sys, time
from bodyplan import Dataset
from bodyplan.datasets.io.minari_export import export_minari
def slow(robot, done, steps):
    print(robot, flush=True)
    time.sleep(0.2 if robot == "dog" else 0)
export_minari(Dataset.open(sys.argv[1]), sys.argv[2], progress=slow)
"""


class TestInterrupted:
    def test_a_killed_export_leaves_whole_datasets_or_none(self, dataset, tmp_path, monkeypatch):
        arguments = [sys.executable, "-c", KILLED, str(dataset.path), str(tmp_path)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            while process.stdout.readline().strip() != "dog":
                pass
            os.kill(process.pid, signal.SIGKILL)
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
        assert list(minari.list_local_datasets()) == IDS[:1]
        assert not (tmp_path / IDS[1]).exists()
        assert export_minari(dataset, tmp_path) == IDS
        assert not list(tmp_path.rglob("*.partial"))
        back = import_minari(IDS, tmp_path / "back", tmp_path)
        assert files(back.path) == files(dataset.path)

    def test_an_export_that_was_killed_last_of_all_is_completed(self, dataset, tmp_path):
        export_minari(dataset, tmp_path)
        marks = list(tmp_path.rglob("namespace_metadata.json"))
        for mark in marks:
            mark.unlink()
        assert export_minari(dataset, tmp_path) == IDS
        assert marks
        assert sorted(tmp_path.rglob("namespace_metadata.json")) == sorted(marks)

    def test_a_fault_leaves_nothing(self, dataset, exported, tmp_path):
        def fail(*_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            export_minari(dataset, tmp_path / "root", progress=fail)
        with pytest.raises(KeyboardInterrupt):
            import_minari(IDS, tmp_path / "out", exported, fail)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        assert not (tmp_path / "out").exists()

    def test_a_full_disk_is_named(self, dataset, tmp_path):
        full = OSError(28, "No space left on device")
        with (
            failing("shutil.copyfile", "descriptors.npz", full),
            pytest.raises(BodyplanError, match=r"no space left .*expert-forward-v0"),
        ):
            export_minari(dataset, tmp_path)
        assert not list(tmp_path.rglob("*-v0*"))

    def test_what_was_left_unfinished_is_swept_away(self, tmp_path):
        (tmp_path / ".out.partial" / "old").mkdir(parents=True)
        with atomic_folder(tmp_path / "out") as folder:
            (folder / "new").write_text("1")
        assert files(tmp_path).keys() == {"out/new"}


class TestImportIsRefused:
    def test_unknown_ids_and_robots_twice(self, exported, tmp_path):
        with pytest.raises(BodyplanError, match="bodyplan/cat-v0"):
            import_minari(["bodyplan/cat-v0"], tmp_path / "out", exported)
        with pytest.raises(BodyplanError, match="at least one"):
            import_minari([], tmp_path / "out", exported)
        with pytest.raises(BodyplanError, match=f"'{IDS[1]}' .*twice"):
            import_minari([*IDS, IDS[1]], tmp_path / "out", exported)
        export_minari(Dataset.open(_copy(exported, tmp_path)), tmp_path / "root", version=1)
        shutil.copytree(exported / IDS[1], tmp_path / "root" / IDS[1])
        twice = [IDS[1], IDS[1].replace("v0", "v1")]
        with pytest.raises(BodyplanError, match=r"robots \['dog', 'dog'\]"):
            import_minari(twice, tmp_path / "out", tmp_path / "root")

    def test_a_folder_that_holds_something(self, exported, tmp_path):
        (tmp_path / "mine.txt").write_text("mine")
        with pytest.raises(BodyplanError, match="is not empty"):
            import_minari(IDS, tmp_path, exported)
        assert files(tmp_path).keys() == {"mine.txt"}

    def test_cards_that_do_not_agree(self, tmp_path):
        for seed, robot in enumerate(ROBOTS):
            dataset = write_dataset(tmp_path / robot, {robot: ROBOTS[robot]}, 40, seed=seed)
            export_minari(dataset, tmp_path / "root")
        with pytest.raises(BodyplanError, match=r"dog/.* seed 1, .*go1/.* seed 0"):
            import_minari(IDS, tmp_path / "out", tmp_path / "root")
        assert not (tmp_path / "out").exists()

    @pytest.mark.filterwarnings("ignore::UserWarning")  # Minari's wishes for more metadata
    def test_what_others_wrote_is_sent_to_the_mapping_file(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
        box = gymnasium.spaces.Box(-1, 1, (3,))
        episode = minari.data_collector.EpisodeBuffer(
            observations=np.zeros((3, 3), np.float32),
            actions=np.zeros((2, 3), np.float32),
            rewards=np.zeros(2),
            terminations=np.zeros(2, bool),
            truncations=np.array([False, True]),
        )
        minari.create_dataset_from_buffers(
            "theirs-v0", [episode], observation_space=box, action_space=box
        )
        with pytest.raises(BodyplanError, match="not written by bodyplan.*data import`"):
            import_minari(["theirs-v0"], tmp_path / "out")

    @pytest.mark.parametrize("name", FILES)
    def test_a_missing_file(self, small, tmp_path, name):
        (source(small) / name).unlink()
        with pytest.raises(BodyplanError, match=re.escape(name)):
            import_minari(IDS[1:], tmp_path / "out", small)

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
    @pytest.mark.parametrize("name", FILES)
    def test_a_truncated_file(self, small, tmp_path, name, share):
        content = (source(small) / name).read_bytes()
        (source(small) / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(BodyplanError, match=re.escape(name)):
            import_minari(IDS[1:], tmp_path / "out", small)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("name", FILES)
    def test_flipped_bits_are_named_or_do_not_matter(self, small, tmp_path, name):
        rng, path, named = np.random.default_rng(7), source(small) / name, 0
        original, sound = path.read_bytes(), files(tmp_path / "data")
        for trial in range(30):
            content = bytearray(original)
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
            path.write_bytes(content)
            out = tmp_path / f"out{trial}"
            try:
                import_minari(IDS[1:], out, small)
            except BodyplanError as error:
                assert name in str(error)
                named += 1
            else:  # of what is Minari's alone
                assert files(out) == sound
        assert named == 30 if name != "metadata.json" else named > 5

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda file: file["episode_0/rewards"].write_direct(np.full(10, np.nan)), "rewards"),
            (lambda file: file["episode_1/observations"].resize((9, 29)), "joints.npy"),
            (
                lambda file: file["episode_1/observations"].resize((11, 28)),
                r"read \(flat .* \[11, 28\]",
            ),
            (lambda file: file.__delitem__("episode_0/actions"), "cannot be read"),
            (lambda file: file.__delitem__("episode_0"), "cannot be read"),
            (lambda file: file.create_group("episode_2"), "cannot be read"),
            (lambda file: file.__delitem__("episode_0/infos/descriptor_ids"), "cannot be read"),
        ],
    )
    def test_forged_episodes(self, small, tmp_path, change, message):
        with h5py.File(source(small) / "main_data.hdf5", "a") as file:
            change(file)
        with pytest.raises(BodyplanError, match=r"main_data.hdf5 .*checksum"):
            import_minari(IDS[1:], tmp_path / "out", small)
        forge(small, lambda record: None)
        with pytest.raises(BodyplanError, match=f"main_data.hdf5 .*({message})"):
            import_minari(IDS[1:], tmp_path / "out", small)
        assert not (tmp_path / "out").exists()

    def test_data_that_are_wrong_by_every_checksum(self, small, tmp_path):
        rewards = np.load(tmp_path / "data" / "dog" / "rewards.npy")
        rewards[3] = np.nan
        write_array(tmp_path / "rewards.npy", rewards)
        with h5py.File(source(small) / "main_data.hdf5", "a") as file:
            file["episode_0/rewards"][3] = np.nan
        forge(
            small, lambda record: checked(record, "rewards.npy", sha256(tmp_path / "rewards.npy"))
        )
        with pytest.raises(BodyplanError, match=r"rewards.npy holds NaN"):
            import_minari(IDS[1:], tmp_path / "out", small)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda record: record.update(format=2), "format 2"),
            (lambda record: record.update(robot="../dog"), "lists no joints.npy"),
            (lambda record: record.pop("card"), "card is missing"),
            (lambda record: record.update(card=[]), "card is a list"),
            (lambda record: record.pop("files"), "files is missing"),
            (lambda record: rename(record, "../dog"), "robot '../dog'"),
        ],
    )
    def test_forged_records(self, small, tmp_path, change, message):
        forge(small, change)
        with pytest.raises(BodyplanError, match=message):
            import_minari(IDS[1:], tmp_path / "out", small)

    @pytest.mark.parametrize("record", [None, [], "x", {}, {"sha256": 1}])
    def test_records_that_say_nothing(self, small, tmp_path, record):
        path = source(small) / "metadata.json"
        write_json(path, read_json(path) | {"bodyplan": record})
        with pytest.raises(BodyplanError, match=r"metadata.json: bodyplan: "):
            import_minari(IDS[1:], tmp_path / "out", small)

    def test_pickles_are_not_opened(self, small, tmp_path):
        path = source(small) / "descriptors.npz"
        np.savez(path, allow_pickle=True, joints=np.array([{}]), feet=1, context=1)
        forge(small, lambda record: checked(record, "descriptors.npz", sha256(path)))
        with pytest.raises(BodyplanError, match="descriptors.npz"):
            import_minari(IDS[1:], tmp_path / "out", small)


def forge(root, change):
    """Changes the record, and gives it and the files the checksums that they should have."""
    path = source(root) / "metadata.json"
    metadata = read_json(path)
    record = {key: value for key, value in metadata["bodyplan"].items() if key != "sha256"}
    record["files"] = {name: sha256(source(root) / name) for name in FILES[1:]}
    change(record)
    write_json(path, metadata | {"bodyplan": record | {"sha256": record_checksum(record)}})


def rename(record, robot):
    record["card"]["robots"] = {robot: record["card"]["robots"][record["robot"]]}
    record["robot"] = robot


def checked(record, name, checksum):
    record["card"]["robots"]["dog"]["arrays"][name]["sha256"] = checksum


def _copy(exported, tmp_path):
    return import_minari(IDS[1:], tmp_path / "copy", exported).path


def test_the_commands_start_without_minari():
    program = (
        "import sys, bodyplan.cli.data; print({'h5py', 'minari', 'gymnasium'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_d3rlpy_takes_them_and_trains(tmp_path):
    pytest.importorskip("d3rlpy")
    write_dataset(tmp_path / "data", {"unitree_go1": (12, 4)}, steps=600)
    script = Path(__file__).parents[1] / "examples" / "d3rlpy_iql.py"
    command = [sys.executable, str(script), str(tmp_path / "data")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "in 15 episodes" in ran.stdout
    losses = re.findall(r"_loss (\S+?),?\s", ran.stdout)
    assert len(losses) >= 12
    assert np.isfinite([float(loss) for loss in losses]).all()


def test_minari_normalises_returns_as_evaluations_do(exported, loaded, load):
    scale = score_scale(load("unitree_go1"), COMMAND)
    own = loaded(IDS[0])
    returns = np.array([scale.floor, 30.0, scale.expert])
    expected = [scale.normalise(value) for value in returns]
    np.testing.assert_allclose(minari.get_normalized_score(own, returns), expected)
    np.testing.assert_allclose(expected[::2], [0.0, 1.0])
    with pytest.raises(ValueError, match="Reference score"):
        minari.get_normalized_score(loaded(IDS[1]), returns)  # of a robot that nobody can load


def test_minari_says_who_made_the_data_and_how(dataset, loaded, tmp_path):
    metadata = loaded(IDS[0]).storage.metadata
    assert (metadata["author"], metadata["algorithm_name"]) == ({"bodyplan"}, "PPO (expert)")
    assert metadata["code_permalink"]
    assert origin({"source": "arrays"}, (), None) == {}  # whose logs they are, nobody has said
    (own,) = export_minari(
        dataset, tmp_path, ["dog"], author=["A", "B"], code_permalink="https://x"
    )
    saved = read_json(tmp_path / own / "data" / "metadata.json")
    assert sorted(saved["author"]) == ["A", "B"]
    assert saved["code_permalink"] == "https://x"
