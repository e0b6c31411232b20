"""Comparisons of runs made by hand: who is compared with whom, with which numbers, and who is not.

No run is trained. A run is a config.json and an evaluation.json.
"""

import csv
import json
import re

import numpy as np
import pytest
from rich.text import Text
from scipy.stats import sem, t, ttest_rel

import bodyplan
from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.comparison import MEAN
from bodyplan.evaluation.comparison_latex import latex_table
from bodyplan.evaluation.comparison_statistics import ArmScores, best_arms, paired_seeds
from bodyplan.learn.run import Run
from bodyplan.storage import read_json, write_json

ROBOTS = ("ant", "bee")
CONFIG = {"algorithm": "iql", "combine": "pooled", "data": "data/one", "robots": list(ROBOTS)}
QUESTION = {"command": [1.0, 0.0, 0.0], "episodes": 8, "seed": 0, "initial_state": "random"}


def write(path, returns, config=None, question=None, **scores):
    """Write a run that returned this much on each robot, with a floor of 2 and an expert at 12."""
    path.mkdir(parents=True)
    write_json(path / "config.json", {**CONFIG, "out": str(path), **(config or {})})
    robots = {
        name: {
            "return_mean": value,
            "normalised_return": (value - 2.0) / 10.0,
            "floor_return": 2.0,
            "expert_return": 12.0,
            "reference": "expert",
            "fall_share": 0.25,
            **scores,
        }
        for name, value in zip(ROBOTS, returns, strict=False)
    }
    document = {**QUESTION, **(question or {}), "robots": robots, "mean": {}}
    write_json(path / "evaluation.json", document)
    return path


@pytest.fixture
def arm(tmp_path):
    """Makes the folder of an arm's seeds from their returns."""

    def make(name, returns, first=0, config=None, question=None, **scores):
        for seed, row in enumerate(returns, first):
            settings = {**(config or {}), "seed": seed}
            write(tmp_path / name / f"seed{seed}", row, settings, question, **scores)
        return tmp_path / name

    return make


@pytest.fixture
def three(arm):
    """Three arms of three seeds, which differ in algorithm or combiner."""
    return [
        arm("pooled", [(4.0, 8.0), (5.0, 9.0), (3.0, 8.5)]),
        arm("grouped", [(9.0, 8.1), (10.1, 8.9), (8.1, 8.6)], config={"combine": "grouped"}),
        arm("bc", [(1.0, 9.0), (2.5, 8.0), (0.5, 8.7)], config={"algorithm": "bc"}),
    ]


def test_arms_are_told_apart_by_what_differs(three):
    found = bodyplan.compare(three)
    assert found.by == ("algorithm", "combine")
    assert [own.name for own in found.arms] == ["iql pooled", "iql grouped", "bc pooled"]
    assert [own.seeds for own in found.arms] == [(0, 1, 2)] * 3
    assert found.baseline == "iql pooled"
    assert [own.arm for own in found.differences] == ["iql grouped", "bc pooled"]
    assert [own.pairs for own in found.differences] == [3, 3]


def test_numbers_are_those_of_the_papers_tables_and_of_scipy(three):
    found = bodyplan.compare(three)
    pooled, grouped = (
        np.array([(4.0, 8.0), (5.0, 9.0), (3.0, 8.5)]),
        np.array([(9.0, 8.1), (10.1, 8.9), (8.1, 8.6)]),
    )
    scores = found.arms[0].scores["return"]
    assert scores["ant"].mean == pytest.approx(4.0)
    assert scores["ant"].se == pytest.approx(sem([4.0, 5.0, 3.0]))
    assert scores[MEAN].seeds == (6.0, 7.0, 5.75)
    assert scores[MEAN].se == pytest.approx(sem([6.0, 7.0, 5.75]))
    assert scores[MEAN].iqm == pytest.approx(np.sort(pooled.ravel())[1:5].mean())
    low, high = scores[MEAN].iqm_interval
    assert low < scores[MEAN].iqm < high
    against = found.differences[0]
    test = ttest_rel(grouped, pooled)
    for place, robot in enumerate(ROBOTS):
        own = against.differences[robot]
        assert own.mean == pytest.approx((grouped - pooled).mean(axis=0)[place])
        assert own.p == pytest.approx(test.pvalue[place])
    over = ttest_rel(grouped.mean(axis=1), pooled.mean(axis=1)).confidence_interval()
    assert against.differences[MEAN].interval == pytest.approx((over.low, over.high))
    assert against.differences["ant"].probability == 1.0
    assert (against.better, against.worse) == (("ant",), ())
    assert against.differences["ant"].p_holm == pytest.approx(2 * test.pvalue[0])
    assert "better than iql pooled on 1 of 2 robots (ant)" in against.sentence


