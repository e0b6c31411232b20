"""Charts of training: which metrics share one, what its lines are called, and what is drawn."""

import json

import numpy as np
import pytest
from synthetic_run import ROBOTS, write_conflicts, write_run

from bodyplan.report.run_record import RunRecord
from bodyplan.report.training_charts import conflict_charts, evaluation_charts, metric_charts


def record(folder, *lines, **more):
    """A run whose metrics are these lines."""
    run = write_run(folder / "run", evaluated=False, **more)
    text = "".join(
        json.dumps({"update": 10 * (i + 1)} | line) + "\n" for i, line in enumerate(lines)
    )
    (run / "metrics.jsonl").write_text(text)
    return RunRecord.read(run)


def charts(folder, *lines, **more):
    """Lines of each chart by its title."""
    first, others = metric_charts(record(folder, *lines, **more))
    return {chart.title: list(chart.legend) for chart in (*first, *others)}


def test_metrics_of_one_name_share_a_chart(tmp_path):
    line = {
        "critic/q_grad_norm": 1.0,
        "critic/v_grad_norm": 2.0,
        "actor/grad_norm": 3.0,
        "actor/grad_norm/group0": 2.5,
        "actor/grad_norm/group1": 3.5,
        "critic/q_loss": 0.5,
        "critic/v_loss": 0.1,
    }
    found = charts(tmp_path, line, line)
    assert found["Gradient norms"] == ["critic Q", "critic V", "actor group0", "actor group1"]
    assert found["Losses of the critics"] == ["Q", "V"]
    assert len(found) == 2


def test_what_each_robot_has_is_a_line_for_each(tmp_path):
    line = {f"critic/q_loss/{robot}": 1.0 for robot in ROBOTS} | {"critic/q_loss": 1.0}
    assert charts(tmp_path, line) == {"Loss of Q": list(ROBOTS)}


def test_a_metric_nobody_has_heard_of_has_its_chart(tmp_path):
    line = {"mine/depth": 3, "mine/depth/hexapod": 3, "plain": 1.0, "a/b/c/d": 2.0}
    assert charts(tmp_path, line) == {
        "mine/depth": ["hexapod"],
        "plain": ["plain"],
        "a/b": ["b"],
    }


def test_times_and_missing_numbers_have_none(tmp_path):
    odd = {"wall_s": 1.0, "cpu_s": 2.0, "updates_per_s": 3.0, "actor/loss": float("nan")}
    assert charts(tmp_path, odd, {"actor/conflict": 0.5, "actor/cosine": 0.1}) == {}


def test_of_many_robots_the_mean_and_the_tenths_are_drawn(tmp_path):
    many = [f"robot{index}" for index in range(50)]
    line = {f"actor/loss/{robot}": float(index) for index, robot in enumerate(many)}
    first, _ = metric_charts(record(tmp_path, line, line, robots=many, groups=[many]))
    (chart,) = first
    rows = {row["series"]: row["y"] for row in chart.spec["data"]["values"]}
    assert rows["mean"] == pytest.approx([24.5, 24.5])
    assert rows["worst tenth"][0] == pytest.approx(np.quantile(np.arange(50), 0.1))
    assert "50 robots" in chart.caption


def test_evaluations_are_in_the_units_that_they_say(tmp_path):
    run = RunRecord.read(write_run(tmp_path / "run"))
    returns, falls = evaluation_charts(run)
    rows = {row["series"]: row["y"] for row in falls.spec["data"]["values"]}
    assert max(rows["hexapod"]) == pytest.approx(50.0 * np.exp(-3.0 * 500 / 2500))
    assert falls.unit == "% of episodes"
    assert returns.filtered


def test_conflicts_are_in_the_order_asked_for_and_opposite_pairs_count(tmp_path):
    run = write_run(tmp_path / "run")
    write_conflicts(run, count=3)
    measured = RunRecord.read(run).conflicts
    order = ROBOTS[::-1]
    cosines, share = conflict_charts(measured, order)
    lines = [json.loads(line) for line in (run / "conflicts.jsonl").read_text().splitlines()]
    pairs = np.array([line["cosines"] for line in lines])
    first_pair = pairs.mean(axis=0)[0]  # of the first two robots
    cells = {
        (cell["row"], cell["column"]): cell["value"] for cell in cosines.spec["data"]["values"]
    }
    assert cells[ROBOTS[0], ROBOTS[1]] == cells[ROBOTS[1], ROBOTS[0]] == pytest.approx(first_pair)
    assert (ROBOTS[0], ROBOTS[0]) not in cells
    assert [row[0] for row in cosines.numbers.rows] == list(order)
    (row,) = share.spec["data"]["values"]
    np.testing.assert_allclose(row["y"], 100.0 * (pairs < 0.0).mean(axis=1))
