"""A robot's TOML as typed records: the packaged ones, and every kind of wrong value."""

import tomllib

import pytest

from bodyplan.robots.randomisation_ranges import JointRandomisation
from bodyplan.robots.registry import MODELS, packaged_robots
from bodyplan.robots.toml_reader import parse_config


@pytest.fixture
def content():
    """The TOML of a packaged robot."""
    return tomllib.loads((MODELS / "unitree_go1.toml").read_text())


def plain(value):
    """What msgspec made of a value, as TOML would hold it."""
    return list(map(plain, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", packaged_robots())
def test_records_hold_what_the_toml_says(name):
    content = tomllib.loads((MODELS / f"{name}.toml").read_text())
    config, problems = parse_config("robot.toml", content)
    assert problems == []
    assert config.kind == content["kind"]
    for table in ("control", "joints", "reward", "termination"):
        for key, value in content[table].items():
            assert plain(getattr(getattr(config, table), key)) == value, key
    assert [(n, *own.geoms) for n, own in config.feet.items()] == [
        (n, *own["geoms"]) for n, own in content["feet"].items()
    ]


def test_numbers_and_ranges_are_converted(content):
    content["randomisation"] = {
        "damping": [0, 0.2],
        "armature": {"factor": 0.1},
        "friction": [1, 2],
        "kp": 3,
    }
    config, problems = parse_config("robot.toml", content)
    assert problems == []
    ranges = config.randomisation
    assert ranges.damping == JointRandomisation(between=(0.0, 0.2))
    assert ranges.armature == JointRandomisation(factor=0.1)
    assert (ranges.friction, ranges.kp) == ((1.0, 2.0), 3.0)
    assert isinstance(ranges.kp, float)


def test_a_key_that_earlier_versions_had_is_ignored(content):
    config, _ = parse_config("robot.toml", content)
    content["reward"]["curriculum_steps"] = 12_000_000
    assert parse_config("robot.toml", content) == (config, [])


WRONG = {
    "text for a number": ("control", "kp", "stiff", "number"),
    "not positive": ("control", "kp", 0, "positive"),
    "not finite": ("control", "kd", float("inf"), "number"),
    "yes for a number": ("control", "kd", True, "number"),
    "one of a list": ("joints", "max_velocity", [1.0, -1.0] * 6, "positive"),
    "half a joint": ("joints", "nominal", "zero", "one for each joint"),
    "text for texts": ("termination", "contact_geoms", "trunk", "list of texts"),
    "one of a pair": ("reward", "symmetry_pairs", [["FR_foot"]], "pairs"),
    "number for a range": ("randomisation", "friction", 3, "two numbers"),
    "half a range": ("randomisation", "damping", [1], "two numbers"),
    "text for a switch": ("expert", "symmetric", "yes", "true or false"),
    "half a step": ("expert", "steps", 1.5, "whole number"),
    "a foot that is a name": ("feet", "FR_foot", "FR_foot", "geoms"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_named_with_what_belongs_there(content, case):
    table, key, value, word = WRONG[case]
    content.setdefault(table, {})[key] = value
    config, problems = parse_config("robot.toml", content)
    assert config is None
    (problem,) = problems
    assert f"{table}.{key}" in problem.problem
    assert word in problem.fix


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"feet": {}}, "no foot"),
        ({"feet": 3}, "feet is no table"),
        ({"feet": {"left": {"geoms": []}}}, "feet.left.geoms is empty"),
        ({"joints": {"names": [], "nominal": 0.0, "max_velocity": 1.0}}, "names is empty"),
        ({"joints": {"names": "hip", "nominal": 0.0, "max_velocity": 1.0}}, "names = 'hip'"),
        ({"joints": {"names": ["hip"], "nominal": 0.0}}, "joints.max_velocity is missing"),
    ],
)
def test_feet_and_joints_must_be_there(content, changes, word):
    _, problems = parse_config("robot.toml", content | changes)
    assert [own.where for own in problems if word in own.problem] == ["robot.toml"]


def test_all_faults_are_found_at_once(content):
    del content["legs"], content["control"]
    content["feet"]["FR_foot"]["point"] = [0.0, 0.0]
    content["randomisation"]["damping"] = {"factr": 0.2}
    content["expert"] = 3
    content["joints"]["names"].append("FR_hip_joint")
    _, problems = parse_config("robot.toml", content)
    faults = [f"{own.problem}; {own.fix}" for own in problems]
    for words in (
        ("legs is missing", "whole number"),
        ("[control] is missing", "add_a_robot"),
        ("feet.FR_foot.point", "three numbers"),
        ("randomisation.damping.factr is unknown", "'factor'"),
        ("expert is no table", "[expert]"),
        ("joints.names", "'FR_hip_joint' twice"),
        ("joints.nominal has 12 values for 13 joints", "one for each"),
    ):
        assert any(all(word in fault for word in words) for fault in faults), (words, faults)
