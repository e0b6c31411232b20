"""The demo from end to end, with a plan so small that only the machinery is at work."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bodyplan import demo
from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.storage import write_json

PLAN = demo.DemoPlan(
    size="small",
    seed=0,
    speed=1.0,
    data_steps=1000,
    updates=100,
    episodes=2,
    robots=("cassie", "unitree_h1"),  # fall soon, so episodes are short
    network="tiny",
    batch_size=8,
    video_seconds=0.2,
)


def test_sizes_follow_the_speed_of_the_machine():
    usual, slow = (demo.demo_plan("small", 0, speed) for speed in (demo.REFERENCE_SPEED, 3000.0))
    full = demo.demo_plan("full", 0, demo.REFERENCE_SPEED)
    assert slow.updates < usual.updates < full.updates == 4 * usual.updates
    assert slow.data_steps < usual.data_steps < full.data_steps
    assert usual.updates % demo.INTERVAL == 0
    assert usual.robots == demo.DEMO_ROBOTS
    assert demo.train_config(usual, Path("out")).network == "small"


def test_the_speed_of_this_machine_is_measured():
    assert demo.simulation_speed(seconds=0.05) > 100.0


def test_another_demo_in_the_same_folder_is_refused(tmp_path):
    write_json(tmp_path / "plan.json", asdict(PLAN))
    with pytest.raises(BodyplanError, match="seed 0"):
        demo.run_demo("full", tmp_path)


def test_the_demo_ends_in_a_report_and_continues_from_what_is_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "demo"
    write_json(out / "plan.json", asdict(PLAN))
    assert main(["demo", "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["robots"]) == set(PLAN.robots)
    page = (out / "report.html").read_text()
    assert answer["report"] == str(out / "report.html")
    assert all(robot in page for robot in PLAN.robots)
    assert page.count("data:image/webp") == 2 * len(PLAN.robots)  # a film and its first image

    policy = (out / "policy" / "policy.safetensors").read_bytes()
    assert main(["demo", "--out", str(out)]) == 0
    assert (out / "policy" / "policy.safetensors").read_bytes() == policy
    assert "score" in capsys.readouterr().out