def test_normalised_scores_have_the_raw_ones_beside_them(three):
    raw, found = bodyplan.compare(three), bodyplan.compare(three, score="normalised")
    for plain, own in zip(raw.arms, found.arms, strict=True):
        assert own.scores["return"] == plain.scores["return"]
        for robot in (*ROBOTS, MEAN):
            expected = (own.scores["return"][robot].mean - 2.0) / 10.0
            assert own.scores["normalised"][robot].mean == pytest.approx(expected)
    first, second = raw.differences[0].differences, found.differences[0].differences
    assert second[MEAN].mean == pytest.approx(first[MEAN].mean / 10.0)
    assert second["ant"].p == pytest.approx(first["ant"].p)


def test_seeds_are_paired_by_number_not_by_place(arm):
    one = arm("one", [(1.0, 1.0), (2.0, 2.0), (4.0, 4.0)], first=0)
    two = arm("two", [(2.5, 2.5), (4.6, 4.6)], first=1, config={"batch_size": 64})
    found = bodyplan.compare([two, one], baseline="batch_size=1024")
    (against,) = found.differences
    assert against.pairs == 2
    gains = np.array([0.5, 0.6])
    width = t.ppf(0.975, 1) * sem(gains)
    assert against.differences[MEAN].interval == pytest.approx((0.55 - width, 0.55 + width))
    assert any("seed 0 of batch_size=1024" in note for note in found.notes)


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ((0, 1, 2), (2, 1, 0), (0, 1, 2)),
        ((0, 1, 2), (1, 2, 3, 4), ()),
        ((1, 2), (0, 1, 2, 3), (1, 2)),
        ((0, 1), (2, 3), ()),
        ((0,), (0, 1), ()),
    ],
)
def test_pairs_are_all_seeds_of_an_arm_or_none(first, second, pairs):
    assert paired_seeds(first, second) == pairs


def test_one_seed_has_no_interval_and_says_so(arm):
    found = bodyplan.compare(
        [arm("one", [(1.0, 1.0)]), arm("two", [(9.0, 9.0), (8.0, 8.0)], config={"updates": 7})]
    )
    one = found.arms[0].scores["return"][MEAN]
    assert (one.mean, one.se, one.iqm, one.iqm_interval) == (1.0, None, 1.0, None)
    (against,) = found.differences
    own = against.differences[MEAN]
    assert (own.mean, own.interval, own.p, own.probability_interval) == (7.5, None, None, None)
    assert "from 2 and 1 seeds" in against.sentence
    assert any("single seed" in note for note in found.notes)
    assert not any(own.best[MEAN] for own in found.arms)


def test_settings_that_nobody_named_are_refused_within_an_arm_and_noted_between_arms(arm, three):
    other = arm("beta", [(1.0, 1.0)], first=3, config={"iql": {"beta": 1.0}, "updates": 9})
    with pytest.raises(BodyplanError, match=r"pooled.*beta.*--by algorithm,combine,updates"):
        bodyplan.compare([*three, other], by=["algorithm", "combine"])
    found = bodyplan.compare([three[0], three[1]], by=["combine"])
    assert [own.name for own in found.arms] == ["pooled", "grouped"]
    found = bodyplan.compare([three[0], other], by=["updates"])
    assert any("also differ in iql.beta" in note for note in found.notes)
    both = bodyplan.compare(three[1:], by=["algorithm"])
    assert any("also differ in combine" in note for note in both.notes)


def test_data_are_told_apart_by_content_and_named_by_folder(arm):
    cards = [{"data": f"sets/{name}", "dataset_card_sha256": name} for name in ("x", "y")]
    runs = [arm(own["data"][5:], [(1.0, 2.0), (2.0, 2.0)], config=own) for own in cards]
    moved = {"data": "elsewhere/x", "dataset_card_sha256": "x"}
    runs.append(arm("moved", [(3.0, 3.0)], first=2, config=moved))
    found = bodyplan.compare(runs, by=["data"])
    assert [(own.name, own.seeds) for own in found.arms] == [("x", (0, 1, 2)), ("y", (0, 1))]
    alike = {"data": "other/x", "dataset_card_sha256": "z"}
    found = bodyplan.compare([runs[0], arm("alike", [(3.0, 3.0)], config=alike)])
    names = [own.name for own in found.arms]
    assert len(set(names)) == 2
    assert all(name.startswith("x (") for name in names)


