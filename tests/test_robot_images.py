"""Robot images: the command and the library write them whole, with names."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from bodyplan.cli import main
from bodyplan.errors import BodyplanError
from bodyplan.rendering.robot_images import save_image
from bodyplan.robots.registry import list_robots


def is_robot(image):
    """Where robots are: floor and shadows have no colour."""
    return np.ptp(image.astype(int), axis=2) > 25


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
def test_the_command_writes_an_image(capsys, tmp_path, suffix):
    path = tmp_path / "album" / f"bittle.{suffix}"
    assert main(["robots", "draw", "bittle", "--out", str(path), "--size", "160", "120"]) == 0
    assert str(path) in "".join(capsys.readouterr().out.split("\n"))
    with Image.open(path) as image:
        assert image.size == (160, 120)
        assert is_robot(np.asarray(image.convert("RGB"))).mean() > 0.1


def test_several_robots_are_one_image_with_names(capsys, tmp_path):
    path = tmp_path / "pair.png"
    command = [
        "robots",
        "draw",
        "nao_v5",
        "unitree_go1",
        "--out",
        str(path),
        "--size",
        "300",
        "200",
    ]
    assert main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"picture": str(path), "size": [300, 200], "robots": ["nao_v5", "unitree_go1"]}
    with Image.open(path) as image:
        dark = np.asarray(image.convert("RGB")).max(axis=2) < 110
    assert dark[100:].sum() > 40


def test_all_is_every_robot(capsys, tmp_path):
    path = tmp_path / "all.webp"
    command = ["robots", "draw", "--all", "--out", str(path), "--size", "300", "200", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["robots"] == list(list_robots())
    assert path.is_file()


def test_wrong_use_is_error_in_one_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = {
        ("bittle", "--out", "b.gif"): ".png, .webp, .jpg",
        ("bittle", "--out", "b"): ".png, .webp, .jpg",
        ("unitree_go7",): "unitree_go7",
        ("bittle", "--all"): "not both",
        (): "--all",
        ("bittle", "--size", "0", "120"): "--size is 0",
        ("bittle", "--size", "160", "90000"): "--size 160 90000",
    }
    for arguments, words in wrong.items():
        assert main(["robots", "draw", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert words in error
    assert not list(tmp_path.iterdir())


def test_an_image_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path, grey = tmp_path / "bittle.png", np.full((8, 8, 3), 128, np.uint8)
    save_image(path, np.zeros((8, 8, 3), np.uint8))
    save_image(path, grey)
    before = path.read_bytes()

    def breaks_off(image, file, **settings):
        file.write_bytes(b"half")
        raise PermissionError(13, "no")

    monkeypatch.setattr(Image.Image, "save", breaks_off)
    with pytest.raises(BodyplanError, match="writ"):
        save_image(path, grey // 2)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["bittle.png"]


def test_other_commands_do_not_wait_for_the_drawing():
    program = "import sys, bodyplan.cli.robots; print({'PIL', 'scipy.ndimage'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "set()", ran.stderr
