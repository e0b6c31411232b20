"""The command `experts train`, from one training step to graded snapshots."""

import json

import pytest

from bodyplan.cli import main
from bodyplan.datasets.policy_snapshots import Snapshots


@pytest.mark.slow
def test_a_run_for_both_commands_is_trained_graded_and_shown(tmp_path, capsys):
    options = ["--steps", "1", "--snapshots", "1", "--episodes", "1", "--threads", "1"]
    options += ["--command", "both", "--out", str(tmp_path), "--json"]
    assert main(["experts", "train", "unitree_h1", *options]) == 0
    printed = capsys.readouterr().out
    runs = json.loads(printed[printed.index("{") :])["runs"]
    for run, command in zip(runs, ("forward", "backward"), strict=True):
        path = tmp_path / "unitree_h1" / f"{command}.safetensors"
        assert run["file"] == str(path)
        assert run["steps"] == [256 * 20]
        assert Snapshots.read(path).card == {key: run[key] for key in run if key != "file"}
        assert run["expert"]["length_mean"] > 0.0
    assert main(["experts", "show", "unitree_h1", "--snapshots", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert str(tmp_path / "unitree_h1" / "forward.safetensors") in shown
    assert "5120" in shown.replace(",", "")
