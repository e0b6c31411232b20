"""Portraits: one robot as it stands, or many on one floor, to scale, each over its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from bodyplan.errors import BodyplanError
from bodyplan.rendering.lineup import CAMERA, CAPTION, LineupView, Place, line_up, stand
from bodyplan.rendering.renderer import render, render_scene
from bodyplan.rendering.scene import TILE, gather
from bodyplan.robots.robot import Robot
from bodyplan.storage import atomic_write

ONE, MANY = (640, 480), (1800, 1160)
"""Width and height in pixels of a portrait of one robot, and of many."""
FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "optimize": True},
    ".webp": {"format": "WEBP", "quality": 90, "method": 6},
    ".jpg": {"format": "JPEG", "quality": 92},
}
"""How pictures are written, by suffix."""

_INK, _GREY = (38, 46, 56), (104, 110, 116)
_NAME, _FIGURES = 0.0155, 0.0115  # sizes of type over the picture's width

RGBImage = UInt8[np.ndarray, "height width 3"]


def portray(robot: Robot, size: tuple[int, int] = ONE, renderer: str = "auto") -> RGBImage:
    """One robot in its nominal pose, its feet on the floor.

    Args:
        robot: whom to show.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn`, or `auto` for the first of them that works here.

    Raises:
        BodyplanError: `renderer` is unknown, or is `mujoco` and no graphics library works.
    """
    return render(robot, stand(robot)[None], size, renderer)[0]


def portray_all(
    robots: Sequence[Robot], size: tuple[int, int] = MANY, renderer: str = "drawn"
) -> RGBImage:
    """Robots in their nominal poses on one floor, to scale, each over its name and figures.

    Args:
        robots: whom to show, in any order.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn`, or `auto` for the first of them that works here.

    Raises:
        BodyplanError: `renderer` is unknown, or is `mujoco` and no graphics library works.
    """
    captions = [_Caption(robot, size[0]) for robot in robots]
    places, view = line_up(robots, [caption.share for caption in captions], size)
    chosen, poses = [place.robot for place in places], [place.pose for place in places]
    scene = gather(chosen, poses, CAMERA, view.look_at, view.distance)
    image = Image.fromarray(render_scene(scene, size, renderer)[0])
    pen = ImageDraw.Draw(image)
    for place in places:
        _Caption(place.robot, size[0]).write(pen, place, view)
    corner = (0.988 * size[0], size[1] - 0.012 * size[0])
    note = f"floor tiles: {TILE:g} m"
    pen.text(corner, note, _GREY, ImageFont.load_default(_FIGURES * size[0]), anchor="rs")
    return np.asarray(image)


def check_suffix(path: Path) -> None:
    """Refuse a file name that names no format.

    Raises:
        BodyplanError: the suffix is none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise BodyplanError(
            f"{path} names no picture format; let the file end in {', '.join(FORMATS)}"
        )


def save(path: Path, picture: RGBImage) -> None:
    """Write a picture in the format of the file's suffix, in place of what was there.

    Raises:
        BodyplanError: the suffix is none of `FORMATS`, or the file cannot be written.
    """
    check_suffix(path)
    with atomic_write(path) as partial:
        Image.fromarray(picture).save(partial, **FORMATS[path.suffix.lower()])


class _Caption:
    """A robot's name over its figures."""

    def __init__(self, robot: Robot, width: int) -> None:
        self.lines = (robot.name, f"{robot.num_joints} joints · {robot.mass:.3g} kg")
        self.fonts = [ImageFont.load_default(share * width) for share in (_NAME, _FIGURES)]
        lengths = [font.getlength(line) for font, line in zip(self.fonts, self.lines, strict=True)]
        self.share = max(lengths) / width

    def write(self, pen: ImageDraw.ImageDraw, place: Place, view: LineupView) -> None:
        """Put the caption below its robot."""
        column, row, _ = view.project(place.caption[None])[0]
        for line, font, colour, share in zip(
            self.lines, self.fonts, (_INK, _GREY), (0.38, 0.82), strict=True
        ):
            middle = row + share * CAPTION * view.size[0]
            pen.text((column, middle), line, colour, font, anchor="mm")
