"""A robot before it is built: what its two files would say.

Robots that no one drew are made as designs. A design becomes a `Robot` in memory or two
ordinary files on disk, and both are the same robot.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.robots import loader
from bodyplan.robots.robot import Robot

ZERO = np.zeros(3)


class PoseExtent(NamedTuple):
    """Where a robot's shapes are in its nominal pose, in the trunk's frame (m)."""

    sole: float
    """Height of the lowest point of any foot; negative, as it is below the trunk."""
    box_min: Float[np.ndarray, "3"]
    box_size: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class RobotDesign:
    """A robot as the text of an MJCF and the content of a TOML."""

    name: str
    mjcf: str
    config: dict[str, Any]
    origin: str | None = None
    """The packaged robot that this one varies; None for a new body plan."""

    def robot(self) -> Robot:
        """Build the robot.

        Raises:
            BodyplanError: as `Robot.load`.
        """
        place = Path(f"{self.name}.xml")
        try:
            spec = mujoco.MjSpec.from_string(self.mjcf)
        except ValueError as error:
            raise BodyplanError(f"the MJCF of '{self.name}' is not valid: {error}") from error
        return Robot.build(place, spec, self.config)

    def paths(self, folder: Path) -> tuple[Path, Path]:
        """Where `write` puts the MJCF and the TOML."""
        return folder / f"{self.name}.xml", folder / f"{self.name}.toml"

    def write(self, folder: Path) -> Path:
        """Write the robot's two files; returns the path of the MJCF, for `Robot.load`.

        Raises:
            BodyplanError: one of them exists.
        """
        for path in self.paths(folder):
            if path.exists():
                raise BodyplanError(f"{path} exists; choose another folder or delete it first")
        mjcf = self.paths(folder)[0]
        loader.write_robot(mjcf, self.mjcf, self.config)
        return mjcf

    def settled(
        self,
        clearance: float = 0.0,
        below: Float[np.ndarray, "3"] = ZERO,
        around: Float[np.ndarray, "3"] = ZERO,
    ) -> "RobotDesign":
        """The same body with the drop height and the box that its shapes ask for.

        Args:
            clearance: of the lowest foot over the floor at the drop height, m.
            below: from the lowest corner of the shapes to the box's, m.
            around: by how much the box is larger than the shapes, m.
        """
        at = measure_pose(self.robot())
        fitting = {
            "drop_height": rounded(clearance - at.sole),
            "box_min": [rounded(x) for x in at.box_min + below],
            "box_size": [rounded(x) for x in at.box_size + around],
        }
        return replace(self, config=self.config | fitting)


def rounded(value: float) -> float:
    """Six digits: more is noise in a file that people read."""
    return float(f"{value:.6g}")


def measure_pose(robot: Robot) -> PoseExtent:
    """Measure a robot in its nominal pose."""
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(model, data)
    centres = data.geom_xpos - data.xpos[model.body(robot.trunk).id]
    reach = half_extents(model, data.geom_xmat.reshape(-1, 3, 3))
    low, high = centres - reach, centres + reach
    feet = [model.geom(geom).id for foot in robot.feet for geom in foot.geoms]
    own = np.flatnonzero(model.geom_bodyid > 0)
    lowest = low[own].min(axis=0)
    return PoseExtent(float(low[feet, 2].min()), lowest, high[own].max(axis=0) - lowest)


def half_extents(
    model: mujoco.MjModel, turns: Float[np.ndarray, "G 3 3"]
) -> Float[np.ndarray, "G 3"]:
    """Half of the box around each shape along the world's axes; exact for primitives."""
    kinds, size = mujoco.mjtGeom, model.geom_size
    radius, half = size[:, :1], size[:, 1:2]
    upright = np.abs(turns[:, :, 2])  # how much of each world axis lies along the shape's own
    exact = {
        kinds.mjGEOM_SPHERE: np.broadcast_to(radius, upright.shape),
        kinds.mjGEOM_CAPSULE: radius + half * upright,
        kinds.mjGEOM_CYLINDER: radius * np.sqrt(np.maximum(1.0 - upright**2, 0.0)) + half * upright,
        kinds.mjGEOM_ELLIPSOID: np.sqrt(np.einsum("gij,gj->gi", turns**2, size**2)),
    }
    boxes = np.einsum("gij,gj->gi", np.abs(turns), size)
    is_kind = [(model.geom_type == kind.value)[:, None] for kind in exact]
    return np.select(is_kind, list(exact.values()), boxes)
