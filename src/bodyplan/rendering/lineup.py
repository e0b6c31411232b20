"""Where robots stand in a lineup: in rows by height, to scale, none hidden.

The tallest robots stand at the back and in the middle of their row. Each row stands as near to the
one behind it as possible without hiding a robot or a caption from the camera. The camera comes as
near as possible. Rows and camera depend on each other, so a few alternating rounds settle both.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.rendering.camera import Camera
from bodyplan.rendering.visual_geoms import robot_extent
from bodyplan.robots.robot import Robot

LINEUP_CAMERA = Camera(azimuth=90.0, elevation=-25.0, field_of_view=20.0)
"""It looks along y; x is to the right."""
CAPTION_HEIGHT = 0.042
"""Of the caption under a robot, over the width of the image."""

_CLEARANCE = 0.005  # free space above captions and robots, over the width of the image
_TALL_YAW, _LONG_YAW = -0.95, -0.62  # rad: rotation towards the camera, by build
_GAPS = (0.1, 0.7)  # m between robots: the least, and the most that a full row may need
_ROW_SHRINKAGE = 0.85  # room in a row over that in the row behind it
_FULL = 0.94  # share of the image's width that a row may fill
_MARGIN = 1.04
_ROUNDS, _BISECTIONS = 5, 14


class LineupView(NamedTuple):
    """Position of `LINEUP_CAMERA`, and the size of its image."""

    look_at: Float[np.ndarray, "3"]
    """The point in the middle of the image, m."""
    distance: float
    """From the camera to that point, m."""
    size: tuple[int, int]
    """Width and height of the image in pixels."""

    def project(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Column, row (pixels) and depth (m) of points."""
        return LINEUP_CAMERA.project(points, self.look_at, self.distance, self.size)

    def scale(self, y: float) -> float:
        """Pixels per metre along x, on the floor at y."""
        depth = self.project(np.array([[0.0, y, 0.0]]))[0, 2]
        return LINEUP_CAMERA.focal_length(self.size[1]) / float(depth)


class CentredRobot(NamedTuple):
    """A robot that faces the camera, its middle above the origin of the floor."""

    robot: Robot
    pose: Float[np.ndarray, "_"]
    """Positions of all its joints, the free joint first."""
    corners: Float[np.ndarray, "n 3"]
    """Of boxes around its geoms, m."""
    caption_width: float
    """Over the width of the image."""


class PlacedRobot(NamedTuple):
    """A robot in its place in the lineup."""

    robot: Robot
    pose: Float[np.ndarray, "_"]
    """Positions of all its joints, the free joint first."""
    corners: Float[np.ndarray, "n 3"]
    """Of boxes around its geoms, m."""
    caption: Float[np.ndarray, "3"]
    """Middle of its caption's upper edge, a point of the floor, m."""
    caption_width: float
    """Over the width of the image."""


def standing_pose(robot: Robot, yaw: float = 0.0) -> Float[np.ndarray, "_"]:
    """The nominal pose above the origin, rotated by `yaw` (rad), the lowest foot on the floor."""
    pose = robot.nominal_qpos.copy()
    pose[2] -= robot_extent(robot).lowest_foot
    pose[3:7] = (np.cos(yaw / 2.0), 0.0, 0.0, np.sin(yaw / 2.0))
    return pose


def arrange_lineup(
    robots: Sequence[Robot], caption_widths: Sequence[float], size: tuple[int, int]
) -> tuple[list[PlacedRobot], LineupView]:
    """Places of all robots, and the position of the camera.

    Args:
        robots: in any order.
        caption_widths: of the text under each robot, over the width of the image.
        size: width and height of the image in pixels.
    """
    centred = [_centred(robot, width) for robot, width in zip(robots, caption_widths, strict=True)]
    centred.sort(key=lambda robot: -robot.corners[:, 2].max())
    best = _arranged(centred, 1, size)
    for rows in range(2, len(centred) + 1):
        other = _arranged(centred, rows, size)
        if other[1].distance > best[1].distance:
            break
        best = other
    return best


def _centred(robot: Robot, caption_width: float) -> CentredRobot:
    extent = robot_extent(robot)
    is_tall = extent.height > 1.3 * np.ptp(extent.corners[:, 0])
    yaw = _TALL_YAW if is_tall else _LONG_YAW
    cosine, sine = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    corners = (extent.corners - [0.0, 0.0, extent.lowest_foot]) @ rotation.T
    middle = (corners.min(axis=0) + corners.max(axis=0))[:2] / 2.0
    pose = standing_pose(robot, yaw)
    pose[:2] -= middle
    return CentredRobot(robot, pose, corners - [*middle, 0.0], caption_width)


def _arranged(
    robots: list[CentredRobot], rows: int, size: tuple[int, int]
) -> tuple[list[PlacedRobot], LineupView]:
    """Places in so many rows, and the nearest camera that shows them."""
    total = sum(float(np.ptp(robot.corners[:, 0])) for robot in robots)
    guess = max(total / rows, float(robots[0].corners[:, 2].max()))
    slope = np.tan(np.radians(LINEUP_CAMERA.field_of_view) / 2.0)
    view = LineupView(np.zeros(3), guess / slope, size)
    for _ in range(_ROUNDS):
        view = _framed(_placed(_split_rows(robots, rows, view), view, full=0.0), view)
    return _placed(_split_rows(robots, rows, view), view, full=_FULL), view


