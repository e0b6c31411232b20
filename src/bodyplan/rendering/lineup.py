"""Where robots stand for a portrait of all: in rows by height, to scale, none hidden.

The tallest stand at the back, and in the middle of their row. A row stands as near to the one
behind it as it may without hiding a robot or a caption from the camera, and the camera comes as
near as it may. One depends on the other, so a few rounds of both settle it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.rendering.camera import Camera
from bodyplan.rendering.visual_geoms import extent
from bodyplan.robots.robot import Robot

CAMERA = Camera(azimuth=90.0, elevation=-25.0, field_of_view=20.0)
"""Looks along y; x is to the right."""
CAPTION = 0.042
"""Height of the caption under a robot, over the picture's width."""
CLEAR = 0.005
"""Free space above captions and robots, over the picture's width."""

_TALL, _LONG = -0.95, -0.62  # rad: how far robots turn to the camera, by build
_GAPS = (0.1, 0.7)  # m between robots: the least, and the most for the sake of a full row
_NEARER = 0.85  # room in a row over that in the row behind it
_FULL = 0.94  # share of the picture's width that a row may fill
_MARGIN = 1.04
_ROUNDS, _HALVINGS = 5, 14


class LineupView(NamedTuple):
    """Where `CAMERA` is, and the picture it gives."""

    look_at: Float[np.ndarray, "3"]
    distance: float
    size: tuple[int, int]

    def project(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Column, row (pixels) and depth (m) of points."""
        return CAMERA.project(points, self.look_at, self.distance, self.size)

    def scale(self, y: float) -> float:
        """Pixels to a metre along x, on the floor at y."""
        depth = self.project(np.array([[0.0, y, 0.0]]))[0, 2]
        return CAMERA.focal(self.size[1]) / float(depth)


class PlacedRobot(NamedTuple):
    """A robot turned to the camera, its middle over the origin of the floor."""

    robot: Robot
    pose: Float[np.ndarray, "_"]
    corners: Float[np.ndarray, "n 3"]
    """Of boxes around its shapes, m."""
    caption: float
    """Width of its caption, over the picture's."""


class Place(NamedTuple):
    """A robot's place in the portrait."""

    robot: Robot
    pose: Float[np.ndarray, "_"]
    corners: Float[np.ndarray, "n 3"]
    """Of boxes around its shapes, m."""
    caption: Float[np.ndarray, "3"]
    """Middle of its caption's upper edge, a point of the floor, m."""
    caption_width: float
    """Over the picture's."""


def stand(robot: Robot, yaw: float = 0.0) -> Float[np.ndarray, "_"]:
    """The nominal pose over the origin, turned by `yaw` (rad), the lowest foot on the floor."""
    pose = robot.nominal_qpos.copy()
    pose[2] -= extent(robot).low
    pose[3:7] = (np.cos(yaw / 2.0), 0.0, 0.0, np.sin(yaw / 2.0))
    return pose


def line_up(
    robots: Sequence[Robot], captions: Sequence[float], size: tuple[int, int]
) -> tuple[list[Place], LineupView]:
    """Give robots places, and the camera its own.

    Args:
        robots: in any order.
        captions: width of what is written under each, over the picture's.
        size: width and height of the picture in pixels.
    """
    figures = [_turn(robot, width) for robot, width in zip(robots, captions, strict=True)]
    figures.sort(key=lambda figure: -figure.corners[:, 2].max())
    best = _settle(figures, 1, size)
    for rows in range(2, len(figures) + 1):
        other = _settle(figures, rows, size)
        if other[1].distance > best[1].distance:
            break
        best = other
    return best


def _turn(robot: Robot, caption: float) -> PlacedRobot:
    own = extent(robot)
    yaw = _TALL if own.height > 1.3 * np.ptp(own.corners[:, 0]) else _LONG
    cosine, sine = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    corners = (own.corners - [0.0, 0.0, own.low]) @ turn.T
    middle = (corners.min(axis=0) + corners.max(axis=0))[:2] / 2.0
    pose = stand(robot, yaw)
    pose[:2] -= middle
    return PlacedRobot(robot, pose, corners - [*middle, 0.0], caption)


def _settle(
    figures: list[PlacedRobot], rows: int, size: tuple[int, int]
) -> tuple[list[Place], LineupView]:
    total = sum(float(np.ptp(figure.corners[:, 0])) for figure in figures)
    guess = max(total / rows, float(figures[0].corners[:, 2].max()))
    view = LineupView(np.zeros(3), guess / np.tan(np.radians(CAMERA.field_of_view) / 2.0), size)
    for _ in range(_ROUNDS):
        view = _frame(_seat(_split(figures, rows, view), view, full=0.0), view)
    return _seat(_split(figures, rows, view), view, full=_FULL), view


def _split(figures: list[PlacedRobot], count: int, view: LineupView) -> list[list[PlacedRobot]]:
    """Rows of equally good filling, at most `count`."""
    unit = view.size[0] / view.scale(0.0)
    widths = [_width(figure, unit) + _GAPS[0] for figure in figures]

    def fill(room: float) -> list[list[PlacedRobot]]:
        rows: list[list[PlacedRobot]] = []
        used = np.inf
        for figure, width in zip(figures, widths, strict=True):
            if used + width > room * _NEARER ** (len(rows) - 1):
                rows.append([])
                used = 0.0
            rows[-1].append(figure)
            used += width
        return rows

    low, high = 0.0, sum(widths) / _NEARER**count
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if len(fill(middle)) > count else (low, middle)
    return fill(high)


def _seat(rows: list[list[PlacedRobot]], view: LineupView, full: float) -> list[Place]:
    """Places row by row from the back, each as near to the others as `view` allows.

    Robots of a row keep the distance that fills the share `full` of the picture's width.
    """
    places: list[Place] = []
    taken = np.empty((0, 4))
    for row in rows:
        figures = row[1::2][::-1] + row[::2]
        behind = places[-1].caption[1] if places else 0.0
        # At `far` the row would hide others, at `near` it does not.
        far, near = behind, behind - 3.0 * (1.0 + float(row[0].corners[:, 2].max()))
        for _ in range(_HALVINGS if places else 0):
            middle = (far + near) / 2.0
            free = not _overlap(_boxes(_row(figures, middle, view, full), view), taken)
            far, near = (far, middle) if free else (middle, near)
        seated = _row(figures, near if places else 0.0, view, full)
        places += seated
        taken = np.concatenate([taken, _boxes(seated, view)])
    return places


def _row(figures: list[PlacedRobot], front: float, view: LineupView, full: float) -> list[Place]:
    """Figures side by side whose nearest parts are at y = `front`."""
    scale = view.scale(front)
    unit = view.size[0] / scale
    widths = np.array([_width(figure, unit) for figure in figures])
    spare = (full * unit - widths.sum()) / len(figures)
    widths += np.clip(spare, *_GAPS)
    places = []
    for figure, x in zip(figures, np.cumsum(widths) - (widths + widths.sum()) / 2.0, strict=True):
        offset = np.array([x, front - figure.corners[:, 1].min(), 0.0])
        pose = figure.pose.copy()
        pose[:3] += offset
        # In the picture the caption is right below the robot's middle.
        caption = np.array([x * view.scale(offset[1]) / scale, front, 0.0])
        places.append(Place(figure.robot, pose, figure.corners + offset, caption, figure.caption))
    return places


def _width(figure: PlacedRobot, unit: float) -> float:
    """Metres that a robot and its caption take where the picture is `unit` metres wide."""
    return max(float(np.ptp(figure.corners[:, 0])), figure.caption * unit)


def _boxes(places: list[Place], view: LineupView) -> Float[np.ndarray, "n 4"]:
    """What robots and their captions cover of the picture: left, top, right, bottom of each."""
    width = view.size[0]
    starts = np.cumsum([0, *(len(place.corners) for place in places[:-1])])
    seen = view.project(np.concatenate([place.corners for place in places]))[:, :2]
    robots = np.hstack([np.minimum.reduceat(seen, starts), np.maximum.reduceat(seen, starts)])
    column, row, _ = view.project(np.array([place.caption for place in places])).T
    half = np.array([place.caption_width for place in places]) * width / 2.0
    captions = np.column_stack([column - half, row, column + half, row + CAPTION * width])
    return np.concatenate([robots, captions]) + CLEAR * width * np.array([-1.0, -1.0, 1.0, 0.0])


def _overlap(own: Float[np.ndarray, "n 4"], others: Float[np.ndarray, "m 4"]) -> bool:
    apart = (own[:, None, :2] >= others[:, 2:]) | (own[:, None, 2:] <= others[:, :2])
    return not apart.any(axis=2).all()


def _frame(places: list[Place], view: LineupView) -> LineupView:
    """The nearest view that shows all robots and captions."""
    points = [place.corners for place in places]
    for place in places:
        scale = view.scale(place.caption[1])
        half, height = np.array([place.caption_width / 2.0, CAPTION]) * view.size[0] / scale
        nearer = place.caption[1] + height / np.sin(np.radians(CAMERA.elevation))
        points.append(np.array([[place.caption[0] + side, nearer, 0.0] for side in (-half, half)]))
    look_at, distance = CAMERA.frame(np.concatenate(points), view.size[0] / view.size[1])
    return LineupView(look_at, _MARGIN * distance, view.size)
