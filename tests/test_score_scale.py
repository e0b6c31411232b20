"""What counts as 0 and 1: standing still, the expert, and what a robot of one's own has instead."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.datasets.score_scale import LEAST_SPAN, ScoreScale, expert_return, score_scale
from bodyplan.envs import standing_return as standing
from bodyplan.envs.standing_return import StandingReturn, measure_standing, standing_return
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluate import evaluate_policy
from bodyplan.evaluation.evaluation import EvaluationConfig
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy
from bodyplan.learn.policy import Policy
from bodyplan.machine import cache_folder
from bodyplan.robots.fingerprint import fingerprint, is_packaged
from bodyplan.robots.registry import MODELS, packaged_robots
from bodyplan.robots.robot import Robot
from bodyplan.storage import read_json

FORWARD, BACKWARD = (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)
THREE = ("hexapod", "cassie", "unitree_h1")
"""One that earns two fifths of its expert's return by standing, and two that fall."""


class Standing:
    """The action zero."""

    def act(self, observation, descriptor):
        return np.zeros(observation.joints.shape[:2])


class Expert:
    """The packaged run's last policy."""

    def __init__(self, robot, command):
        self.policy = Snapshots.load(robot, command).policy(-1)

    def act(self, observation, descriptor):
        return self.policy.mean(observation)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("name", "command"), [*zip(THREE, (BACKWARD, FORWARD, FORWARD), strict=True)]
)
def test_standing_scores_0_a_random_network_about_0_and_the_expert_1(name, command, load):
    config = EvaluationConfig(episodes=3, seed=5)
    network = URMAPolicy(np.random.default_rng(0), PRESETS["tiny"])
    policies = (Standing(), Policy.of(network, BC(), PRESETS["tiny"]), Expert(name, command))
    scores = [evaluate_policy(own, [load(name)], command, config)[name] for own in policies]
    still, untrained, expert = (own["normalised_return"] for own in scores)
    assert still == pytest.approx(0.0, abs=0.01)
    assert untrained == pytest.approx(0.0, abs=0.05)
    assert expert == pytest.approx(1.0, abs=0.06)
    assert all(own["reference"] == "expert" for own in scores)


def test_from_the_nominal_state_floor_and_expert_start_there_too(load):
    config = EvaluationConfig(episodes=1, initial_state="nominal")
    expert = Expert("unitree_h1", FORWARD)
    found = evaluate_policy(expert, [load("unitree_h1")], FORWARD, config)["unitree_h1"]
    assert found["normalised_return"] == pytest.approx(1.0, abs=1e-6)
    assert found["expert_return"] != expert_return(load("unitree_h1"), FORWARD)
    floor = standing_return(load("unitree_h1"), FORWARD, "nominal")
    assert (floor.return_mean, floor.episodes) == (found["floor_return"], 1)


@pytest.mark.parametrize("name", THREE)
def test_the_packaged_floor_is_what_standing_earns(name, load):
    packaged = standing_return(load(name), FORWARD)
    assert packaged.episodes >= standing.PACKAGED_EPISODES
    again = measure_standing(load(name), FORWARD, episodes=4 if name == "hexapod" else 64)
    error = np.hypot(packaged.return_se, again.return_se)
    assert abs(again.return_mean - packaged.return_mean) < max(4.0 * error, 1e-3)


def test_every_packaged_robot_has_a_floor_for_both_commands_below_its_expert():
    floors = read_json(standing.PACKAGED)["robots"]
    assert set(floors) == set(packaged_robots())
    for name, entry in floors.items():
        assert entry["sha256"] == standing.model_checksum(name), "run benchmarks/scores.py --write"
        for command in (FORWARD, BACKWARD):
            floor = StandingReturn(**entry["commands"]["forward" if command[0] > 0 else "backward"])
            expert = Snapshots.load(name, command).card["expert"]["return_mean"]
            assert 0.0 <= floor.return_mean < expert
            assert floor.return_se < 0.12 * (expert - floor.return_mean)