def _split_rows(
    robots: list[CentredRobot], count: int, view: LineupView
) -> list[list[CentredRobot]]:
    """At most `count` rows, equally full."""
    image_width = view.size[0] / view.scale(0.0)
    widths = [_width(robot, image_width) + _GAPS[0] for robot in robots]

    def fill(room: float) -> list[list[CentredRobot]]:
        rows: list[list[CentredRobot]] = []
        used = np.inf
        for robot, width in zip(robots, widths, strict=True):
            if used + width > room * _ROW_SHRINKAGE ** (len(rows) - 1):
                rows.append([])
                used = 0.0
            rows[-1].append(robot)
            used += width
        return rows

    low, high = 0.0, sum(widths) / _ROW_SHRINKAGE**count
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if len(fill(middle)) > count else (low, middle)
    return fill(high)


def _placed(rows: list[list[CentredRobot]], view: LineupView, full: float) -> list[PlacedRobot]:
    """Places row by row from the back, each row as near to the others as `view` allows.

    The robots of a row are spaced so that they fill the share `full` of the image's width.
    """
    placed: list[PlacedRobot] = []
    taken = np.empty((0, 4))
    for row in rows:
        robots = row[1::2][::-1] + row[::2]
        behind = placed[-1].caption[1] if placed else 0.0
        # At `far` the row would hide others, at `near` it does not.
        far, near = behind, behind - 3.0 * (1.0 + float(row[0].corners[:, 2].max()))
        for _ in range(_BISECTIONS if placed else 0):
            middle = (far + near) / 2.0
            free = not _overlap(_image_boxes(_row(robots, middle, view, full), view), taken)
            far, near = (far, middle) if free else (middle, near)
        added = _row(robots, near if placed else 0.0, view, full)
        placed += added
        taken = np.concatenate([taken, _image_boxes(added, view)])
    return placed


def _row(
    robots: list[CentredRobot], front: float, view: LineupView, full: float
) -> list[PlacedRobot]:
    """Robots side by side whose nearest parts are at y = `front`."""
    scale = view.scale(front)
    image_width = view.size[0] / scale
    widths = np.array([_width(robot, image_width) for robot in robots])
    spare = (full * image_width - widths.sum()) / len(robots)
    widths += np.clip(spare, *_GAPS)
    placed = []
    for robot, x in zip(robots, np.cumsum(widths) - (widths + widths.sum()) / 2.0, strict=True):
        offset = np.array([x, front - robot.corners[:, 1].min(), 0.0])
        pose = robot.pose.copy()
        pose[:3] += offset
        # In the image, the caption is right below the robot's middle.
        caption = np.array([x * view.scale(offset[1]) / scale, front, 0.0])
        corners = robot.corners + offset
        placed.append(PlacedRobot(robot.robot, pose, corners, caption, robot.caption_width))
    return placed


def _width(robot: CentredRobot, image_width: float) -> float:
    """Metres that a robot and its caption take where the image is `image_width` metres wide."""
    return max(float(np.ptp(robot.corners[:, 0])), robot.caption_width * image_width)


def _image_boxes(placed: list[PlacedRobot], view: LineupView) -> Float[np.ndarray, "n 4"]:
    """Boxes (left, top, right, bottom; pixels) around robots and captions in the image."""
    width = view.size[0]
    starts = np.cumsum([0, *(len(each.corners) for each in placed[:-1])])
    pixels = view.project(np.concatenate([each.corners for each in placed]))[:, :2]
    robots = np.hstack([np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)])
    column, row, _ = view.project(np.array([each.caption for each in placed])).T
    half = np.array([each.caption_width for each in placed]) * width / 2.0
    captions = np.column_stack([column - half, row, column + half, row + CAPTION_HEIGHT * width])
    return np.concatenate([robots, captions]) + _CLEARANCE * width * np.array([-1, -1, 1, 0])


def _overlap(boxes: Float[np.ndarray, "n 4"], others: Float[np.ndarray, "m 4"]) -> bool:
    apart = (boxes[:, None, :2] >= others[:, 2:]) | (boxes[:, None, 2:] <= others[:, :2])
    return not apart.any(axis=2).all()


def _framed(placed: list[PlacedRobot], view: LineupView) -> LineupView:
    """The nearest view that shows all robots and captions."""
    points = [each.corners for each in placed]
    for each in placed:
        scale = view.scale(each.caption[1])
        half, height = np.array([each.caption_width / 2.0, CAPTION_HEIGHT]) * view.size[0] / scale
        nearer = each.caption[1] + height / np.sin(np.radians(LINEUP_CAMERA.elevation))
        points.append(np.array([[each.caption[0] + side, nearer, 0.0] for side in (-half, half)]))
    aspect = view.size[0] / view.size[1]
    look_at, distance = LINEUP_CAMERA.frame(np.concatenate(points), aspect)
    return LineupView(look_at, _MARGIN * distance, view.size)
