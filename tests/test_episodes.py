"""Episodes and datasets on disk: bookkeeping, reading back, and finding every kind of damage."""

import json
import re
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import synthetic_episodes, write_dataset

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.descriptor_sets import write_sets
from bodyplan.datasets.format import ARRAYS
from bodyplan.errors import BodyplanError
from bodyplan.storage import sha256, write_array, write_json

EPISODES = synthetic_episodes("dog", 4, 2, steps=100, length=30)


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data", {"dog": (4, 2), "crab": (6, 4)}, steps=90)


def tamper(dataset, name, change, robot="dog"):
    """Changes an array and signs it again, so that its checksum is not what gives it away."""
    path = dataset.path / robot / f"{name}.npy"
    array = np.array(np.load(path))
    write_array(path, change(array))
    card = json.loads((dataset.path / "card.json").read_text())
    card["robots"][robot]["arrays"][path.name]["sha256"] = sha256(path)
    write_json(dataset.path / "card.json", card)
    return Dataset.open(dataset.path)


def put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


@given(st.lists(st.integers(1, 7), min_size=1, max_size=9))
def test_frame_indices_count_one_closing_frame_for_each_episode_before(lengths):
    ends = np.cumsum(lengths)
    episodes = replace(EPISODES, rewards=np.zeros(ends[-1]), episode_ends=ends)
    expected, frame = [], 0
    for length in lengths:
        expected += range(frame, frame + length)
        frame += length + 1
    assert episodes.frame_indices().tolist() == expected
    assert episodes.frame_indices().dtype == np.int32
    assert episodes.lengths.tolist() == lengths


def test_returns_are_the_sums_of_the_rewards_between_ends():
    rewards = np.array([1.0, 2.0, 4.0, 8.0, 16.0], np.float32)
    episodes = replace(EPISODES, rewards=rewards, episode_ends=np.array([1, 4, 5]))
    assert episodes.returns.tolist() == [1.0, 14.0, 16.0]


def test_what_is_written_is_read_back_as_memory_maps(dataset):
    assert dataset.robots == ("dog", "crab")
    read, written = dataset.episodes["dog"], synthetic_episodes("dog", 4, 2, steps=90)
    for name in ARRAYS:
        array = getattr(read, name)
        assert not array.flags.owndata
        assert array.dtype == getattr(written, name).dtype
        np.testing.assert_array_equal(array, getattr(written, name))
    for part, original in zip(read.descriptor, written.descriptor, strict=True):
        np.testing.assert_array_equal(part, original)
    entry = dataset.card["robots"]["dog"]
    assert (entry["steps"], entry["episodes"], entry["length_mean"]) == (90, 3, 30.0)
    assert entry["return_mean"] == pytest.approx(written.rewards.sum() / 3)


def test_many_bodies_are_read_back_with_whose_frame_is_whose(tmp_path):
    written = synthetic_episodes("dog", 4, 2, steps=90, bodies=3)
    dataset = write_dataset(tmp_path, {"dog": (4, 2)}, steps=90, bodies=3)
    read = dataset.episodes["dog"]
    assert not read.descriptor_ids.flags.owndata
    assert read.descriptor_ids.dtype == np.int32
    np.testing.assert_array_equal(read.descriptor_ids, written.descriptor_ids)
    for part, original in zip(read.descriptors, written.descriptors, strict=True):
        np.testing.assert_array_equal(part, original)
    assert [part.shape for part in read.descriptors] == [(3, 4, 23), (3, 2, 10), (3, 7)]
    assert dataset.verify() == []
    with pytest.raises(BodyplanError, match="3 descriptor sets"):
        _ = read.descriptor


def test_one_body_needs_no_numbers(dataset):
    assert dataset.episodes["dog"].descriptor_ids is None
    assert not (dataset.path / "dog" / "descriptor_ids.npy").exists()
    assert dataset.episodes["dog"].descriptor.joints.shape == (4, 23)


