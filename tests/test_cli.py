"""The command line: exit status, errors in one sentence, JSON output."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from synthetic import write_dataset

from bodyplan.cli import COMMANDS, command_class, main
from bodyplan.datasets.policy_snapshots import robots_with_snapshots
from bodyplan.grouping.body_metric import BodyMetric
from bodyplan.grouping.robot_groups import read_groups
from bodyplan.robots.registry import MODELS, packaged_robots

NESTED = {"robots": ("list", "show", "draw", "check", "adapt", "generate")}
NESTED["experts"] = ("train", "show", "plot", "film")
NESTED["data"] = ("build", "info", "verify", "plot", "import", "import-minari")
NESTED["data"] += ("import-release", "export")
CHANCE = ("demo", "train", "finetune", "conflicts", "transfer", "evaluate")
ALL = [(name, sub) for name in COMMANDS for sub in NESTED.get(name, (None,))]


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "set", {"crab": (3, 2), "newt": (4, 4)}).path


def fails(capsys, *arguments):
    """Run a command that must be refused; returns its one sentence."""
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err
    return printed.err


@pytest.mark.parametrize(("name", "sub"), ALL)
def test_every_command_explains_each_of_its_options(name, sub, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, *([sub] if sub else []), "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    options = [line for line in text.splitlines() if line.lstrip("│ ").startswith("--")]
    assert options
    chance = sub in ("generate", "train", "film", "build", "import-release") or name in CHANCE
    assert ("--seed" in text) == chance


def test_help_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_every_command_is_in_the_table_once():
    found = {name: entry.target for name, entry in COMMANDS.items()}
    nested = {name: tuple(target) for name, target in found.items() if not isinstance(target, str)}
    assert nested == NESTED
    targets = [
        leaf
        for target in found.values()
        for leaf in ((target,) if isinstance(target, str) else target.values())
    ]
    classes = {command_class(target) for target in targets}
    assert len(classes) == len({each.__name__ for each in classes}) == len(targets) == len(ALL)


def test_the_help_of_a_group_lists_its_commands(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["robots", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in NESTED["robots"])
    assert main(["robots", "dance"]) == 2


def test_help_waits_for_no_heavy_library():
    program = (
        "import sys; from bodyplan.cli import main; main(['--help']);"
        "print({'jax', 'mujoco', 'numpy', 'tyro', 'rich'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.endswith("\nset()\n"), ran.stderr


def test_robots_answer_in_json(capsys):
    assert main(["robots", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["hexapod"]["joints"] == 18
    assert rows["badger"]["feet"] == 4
    assert rows["unitree_go1"]["mass"] == pytest.approx(12.7434, rel=1e-4)


def test_groups_answer_in_json(capsys):
    assert main(["groups", "--count", "2", "--no-cache", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    distance = np.array(answer["distance"])
    assert np.allclose(distance, distance.T)
    assert set(answer["labels"]) == {0, 1}
    assert "suggested" not in answer


def test_groups_are_named_before_the_distances(capsys):
    assert main(["groups", "--count", "3", "--no-cache"]) == 0
    shown = capsys.readouterr().out
    assert "anymal_b, anymal_c" in shown
    assert shown.index("Groups") < shown.index("Distances between bodies")


def test_groups_are_counted_where_no_count_is_given(capsys):
    assert main(["groups", "--no-cache", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    suggested = answer["suggested"]
    assert len(set(answer["labels"])) == suggested["silhouette"] > 1
    best = max(suggested["counts"][1:], key=lambda each: each["silhouette"])
    assert best["count"] == suggested["silhouette"]
    assert main(["groups", "--no-cache"]) == 0
    assert f"suggested: {suggested['silhouette']} groups by" in capsys.readouterr().out


def test_options_of_the_metric_change_the_distances(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = []
    for options in ([], ["--alpha", "1", "--padding", "matched"], ["--landmarks", "1"], []):
        names = "unitree_go1,hexapod,cassie"
        assert main(["groups", "--count", "2", "--robots", names, *options, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["distance"])
    assert found[0] == found[3]
    assert len(list((tmp_path / "bodyplan" / "distances").iterdir())) == 3
    assert np.abs(np.subtract(found[0], found[1])).max() > 0.01
    assert np.count_nonzero(np.subtract(found[0], found[2])) == 2


def test_groups_are_drawn(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "new" / "groups.svg"
    command = ["groups", "--count", "2", "--robots", "bittle,badger,cassie", "--plot", str(path)]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figure"] == str(path)
    assert "group 1" in path.read_text()


def test_groups_that_are_written_are_those_that_training_reads(capsys, tmp_path, dataset):
    path = tmp_path / "groups.json"
    names = ("unitree_go1", "bittle", "cassie")
    metric = ("--alpha", "1", "--padding", "matched", "--start", "several")
    command = ("groups", "--count", "2", "--no-cache", "--robots", ",".join(names), *metric)
    assert main([*command, "--out", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    groups = read_groups(path, names)
    assert [list(group) for group in groups] == shown["groups"]
    assert [groups.group_of(name) for name in shown["robots"]] == shown["labels"]
    made = json.loads(path.read_text())["made"]
    assert (made["count"], made["count_by"], made["linkage"]) == (2, "--count", "ward")
    assert made["metric"] == asdict(BodyMetric(alpha=1.0, padding="matched", start="several"))
    train = ("train", "--data", dataset, "--out", tmp_path / "run", "--combine", "grouped")
    error = fails(capsys, *train, "--groups", path)
    assert "missing: crab, newt" in error
    assert "unknown: bittle, cassie, unitree_go1" in error
    assert ".json" in fails(capsys, *command, "--out", tmp_path / "groups.txt")


def test_a_robot_is_drawn_beside_its_model_but_over_nothing_else(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "own" / "my_badger.xml"
    model.parent.mkdir()
    for suffix in (".xml", ".toml"):
        shutil.copy(MODELS / f"badger{suffix}", model.with_suffix(suffix))
    picture, draw = model.with_suffix(".png"), ("robots", "draw", str(model), "--size", "32", "32")
    for _ in range(2):  # its own picture is replaced
        assert main(draw) == 0
        assert str(picture) in capsys.readouterr().out
    picture.write_bytes(b"a texture")
    assert str(picture) in fails(capsys, *draw)
    assert picture.read_bytes() == b"a texture"
    assert main([*draw, "--out", str(picture)]) == 0
    assert picture.read_bytes() != b"a texture"
    assert main(["robots", "draw", "badger,bittle", "--size", "32", "32"]) == 0
    assert (tmp_path / "robots.png").is_file()


def test_groups_that_cannot_be_are_refused(capsys, tmp_path):
    groups = ("groups", "--no-cache")
    assert "--count 17" in fails(capsys, *groups, "--count", "17")
    assert "--count is 0" in fails(capsys, *groups, "--count", "0")
    assert "--alpha is 2.0" in fails(capsys, *groups, "--alpha", "2")
    assert "--landmarks is 0" in fails(capsys, *groups, "--landmarks", "0")
    assert "--plot" in fails(capsys, *groups, "--plot", tmp_path / "groups.gif")
    alone = (*groups, "--robots", "badger", "--plot", tmp_path / "groups.png")
    assert "two" in fails(capsys, *alone)


def test_all_robots_of_a_build_are_those_with_snapshots(capsys, tmp_path):
    build = ("data", "build", "--out", tmp_path / "set", "--steps", 1000)
    assert "0.3,0,0" in fails(capsys, *build, "--command", "0.3,0,0")
    names = robots_with_snapshots((1.0, 0.0, 0.0))
    assert {"anymal_c", "badger", "hexapod", "unitree_go1"} <= set(names)
    assert set(names) <= set(packaged_robots())


def test_an_unknown_command_and_robot_are_named(capsys, tmp_path):
    assert "dance" in fails(capsys, "dance")
    assert "unitree_go1" in fails(capsys, "robots", "show", "unitree_go7")
    out = tmp_path / "set"
    assert "unitree_go7" in fails(capsys, "data", "build", "--out", out, "--robots", "unitree_go7")
    assert not out.exists()


def test_verify_tells_a_whole_set_from_a_damaged_one(capsys, dataset):
    assert main(["data", "verify", str(dataset)]) == 0
    capsys.readouterr()
    rewards = np.load(dataset / "crab" / "rewards.npy")
    rewards[7] += 1e-3
    np.save(dataset / "crab" / "rewards.npy", rewards)
    assert "rewards.npy" in fails(capsys, "data", "verify", dataset)


def test_a_cut_array_and_a_missing_file_are_named(capsys, dataset):
    path = dataset / "newt" / "actions.npy"
    path.write_bytes(path.read_bytes()[:-40])
    assert str(path) in fails(capsys, "data", "info", dataset)
    path.unlink()
    assert str(path) in fails(capsys, "data", "info", dataset)
    shutil.rmtree(dataset)
    assert str(dataset) in fails(capsys, "data", "info", dataset)


def test_nan_in_the_data_stops_training_before_it_begins(capsys, dataset, tmp_path):
    rewards = np.load(dataset / "crab" / "rewards.npy")
    rewards[3] = np.nan
    np.save(dataset / "crab" / "rewards.npy", rewards)
    out = tmp_path / "run"
    error = fails(capsys, "train", "--data", dataset, "--out", out, "--network", "small")
    assert "crab" in error
    assert not list(out.glob("policy/*"))


def test_a_folder_that_is_no_dataset_is_refused_and_one_half_built_says_so(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "half.partial").mkdir()
    (tmp_path / "file").write_text("")
    for name, word in (("empty", "card.json"), ("half", "finish"), ("file", "no dataset")):
        error = fails(capsys, "data", "info", tmp_path / name)
        assert str(tmp_path / name) in error
        assert word in error


def test_a_folder_that_is_no_run_is_refused(capsys, tmp_path):
    assert "not a run" in fails(capsys, "compare", tmp_path)
    assert str(tmp_path) in fails(capsys, "report", tmp_path)
    assert str(tmp_path) in fails(capsys, "evaluate", tmp_path)


def test_the_package_runs_as_a_module():
    ran = subprocess.run([sys.executable, "-m", "bodyplan", "--version"], capture_output=True)
    assert ran.returncode == 0
    assert ran.stdout.startswith(b"bodyplan ")


def test_a_platform_that_is_not_there_is_one_sentence(tmp_path):
    asked = {**os.environ, "JAX_PLATFORMS": "cuda"}
    command = ["experts", "train", "badger", "--steps", "1", "--out", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-m", "bodyplan", *command], env=asked, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith("error: JAX finds no devices")
    assert "Traceback" not in ran.stderr
