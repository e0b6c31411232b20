"""Images of robots in their nominal pose: one robot, or a lineup of many; and image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bodyplan.errors import BodyplanError
from bodyplan.rendering.camera import RGBImage
from bodyplan.rendering.lineup import (
    CAPTION_HEIGHT,
    LINEUP_CAMERA,
    LineupView,
    PlacedRobot,
    arrange_lineup,
    standing_pose,
)
from bodyplan.rendering.picture_mark import mark_exif
from bodyplan.rendering.renderer import render_poses, render_scene
from bodyplan.rendering.scene import TILE, lineup_scene
from bodyplan.robots.robot import Robot
from bodyplan.storage import atomic_write

ROBOT_IMAGE_SIZE, LINEUP_SIZE = (640, 480), (1800, 1160)
"""Default width and height in pixels of an image of one robot, and of a lineup."""
IMAGE_FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "optimize": True},
    ".webp": {"format": "WEBP", "quality": 90, "method": 6},
    ".jpg": {"format": "JPEG", "quality": 92},
}
"""Pillow's settings for each suffix of an image file."""

_BLACK, _GREY = (38, 46, 56), (104, 110, 116)
_NAME_SIZE, _DETAILS_SIZE = 0.0155, 0.0115  # font sizes over the width of the image


def render_robot(
    robot: Robot, size: tuple[int, int] = ROBOT_IMAGE_SIZE, renderer: str = "auto"
) -> RGBImage:
    """An image of one robot in its nominal pose, its feet on the floor.

    Args:
        robot: the robot to show.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn` (ray casting), or `auto` for the first that works here.

    Raises:
        BodyplanError: `renderer` is unknown, or it is `mujoco` and no graphics library works.
    """
    return render_poses(robot, standing_pose(robot)[None], size, renderer)[0]


def render_lineup(
    robots: Sequence[Robot], size: tuple[int, int] = LINEUP_SIZE, renderer: str = "drawn"
) -> RGBImage:
    """An image of many robots in their nominal poses on one floor, to scale, with captions.

    Args:
        robots: the robots to show, in any order.
        size: width and height in pixels.
        renderer: `mujoco`, `drawn` (ray casting), or `auto` for the first that works here.

    Raises:
        BodyplanError: `renderer` is unknown, or it is `mujoco` and no graphics library works.
    """
    captions = [_Caption(robot, size[0]) for robot in robots]
    placed, view = arrange_lineup(robots, [caption.relative_width for caption in captions], size)
    ordered, poses = [each.robot for each in placed], [each.pose for each in placed]
    scene = lineup_scene(ordered, poses, LINEUP_CAMERA, view.look_at, view.distance)
    image = Image.fromarray(render_scene(scene, size, renderer)[0])
    draw = ImageDraw.Draw(image)
    for each in placed:
        _Caption(each.robot, size[0]).draw(draw, each, view)
    corner = (0.988 * size[0], size[1] - 0.012 * size[0])
    font = ImageFont.load_default(max(1.0, _DETAILS_SIZE * size[0]))
    draw.text(corner, f"floor tiles: {TILE:g} m", _GREY, font, anchor="rs")
    return np.asarray(image)


def check_image_suffix(path: str | Path) -> None:
    """Check that the suffix of a file name is one of `IMAGE_FORMATS`.

    Raises:
        BodyplanError: it is not.
    """
    if Path(path).suffix.lower() not in IMAGE_FORMATS:
        raise BodyplanError(
            f"{path} names no image format; give a file name that ends in "
            f"{', '.join(IMAGE_FORMATS)}"
        )


def save_image(path: str | Path, image: RGBImage) -> None:
    """Write an image in the format of the file's suffix; an existing file is replaced.

    Raises:
        BodyplanError: the suffix is not one of `IMAGE_FORMATS`, or the file cannot be written.
    """
    check_image_suffix(path)
    path = Path(path)
    with atomic_write(path) as partial:
        settings = IMAGE_FORMATS[path.suffix.lower()]
        Image.fromarray(image).save(partial, exif=mark_exif(), **settings)


class _Caption:
    """A robot's name above its number of joints and its mass."""

    def __init__(self, robot: Robot, image_width: int) -> None:
        self.lines = (robot.name, f"{robot.num_joints} joints · {robot.mass:.3g} kg")
        sizes = (max(1.0, size * image_width) for size in (_NAME_SIZE, _DETAILS_SIZE))
        self.fonts = [ImageFont.load_default(size) for size in sizes]
        widths = [font.getlength(line) for font, line in zip(self.fonts, self.lines, strict=True)]
        self.relative_width = max(widths) / image_width

    def draw(self, draw: ImageDraw.ImageDraw, placed: PlacedRobot, view: LineupView) -> None:
        """Draw the caption below its robot."""
        column, row, _ = view.project(placed.caption[None])[0]
        for line, font, colour, share in zip(
            self.lines, self.fonts, (_BLACK, _GREY), (0.38, 0.82), strict=True
        ):
            middle = row + share * CAPTION_HEIGHT * view.size[0]
            draw.text((column, middle), line, colour, font, anchor="mm")