def test_the_same_episodes_are_the_same_bytes(tmp_path):
    entries = [EPISODES.write(tmp_path / place) for place in "ab"]
    assert entries[0] == entries[1]


class TestSequenceOfEpisodes:
    """What a notebook sees of one robot: 100 steps in episodes of 30, 30, 30 and 10."""

    def test_an_episode_has_its_own_steps_and_one_frame_more(self):
        assert len(EPISODES) == 4
        for number, episode in enumerate(EPISODES):
            start, length = 30 * number, (30, 30, 30, 10)[number]
            assert episode.length == length
            np.testing.assert_array_equal(episode.rewards, EPISODES.rewards[start : start + length])
            np.testing.assert_array_equal(episode.actions, EPISODES.actions[start : start + length])
            frames = slice(start + number, start + number + length + 1)
            for part, name in zip(episode.observations, ("joints", "feet", "general"), strict=True):
                np.testing.assert_array_equal(part, getattr(EPISODES, name)[frames])
            assert episode.episode_return == EPISODES.returns[number]
            assert (episode.terminated, episode.truncated) == (number % 2 == 0, number % 2 == 1)

    def test_arrays_are_views(self):
        episode = EPISODES[2]
        assert np.shares_memory(episode.actions, EPISODES.actions)
        assert np.shares_memory(episode.observations.joints, EPISODES.joints)
        assert np.shares_memory(EPISODES[1:3].rewards, EPISODES.rewards)

    def test_positions_count_from_either_end(self):
        np.testing.assert_array_equal(EPISODES[-1].rewards, EPISODES[3].rewards)
        np.testing.assert_array_equal(EPISODES[np.int64(1)].rewards, EPISODES[1].rewards)
        for beyond in (4, -5):
            with pytest.raises(IndexError):
                EPISODES[beyond]
        with pytest.raises(TypeError):
            EPISODES["0"]
        assert [e.length for e in reversed(EPISODES)] == [10, 30, 30, 30]

    @pytest.mark.parametrize("part", [slice(1, 3), slice(-2, None), slice(None), slice(3, 1)])
    def test_a_slice_is_episodes_again(self, part):
        chosen = EPISODES[part]
        numbers = range(4)[part]
        assert len(chosen) == len(numbers)
        assert len(chosen.general) == chosen.num_steps + len(chosen)
        for own, number in zip(chosen, numbers, strict=True):
            np.testing.assert_array_equal(own.rewards, EPISODES[number].rewards)
            np.testing.assert_array_equal(
                own.observations.general, EPISODES[number].observations.general
            )
        np.testing.assert_array_equal(
            chosen.general[chosen.frame_indices()],
            np.concatenate([np.empty((0, 13)), *(own.observations.general[:-1] for own in chosen)]),
        )

    def test_a_slice_with_a_step_is_refused(self):
        with pytest.raises(BodyplanError, match=r"list\(episodes\)\[::2\]"):
            EPISODES[::2]

    def test_frames_of_many_bodies_keep_their_numbers(self):
        episodes = synthetic_episodes("dog", 4, 2, steps=90, bodies=3)
        np.testing.assert_array_equal(episodes[1].descriptor_ids, episodes.descriptor_ids[41:82])
        np.testing.assert_array_equal(episodes[1:].descriptor_ids, episodes.descriptor_ids[41:])
        assert EPISODES[0].descriptor_ids is None

    def test_text_is_short(self):
        assert repr(EPISODES) == "Episodes(4 episodes, 100 steps, 4 joints, 2 feet)"
        assert repr(EPISODES[0]).startswith("Episode(30 steps, return ")
        for part in ("100", "mean return", "<table>"):
            assert part in EPISODES._repr_html_()
        assert "mean return" not in EPISODES[:0]._repr_html_()

    def test_the_data_frame_has_a_row_for_each_episode(self):
        frame = EPISODES.to_dataframe()
        assert list(frame.columns) == ["return", "length", "terminated", "truncated"]
        assert frame["return"].tolist() == EPISODES.returns.tolist()
        assert frame["length"].tolist() == [30, 30, 30, 10]
        assert frame["terminated"].tolist() == [True, False, True, False]
        assert len(EPISODES[:0].to_dataframe()) == 0


