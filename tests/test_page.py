"""The page of a run, whole and with parts missing, as a reader without JavaScript has it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_dataset
from synthetic_run import GROUPS, ROBOTS, write_conflicts, write_run

from bodyplan.errors import BodyplanError
from bodyplan.evaluation.video import encode_webp
from bodyplan.report.headline import headline
from bodyplan.report.page import write_report

VOID = {"meta", "img", "br", "link", "input", "hr", "source", "path"}
SHAPES = {"unitree_go1": (12, 4), "anymal_c": (12, 4), "badger": (13, 4), "hexapod": (18, 6)}
SECTIONS = ("returns", "walking", "training", "conflicts", "bodies", "data", "repeat")


class Page(HTMLParser):
    """Collects what a page would load, its text by section, and checks that tags nest."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open, self.loads, self.text, self.images, self.ids = [], [], {}, [], []
        self.charts, self.labels = [], []
        self.section, self.script = None, None
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.loads += [v for k, v in attributes if k in ("src", "href", "xlink:href", "srcset")]
        self.ids += [found["id"]] if "id" in found else []
        if tag == "section":
            self.section = found["id"]
        if tag == "img":
            self.images.append(found)
        if tag == "div" and found.get("class") == "plot":
            self.labels.append(found["aria-label"])
        if tag == "script":
            self.script = found.get("type", "text/javascript")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.script = None

    def handle_data(self, data):
        if self.script == "application/json":
            self.charts.append(json.loads(data))
        elif self.script is None:
            self.text[self.section] = self.text.get(self.section, "") + data


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder for distances between bodies, which all pages of this file share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def full(tmp_path_factory, cache):
    """The path of a page with all sections."""
    folder = tmp_path_factory.mktemp("report")
    run = write_run(folder / "first-light")
    write_conflicts(run)
    dataset = write_dataset(folder / "data", SHAPES, steps=200)
    frames = np.random.default_rng(0).integers(0, 255, (3, 24, 32, 3), np.uint8)
    return write_report(run, dataset, dict.fromkeys(ROBOTS, encode_webp(frames)), cache=cache)


@pytest.fixture(scope="module")
def bare(tmp_path_factory, cache):
    """The path of the page of a run that has only started."""
    run = write_run(tmp_path_factory.mktemp("bare") / "run", evaluated=False)
    (run / "metrics.jsonl").unlink()
    return write_report(run, cache=cache)


def test_the_page_is_one_file_that_loads_nothing(full):
    assert full.name == "report.html"
    page = Page(full)
    assert all(load.startswith("data:") for load in page.loads)
    assert "@import" not in page.source
    assert "sourceMappingURL" not in page.source
    style = page.source[page.source.index("<style>") : page.source.index("</style>")]
    assert "url(" not in style
    assert len(page.ids) == len(set(page.ids))
    assert len(page.source) < 2_000_000


def test_every_robot_is_in_every_section(full):
    page = Page(full)
    for name in ROBOTS:
        for section in SECTIONS:
            assert name in page.text[section], (name, section)
    assert [image["alt"].split()[0] for image in page.images] == list(ROBOTS)
    assert all(image["src"].startswith("data:image/webp;base64,UklGR") for image in page.images)


def test_every_chart_has_words_and_numbers_instead(full):
    page = Page(full)
    assert len(page.charts) == len(page.labels) > 10
    assert all(len(label) > 20 for label in page.labels)
    assert page.source.count("<summary>Numbers</summary>") == len(page.charts)


def test_every_metric_that_was_logged_has_a_chart(full):
    text = Page(full).text["training"]
    for title in (
        *("Return in evaluations", "Falls in evaluations", "Losses of the critics", "Mean Q"),
        *("Loss of the actor", "Spread of advantage weights", "Gradient norms", "mine/oddity"),
    ):
        assert title in text


