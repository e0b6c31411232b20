"""From where a scene is seen: directions, a field of view, and the nearest place that shows all."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Camera(NamedTuple):
    """Directions in degrees, in MuJoCo's convention; the defaults exclude the horizon."""

    azimuth: float = 125.0
    elevation: float = -24.0
    field_of_view: float = 40.0
    """Vertical."""

    def axes(self) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Unit vectors right, up and forward."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        ahead, aside = np.cos(azimuth), np.sin(azimuth)
        level, rise = np.cos(elevation), np.sin(elevation)
        right = np.array([aside, -ahead, 0.0])
        up = np.array([-rise * ahead, -rise * aside, level])
        return right, up, np.array([level * ahead, level * aside, rise])

    def focal(self, height: int) -> float:
        """Pixels that a metre covers at a metre's distance in a picture of this height."""
        return 0.5 * height / float(np.tan(np.radians(self.field_of_view) / 2.0))

    def project(
        self,
        points: Float[np.ndarray, "n 3"],
        look_at: Float[np.ndarray, "3"],
        distance: float,
        size: tuple[int, int],
    ) -> Float[np.ndarray, "n 3"]:
        """Column and row in a picture of size = (width, height), and depth (m), of each point."""
        right, up, forward = self.axes()
        away = points - look_at + distance * forward
        depth = away @ forward
        focal, middle = self.focal(size[1]) / depth, np.array(size) / 2.0
        columns, rows = middle[0] + focal * (away @ right), middle[1] - focal * (away @ up)
        return np.column_stack([columns, rows, depth])

    def distance(self, points: Float[np.ndarray, "n 3"], aspect: float) -> float:
        """Metres from the origin at which a picture centred on it just shows all points.

        Args:
            points: relative to the point looked at.
            aspect: width of the picture over its height.
        """
        across, upward, along = (points @ axis for axis in self.axes())
        half = np.tan(np.radians(self.field_of_view) / 2.0)
        needed = np.maximum(np.abs(upward), np.abs(across) / aspect) / half - along
        return float(needed.max())

    def frame(
        self, points: Float[np.ndarray, "n 3"], aspect: float
    ) -> tuple[Float[np.ndarray, "3"], float]:
        """The point to look at and the distance from it at which points just fill a picture."""
        right, up, forward = self.axes()
        half = np.tan(np.radians(self.field_of_view) / 2.0)
        along, sides = points @ forward, []
        for axis, slope in ((right, half * aspect), (up, half)):
            # The eye must lie behind both planes that bound the view and touch the points.
            offset = points @ axis
            high, low = (offset - slope * along).max(), (-offset - slope * along).max()
            sides.append((slope, high, low))
        back = max((high + low) / (2.0 * slope) for slope, high, low in sides)
        eye = [(high - low) / 2.0 for _, high, low in sides]
        middle = (along.min() + along.max()) / 2.0
        return eye[0] * right + eye[1] * up + middle * forward, float(back + middle)