class TestMappingOfRobots:
    def test_names_lead_to_episodes(self, dataset):
        assert len(dataset) == 2
        assert list(dataset) == ["dog", "crab"]
        assert "dog" in dataset
        assert "cat" not in dataset
        assert dataset["crab"] is dataset.episodes["crab"]
        assert dataset.get("cat") is None
        assert [len(episodes) for episodes in dataset.values()] == [3, 3]

    def test_an_unknown_robot_is_a_bodyplan_error_that_names_the_known_ones(self, dataset):
        with pytest.raises(BodyplanError, match="no robot 'drab'; did you mean 'crab'") as caught:
            dataset["drab"]
        assert isinstance(caught.value, KeyError)
        assert str(caught.value)[0] != "'"
        with pytest.raises(BodyplanError, match="it has dog, crab"):
            dataset[0]

    def test_datasets_are_equal_only_to_themselves(self, dataset):
        assert dataset == dataset
        assert dataset != Dataset.open(dataset.path)
        assert len({dataset, Dataset.open(str(dataset.path))}) == 2

    def test_text_is_short(self, dataset):
        text = f"'{dataset.path}', 2 robots, 180 steps, recipe expert, command forward"
        assert repr(dataset) == f"Dataset({text})"
        html = dataset._repr_html_()
        for part in ("<th>return_mean</th>", "<td>crab</td>", "<td>90</td>"):
            assert part in html

    def test_the_data_frame_has_a_row_for_each_robot(self, dataset):
        frame = dataset.to_dataframe()
        assert list(frame.index) == ["dog", "crab"]
        assert frame.loc["crab", ["joints", "feet", "steps", "episodes", "falls"]].tolist() == [
            *(6, 4, 90, 3, 2)
        ]
        assert frame.loc["dog", "return_mean"] == pytest.approx(dataset["dog"].returns.mean())