def test_a_policy_counts_by_the_updates_it_had(arm, tmp_path):
    at = [{"policy": f"at {count}", "updates": count} for count in (5, 9)]
    early = arm("early", [(1.0, 1.0), (2.0, 2.0)], config={"updates": 9}, question=at[0])
    short = arm("short", [(1.0, 1.0)], first=2, config={"updates": 7}, question=at[0])
    assert [own.seeds for own in bodyplan.compare([early, short]).arms] == [(0, 1, 2)]
    stopped = arm("stopped", [(1.0, 1.0)], config={"updates": 9}, question={"updates": 4})
    whole = arm("whole", [(1.0, 1.0)], first=1, config={"updates": 9}, question={"updates": 9})
    assert len(bodyplan.compare([stopped, whole]).arms) == 2
    (stopped / "seed0" / "policy").mkdir()
    write_json(stopped / "seed0" / "policy" / "card.json", {})
    (stopped / "seed0" / "policy" / "policy.safetensors").touch()
    with pytest.raises(BodyplanError, match="after 4 updates"):
        bodyplan.compare([stopped])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"episodes": 16}, "episodes"),
        ({"initial_state": "nominal"}, "initial_state"),
        ({"command": [-1.0, 0.0, 0.0]}, "command"),
        ({"conditions": {"noise": True}}, "conditions"),
        ({"policy": "best"}, "policy"),
    ],
)
def test_answers_to_different_questions_are_not_compared(arm, change, word):
    runs = [arm("one", [(1.0, 1.0)]), arm("two", [(1.0, 1.0)], first=1, question=change)]
    with pytest.raises(BodyplanError, match=f"different {word}"):
        bodyplan.compare(runs)


def test_only_common_robots_are_compared_and_that_is_said(arm, three):
    alone = arm("alone", [(5.0,), (6.0,)], config={"robots": ["ant"]})
    found = bodyplan.compare([three[0], alone])
    assert found.robots == ("ant",)
    assert [own.name for own in found.arms] == ["2 robots", "1 robot"]
    assert any("evaluated on them: bee" in note for note in found.notes)
    path = alone / "seed0" / "evaluation.json"
    document = read_json(path)
    write_json(path, document | {"robots": {"cow": document["robots"]["ant"]}})
    with pytest.raises(BodyplanError, match="no robot"):
        bodyplan.compare([three[0], alone])


def test_what_cannot_be_compared_is_refused_with_the_fix(arm, three, tmp_path):
    with pytest.raises(BodyplanError, match="seed 0"):
        bodyplan.compare([three[0], Run(three[0] / "seed0")])
    with pytest.raises(BodyplanError, match="no arm 'best'.*iql grouped"):
        bodyplan.compare(three, baseline="best")
    with pytest.raises(BodyplanError, match=r"names algorithn.*algorithm"):
        bodyplan.compare(three, by=["algorithn"])
    with pytest.raises(BodyplanError, match="names seed"):
        bodyplan.compare(three, by=["seed"])
    with pytest.raises(BodyplanError, match="give folders"):
        bodyplan.compare([])
    with pytest.raises(BodyplanError, match="nothing"):
        bodyplan.compare(tmp_path / "nothing")
    path = three[0] / "seed1" / "evaluation.json"
    for damage in ({"robots": {}}, {"robots": {"ant": {}}}, {"robots": 3}, {"command": None}):
        document = read_json(path)
        write_json(path, document | damage)
        with pytest.raises(BodyplanError, match="evaluation.json"):
            bodyplan.compare(three)
        write_json(path, document)
    path.unlink()
    with pytest.raises(BodyplanError, match=f"bodyplan evaluate {path.parent}"):
        bodyplan.compare(three)


@pytest.mark.parametrize(
    ("lack", "word"),
    [
        ({"floor_return": None}, "floor_return"),
        ({"floor_return": 3.0}, "another floor"),
        ({"expert_return": 13.0}, "another floor"),
        ({"reference": "ceiling", "ceiling_return": 12.0}, "another floor"),
    ],
)
def test_returns_that_were_not_normalised_alike_are_refused(arm, three, lack, word):
    other = arm("other", [(5.0, 5.0), (6.0, 6.0)], config={"updates": 7}, **lack)
    assert bodyplan.compare([three[0], other]).robots == ROBOTS
    with pytest.raises(BodyplanError, match=word):
        bodyplan.compare([three[0], other], score="normalised")


def test_robots_without_a_reference_are_left_out_of_normalised_returns(arm, three):
    nothing = {"normalised_return": None, "reference": None}
    runs = [arm("other", [(5.0, 5.0), (6.0, 6.0)], **nothing)]
    with pytest.raises(BodyplanError, match="no reference"):
        bodyplan.compare(runs, score="normalised")
    assert "normalised" not in bodyplan.compare(runs).arms[0].scores
    for path in three[0].rglob("evaluation.json"):
        document = read_json(path)
        document["robots"]["bee"] |= nothing
        write_json(path, document)
    found = bodyplan.compare(three[0], score="normalised")
    assert found.robots == ("ant",)
    assert any("no reference: bee" in note for note in found.notes)


