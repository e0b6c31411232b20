"""Figures and tables of the paper, made of runs whose results are known beforehand."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bodyplan.experiments.paper_catalogue import CATALOGUE
from bodyplan.experiments.products.product import Workspace
from bodyplan.experiments.reproduction_plan import plan_product
from bodyplan.experiments.scales import SCALES
from bodyplan.learn.conflicts import Conflicts
from bodyplan.report.data_table import DataTable
from bodyplan.report.html_page import TableColumn
from bodyplan.report.reproduction_page import PageHead, write_reproduction
from bodyplan.storage import write_json

SMOKE = SCALES["smoke"]
GAINS = {"unitree_a1": 9.0, "unitree_h1": -12.0, "hexapod": 2.0}
"""Together minus alone, in every seed but for a tenth."""
LEVEL = 40.0
MILLISECONDS = {"IQL": 10.0, "IQL+EG": 15.0}
NOWHERE = Workspace(SMOKE, Path("nowhere"))
NEEDS_RUNS = {type(own): name for name, own in CATALOGUE.items() if own.runs(NOWHERE)}.values()
"""One of each kind."""


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    """A workspace in which all runs are finished."""
    at = Workspace(SMOKE, tmp_path_factory.mktemp("smoke"))
    for name in {name for own in CATALOGUE.values() for name in own.datasets}:
        write_json(at.data(name) / "card.json", {"name": name})
    for product in CATALOGUE.values():
        for planned in product.runs(at):
            if not planned.run.path.exists():
                finish(planned)
    return at


def finish(planned):
    """Write what a run leaves, with a return that its name decides."""
    run, config = planned.run, planned.run.config
    robots = config.robots or SMOKE.robots
    settings = {**config.to_json(), "robots": list(robots), "groups": [list(robots)]}
    write_json(run.path / "config.json", settings)
    scores = {robot: {"return_mean": level(run, robot), "data_return": 20.0} for robot in robots}
    question = {"command": [1.0, 0.0, 0.0], "episodes": SMOKE.episodes}
    write_json(run.path / "evaluation.json", question | {"robots": scores})
    speed = 1000.0 / MILLISECONDS.get(run.name, 20.0)
    lines = [
        {"update": update, "updates_per_s": speed, "evaluation": scores}
        for update in range(100, config.updates + 1, 100)
    ]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if config.conflicts_every:
        conflicts = measured(robots, planned.dataset).lines()
        text = "".join(json.dumps(line) + "\n" for line in conflicts)
        (run.path / "conflicts.jsonl").write_text(text)


def level(run, robot):
    """A run's return for a robot."""
    wobble = 0.1 * run.config.seed
    match run.name.split(" alone, "):
        case [_, _]:
            return LEVEL - GAINS[robot]
    groups = 3.0 * (run.config.combine == "grouped" and run.config.groups == 3)
    fresh = 5.0 * ("scratch" in run.name)
    return LEVEL + groups - fresh + wobble


def measured(robots, dataset):
    """Cosines whose means over pairs are in line with gains; on worse data one of two is less."""
    count = len(robots)
    cosines = np.ones((2, count, count))
    for a in range(count):
        for b in range(count):
            if a != b:
                cosines[:, a, b] = (GAINS[robots[a]] + GAINS[robots[b]]) / 100.0
    if dataset.startswith("expert"):
        cosines = np.abs(cosines)
    return Conflicts(tuple(robots), np.array([100, 200]), np.ones((2, count)), cosines)


def found(name, at):
    return CATALOGUE[name].found(at)


@pytest.mark.parametrize("name", NEEDS_RUNS)
def test_finished_runs_become_a_page_with_its_numbers_beside_it(name, at, tmp_path):
    own = found(name, at)
    page = write_reproduction(
        PageHead(name, "T", "Q?", facts={"Scale": "smoke", "Robots": "x"}), own, tmp_path / "p.html"
    )
    text = page.read_text()
    assert all(part.title in text for part in own.sections)
    rows = list(csv.DictReader(page.with_suffix(".csv").read_text().splitlines()))
    assert len(rows) == len(own.table.rows) > 0
    assert page.with_suffix(".tex").read_text().count(r"\\") > 1
    assert page.with_suffix(".svg").exists() == name.startswith("figure") or own.draw is not None


def test_gains_are_of_pairs_of_seeds(at):
    rows = {row["robot"]: row for row in found("table2", at).table.rows}
    for robot, gain in GAINS.items():
        assert rows[robot]["gain"] == pytest.approx(gain + 0.05)  # half of a tenth
    verdict = found("table2", at).sentences[0]
    assert "better for certain for: unitree_a1, hexapod; worse for: unitree_h1" in verdict
    assert rows["unitree_h1"]["paper_alone"] == 54.47


def test_gains_and_cosines_in_line_correlate_wholly(at):
    own = found("figure4", at)
    by_threshold = {row["threshold"]: row for row in own.sections[1].table.rows}
    assert by_threshold["0"]["r"] == pytest.approx(1.0)
    assert by_threshold["5"]["r"] is None  # of two robots
    assert "too few" in own.sentences[0]


