"""Images of robots by ray casting, without a graphics library.

MuJoCo's collision code tells where a ray meets a geom, and the surface normal there. It does so on
every machine that can simulate. Rays from the camera show the robots, rays from the light show
their shadows. The floor is computed in closed form. NumPy shades the result.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import product

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from bodyplan.rendering.camera import RGBFrames
from bodyplan.rendering.scene import (
    FLOOR_COLOUR,
    FLOOR_DARK_COLOUR,
    FLOOR_GROUP,
    LIGHT_OFFSET,
    TILE,
    Scene,
)

_SUPERSAMPLING = 2  # rays per pixel edge
_AMBIENT, _SHADOW = 0.5, 0.74
_SHADED = 0.1  # cosine to the light below which shadows do not show
_SHADOW_CONTRAST = 0.35  # share of a surface's shading that remains in shadow
_EDGE_CONTRAST = 0.03  # difference of neighbouring tones across an edge
_FADE_DISTANCE = 4.0  # camera distances at which the tiles have lost 63 % of their contrast

_SUBPIXELS = [
    np.s_[i::_SUPERSAMPLING, j::_SUPERSAMPLING]
    for i in range(_SUPERSAMPLING)
    for j in range(_SUPERSAMPLING)
]


def ray_cast(
    scene: Scene, size: tuple[int, int], threads: int | None = None, strip_rows: int = 256
) -> RGBFrames:
    """Images of the scene in all its poses.

    Args:
        scene: robots, floor and camera.
        size: width and height in pixels.
        threads: number of threads; all cores where not given.
        strip_rows: rows of pixels rendered at once, which bounds the memory for a large image.
    """
    workers = threads or os.cpu_count() or 1

    @lru_cache(maxsize=workers)
    def strip_renderer(top: int) -> _StripRenderer:
        return _StripRenderer(scene, size, top, min(strip_rows, size[1] - top))

    def strip(job: tuple[int, int]) -> UInt8[np.ndarray, "rows width 3"]:
        top, index = job
        return strip_renderer(top).render(index)

    tops, frames = range(0, size[1], strip_rows), range(len(scene.look_at))
    with ThreadPoolExecutor(workers) as pool:
        strips = list(pool.map(strip, product(tops, frames)))
    count = len(frames)
    return np.stack([np.concatenate(strips[index::count]) for index in frames])


class _StripRenderer:
    """Renders some rows of every frame.

    It holds what is the same in all frames: the rays, and where they meet the floor, relative to
    the camera. Rows and columns count subpixels within the strip that begins at the row `top`.
    """

    def __init__(self, scene: Scene, size: tuple[int, int], top: int, rows: int) -> None:
        self.scene, camera = scene, scene.camera
        self.width, self.height = _SUPERSAMPLING * size[0], _SUPERSAMPLING * rows
        self.middle = (self.width / 2.0, _SUPERSAMPLING * (size[1] / 2.0 - top))
        self.right, self.up, self.forward = camera.axes()
        self.focal = camera.focal_length(_SUPERSAMPLING * size[1])
        across = (np.arange(self.width) + 0.5 - self.middle[0]) / self.focal
        upward = (self.middle[1] - 0.5 - np.arange(self.height)) / self.focal
        rays = self.forward + across[:, None] * self.right + upward[:, None, None] * self.up
        self.rays = rays / np.linalg.norm(rays, axis=2, keepdims=True)
        self.to_camera = -scene.distance * self.forward  # from the point looked at
        self.geoms = np.flatnonzero(scene.model.geom_group != FLOOR_GROUP)
        self.geom_radius = scene.model.geom_rbound[self.geoms]
        self.to_light = scene.radius * np.array(LIGHT_OFFSET)
        self.floor_range = -(scene.look_at[0, 2] + self.to_camera[2]) / self.rays[..., 2]
        self.floor_offset = (self.rays[..., :2] * self.floor_range[..., None]).astype(np.float32)
        # Distant tiles fade into one tone before they get smaller than a pixel.
        fade = np.exp(-((self.floor_range / (_FADE_DISTANCE * scene.distance)) ** 2))
        self.half_contrast = (0.5 * fade).astype(np.float32)

    def render(self, index: int) -> UInt8[np.ndarray, "rows width 3"]:
        """The strip of one frame; safe to call from several threads."""
        scene, look_at = self.scene, self.scene.look_at[index]
        data = mujoco.MjData(scene.model)
        data.mocap_pos[:], data.mocap_quat[:] = scene.positions[index], scene.rotations[index]
        mujoco.mj_kinematics(scene.model, data)
        image = self._floor(look_at)
        self._add_shadows(image, data, look_at)
        self._add_robots(image, data, look_at)
        pixels = sum(image[subpixel] for subpixel in _SUBPIXELS) * (255.0 / _SUPERSAMPLING**2)
        return np.clip(pixels, 0.0, 255.0).astype(np.uint8)

    def _floor(self, look_at: Float[np.ndarray, "3"]) -> Float32[np.ndarray, "h w 3"]:
        start = (look_at[:2] + self.to_camera[:2]).astype(np.float32)
        tiles = np.floor((self.floor_offset + start) * np.float32(1.0 / TILE)).astype(np.int32)
        odd = ((tiles[..., 0] ^ tiles[..., 1]) & 1).astype(bool)
        share = 0.5 + np.where(odd, self.half_contrast, -self.half_contrast)
        light, dark = np.array(FLOOR_COLOUR, np.float32), np.array(FLOOR_DARK_COLOUR, np.float32)
        return light + share[..., None] * (dark - light)

    def _add_shadows(
        self,
        image: Float32[np.ndarray, "h w 3"],
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
    ) -> None:
        light = look_at + self.to_light
        centres = data.geom_xpos[self.geoms]
        stretch = (light[2] / np.maximum(light[2] - centres[:, 2], 0.1 * light[2]))[:, None]
        shadows = light + stretch * (centres - light)
        nearby = self._pixels_near(shadows, 1.5 * stretch[:, 0] * self.geom_radius, look_at)
        offset = self.floor_offset[::_SUPERSAMPLING, ::_SUPERSAMPLING][nearby]
        ground = np.pad(offset + (look_at + self.to_camera)[:2], ((0, 0), (0, 1)))
        geom, _, _ = self._cast(data, light, ground - light)
        shade = np.ones(nearby.shape, np.float32)
        shade[nearby] = np.where(geom >= 0, _SHADOW, 1.0)
        shade = uniform_filter(shade, 3, mode="nearest")
        for subpixel in _SUBPIXELS:
            image[subpixel] *= shade[..., None]

    def _add_robots(
        self,
        image: Float32[np.ndarray, "h w 3"],
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
    ) -> None:
        nearby = self._pixels_near(data.geom_xpos[self.geoms], self.geom_radius, look_at)
        geom, tone = np.full(nearby.shape, -1, np.int32), np.zeros((*nearby.shape, 3))
        geom[nearby], tone[nearby] = self._visible_colour(data, look_at, _SUBPIXELS[0], nearby)
        # One ray serves a whole pixel. On edges, each subpixel gets its own.
        edge = _differs(geom, 0) | _differs(tone.mean(axis=2), _EDGE_CONTRAST)
        inside = (geom >= 0) & ~edge
        rows, columns = np.nonzero(edge)
        for subpixel in _SUBPIXELS:
            pixels = image[subpixel]
            pixels[inside] = tone[inside]
            seen, colour = self._visible_colour(data, look_at, subpixel, edge)
            pixels[rows[seen >= 0], columns[seen >= 0]] = colour[seen >= 0]

    def _visible_colour(
        self,
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
        subpixel: tuple[slice, slice],
        pixels: Bool[np.ndarray, "h w"],
    ) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n 3"]]:
        """The geom seen above the floor in a subpixel of pixels (-1 for none), and its colour."""
        camera, light = look_at + self.to_camera, look_at + self.to_light
        rays = self.rays[subpixel][pixels]
        geom, distance, normal = self._cast(data, camera, rays)
        # Contacts are soft: the floor hides the parts of a robot that sink into it.
        geom[distance > self.floor_range[subpixel][pixels] + 1e-3] = -1
        cosine = normal @ (self.to_light / np.linalg.norm(self.to_light))
        lit = np.flatnonzero((geom >= 0) & (cosine > _SHADED))
        shadowed = lit[self._in_shadow(data, light, camera + rays[lit] * distance[lit, None])]
        cosine[shadowed] = _SHADED + _SHADOW_CONTRAST * (cosine[shadowed] - _SHADED)
        # Half-Lambert shading: surfaces that face away from the light do not look flat.
        brightness = _AMBIENT + (1.1 - _AMBIENT) * (0.5 + 0.5 * cosine) ** 1.5
        return geom, self.scene.model.geom_rgba[geom, :3] * brightness[:, None]

    def _in_shadow(
        self, data: mujoco.MjData, light: Float[np.ndarray, "3"], points: Float[np.ndarray, "n 3"]
    ) -> Bool[np.ndarray, "n"]:
        """Whether a geom lies between the light and points on surfaces."""
        geom, distance, _ = self._cast(data, light, points - light)
        return (geom >= 0) & (distance < 1.0 - 2e-3)

    def _pixels_near(
        self,
        centres: Float[np.ndarray, "n 3"],
        radius: Float[np.ndarray, "n"],
        look_at: Float[np.ndarray, "3"],
    ) -> Bool[np.ndarray, "h w"]:
        """Pixels in boxes around the projections of spheres, slightly enlarged."""
        from_camera = centres - look_at - self.to_camera
        depth = np.maximum(from_camera @ self.forward, 0.1 * self.scene.distance)
        reach = 1.1 * self.focal * radius / depth + _SUPERSAMPLING
        across = self.middle[0] + self.focal * (from_camera @ self.right) / depth
        down = self.middle[1] - self.focal * (from_camera @ self.up) / depth
        near = np.zeros((self.height // _SUPERSAMPLING, self.width // _SUPERSAMPLING), bool)
        edges = np.array([down - reach, down + reach, across - reach, across + reach])
        boxes = np.maximum(np.rint((edges / _SUPERSAMPLING).T), 0).astype(int)
        for top, bottom, left, right in boxes:
            near[top : bottom + 1, left : right + 1] = True
        return near

    def _cast(
        self, data: mujoco.MjData, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "n 3"]
    ) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "n 3"]]:
        """The geom met (-1 for none), its distance in lengths of the ray, and the normal there."""
        count = len(rays)
        geom, distance = np.full(count, -1, np.int32), np.zeros(count)
        normal = np.zeros(3 * count)
        groups = np.arange(6, dtype=np.uint8) != FLOOR_GROUP
        if count:
            mujoco.mj_multiRay(
                self.scene.model,
                data,
                origin,
                np.ascontiguousarray(rays, np.float64).ravel(),
                groups.astype(np.uint8),
                True,
                -1,
                geom,
                distance,
                normal,
                count,
                1e6,
            )
        return geom, distance, normal.reshape(-1, 3)


def _differs(
    values: Float[np.ndarray, "h w"] | Int[np.ndarray, "h w"], by: float
) -> Bool[np.ndarray, "h w"]:
    """Whether the neighbours of a pixel differ by more than `by`."""
    return maximum_filter(values, 3) - minimum_filter(values, 3) > by