def test_other_versions_and_other_starts_are_noted(arm):
    old = arm("old", [(1.0, 1.0)], config={"provenance": {"jax": "0.10", "host": "a"}})
    new = arm("new", [(1.0, 1.0)], first=1, config={"provenance": {"jax": "0.11", "host": "b"}})
    notes = " ".join(bodyplan.compare([old, new]).notes)
    assert "versions of jax: 0.10, 0.11" in notes
    assert "host" not in notes
    assert bodyplan.compare([old, new]).provenance == {"jax": ("0.10", "0.11"), "host": ("a", "b")}
    late = arm("late", [(1.0, 1.0)], first=2, question={"seed": 4})
    assert any("different states" in note for note in bodyplan.compare([old, late]).notes)


def test_the_best_is_marked_with_what_cannot_be_told_from_it():
    rng, robots = np.random.default_rng(0), ("clear", "close", "equal")
    levels = {"a": (9.0, 5.0, 5.0), "b": (1.0, 5.1, 5.0), "c": (2.0, 1.0, 5.0)}
    arms = [
        ArmScores(name, tuple(range(6)), rng.normal(level, 0.3, (6, 3)))
        for name, level in levels.items()
    ]
    arms[1].scores[:, 2] = arms[2].scores[:, 2] = arms[0].scores[:, 2]
    marks = best_arms(arms, robots)
    assert [own["clear"] for own in marks] == [True, False, False]
    assert [own["close"] for own in marks] == [True, True, False]
    assert [own["equal"] for own in marks] == [False, False, False]


def test_every_form_has_the_same_numbers(three, tmp_path):
    found = bodyplan.compare(three)
    arguments = ["compare", *map(str, three), "--by", "algorithm,combine"]
    arguments += ["--csv", str(tmp_path / "t.csv"), "--latex", str(tmp_path / "t.tex")]
    assert main(arguments) == 0
    with (tmp_path / "t.csv").open() as file:
        rows = {(row["arm"], row["robot"]): row for row in csv.DictReader(file)}
    assert len(rows) == 9
    for own in found.arms:
        for robot, scores in own.scores["return"].items():
            row = rows[own.name, robot]
            assert (row["algorithm"], row["combine"]) == tuple(own.name.split())
            assert float(row["return_mean"]) == scores.mean
            assert float(row["return_iqm_high"]) == scores.iqm_interval[1]
            assert [float(value) for value in row["return_of_seeds"].split()] == list(scores.seeds)
    against = found.differences[0].differences["ant"]
    row = rows["iql grouped", "ant"]
    assert float(row["difference_low"]) == against.interval[0]
    assert float(row["probability"]) == against.probability
    assert rows["iql pooled", "ant"]["difference"] == ""
    frame = found.to_dataframe()
    assert (
        frame.loc[("bc pooled", MEAN), "return_mean"] == found.arms[2].scores["return"][MEAN].mean
    )
    table = (tmp_path / "t.tex").read_text()
    assert table == latex_table(found)
    ant = next(line for line in table.splitlines() if line.startswith("ant"))
    assert ant == r"ant & $4.00 \pm 0.58$ & $\mathbf{9.07 \pm 0.58}$ & $1.33 \pm 0.60$ \\"
    assert table.count(" & ") == 3 * 5
    assert "Comparison(" in repr(found)
    assert "4" in found._repr_html_()


def test_names_are_escaped_in_latex(arm):
    runs = [arm("a", [(1.0, 1.0)], config={"data": "d/x_1 & 50%", "dataset_card_sha256": "f"})]
    table = latex_table(bodyplan.compare(runs, by=["data"]))
    assert r"& x\_1 \& 50\% \\" in table


def test_the_command_answers_in_json(three, capsys):
    arguments = ["compare", *map(str, three), "--json", "--baseline", "bc pooled"]
    assert main([*arguments, "--score", "normalised"]) == 0
    answer = json.loads(capsys.readouterr().out)
    expected = bodyplan.compare(three, baseline="bc pooled", score="normalised").to_json()
    assert answer == json.loads(json.dumps(expected))
    assert answer["arms"][0]["facts"]["ant"]["fall_share"] == 0.25
    assert len(answer["sentences"]) == 2
    assert main(["compare", *arguments[1:], "--by", "seed"]) == 2


def test_the_table_fits_80_columns(three, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    assert main(["compare", *map(str, three), "--score", "normalised"]) == 0
    text = capsys.readouterr().out
    lines = [Text.from_ansi(line).plain.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    ant = next(line for line in lines if line.startswith("ant"))
    assert re.split("  +", ant)[1:] == ["0.20 ± 0.06", "0.71 ± 0.06", "-0.07 ± 0.06"]
