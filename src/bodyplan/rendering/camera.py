"""The camera: its direction, projection of points to pixels, framing, and types of its images."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

RGBImage = UInt8[np.ndarray, "height width 3"]
RGBFrames = UInt8[np.ndarray, "T height width 3"]
"""Images of one size, such as the frames of a video."""


class Camera(NamedTuple):
    """Directions of a camera in degrees, as MuJoCo defines them. The default sees no horizon."""

    azimuth: float = 125.0
    elevation: float = -24.0
    field_of_view: float = 40.0
    """Vertical."""

    def axes(self) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Unit vectors right, up and forward."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        cos_azimuth, sin_azimuth = np.cos(azimuth), np.sin(azimuth)
        cos_elevation, sin_elevation = np.cos(elevation), np.sin(elevation)
        right = np.array([sin_azimuth, -cos_azimuth, 0.0])
        up = np.array([-sin_elevation * cos_azimuth, -sin_elevation * sin_azimuth, cos_elevation])
        forward = [cos_elevation * cos_azimuth, cos_elevation * sin_azimuth, sin_elevation]
        return right, up, np.array(forward)

    def focal_length(self, height: int) -> float:
        """Focal length in pixels of an image of this height: pixels per metre at 1 m depth."""
        return 0.5 * height / float(np.tan(np.radians(self.field_of_view) / 2.0))

    def project(
        self,
        points: Float[np.ndarray, "n 3"],
        look_at: Float[np.ndarray, "3"],
        distance: float,
        size: tuple[int, int],
    ) -> Float[np.ndarray, "n 3"]:
        """Column and row (pixels) and depth (m) of each point in an image.

        Args:
            points: in the world, m.
            look_at: the point in the middle of the image, m.
            distance: from the camera to that point, m.
            size: width and height of the image in pixels.
        """
        right, up, forward = self.axes()
        from_camera = points - look_at + distance * forward
        depth = from_camera @ forward
        focal, middle = self.focal_length(size[1]) / depth, np.array(size) / 2.0
        columns = middle[0] + focal * (from_camera @ right)
        rows = middle[1] - focal * (from_camera @ up)
        return np.column_stack([columns, rows, depth])

    def distance(self, points: Float[np.ndarray, "n 3"], aspect: float) -> float:
        """Smallest distance (m) from the origin at which an image centred on it shows all points.

        Args:
            points: relative to the point looked at, m.
            aspect: width of the image over its height.
        """
        across, upward, along = (points @ axis for axis in self.axes())
        slope = np.tan(np.radians(self.field_of_view) / 2.0)
        needed = np.maximum(np.abs(upward), np.abs(across) / aspect) / slope - along
        return float(needed.max())

    def frame(
        self, points: Float[np.ndarray, "n 3"], aspect: float
    ) -> tuple[Float[np.ndarray, "3"], float]:
        """The point to look at (m) and the distance from it (m) at which points fill an image."""
        right, up, forward = self.axes()
        half = np.tan(np.radians(self.field_of_view) / 2.0)
        along, sides = points @ forward, []
        for axis, slope in ((right, half * aspect), (up, half)):
            # The camera must lie behind both planes that bound the view and touch the points.
            offset = points @ axis
            high, low = (offset - slope * along).max(), (-offset - slope * along).max()
            sides.append((slope, high, low))
        back = max((high + low) / (2.0 * slope) for slope, high, low in sides)
        position = [(high - low) / 2.0 for _, high, low in sides]
        middle = (along.min() + along.max()) / 2.0
        return position[0] * right + position[1] * up + middle * forward, float(back + middle)