def test_a_robot_whose_files_have_changed_is_measured_anew(monkeypatch, load):
    packaged = standing_return(load("unitree_h1"), FORWARD)
    monkeypatch.setattr(standing, "model_checksum", lambda robot: "of other files")
    anew = standing_return(load("unitree_h1"), FORWARD)
    assert (packaged.episodes, anew.episodes) == (128, standing.OWN_EPISODES)
    assert anew.return_mean == pytest.approx(packaged.return_mean, abs=5 * anew.return_se)


def own_robot(folder, name="unitree_h1"):
    """A robot of one's own with a packaged robot's name: its motors are weaker."""
    shutil.copy(MODELS / f"{name}.xml", folder)
    text = (MODELS / f"{name}.toml").read_text()
    start = text.index("kp = ")
    text = text[:start] + "kp = 11.0" + text[text.index("\n", start) :]
    (folder / f"{name}.toml").write_text(text)
    return Robot.load(folder / f"{name}.xml")


def test_your_own_robot_has_its_own_floor_and_no_expert_whatever_its_name(tmp_path, load):
    own, packaged = own_robot(tmp_path), load("unitree_h1")
    assert own.name == packaged.name
    assert is_packaged(packaged)
    assert not is_packaged(own)
    scale = score_scale(own, FORWARD)
    assert (scale.expert, scale.reference) == (None, "ceiling")
    assert scale.ceiling == own.tracking_ceiling
    assert scale.floor != score_scale(packaged, FORWARD).floor
    assert expert_return(packaged, FORWARD) > 10.0
    assert expert_return(packaged, (0.5, 0.0, 0.0)) is None


def test_a_floor_is_measured_once_and_kept_by_the_robots_content(tmp_path):
    own = own_robot(tmp_path)
    first = standing_return(own, FORWARD)
    (kept,) = cache_folder("floors").glob("*.json")
    kept.write_text(json.dumps(first._asdict() | {"return_mean": 123.0}))
    assert standing_return(own, FORWARD).return_mean == 123.0
    assert standing_return(replace(own, name="other"), FORWARD).return_mean == 123.0
    kept.write_text("{")  # damaged, so it is measured again
    assert standing_return(own, FORWARD) == first
    assert standing_return(replace(own, kd=own.kd * 1.5), FORWARD) != first
    assert len(list(cache_folder("floors").glob("*.json"))) == 2


def test_a_cache_that_cannot_be_written_to_costs_only_time(tmp_path, monkeypatch):
    def full(path, content):
        raise BodyplanError("the disk is full")

    monkeypatch.setattr(standing, "write_json", full)
    assert standing_return(own_robot(tmp_path), FORWARD).episodes == standing.OWN_EPISODES


def test_all_that_moves_a_robot_is_in_its_fingerprint(load):
    robot = load("unitree_h1")
    for name, value in (("description", "x"), ("provenance", "x"), ("name", "x")):
        assert fingerprint(replace(robot, **{name: value})) == fingerprint(robot)
    heavier = Robot.load("unitree_h1")
    heavier.model.body_mass[1] *= 1.01
    changed = [
        replace(robot, action_scale=0.1),
        replace(robot, nominal=robot.nominal + 0.01),
        replace(robot, reward=replace(robot.reward, height=0.0)),
        replace(robot, initial_state=replace(robot.initial_state, linear_velocity=0.9)),
        heavier,
    ]
    assert len({fingerprint(each) for each in [robot, *changed]}) == 6


@pytest.mark.parametrize(
    ("floor", "expert", "reference", "score"),
    [
        (10.0, 50.0, "expert", 0.5),
        (20.0, None, "ceiling", 0.125),
        (49.0, 50.0, None, None),  # the expert hardly does more than stand
        (60.0, 50.0, None, None),
        (98.5, None, None, None),
    ],
)
def test_a_score_needs_a_reference_clearly_above_the_floor(floor, expert, reference, score):
    scale = ScoreScale(floor, expert, ceiling=100.0)
    assert scale.reference == reference
    assert scale.normalise(30.0) == (score if score is None else pytest.approx(score))
    if reference:
        assert scale.normalise(floor) == 0.0
        assert scale.normalise(scale.top) == pytest.approx(1.0)
    assert 0.0 < LEAST_SPAN < 1.0
