"""Robot files of users, and hostile ones: each ends as tests/data/field/outcomes.md says."""

import os
import re
import shutil
from pathlib import Path

import pytest

from bodyplan.cli import main
from bodyplan.robots.robot import Robot

FIELD = Path(__file__).parent / "data" / "field"
ROWS = [
    [cell.strip() for cell in line.strip("| \n").split(" | ")]
    for line in (FIELD / "outcomes.md").read_text().splitlines()
    if line.startswith(("| robots/", "| hostile/"))
]
FEET = {
    "sphere_cluster": {f"{leg}_sole{i}" for leg in ("FL", "FR", "RL", "RR") for i in range(4)},
    "body_called_foot": {"FL_FOOT", "FR_FOOT", "RL_FOOT", "RR_FOOT"},
    "urdf_foot_link": {"FL_foot", "FR_foot", "RL_foot", "RR_foot"},
    "y_up": {"FL_foot", "FR_foot", "RL_foot", "RR_foot"},
}
"""The geoms of the feet of some of the robots."""


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """A copy of the files, with the place of the folder filled in, and a folder for robots."""
    home = tmp_path_factory.mktemp("field")
    shutil.copytree(FIELD, home, dirs_exist_ok=True)
    uri = home / "robots" / "file_uri.urdf"
    uri.write_text(uri.read_text().replace("@HERE@", str(uri.parent)))
    (home / "out").mkdir()
    return home


@pytest.mark.parametrize(("file", "command", "status", "says"), ROWS, ids=[row[0] for row in ROWS])
def test_a_file_ends_as_expected(field, capsys, monkeypatch, file, command, status, says):
    monkeypatch.setenv("COLUMNS", "1000")
    name = Path(file).name.partition(".")[0]
    out = ["--out", str(field / "out" / f"{name}.xml")] if command == "adapt" else []
    assert main(["robots", command, str(field / file), *out]) == int(status)
    printed = capsys.readouterr()
    text = " ".join((printed.out + printed.err).split())
    pattern = ".*".join(re.escape(piece) for piece in says.split(" ... "))
    assert re.search(pattern, text), text
    if status == "2" and command != "check":
        assert len(printed.err.splitlines()) == 1
    if name in FEET:
        robot = Robot.load(field / "out" / f"{name}.xml")
        assert {geom for foot in robot.feet for geom in foot.geoms} == FEET[name]


def test_every_file_is_in_the_table():
    files = [*FIELD.glob("robots/*.*"), *FIELD.glob("hostile/*/r.xml")]
    names = {str(path.relative_to(FIELD)) for path in files} | {
        "robots/include_missing_mesh/scene.xml"
    }
    assert {row[0] for row in ROWS} == names


def test_a_robot_that_was_turned_is_like_the_upright_one(field, tmp_path, capsys):
    robots = []
    for name in ("y_up", "faces_y", "triangle"):
        out = tmp_path / f"{name}.xml"
        assert main(["robots", "adapt", str(field / f"robots/{name}.urdf"), "--out", str(out)]) == 0
        robots.append(Robot.load(out))
    heights = [robot.drop_height for robot in robots]
    assert heights == pytest.approx([heights[-1]] * 3, rel=0.1)
    assert {robot.kind for robot in robots} == {"quadruped"}


def test_the_floor_does_not_inherit_defaults(field, tmp_path):
    out = tmp_path / "robot.xml"
    main(["robots", "adapt", str(field / "robots/conaffinity0.xml"), "--out", str(out)])
    floor = Robot.load(out).model.geom("floor")
    assert (floor.conaffinity[0], floor.condim[0], floor.margin[0]) == (1, 3, 0.0)
    assert floor.friction.tolist() == [1.0, 0.005, 0.0001]


def test_a_named_root_can_be_chosen(field, tmp_path, capsys):
    model, out = str(field / "robots/two_dogs.xml"), str(tmp_path / "robot.xml")
    assert main(["robots", "adapt", model, "--out", out, "--root", "b"]) == 2
    assert "no leg" in capsys.readouterr().err
    assert main(["robots", "adapt", model, "--out", out, "--root", "gone"]) == 2
    assert "'trunk', 'b'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "option", "joints"),
    [("wheels", "--lock-wheels", 12), ("no_collision", "--visual-collisions", 12)],
)
def test_an_option_that_a_message_names_helps(field, tmp_path, capsys, file, option, joints):
    command = ["robots", "adapt", str(field / f"robots/{file}.urdf")]
    out = tmp_path / "robot.xml"
    assert main([*command, "--out", str(out)]) == 2
    assert option in capsys.readouterr().err
    assert main([*command, "--out", str(out), option]) == 0
    assert Robot.load(out).num_joints == joints


