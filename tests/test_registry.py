"""The registry: robots that other packages offer, and names that a card records."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.robots import registry
from bodyplan.robots.registry import MODELS, list_robots, packaged_robots
from bodyplan.robots.robot import Robot

STARFISH = Path(__file__).parents[1].resolve() / "examples" / "starfish" / "starfish.xml"
MODULE = """
from pathlib import Path

newt = Path(__file__).parent / "newt.xml"

def crab():
    return str(Path(__file__).parent / "crab.xml")

def broken():
    raise RuntimeError("no licence")

number = 3
gone = Path(__file__).parent / "gone.xml"
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution `zoo` that offers robots: its entry points, by name."""

    def write(**offers):
        package = tmp_path / "zoo_robots"
        package.mkdir()
        (package / "__init__.py").write_text(MODULE)
        for name in ("newt", "crab"):
            for suffix in (".xml", ".toml"):
                shutil.copy(MODELS / f"bittle{suffix}", package / f"{name}{suffix}")
        info = tmp_path / "zoo-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in offers.items()]
        (info / "entry_points.txt").write_text("\n".join(["[bodyplan.robots]", *lines, ""]))
        monkeypatch.syspath_prepend(tmp_path)

    yield write
    sys.modules.pop("zoo_robots", None)


def test_an_offered_robot_is_loaded_by_name(install):
    install(newt="zoo_robots:newt", crab="zoo_robots:crab")
    assert {"newt", "crab", *packaged_robots()} == set(list_robots())
    for name in ("newt", "crab"):  # a path, and a function that returns one
        robot = Robot.load(name)
        assert (robot.name, robot.num_joints) == (name, 8)


def test_without_offers_there_are_the_packaged_robots(install):
    install()
    assert list_robots() == packaged_robots()


def test_an_offered_robot_is_listed_and_checked(install, capsys):
    install(newt="zoo_robots:newt")
    assert main(["robots", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["newt"]["joints"] == rows["bittle"]["joints"]
    assert main(["robots", "check", "newt"]) == 0


def test_no_package_takes_a_packaged_robots_name(install):
    install(bittle="zoo_robots:newt")
    assert registry.find_model("bittle") == MODELS / "bittle.xml"
    assert list_robots() == packaged_robots()


BROKEN = {
    "zoo_robots:broken": "no licence",
    "zoo_robots:number": "TypeError",
    "zoo_robots:nothing": "AttributeError",
    "no_such_module:robot": "ModuleNotFoundError",
    "zoo_robots:gone": "gone.xml",
}


@pytest.mark.parametrize("value", BROKEN)
def test_a_broken_offer_is_named(install, value):
    install(eel=value)
    with pytest.raises(BodyplanError, match=BROKEN[value]) as refused:
        Robot.load("eel")
    for word in ("'eel'", "zoo", value):
        assert word in str(refused.value)


def test_a_broken_offer_does_not_hide_the_others(install, capsys):
    install(eel="zoo_robots:broken", newt="zoo_robots:newt")
    assert main(["robots", "list", "--json"]) == 0
    printed = capsys.readouterr()
    names = [row["name"] for row in json.loads(printed.out)]
    assert names == sorted({*packaged_robots(), "newt"})
    assert "'eel'" in printed.err
    assert printed.err.count("\n") == 1


def test_a_name_that_is_nearly_right_is_proposed():
    with pytest.raises(BodyplanError, match="'hexapod'"):
        Robot.load("hexapode")


def test_names_in_a_card_lead_to_the_users_own_robots():
    models = {"starfish": str(STARFISH), "hexapod": str(STARFISH)}
    assert Robot.load("starfish", models).num_joints == 15
    assert Robot.load("hexapod", models).num_joints == 18  # known names keep their meaning
    with pytest.raises(BodyplanError, match="starfish"):
        Robot.load("starfish")  # nothing is remembered
    sources = {"starfish": "starfish", "hexapod": "hexapod"}
    assert registry.model_paths(sources, models) == {"starfish": str(STARFISH)}


def test_paths_in_a_card_are_from_its_folder_and_older_ones_as_they_are(tmp_path):
    models = {"newt": str(tmp_path / "robots" / "newt.xml")}
    folder = tmp_path / "runs" / "one"
    assert registry.recorded_models(models, folder) == {"newt": "../../robots/newt.xml"}
    card = {"models": {"newt": "../../robots/newt.xml", "eel": "/robots/eel.xml"}}
    assert registry.models_of(card, folder) == models | {"eel": "/robots/eel.xml"}
    assert registry.models_of({}, folder) == {}


def test_paths_lead_where_the_folder_really_is(tmp_path):
    (tmp_path / "far" / "away" / "run").mkdir(parents=True)
    link = tmp_path / "run"
    link.symlink_to(tmp_path / "far" / "away" / "run")
    record = registry.recorded_models({"newt": str(tmp_path / "newt.xml")}, link)
    assert record == {"newt": "../../../newt.xml"}
    assert registry.models_of({"models": record}, link) == {"newt": str(tmp_path / "newt.xml")}
