"""Figure and film of PPO runs: which runs they show, and that the figure repeats to the byte."""

import json

import numpy as np
import pytest
from PIL import Image

from bodyplan.cli import main
from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.report.expert_curves import draw_expert_curves
from bodyplan.robots.robot import Robot

FORWARD = (1.0, 0.0, 0.0)


def test_the_figure_repeats_to_the_byte_and_json_has_its_curves(tmp_path, capsys):
    command = ["experts", "plot", "unitree_go1,badger", "--out"]
    assert main([*command, str(tmp_path / "a.svg"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {run["robot"] for run in answer["runs"]} == {"unitree_go1", "badger"}
    packaged = Snapshots.load("unitree_go1", FORWARD).card["curve"]
    shown = [run for run in answer["runs"] if run["robot"] == "unitree_go1"]
    assert packaged in [run["curve"] for run in shown]
    assert main([*command, str(tmp_path / "b.svg")]) == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_short_episodes_count_as_whole_ones(tmp_path):
    """A curve of episodes of 250 steps is drawn at the height that 1000 would give."""
    robot, run = Robot.load("unitree_go1"), Snapshots.load("unitree_go1", FORWARD)

    def draw(episode_steps, share):
        curve = [[steps, value * share, length] for steps, value, length in run.card["curve"]]
        settings = run.card["settings"] | {"episode_steps": episode_steps}
        card = run.card | {"curve": curve, "settings": settings}
        path = tmp_path / f"{episode_steps}.png"
        draw_expert_curves([(robot, Snapshots(run.tensors, card))], path)
        return np.asarray(Image.open(path))

    whole = draw(1000, 1.0)
    np.testing.assert_array_equal(draw(250, 0.25), whole)
    assert (draw(500, 0.25) != whole).any()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["cassie", "--commands", "0.1,0.2,0.3"], "no snapshots of these robots"),
        (["--out", "figure.docx"], "figure.docx"),
        (["unitree_go7"], "unitree_go7"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(arguments, word, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["experts", "plot", *arguments]) == 2
    assert word in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_experts_are_filmed_in_columns_and_rows(tmp_path, capsys):
    out = tmp_path / "walk.webp"
    arguments = ["--seconds", "0.1", "--size", "40", "30", "--out", str(out)]
    assert main(["experts", "film", "unitree_go1", "--commands", "forward", *arguments]) == 0
    assert str(out) in capsys.readouterr().out
    assert main(["experts", "film", "unitree_go1,hexapod", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["robots"] == ["unitree_go1", "hexapod"]
    with Image.open(out) as image:
        assert (image.size, image.n_frames) == ((80, 60), 2)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--out", "walk.gif"], ".webp"),
        (["--snapshot", "16"], "--snapshot 16"),
        (["--seconds", "0"], "--seconds is 0"),
        (["--size", "0", "40"], "--size is 0"),
        (["--snapshots", "nowhere"], "no snapshots of these robots"),
    ],
)
def test_films_that_cannot_be_made_are_refused(arguments, word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["experts", "film", "unitree_go1", *arguments]) == 2
    assert word in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