STARFISH = (FIELD / "hostile/toml-bigint/r.xml").read_text()
DOG = "<worldbody>"
LEGS = '<replicate count="5"'
SPHERE = '<geom size="1"/>'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (DOG, '<include file="/etc/hostname"/><worldbody>', "--allow-path /etc"),
        (DOG, '<include file="pipe.xml"/><worldbody>', "no file"),
        (DOG, '<include file="link.xml"/><worldbody>', "outside"),
        (DOG, '<include file="/dev/zero"/><worldbody>', "outside"),
        (DOG, '<include file="r.xml"/><worldbody>', "twice"),
        (DOG, '<asset><mesh file="../mesh.obj"/></asset><worldbody>', "outside"),
        (DOG, '<asset><mesh file="gone.obj"/></asset><worldbody>', "missing"),
        (DOG, '<asset><model file="m.xml"/></asset><worldbody>', "<model file"),
        (DOG, '<worldbody><attach model="m" body="b" prefix="L_"/>', "to_xml()"),
        (DOG, '<size memory="100G"/><worldbody>', "memory"),
        (DOG, '<size nuser_geom="1000000000"/><worldbody>', "nuser_geom"),
        (DOG, '<custom><numeric name="a" size="1000000000"/></custom><worldbody>', "numeric"),
        (
            DOG,
            '<asset><texture builtin="flat" width="9000" height="1"/></asset><worldbody>',
            "width",
        ),
        ("</actuator>", '</actuator><sensor><user dim="100000"/></sensor>', "dim"),
        ("</actuator>", '<plugin plugin="mujoco.pid" joint="lift0"/></actuator>', "plugin"),
        (LEGS, '<geom size=".01"/>' * 3000 + LEGS, "<geom> elements"),
        (LEGS, "<body>" * 200 + "</body>" * 200 + LEGS, "nested"),
        (LEGS, f'<replicate count="900">{3 * SPHERE}</replicate>{LEGS}', "<geom> elements"),
        ('mass="2.4"', 'mass="1e999"', "finite"),
        ('mass="2.4"', 'mass="-2"', "negative"),
        ("A starfish", "A st\udce4rfish", "UTF-8"),
    ],
)
def test_a_hostile_model_is_refused(tmp_path, capsys, old, new, says):
    home = tmp_path / "robot"
    home.mkdir()
    (tmp_path / "mesh.obj").write_text("v 0 0 0")
    (tmp_path / "secret.xml").write_text("<mujoco/>")
    os.symlink(tmp_path / "secret.xml", home / "link.xml")
    os.mkfifo(home / "pipe.xml")
    assert old in STARFISH
    text = STARFISH.replace(old, new, 1).encode(errors="surrogateescape")
    (home / "r.xml").write_bytes(text)
    assert main(["robots", "adapt", str(home / "r.xml"), "--out", str(tmp_path / "o.xml")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.glob("o*"))


def test_a_folder_can_be_allowed(tmp_path, capsys):
    (tmp_path / "parts").mkdir()
    (tmp_path / "robot").mkdir()
    included = '<mujoco><custom><text name="a" data="b"/></custom></mujoco>'
    (tmp_path / "parts/part.xml").write_text(included)
    model = tmp_path / "robot" / "r.xml"
    model.write_text(STARFISH.replace(DOG, '<include file="../parts/part.xml"/><worldbody>'))
    assert main(["robots", "check", str(model)]) == 2
    assert f"--allow-path {tmp_path / 'parts'}" in " ".join(capsys.readouterr().out.split())
    assert main(["robots", "check", str(model), "--allow-path", str(tmp_path / "parts")]) == 0


def test_a_huge_file_is_not_read(tmp_path, capsys):
    with (tmp_path / "r.xml").open("wb") as file:
        file.truncate(10**9)
    assert main(["robots", "check", str(tmp_path / "r.xml")]) == 2
    assert "1,000 MB" in capsys.readouterr().out