class TestOpen:
    def test_missing_folder(self, tmp_path):
        with pytest.raises(BodyplanError, match="nowhere.*data build"):
            Dataset.open(tmp_path / "nowhere")

    @pytest.mark.parametrize("file", ["card.json", "dog/joints.npy", "dog/descriptors.npz"])
    def test_missing_file(self, dataset, file):
        (dataset.path / file).unlink()
        with pytest.raises(BodyplanError, match=f"{file}|{dataset.path.name}"):
            Dataset.open(dataset.path)

    @pytest.mark.parametrize(
        "file", ["card.json", "dog/rewards.npy", "crab/episode_ends.npy", "dog/descriptors.npz"]
    )
    def test_truncated_file(self, dataset, file):
        content = (dataset.path / file).read_bytes()
        (dataset.path / file).write_bytes(content[: len(content) // 2])
        with pytest.raises(BodyplanError, match=file):
            Dataset.open(dataset.path)

    def test_array_of_another_shape_or_type_than_the_card_says(self, dataset):
        with pytest.raises(BodyplanError, match=r"rewards.npy .*float32 \[89\]"):
            tamper(dataset, "rewards", lambda array: array[1:])
        with pytest.raises(BodyplanError, match=r"rewards.npy .*float64 \[90\]"):
            tamper(dataset, "rewards", lambda _: np.zeros(90))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": 2}, "format 2"),
            ({"robots": {}}, "robots"),
            ({"robots": {"dog": {"steps": 90}}}, r"robots\.dog\.episodes is missing"),
            ({"command": None}, "command is null"),
            ({"command": [1.0]}, "command"),
            ({"command": ["x", 0, 0]}, r"command\[0\] is text"),
            ({"conditions": {"wind": 1}}, "conditions"),
        ],
    )
    def test_card_that_says_too_little(self, dataset, change, message):
        write_json(dataset.path / "card.json", dataset.card | change)
        with pytest.raises(BodyplanError, match=message):
            Dataset.open(dataset.path)

    @pytest.mark.parametrize(
        ("name", "change", "sentence"),
        [
            ("terminated", put(40, True), "end other episodes"),
            ("truncated", put(59, False), "end other episodes"),
            ("episode_ends", put(0, 31), "end other episodes"),
            ("episode_ends", put(-1, 89), "does not rise to the last step"),
            ("episode_ends", put(1, 30), "does not rise to the last step"),
            ("rewards", put(3, np.nan), "rewards.npy holds NaN"),
        ],
    )
    def test_arrays_that_make_no_episodes(self, tmp_path, name, change, sentence):
        with pytest.raises(BodyplanError, match=sentence):
            tamper(write_dataset(tmp_path, {"dog": (4, 2)}, 90, 30), name, change)

    @pytest.mark.parametrize("dtype", [">f4", "<f8", "<f2"])
    def test_arrays_of_another_type_whatever_the_card_says(self, dataset, dtype):
        path = dataset.path / "dog" / "joints.npy"
        write_array(path, np.array(dataset["dog"].joints).astype(dtype))
        dataset.card["robots"]["dog"]["arrays"]["joints.npy"]["dtype"] = str(np.dtype(dtype))
        write_json(dataset.path / "card.json", dataset.card)
        with pytest.raises(BodyplanError, match=r"joints.npy holds .*not float32"):
            Dataset.open(dataset.path)

    @pytest.mark.parametrize("key", ["steps", "episodes"])
    def test_a_card_that_counts_otherwise(self, dataset, key):
        dataset.card["robots"]["dog"][key] += 1
        write_json(dataset.path / "card.json", dataset.card)
        with pytest.raises(BodyplanError, match=f"gives dog .* {key}"):
            Dataset.open(dataset.path)

    def test_open_files_do_not_limit_the_number_of_robots(self, dataset):
        kept = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, kept[1]))
        try:
            sets = [Dataset.open(dataset.path) for _ in range(4)]  # 64 arrays
            assert all(own["dog"].rewards.sum() > 0.0 for own in sets)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, kept[1]))
            with pytest.raises(BodyplanError, match="too many files open"):
                Dataset.open(dataset.path)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, kept)

    def test_bodies_without_numbers_and_numbers_without_bodies(self, tmp_path):
        dataset = write_dataset(tmp_path, {"dog": (4, 2)}, steps=90, bodies=3)
        entry = dataset.card["robots"]["dog"]["arrays"].pop("descriptor_ids.npy")
        write_json(tmp_path / "card.json", dataset.card)
        with pytest.raises(BodyplanError, match="3 descriptor sets.* no descriptor_ids"):
            Dataset.open(tmp_path)
        synthetic_episodes("dog", 4, 2, steps=90).write(tmp_path / "dog")
        dataset.card["robots"]["dog"]["arrays"]["descriptor_ids.npy"] = entry
        write_json(tmp_path / "card.json", dataset.card)
        with pytest.raises(BodyplanError, match="1 descriptor sets.* an descriptor_ids"):
            Dataset.open(tmp_path)
        (tmp_path / "dog" / "descriptor_ids.npy").unlink()
        with pytest.raises(BodyplanError, match=r"descriptor_ids.npy is missing"):
            Dataset.open(tmp_path)


