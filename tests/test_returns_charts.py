"""Charts and table rows of an evaluation: intervals, histograms, and what is unknown."""

import numpy as np
import pytest

from bodyplan.evaluation.significance import half_width
from bodyplan.report.returns_charts import data_returns_chart, returns_chart, summary_row

SCORES = {
    "return_mean": 40.0,
    "return_se": 1.0,
    "returns": [40.0] * 16,
    "floor_return": 4.0,
    "expert_return": 50.0,
    "data_return": 20.0,
    "data_best_return": None,
    "normalised_return": 36.0 / 46.0,
    "fall_share": 0.25,
    "length_mean": 900.0,
    "velocity": [0.6, 0.8],
    "velocity_error": 0.2,
}


def test_the_policy_has_the_interval_of_students_t_and_unknown_returns_no_point():
    chart = returns_chart({"go1": SCORES, "ant": {"return_mean": 3.0}})
    rows = {(row["row"], row["series"]): row for row in chart.spec["data"]["values"]}
    policy = rows["go1", "policy"]
    assert policy["high"] - policy["value"] == pytest.approx(half_width(1.0, 16))
    assert ("go1", "data, best policy") not in rows
    assert rows["ant", "policy"]["low"] is None
    assert "go1, policy: 40.0" in chart.description


def test_a_histogram_holds_every_episode_and_the_returns_to_compare_with():
    returns = np.random.default_rng(0).uniform(0.0, 60.0, 500)
    chart = data_returns_chart("go1", returns, SCORES)
    bars, lines = (layer["data"]["values"] for layer in chart.spec["layer"])
    assert sum(bar["share"] for bar in bars) == pytest.approx(100.0)
    for bar in bars:
        inside = (returns >= bar["from"]) & (returns < bar["to"])
        assert bar["share"] == pytest.approx(inside.sum() / 5.0, abs=0.21)
    marks = {line["series"]: line["value"] for line in lines}
    assert marks == {"standing still": 4.0, "policy": 40.0, "expert": 50.0}
    alone = data_returns_chart("go1", np.zeros(3), {})
    assert alone.spec["layer"][1]["data"]["values"] == []


def test_speed_is_what_goes_in_the_commanded_direction():
    assert summary_row("go1", SCORES, (1.0, 0.0, 0.0))["speed"] == pytest.approx(0.6)
    assert summary_row("go1", SCORES, (0.0, 2.0, 0.0))["speed"] == pytest.approx(0.8)
    assert summary_row("go1", SCORES, (-1.0, 0.0, 0.0))["speed"] == pytest.approx(-0.6)
    assert summary_row("go1", SCORES, (0.0, 0.0, 0.5))["speed"] is None
    row = summary_row("go1", SCORES, None)
    assert (row["speed"], row["falls"], row["data_best_return"]) == (None, 25.0, None)


def test_a_score_without_a_floor_is_not_shown():
    assert summary_row("go1", SCORES | {"floor_return": None}, None)["score"] is None
