"""Images of robots by ray casting, without a graphics library.

MuJoCo's collision code tells where a ray meets a geom, and the surface normal there. It does so on
every machine that can simulate. Rays from the camera show the robots, rays from the light show
their shadows. The floor is computed in closed form. NumPy shades the result.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import product

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from bodyplan.machine import available_cores
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

_BOX_CORNERS = np.array(list(product((-1.0, 1.0), repeat=3)))
_BOX_FACES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
"""Corners around each face, in the same sense as seen from outside."""
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
    workers = threads or available_cores()

    @lru_cache(maxsize=workers)
    def strip_renderer(top: int) -> _StripRenderer:
        return _StripRenderer(scene, size, top, min(strip_rows, size[1] - top))

    def strip(job: tuple[int, int]) -> UInt8[np.ndarray, "rows width 3"]:
        top, index = job
        return strip_renderer(top).render(index)

    tops, frames = range(0, size[1], strip_rows), _differing_frames(scene)
    with ThreadPoolExecutor(workers) as pool:
        strips = list(pool.map(strip, product(tops, frames)))
    count = len(frames)
    images = [np.concatenate(strips[place::count]) for place in range(count)]
    shown = np.searchsorted(frames, np.arange(len(scene.look_at)), "right") - 1
    return np.stack([images[place] for place in shown])


def _differing_frames(scene: Scene) -> list[int]:
    """The frames that differ from those before them; a robot that lies still is drawn once."""
    parts = (scene.positions, scene.rotations, scene.look_at)
    flat = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    return [0, *(np.flatnonzero((flat[1:] != flat[:-1]).any(axis=1)) + 1).tolist()]


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
        rays /= np.linalg.norm(rays, axis=2, keepdims=True)
        self.to_camera = -scene.distance * self.forward  # from the point looked at
        self.geoms = np.flatnonzero(scene.model.geom_group != FLOOR_GROUP)
        self.to_light = scene.radius * np.array(LIGHT_OFFSET)
        ranges = -(scene.look_at[0, 2] + self.to_camera[2]) / rays[..., 2]
        # By subpixel, then by pixel.
        self.rays = [rays[own].reshape(-1, 3) for own in _SUBPIXELS]
        self.floor_range = [ranges[own].ravel() for own in _SUBPIXELS]
        self.floor_offset = (rays[..., :2] * ranges[..., None])[_SUBPIXELS[0]].reshape(-1, 2)
        tiles = (rays[..., :2] * ranges[..., None]).transpose(2, 0, 1) / TILE
        self.floor_tiles = np.ascontiguousarray(tiles, np.float32)
        # Distant tiles fade into one tone before they get smaller than a pixel.
        fade = np.exp(-((ranges[_SUBPIXELS[0]] / (_FADE_DISTANCE * scene.distance)) ** 2))
        self.contrast = (fade / len(_SUBPIXELS)).astype(np.float32)

    def render(self, index: int) -> UInt8[np.ndarray, "rows width 3"]:
        """The strip of one frame; safe to call from several threads."""
        scene, look_at = self.scene, self.scene.look_at[index]
        data = mujoco.MjData(scene.model)
        data.mocap_pos[:], data.mocap_quat[:] = scene.positions[index], scene.rotations[index]
        mujoco.mj_kinematics(scene.model, data)
        corners = self._corners(data)
        image = self._floor(look_at)
        self._add_shadows(image, data, look_at, corners)
        self._add_robots(image, data, look_at, corners)
        return np.clip(255.0 * image, 0.0, 255.0).astype(np.uint8)

    def _corners(self, data: mujoco.MjData) -> Float[np.ndarray, "n 8 3"]:
        """Of the boxes that contain the geoms."""
        middle, half = np.split(self.scene.model.geom_aabb[self.geoms], 2, axis=1)
        own = middle[:, None] + half[:, None] * _BOX_CORNERS
        rotations = data.geom_xmat[self.geoms].reshape(-1, 3, 3)
        turned: Float[np.ndarray, "n 8 3"] = own @ rotations.transpose(0, 2, 1)
        return turned + data.geom_xpos[self.geoms][:, None]

    def _floor(self, look_at: Float[np.ndarray, "3"]) -> Float32[np.ndarray, "h w 3"]:
        start = ((look_at[:2] + self.to_camera[:2]) / TILE).astype(np.float32)
        columns, rows = (
            np.floor(own + first).astype(np.int16)
            for own, first in zip(self.floor_tiles, start, strict=True)
        )
        odd = (columns ^ rows) & 1
        share = 0.5 + self.contrast * (sum(odd[own] for own in _SUBPIXELS) - len(_SUBPIXELS) / 2)
        light, dark = np.array(FLOOR_COLOUR, np.float32), np.array(FLOOR_DARK_COLOUR, np.float32)
        return light + share[..., None].astype(np.float32) * (dark - light)

    def _add_shadows(
        self,
        image: Float32[np.ndarray, "h w 3"],
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
        corners: Float[np.ndarray, "n 8 3"],
    ) -> None:
        light = look_at + self.to_light
        drop = np.maximum(light[2] - corners[..., 2:], 0.1 * light[2])
        shadows = light + light[2] / drop * (corners - light)
        nearby = self._covered(shadows, look_at)
        offset = self.floor_offset[nearby.ravel()]
        ground = np.pad(offset + (look_at + self.to_camera)[:2], ((0, 0), (0, 1)))
        geom, _, _ = self._cast(data, light, ground - light)
        shade = np.ones(nearby.shape, np.float32)
        shade[nearby] = np.where(geom >= 0, _SHADOW, 1.0)
        image *= uniform_filter(shade, 3, mode="nearest")[..., None]

    def _add_robots(
        self,
        image: Float32[np.ndarray, "h w 3"],
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
        corners: Float[np.ndarray, "n 8 3"],
    ) -> None:
        nearby = self._covered(corners, look_at)
        geom, tone = np.full(nearby.shape, -1, np.int32), np.zeros((*nearby.shape, 3), np.float32)
        geom[nearby], tone[nearby] = self._visible_colour(data, look_at, 0, nearby)
        # One ray serves a whole pixel. On edges, each subpixel gets its own.
        edge = _differs(geom, 0) | _differs(tone.mean(axis=2), _EDGE_CONTRAST)
        floor = image[edge]
        image[geom >= 0] = tone[geom >= 0]
        mixed = image[edge]
        for subpixel in range(1, len(_SUBPIXELS)):
            seen, colour = self._visible_colour(data, look_at, subpixel, edge)
            mixed += np.where(seen[:, None] >= 0, colour, floor)
        image[edge] = mixed / len(_SUBPIXELS)

    def _visible_colour(
        self,
        data: mujoco.MjData,
        look_at: Float[np.ndarray, "3"],
        subpixel: int,
        pixels: Bool[np.ndarray, "h w"],
    ) -> tuple[Int[np.ndarray, "n"], Float[np.ndarray, "n 3"]]:
        """The geom seen above the floor in a subpixel of pixels (-1 for none), and its colour."""
        camera, light = look_at + self.to_camera, look_at + self.to_light
        places = np.flatnonzero(pixels)
        rays = self.rays[subpixel][places]
        geom, distance, normal = self._cast(data, camera, rays)
        # Contacts are soft: the floor hides the parts of a robot that sink into it.
        geom[distance > self.floor_range[subpixel][places] + 1e-3] = -1
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

    def _covered(
        self, corners: Float[np.ndarray, "n 8 3"], look_at: Float[np.ndarray, "3"]
    ) -> Bool[np.ndarray, "h w"]:
        """Pixels that boxes may cover, by their corners."""
        from PIL import Image, ImageDraw

        from_camera = corners - look_at - self.to_camera
        scale = self.focal / np.maximum(from_camera @ self.forward, 0.1 * self.scene.distance)
        across = (self.middle[0] + scale * (from_camera @ self.right)) / _SUPERSAMPLING
        down = (self.middle[1] - scale * (from_camera @ self.up)) / _SUPERSAMPLING
        size = (self.width // _SUPERSAMPLING, self.height // _SUPERSAMPLING)
        mask = Image.new("L", size)
        draw = ImageDraw.Draw(mask)
        faces = np.stack([across, down], axis=2)[:, _BOX_FACES].clip(-1e4, 1e4).reshape(-1, 4, 2)
        diagonals = faces[:, 2:] - faces[:, :2]
        towards = diagonals[:, 0, 0] * diagonals[:, 1, 1] < diagonals[:, 0, 1] * diagonals[:, 1, 0]
        for face in faces[towards].reshape(-1, 8).tolist():  # those behind cover the same
            draw.polygon(face, fill=1, outline=1)
        return maximum_filter(np.asarray(mask), 3).astype(bool)

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
    values: Float32[np.ndarray, "h w"] | Int[np.ndarray, "h w"], by: float
) -> Bool[np.ndarray, "h w"]:
    """Whether a pixel's first subpixel and those to the right and below differ by more than `by`.

    All other subpixels of the pixel lie between these.
    """
    return maximum_filter(values, 2, origin=-1) - minimum_filter(values, 2, origin=-1) > by