def test_conflicts_are_counted_and_compared_with_the_first_condition(at):
    rows = found("figure2", at).table.rows
    assert [row["share"] for row in rows] == pytest.approx([0.0, 200.0 / 3, 200.0 / 3])
    assert [row["paper"] for row in rows] == pytest.approx([15.9, 26.8, 32.3])
    assert rows[-1]["change"] == pytest.approx(200.0 / 3)
    fewer, all_robots = found("figure3", at).table.rows
    assert (fewer["share"], all_robots["first"]) == pytest.approx((0.0, 50.0))


def test_the_best_number_of_groups_is_named(at):
    rows = found("figure10", at).table.rows
    assert [row["count"] for row in rows] == [1, 2, 3]
    assert [row["difference"] for row in rows] == [None, pytest.approx(0.0), pytest.approx(3.0)]
    assert "with 3 groups" in found("figure10", at).sentences[0]


def test_costs_are_ratios_to_the_baseline(at):
    rows = {row["arm"]: row for row in found("table9", at).table.rows}
    assert (rows["IQL"]["ratio"], rows["IQL+EG"]["ratio"]) == pytest.approx((1.0, 1.5))
    assert rows["IQL"]["hours"] == pytest.approx(0.010 * SMOKE.training["updates"] / 3600.0)


def test_a_left_out_robot_has_as_many_updates_in_both_ways(at):
    runs = CATALOGUE["figure1"].runs(at)
    by_path = {str(own.run.path): own for own in runs}
    late = [own for own in runs if own.stage]
    assert late
    for own in late:
        before = by_path[str(own.run.config.init_from)]
        (robot,) = own.run.config.robots
        assert before.stage == 0
        assert robot not in before.run.config.robots
        assert before.run.config.seed == own.run.config.seed
        fresh = replace(own.run.config, init_from=None, out=before.run.config.out)
        assert any(
            replace(other.run.config, out=fresh.out) == fresh for other in runs if not other.stage
        )
    assert {row["head start"] for row in found("figure1", at).table.rows} == {5.0}


@pytest.mark.parametrize(
    ("figure", "table"),
    [("figure4", "table2"), ("figure6", "table3"), ("table9", "table3"), ("figure5", "table3")],
)
def test_figures_share_the_runs_of_tables(figure, table, at):
    def folders(name):
        return {own.run.path for own in CATALOGUE[name].runs(at)}

    assert folders(figure) <= folders(table)


@pytest.mark.parametrize("name", NEEDS_RUNS)
def test_a_plan_needs_no_data(name, at, tmp_path):
    plan = plan_product(CATALOGUE[name], SMOKE, tmp_path)
    finished = plan_product(CATALOGUE[name], SMOKE, at.out)
    assert [own.runs for own in plan] == [own.runs for own in finished]
    assert {(own.finished, own.hours) for own in plan} == {(0, None)}


def test_a_table_is_the_same_in_csv_and_latex():
    columns = (
        TableColumn("name", "what"),
        TableColumn("share", "share", "%", digits=1, error="half"),
        TableColumn("p", "p"),
    )
    rows = ({"name": "a_b", "share": 2.25, "half": 0.5, "p": None, "more": 1},)
    table = DataTable(columns, rows)
    assert table.csv() == "name,share,half,p\na_b,2.25,0.5,\n"
    lines = table.latex().splitlines()
    assert lines[2] == r"what & share (\%) & p \\"
    assert lines[4] == r"a\_b & $2.2 \pm 0.5$ & -- \\"


def test_settings_are_those_of_the_code_and_held_against_the_papers(tmp_path):
    rows = {}
    for scale in ("paper", "smoke"):
        own = found("table7", Workspace(SCALES[scale], tmp_path))
        rows[scale] = {(row["of"], row["setting"]): row for row in own.table.rows}
    assert rows["paper"]["IQL", "expectile"]["here"] == "0.7"
    assert {row["agrees"] for row in rows["paper"].values()} == {"yes", ""}
    assert rows["smoke"]["Training", "updates"]["agrees"] == "no"


@pytest.mark.parametrize("name", ["table6", "table8", "table11", "table12"])
def test_every_setting_that_the_paper_tells_is_in_its_table(name, tmp_path):
    from bodyplan.experiments.paper_numbers import reported_settings

    own = found(name, Workspace(SCALES["paper"], tmp_path))
    told = [row for row in own.table.rows if row["agrees"]]
    assert len(told) == len(reported_settings(name))
    assert all(row["meaning"] for row in own.table.rows)


def test_groups_are_those_that_are_known_of_the_paper(tmp_path):
    own = found("figure11", Workspace(SMOKE, tmp_path))
    assert "they are so here" in own.sentences[0]
    assert "the same order" in own.sentences[1]
    assert {row["2"] for row in own.table.rows} == {0, 1}
