"""Robot design: the content of a robot's two files, before it is built or written.

A design becomes a `Robot` in memory or two ordinary files on disk. Both are the same robot.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.robots import loader
from bodyplan.robots.kinematic_tree import geom_bounds
from bodyplan.robots.robot import Robot

ZERO = np.zeros(3)


class PoseExtent(NamedTuple):
    """Where a robot's geoms are in its nominal pose, in the trunk's frame (m)."""

    lowest_foot: float
    """Height of the lowest point of any foot; negative, as it is below the trunk."""
    box_min: Float[np.ndarray, "3"]
    """Lowest corner of the box around all geoms."""
    box_size: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class RobotDesign:
    """A robot as the text of an MJCF and the content of its TOML."""

    name: str
    mjcf: str
    config: dict[str, Any]
    origin: str | None = None
    """Name of the packaged robot that this one varies; None for a new body plan."""

    def __repr__(self) -> str:
        source = f"varied from {self.origin}" if self.origin else "a new body plan"
        return f"RobotDesign('{self.name}': {source})"

    def robot(self) -> Robot:
        """Build the robot.

        Raises:
            BodyplanError: as `Robot.load`.
        """
        try:
            spec = mujoco.MjSpec.from_string(self.mjcf)
        except ValueError as error:
            raise BodyplanError(f"the MJCF of '{self.name}' is not valid: {error}") from error
        return Robot.build(Path(f"{self.name}.xml"), spec, self.config)

    def paths(self, folder: str | Path) -> tuple[Path, Path]:
        """Where `write` puts the MJCF and the TOML."""
        return Path(folder) / f"{self.name}.xml", Path(folder) / f"{self.name}.toml"

    def write(self, folder: str | Path) -> Path:
        """Write the robot's two files.

        Returns:
            The path of the MJCF, for `Robot.load`.

        Raises:
            BodyplanError: one of the files exists.
        """
        for path in self.paths(folder):
            if path.exists():
                raise BodyplanError(f"{path} exists; choose another folder or delete it first")
        mjcf = self.paths(folder)[0]
        loader.write_robot(mjcf, self.mjcf, self.config)
        return mjcf

    def with_measured_box(
        self,
        clearance: float = 0.0,
        min_margin: Float[np.ndarray, "3"] = ZERO,
        size_margin: Float[np.ndarray, "3"] = ZERO,
    ) -> "RobotDesign":
        """The same design with the drop height and the box that its geoms need.

        Args:
            clearance: of the lowest foot over the floor at the drop height, m.
            min_margin: from the lowest corner of the geoms to that of the box, m.
            size_margin: by how much the box is larger than the geoms, m.
        """
        extent = measure_pose(self.robot())
        measured = {
            "drop_height": rounded(clearance - extent.lowest_foot),
            "box_min": [rounded(x) for x in extent.box_min + min_margin],
            "box_size": [rounded(x) for x in extent.box_size + size_margin],
        }
        return replace(self, config=self.config | measured)


def rounded(value: float) -> float:
    """Six digits: more is noise in a file that people read."""
    return float(f"{value:.6g}")


def measure_pose(robot: Robot) -> PoseExtent:
    """Measure a robot in its nominal pose."""
    model, data = robot.model, mujoco.MjData(robot.model)
    data.qpos[:] = robot.nominal_qpos
    mujoco.mj_kinematics(model, data)
    trunk = data.xpos[model.body(robot.trunk).id]
    own = [int(geom) for geom in np.flatnonzero(model.geom_bodyid > 0)]
    feet = [model.geom(geom).id for foot in robot.feet for geom in foot.geoms]
    low, high = (edge - trunk for edge in geom_bounds(model, data, own))
    lowest_foot = min(float(low[own.index(foot), 2]) for foot in feet)
    return PoseExtent(lowest_foot, low.min(axis=0), high.max(axis=0) - low.min(axis=0))