def test_headline_table_and_facts_have_the_numbers_of_the_evaluation(full):
    page = Page(full)
    evaluation = json.loads((full.parent / "evaluation.json").read_text())
    found = headline(evaluation, ROBOTS)
    assert all(sentence in page.text[None] for sentence in found.sentences)
    assert "better than its data on all of them" in found.title
    for own in evaluation["robots"].values():
        assert f"{own['return_mean']:.1f}" in page.text["returns"]
        assert f"{own['normalised_return']:.2f}" in page.text["returns"]
    assert "2,500 updates in 2 min" in page.text[None]
    assert "expert, 800 steps" in page.text[None]
    assert f"cut into {len(GROUPS)} groups" in page.text["bodies"]


def test_provenance_is_shown_as_far_as_it_is_known(full, bare, cache):
    text = Page(full).text["repeat"]
    for fact in ("0.1.0", "0123456789", "JAX 0.10.1", "MuJoCo 4.0.0", "station", "2026-11-30"):
        assert fact in text
    assert "4 min" in text  # 225 seconds of processors
    config = json.loads((bare.parent / "config.json").read_text())
    del config["provenance"]
    (bare.parent / "config.json").write_text(json.dumps(config))
    older = Page(write_report(bare.parent, out=bare.parent / "older.html", cache=cache))
    assert "MuJoCo" not in older.text["repeat"]


def test_a_sentence_stands_for_what_is_missing(bare):
    page = Page(bare)
    assert "not evaluated yet" in page.text[None]
    assert "not been evaluated yet" in page.text["returns"]
    assert "without films" in page.text["walking"]
    assert "No training metrics" in page.text["training"]
    assert "dataset was not available" in page.text["data"]
    assert "conflicts" not in page.text
    assert not page.images


def test_damaged_lines_unknown_bodies_and_odd_numbers_do_not_stop_a_page(tmp_path):
    run = write_run(tmp_path / "run", updates=50)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"update": 60, "actor/loss/hexapod": null}\n{"update": 70, "actor')
    (run / "conflicts.jsonl").write_text('{"update": 10, "cosines": [1]}\n{"upd')
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"robots": [*ROBOTS, "centaur<b>"]}))
    evaluation = json.loads((run / "evaluation.json").read_text())
    evaluation["robots"]["badger"] |= {"expert_return": None, "return_se": None}
    evaluation["mean"] |= {"expert_return": None, "normalised_return": None}
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    page = Page(write_report(run, out=tmp_path / "elsewhere" / "page.html"))
    assert "centaur<b>" in page.text[None]
    assert "cannot be shown" in page.text["bodies"]
    assert "nan" not in page.text["returns"].lower()
    assert not re.search(r"\bNone\b", page.text["returns"])


def test_an_evaluation_of_other_robots_is_not_that_of_the_run(tmp_path, cache):
    run = write_run(tmp_path / "run", updates=50)
    evaluation = json.loads((run / "evaluation.json").read_text())
    evaluation["robots"]["cassie"] = evaluation["robots"].pop("badger")
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    assert "is not evaluated yet" in Page(write_report(run, cache=cache)).text[None]


def test_older_evaluations_have_no_scores(tmp_path, cache):
    run = write_run(tmp_path / "run", updates=50)
    evaluation = json.loads((run / "evaluation.json").read_text())
    for own in evaluation["robots"].values():
        for key in ("floor_return", "fall_share", "velocity", "reference", "data_episodes"):
            del own[key]
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    page = Page(write_report(run, cache=cache))
    assert "older version" in page.text[None]
    assert "Score" not in page.text["returns"]
    assert "Falls" not in page.text["returns"]


def test_of_many_robots_the_mean_and_the_tenths_are_drawn(tmp_path):
    many = [f"robot{index}" for index in range(40)]
    run = write_run(tmp_path / "run", updates=50, robots=many, groups=[many])
    page = Page(write_report(run))
    series = {entry["name"] for chart in page.charts for entry in chart["legend"]}
    assert {"mean", "best tenth", "worst tenth"} <= series
    assert "robot7" not in series
    assert len(page.source) < 1_500_000


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(BodyplanError, match="config.json"):
        write_report(tmp_path)


def test_a_place_that_cannot_be_written_is_named_and_nothing_left(bare, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BodyplanError, match="file"):
        write_report(bare.parent, out=Path(tmp_path / "file" / "report.html"))
    assert not list(tmp_path.rglob("*.html"))
