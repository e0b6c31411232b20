"""The summary of gradient conflict, from measurements made by hand."""

import json

import numpy as np
import pytest

from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.conflict_summary import similarity, summarise_conflicts
from bodyplan.learn.conflicts import Conflicts
from bodyplan.report.conflict_figure import draw_conflicts

ROBOTS = ("dog", "crab", "ant", "biped")
UPPER = np.triu_indices(4, 1)
DISTANCES = np.abs(np.subtract.outer(np.arange(4.0) ** 2, np.arange(4.0) ** 2))
GAINS = {"dog": 9.0, "crab": -6.0, "ant": 7.0, "biped": 1.0}


def conflicts(*measurements):
    """Measurements given by the cosines above the diagonal."""
    cosines = np.stack([np.eye(4)] * len(measurements))
    for matrix, pairs in zip(cosines, measurements, strict=True):
        matrix[UPPER] = pairs
        matrix.T[UPPER] = pairs
    count = len(measurements)
    return Conflicts(ROBOTS, np.arange(count), np.ones((count, 4)), cosines)


#                 dog-crab dog-ant dog-biped crab-ant crab-biped ant-biped
FIRST = conflicts((-0.3, 0.5, 0.2, -0.1, 0.4, 0.3), (-0.1, 0.3, -0.4, 0.3, 0.2, 0.1))
SECOND = conflicts((0.1, 0.2, -0.2, -0.4, 0.3, 0.2))


def test_shares_are_counted_robot_by_robot():
    # Mean cosines of the first run: dog-crab -0.2, dog-biped -0.1; of the second: dog-biped -0.2,
    # crab-ant -0.4; all others are positive.
    summary = summarise_conflicts([FIRST, SECOND], DISTANCES)
    assert summary["opposed_share"]["seeds"] == pytest.approx([2 / 6, 2 / 6])
    opposed = {name: row["opposed_share"]["seeds"] for name, row in summary["per_robot"].items()}
    assert opposed == {
        "dog": pytest.approx([2 / 3, 1 / 3]),
        "crab": pytest.approx([1 / 3, 1 / 3]),
        "ant": pytest.approx([0.0, 1 / 3]),
        "biped": pytest.approx([1 / 3, 1 / 3]),
    }
    # Every pair counts for both of its robots.
    assert np.mean(list(opposed.values()), axis=0) == pytest.approx([2 / 6, 2 / 6])
    dog = summary["per_robot"]["dog"]
    assert dog["negative_share"]["seeds"] == pytest.approx([3 / 6, 1 / 3])
    assert dog["mean_cosine"]["seeds"] == pytest.approx([0.1 / 3, 0.1 / 3])
    assert dog["mean_cosine"]["interval"] == pytest.approx(0.0)
    assert summary["measurements"] == [2, 1]


def test_cosines_are_correlated_with_bodies_and_with_gains():
    summary = summarise_conflicts([FIRST, FIRST], DISTANCES, GAINS)
    assert summary["negative_share"]["interval"] == 0.0
    assert summary["embodiment"]["points"] == 6
    r = np.corrcoef(-DISTANCES[UPPER], FIRST.mean_cosines[UPPER])[0, 1]
    assert summary["embodiment"]["r"] == pytest.approx(r)
    counted = summary["transfer"]["by_threshold"]
    robots = {threshold: row["robots"] for threshold, row in counted.items()}
    assert robots == {"0.0": 4, "2.5": 3, "5.0": 3, "10.0": 0}
    r = np.corrcoef(FIRST.robot_cosines[:3], [9.0, -6.0, 7.0])[0, 1]
    assert counted["5.0"]["r"] == pytest.approx(r)
    assert counted["10.0"]["r"] is None


def test_measurements_that_do_not_belong_together_are_refused():
    with pytest.raises(BodyplanError, match="biped"):
        summarise_conflicts([FIRST], DISTANCES, dict.fromkeys(("dog", "crab", "ant"), 1.0))
    other = Conflicts(("a", "b", "c", "d"), FIRST.updates, FIRST.norms, FIRST.cosines)
    with pytest.raises(BodyplanError, match="different robots"):
        summarise_conflicts([FIRST, other], DISTANCES)
    alone = Conflicts(("a",), np.array([1]), np.ones((1, 1)), np.ones((1, 1, 1)))
    with pytest.raises(BodyplanError, match="two robots"):
        summarise_conflicts([alone], np.zeros((1, 1)))


def test_similarity_leaves_the_diagonal_out():
    distances = np.array([[0.0, 2.0, 3.0], [2.0, 0.0, 4.0], [3.0, 4.0, 0.0]])
    expected = [[1.0, 1.0, 0.5], [1.0, 1.0, 0.0], [0.5, 0.0, 1.0]]
    np.testing.assert_allclose(similarity(distances), expected)
    with pytest.raises(BodyplanError, match="three robots"):
        similarity(distances[:2, :2])


def test_the_figure_has_robots_in_the_order_of_the_dendrogram(tmp_path):
    near = np.array([[0.0, 3, 1, 3], [3, 0, 3, 1], [1, 3, 0, 3.5], [3, 1, 3.5, 0]])
    summary = summarise_conflicts([FIRST], near)
    assert {frozenset(summary["order"][:2]), frozenset(summary["order"][2:])} == {
        frozenset(("dog", "ant")),
        frozenset(("crab", "biped")),
    }
    draw_conflicts(summary, [FIRST], tmp_path / "figure.svg")
    drawing = (tmp_path / "figure.svg").read_text()
    places = [drawing.index(f">{name}<") for name in summary["order"]]
    assert places == sorted(places)
    assert f"r = {summary['embodiment']['r']:.2f}" in drawing
    assert f"{100 * FIRST.negative_share:.1f} % negative" in drawing


def test_the_command_reads_a_run_that_is_not_finished(tmp_path, capsys):
    config = {"robots": ("unitree_a1", "badger", "hexapod"), "data": str(tmp_path / "gone")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    line = {"update": 100, "norms": [1.0, 2.0, 3.0], "cosines": [0.5, -0.25, 0.1]}
    (tmp_path / "conflicts.jsonl").write_text(json.dumps(line) + "\n" + '{"update": 200, "no')
    assert main(["conflicts", str(tmp_path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["measurements"] == [1]
    assert answer["negative_share"]["mean"] == pytest.approx(1 / 3)
    badger = answer["per_robot"]["badger"]
    assert badger["mean_cosine"]["mean"] == pytest.approx(0.3)
    assert badger["opposed_share"]["mean"] == 0.0
    assert main(["conflicts", str(tmp_path)]) == 0
    assert "33.3 %" in capsys.readouterr().out