class TestVerify:
    def test_finds_nothing_wrong_with_a_sound_dataset(self, dataset):
        assert dataset.verify() == []

    def test_checksum(self, dataset):
        path = dataset.path / "crab" / "actions.npy"
        content = bytearray(path.read_bytes())
        content[-4] ^= 1
        path.write_bytes(content)
        (fault,) = Dataset.open(dataset.path).verify()
        assert str(path) in fault
        assert "checksum" in fault

    @pytest.mark.parametrize(
        ("name", "change", "sentence"),
        [
            ("joints", put((3, 1, 0), np.inf), "joints.npy holds NaN or infinity"),
            ("actions", put((0, 0), np.nan), "actions.npy holds NaN or infinity"),
            ("actions", put((5, 2), -21.0), "actions.npy holds values outside"),
            ("feet", put((5, 1, 0), 1.5), "feet.npy holds values outside"),
            ("general", put((5, 12), -2.0), "general.npy holds values outside"),
            ("general", put((5, 6), -1.0), "general.npy holds another command"),
        ],
    )
    def test_one_fault_in_the_data(self, dataset, name, change, sentence):
        faults = tamper(write_dataset(dataset.path, {"dog": (4, 2)}, 90, 30), name, change).verify()
        assert any(str(dataset.path / "dog") in fault and sentence in fault for fault in faults)
        assert len([fault for fault in faults if "card.json gives" not in fault]) == 1

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (put(17, 3), "outside the 3"),
            (put(17, -1), "outside the 3"),
            (lambda ids: np.minimum(ids, 1), "leaves 1 of 3 sets unused"),
        ],
    )
    def test_one_fault_in_who_has_which_body(self, tmp_path, change, sentence):
        dataset = write_dataset(tmp_path, {"dog": (4, 2)}, steps=90, bodies=3)
        with pytest.raises(BodyplanError, match=f"dog/descriptor_ids.npy .*{sentence}"):
            tamper(dataset, "descriptor_ids", change)

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda sets: sets._replace(feet=sets.feet[:, :1]), "sets of [[4, 23], [1, 10], [7]]"),
            (lambda sets: sets._replace(context=sets.context * np.nan), "NaN or infinity"),
        ],
    )
    def test_one_fault_in_the_bodies(self, dataset, change, sentence):
        write_sets(
            dataset.path / "dog" / "descriptors.npz", change(dataset.episodes["dog"].descriptors)
        )
        with pytest.raises(BodyplanError, match=f"descriptors.npz .*{re.escape(sentence)}"):
            Dataset.open(dataset.path)

    def test_disturbed_data_have_wider_bounds(self, dataset):
        general = np.array(dataset.episodes["dog"].general)
        general[5, 11], general[9, 6] = -1.04, 0.3  # gravity as sensed, and another command
        disturbances = {"noise": True, "commands": 0.002}
        assert len(tamper(dataset, "general", lambda _: general).verify()) == 2
        card = json.loads((dataset.path / "card.json").read_text())
        write_json(dataset.path / "card.json", card | {"conditions": disturbances})
        assert Dataset.open(dataset.path).verify() == []
        (fault,) = tamper(dataset, "general", put((5, 3), 1.04)).verify()
        assert "general.npy holds values outside" in fault

    def test_negative_rewards_and_a_card_with_another_mean(self, dataset):
        faults = tamper(dataset, "rewards", put(0, -1.0)).verify()
        assert len(faults) == 2
        assert "gives dog return_mean" in faults[0]
        assert "rewards.npy holds values outside" in faults[1]

    def test_two_robots_with_the_same_actions(self, tmp_path):
        dataset = write_dataset(tmp_path / "twins", {"one": (3, 2), "two": (3, 2)}, steps=40)
        actions = np.array(dataset.episodes["one"].actions)
        (fault,) = tamper(dataset, "actions", lambda _: actions, robot="two").verify()
        assert "two/actions.npy is the same as that of one" in fault

    def test_frames_that_do_not_fit_the_steps(self, dataset):
        path = dataset.path / "dog" / "feet.npy"
        write_array(path, np.array(dataset.episodes["dog"].feet)[:-1])
        card = json.loads((dataset.path / "card.json").read_text())
        card["robots"]["dog"]["arrays"]["feet.npy"] |= {"shape": [92, 2, 2], "sha256": sha256(path)}
        write_json(dataset.path / "card.json", card)
        with pytest.raises(BodyplanError, match=r"feet.npy has 92 rows, not 93"):
            Dataset.open(dataset.path)
