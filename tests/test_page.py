"""The report of a run, whole and with parts missing, as a browser without a network sees it."""

import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import tyro
from synthetic import write_dataset
from synthetic_run import GROUPS, ROBOTS, write_run

from bodyplan.cli.data import BuildData
from bodyplan.cli.evaluate import Evaluate
from bodyplan.cli.train import Train
from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.combiners.cagrad import CAGrad
from bodyplan.learn.config import TrainConfig
from bodyplan.report.page import write_report
from bodyplan.report.report_text import commands, headline
from bodyplan.report.run_record import RunRecord

VOID = {"meta", "img", "br", "link", "input", "hr"}
SHAPES = {"unitree_go1": (12, 4), "anymal_c": (12, 4), "badger": (13, 4), "hexapod": (18, 6)}


class Page(HTMLParser):
    """Collects what a page would load, its text by section, and checks that tags nest."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open, self.loads, self.text, self.images = [], [], {}, []
        self.section = None
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.loads += [v for k, v in attributes if k in ("src", "href", "xlink:href", "srcset")]
        if tag == "section":
            self.section = found["id"]
        if tag == "img":
            self.images.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The path of a report with all sections."""
    folder = tmp_path_factory.mktemp("report")
    run = write_run(folder / "first-light")
    dataset = write_dataset(folder / "data", SHAPES, steps=200)
    videos = {name: b"RIFF" + name.encode() for name in ROBOTS}
    return write_report(run, dataset, videos)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The path of the report of a run that has only started."""
    run = write_run(tmp_path_factory.mktemp("bare") / "run", evaluated=False)
    (run / "metrics.jsonl").unlink()
    return write_report(run)


def test_the_page_is_one_file_that_loads_nothing(full):
    assert full.name == "report.html"
    page = Page(full)
    assert all(load.startswith(("data:", "#")) for load in page.loads)
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page.source)
    assert "http:" not in without_namespaces
    assert "https:" not in without_namespaces
    assert "<script" not in page.source
    assert "@import" not in page.source
    assert not re.search(r"url\((?!#)", page.source)
    ids = re.findall(r'\bid="([^"]+)"', page.source)
    assert len(ids) == len(set(ids))


def test_every_robot_is_in_every_section(full):
    page = Page(full)
    for name in ROBOTS:
        for section in ("returns", "walking", "training", "bodies", "data", "reproduce"):
            assert name in page.text[section], (name, section)
    assert [image["alt"].split()[0] for image in page.images] == list(ROBOTS)
    assert all(image["src"].startswith("data:image/webp;base64,UklGR") for image in page.images)


def test_the_headline_and_the_facts_have_the_numbers_of_the_evaluation(full):
    page = Page(full)
    mean = json.loads((full.parent / "evaluation.json").read_text())["mean"]
    gain = 100 * (mean["return_mean"] / mean["data_return"] - 1)
    head = page.text[None].replace("\u00a0", " ")
    assert f"four robots reaches a mean return of {mean['return_mean']:.1f}" in head
    assert f"{gain:.0f} % above the data" in head
    assert f"{100 * mean['normalised_return']:.0f} % of the experts" in head
    assert "2,500 updates in 2 min" in head
    assert "expert, 800 steps" in head
    assert f"cut into {len(GROUPS)} groups" in page.text["bodies"]


def test_the_commands_are_those_that_made_the_data_and_the_run(full):
    page = Page(full)
    lines = re.split(r"(?=bodyplan )", page.text["reproduce"].split("Configuration")[0])[1:]
    build, trained, evaluated, reported = (shlex.split(line) for line in lines)
    assert build[:3] == ["bodyplan", "data", "build"]
    data = tyro.cli(BuildData, args=build[3:])
    assert (data.out, data.robots, data.steps) == (Path("data/demo"), ROBOTS, 200)
    assert (data.recipe, data.command, data.initial_state) == ("expert", "forward", "nominal")
    config = tyro.cli(Train, args=trained[2:]).config
    assert (config.data, config.out) == (data.out, full.parent)
    assert (config.algorithm, config.combine, config.groups) == ("iql", "grouped", 2)
    assert (config.network, config.updates, config.iql.expectile) == ("small", 2500, 0.8)
    asked = tyro.cli(Evaluate, args=evaluated[2:])
    assert (asked.run_folder, asked.command) == (full.parent, "forward")
    assert (asked.trial.episodes, asked.trial.initial_state) == (16, "random")
    assert reported == ["bodyplan", "report", str(full.parent)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"conditions": {"randomise": True, "pushes": 0.002}}, "--randomise --pushes 0.002"),
        ({"replay": {"dog": "0" * 64}}, "--replay LOGS"),
        ({"source": "release"}, None),
    ],
)
def test_the_commands_build_the_data_if_they_can_be_built(full, facts, expected):
    card = {"recipe": "expert", "command": [1.0, 0.0, 0.0], "robots": {"dog": {"steps": 9}}}
    lines = commands(RunRecord.read(full.parent), card | facts)
    builds = [line for line in lines if line.startswith("bodyplan data build")]
    if expected is None:
        assert not builds
    else:
        assert expected in builds[0]


def test_a_sentence_stands_for_what_is_missing(bare):
    page = Page(bare)
    assert "not evaluated yet" in page.text[None]
    assert "not been evaluated yet" in page.text["returns"]
    assert "without videos" in page.text["walking"]
    assert "No training metrics" in page.text["training"]
    assert "dataset was not available" in page.text["data"]
    assert not page.images


def test_damaged_lines_unknown_bodies_and_odd_numbers_do_not_stop_a_report(tmp_path):
    run = write_run(tmp_path / "run", updates=50)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"update": 60, "actor/loss/hexapod": NaN}\n[1]\n{"update": 70, "actor')
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"robots": [*ROBOTS, "centaur<b>"]}))
    evaluation = json.loads((run / "evaluation.json").read_text())
    evaluation["robots"]["badger"] |= {"expert_return": None, "return_se": None}
    evaluation["mean"] |= {"expert_return": None, "normalised_return": None}
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    page = Page(write_report(run, out=tmp_path / "elsewhere" / "page.html"))
    assert "centaur<b>" in page.text["bodies"]
    assert "cannot be shown" in page.text["bodies"]
    assert "nan" not in page.text["returns"].lower()
    assert "of the experts" not in page.text[None]


def test_the_headline_of_a_worse_policy_says_below(tmp_path):
    run = write_run(tmp_path / "run", updates=50)
    evaluation = json.loads((run / "evaluation.json").read_text())
    evaluation["mean"] |= {"return_mean": 9.0, "data_return": 18.0}
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    assert "50\u00a0% below the data" in headline(RunRecord.read(run))


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(BodyplanError, match="config.json"):
        write_report(tmp_path)


def test_a_place_that_cannot_be_written_is_named_and_nothing_left(bare, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BodyplanError, match="file"):
        write_report(bare.parent, out=tmp_path / "file" / "report.html")
    assert not list(tmp_path.rglob("*.html"))


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(Path("d"), Path("r"), combine="grouped", groups=2, group_critic=True),
        TrainConfig(
            Path("d"),
            Path("r"),
            algorithm=TD3BC(alpha=0.01, q_scale="robot"),
            combine=CAGrad(c=0.4, unscaled=True),
            weights={"badger": 2.0, "hexapod": 0.5},
            tensorboard=True,
        ),
    ],
)
def test_the_commands_train_the_same_run_again(tmp_path, config):
    own = json.loads(json.dumps(config.to_json(), default=str))
    card = {"robots": {name: {"steps": 10} for name in ROBOTS}, "source": "elsewhere"}
    groups = [list(group) for group in (GROUPS if config.combine == "grouped" else [ROBOTS])]
    (tmp_path / "config.json").write_text(
        json.dumps({**own, "robots": list(ROBOTS), "groups": groups})
    )
    line = commands(RunRecord.read(tmp_path), card)[0]
    program, command, *arguments = shlex.split(line)
    assert (program, command) == ("bodyplan", "train")
    asked = tyro.cli(Train, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))
    again = asked.config.to_config()
    if config.combine != "grouped":
        config = replace(config, groups=again.groups)
    assert again.to_json() == config.to_json()
