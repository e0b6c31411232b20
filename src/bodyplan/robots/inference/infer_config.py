"""Infer a task config: a first TOML for a model without one.

Some values are read from the MJCF: trunk, joints, feet, drop height, box, left and right. All
others are guesses after the packaged robots, and comments in the TOML mark each guess.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from math import ceil, log
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots import loader, registry
from bodyplan.robots.inference.gains import gains_for_kp, standing_gains, usual_kp
from bodyplan.robots.inference.nominal_pose_search import NominalPose, find_nominal_pose
from bodyplan.robots.inference.posed_model import PosedModel
from bodyplan.robots.kinematic_tree import (
    actuated_hinges,
    find_limbs,
    free_bodies,
    geom_bounds,
    robot_geoms,
)
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import KIND_BY_LEGS
from bodyplan.robots.toml_writer import to_toml

FALLEN_HEIGHT = 0.55
"""A biped has fallen when its trunk is below this share of the drop height. H1 has 0.55, NAO and
G1 0.56, Cassie 0.50, Talos and OP3 0.68."""
MIRROR_TOLERANCE = 0.25
"""Share of the drop height by which the positions of a left and a right foot may differ."""
USUAL_VELOCITY = {"biped": 12.0, "other": 20.0}
"""rad/s: the median of the packaged bipeds' joints, and of the others'."""
BODY_RANGES = {
    "trunk_mass",
    "com",
    "foot_size",
    "damping",
    "armature",
    "stiffness",
    "friction_loss",
    "kp",
    "kd",
    "action_scale",
}
"""Ranges of randomisation that depend on the robot; the others are the world's."""

HEADER = """\
# Inferred from the MJCF of the same name. Values that the MJCF does not contain are marked as
# guesses: check them against the robot's data sheet (docs/add_a_robot.md explains each).

"""


class InferredConfig(NamedTuple):
    """A task config that was read and guessed from a model."""

    content: dict[str, Any]
    """What a TOML holds."""
    notes: dict[str, str]
    """Comments for it, by key or [table]."""
    pose: NominalPose

    def to_toml(self) -> str:
        """The text of the TOML, with comments at guesses."""
        return HEADER + to_toml(self.content, self.notes)


class UnnamedGeom(NamedTuple):
    """A geom of a foot without a name, which the TOML needs."""

    geom: int
    body: str
    proposal: str
    """A name for it."""


def can_infer(model: mujoco.MjModel) -> bool:
    """Whether a config can be inferred: the root is named and free, actuated hinges have names."""
    free, driven = free_bodies(model), actuated_hinges(model)
    if not free or not driven or model.jnt_qposadr[model.body_jntadr[free[0]]] != 0:
        return False
    return bool(model.body(free[0]).name) and all(model.joint(joint).name for joint in driven)


def infer_config(
    name: str,
    model: mujoco.MjModel,
    velocity_limits: Mapping[str, float] | None = None,
    pose: NominalPose | None = None,
) -> InferredConfig | list[UnnamedGeom]:
    """The task config of a model, or the geoms of feet that need names first.

    Args:
        name: of the robot.
        model: the compiled model, its first joint free, with an actuator on every driven joint.
        velocity_limits: of joints where they are known, rad/s.
        pose: its nominal pose, where it was found already.

    Returns:
        An empty list where the model has no legs.
    """
    driven = actuated_hinges(model)
    if pose is None and driven:
        pose = find_nominal_pose(model, driven, find_limbs(model, driven))
    if pose is None:
        return []
    unnamed = unnamed_foot_geoms(model, pose)
    if unnamed:
        return unnamed
    return _ConfigInference(name, model, driven, pose).infer(velocity_limits or {})


def unnamed_foot_geoms(model: mujoco.MjModel, pose: NominalPose) -> list[UnnamedGeom]:
    """The geoms of feet that have no name, with proposals."""
    unnamed = []
    for foot in pose.feet:
        body = model.body(int(model.geom_bodyid[foot[0]])).name
        stem = body if "foot" in body.lower() else f"{body}_foot"
        for number, geom in enumerate(foot, start=1):
            if not model.geom(geom).name:
                proposal = f"{stem}_{number}" if len(foot) > 1 else stem
                unnamed.append(UnnamedGeom(geom, body, proposal))
    return unnamed


def tune_gains(
    inferred: InferredConfig, build: Callable[[dict[str, Any]], Robot]
) -> InferredConfig:
    """The same config with gains with which the robot stands, where there are any.

    Bipeds keep their gains: they balance or fall.

    Args:
        inferred: a config with guessed gains.
        build: makes a robot from the content of a TOML.
    """
    content = inferred.content
    if content["legs"] <= 2:
        return inferred
    gains = standing_gains(build(content))
    if gains is None or gains["kp"] == content["control"]["kp"]:
        return inferred
    ranges = dict(content["randomisation"])
    for key in ("kp", "kd"):
        ratio = gains[key] / content["control"][key]
        ranges[key] = float(f"{ratio * ranges[key]:.2g}")
    content = content | {"control": content["control"] | gains, "randomisation": ranges}
    note = {"[control]": "guess: gains with which it stands, kd = kp / 40"}
    return inferred._replace(content=content, notes=inferred.notes | note)


class _ConfigInference:
    """A model in its nominal pose, and the packaged robot that is nearest in legs and height."""

    def __init__(
        self, name: str, model: mujoco.MjModel, driven: list[int], pose: NominalPose
    ) -> None:
        self.name, self.model, self.driven, self.pose = name, model, driven, pose
        self.names = [model.joint(joint).name for joint in driven]
        self.nominal = _rounded(pose.qpos[model.jnt_qposadr[driven]], pose.keyframe is None)
        self.posed = PosedModel(model, driven, pose.legs)
        qpos = pose.qpos.copy()
        qpos[model.jnt_qposadr[driven]] = self.nominal
        self.posed.set_pose(qpos)
        feet = [geom for foot in pose.feet for geom in foot]
        self.height = _rounded_up(-geom_bounds(model, self.posed.data, feet)[0][:, 2].min())
        self.legs = len(pose.feet)
        self.mass = float(model.body_mass.sum())
        self.nearest, self.nearest_config = _nearest_packaged(self.legs, self.height)
        self.feet = self._feet()

    def infer(self, velocity_limits: Mapping[str, float]) -> InferredConfig:
        """The whole config, table by table."""
        kind = KIND_BY_LEGS.get(self.legs, f"{self.legs}-legged")
        box_min, box_size = self._box()
        content = {
            "description": f"{self.name}, a {kind}",
            "kind": kind,
            "legs": self.legs,
            "provenance": "inferred from the MJCF",
            "trunk": self.model.body(free_bodies(self.model)[0]).name,
            "drop_height": self.height,
            "box_min": box_min,
            "box_size": box_size,
            "control": self._control(),
            "joints": {
                "names": self.names,
                "nominal": self.nominal,
                "max_velocity": self._max_velocity(velocity_limits),
            },
            "feet": {foot: {"geoms": geoms} for foot, geoms in self.feet.items()},
        }
        content |= self._termination_and_reward()
        content["initial_state"] = self.nearest_config["initial_state"]
        content["randomisation"] = self._randomisation(content["control"])
        return InferredConfig(content, self._notes(velocity_limits), self.pose)

    def _control(self) -> dict[str, float]:
        scale = self.nearest_config["control"]["action_scale"]
        return gains_for_kp(usual_kp(self.mass)) | {"action_scale": scale}

    def _max_velocity(self, velocity_limits: Mapping[str, float]) -> float | list[float]:
        usual = USUAL_VELOCITY["biped" if self.legs <= 2 else "other"]
        known = [float(velocity_limits.get(name, usual)) for name in self.names]
        return known if velocity_limits else usual

    def _feet(self) -> dict[str, list[str]]:
        feet: dict[str, list[str]] = {}
        for foot in self.pose.feet:
            geoms = [self.model.geom(geom).name for geom in foot]
            name = geoms[0] if len(geoms) == 1 else _common_prefix(geoms)
            body = self.model.body(int(self.model.geom_bodyid[foot[0]])).name
            feet[name if name and name not in feet else body] = geoms
        return feet

    def _box(self) -> tuple[list[float], list[float]]:
        low, high = geom_bounds(self.model, self.posed.data, robot_geoms(self.model))
        corner = low.min(axis=0)
        return _rounded(corner, False), _rounded(high.max(axis=0) - corner, False)

    def _termination_and_reward(self) -> dict[str, Any]:
        """The tables [termination] and [reward]."""
        trunk = self._trunk_geoms()
        reward = {
            key: value
            for key, value in self.nearest_config["reward"].items()
            if not isinstance(value, list)
        }
        if self.legs <= 2 or not trunk:
            termination: dict[str, Any] = {
                "min_height": float(f"{FALLEN_HEIGHT * self.height:.3g}")
            }
        else:
            termination = {"contact_geoms": trunk}
            reward["collision_geoms"] = self._shin_geoms()
            reward["trunk_geoms"] = trunk
        if self.legs <= 2:
            legs = {joint for leg in self.pose.legs for joint in leg.joints}
            others = zip(self.names, self.driven, strict=True)
            reward["nominal_pose_joints"] = [own for own, joint in others if joint not in legs]
        reward["symmetry_pairs"] = self._pairs()
        return {"termination": termination, "reward": reward}

    def _trunk_geoms(self) -> list[str]:
        """The trunk's named solid geoms that touch nothing in the nominal pose."""
        touching = {
            geom for pair in self.posed.self_collisions(self.pose.qpos, -1.0) for geom in pair
        }
        root = free_bodies(self.model)[0]
        own = np.flatnonzero(self.model.body_weldid[self.model.geom_bodyid] == root)
        return self._solid(geom for geom in map(int, own) if geom not in touching)

    def _shin_geoms(self) -> list[str]:
        """The named geoms beyond the last joints that are not feet."""
        feet = {geom for foot in self.pose.feet for geom in foot}
        return self._solid(g for leg in self.pose.legs for g in leg.geoms if g not in feet)

    def _solid(self, geoms: Iterable[int]) -> list[str]:
        model = self.model
        solid = [g for g in geoms if model.geom_contype[g] or model.geom_conaffinity[g]]
        return [model.geom(geom).name for geom in solid if model.geom(geom).name]

    def _pairs(self) -> list[list[str]]:
        """Pairs of a left and a right foot, nearest to each other's mirror image."""
        positions = dict(zip(self.feet, self._foot_positions(), strict=True))
        left = {name: own for name, own in positions.items() if own[1] > 0.0}
        right = {name: own for name, own in positions.items() if own[1] < 0.0}
        pairs = []
        for name, (x, y) in left.items():
            distance = {other: np.hypot(x - a, y + b) for other, (a, b) in right.items()}
            nearest = min(distance, key=lambda other: distance[other], default=None)
            if nearest and distance[nearest] < MIRROR_TOLERANCE * self.height:
                pairs.append([name, nearest])
                del right[nearest]
        return pairs

    def _foot_positions(self) -> Float[np.ndarray, "F 2"]:
        data = self.posed.data
        feet = [list(foot) for foot in self.pose.feet]
        return np.array([data.geom_xpos[foot][:, :2].mean(axis=0) for foot in feet])

    def _randomisation(self, control: Mapping[str, float]) -> dict[str, Any]:
        share = 0.05 if self.legs > 2 else 0.015
        table: dict[str, Any] = {
            "trunk_mass": float(f"{share * self.mass:.2g}"),
            "com": float(f"{0.008 * self.height:.2g}"),
            "damping": {"factor": 0.2},
            "armature": {"factor": 0.2},
            "friction_loss": {"factor": 0.2},
        }
        size = self._foot_size()
        if size:
            table["foot_size"] = [float(f"{0.98 * size:.3g}"), float(f"{1.02 * size:.3g}")]
        shares = {"kp": 0.15, "kd": 0.2, "action_scale": 0.12}
        table |= {key: float(f"{part * control[key]:.2g}") for key, part in shares.items()}
        world = self.nearest_config.get("randomisation", {})
        return table | {key: value for key, value in world.items() if key not in BODY_RANGES}

    def _foot_size(self) -> float | None:
        """The first size of all feet's geoms; None where sizes differ or geoms are meshes."""
        geoms = [geom for foot in self.pose.feet for geom in foot]
        if (self.model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_MESH.value).any():
            return None
        sizes = self.model.geom_size[geoms, 0]
        return float(sizes[0]) if np.ptp(sizes) < 0.01 * sizes[0] else None

    def _notes(self, velocity_limits: Mapping[str, float]) -> dict[str, str]:
        as_nearest = f"guess: as {self.nearest}"
        key = self.pose.keyframe
        pose = "guess: found by search" if key is None else f"the keyframe {key}"
        guessed = "" if velocity_limits else "; guess: see the robot's data sheet"
        return {
            "drop_height": "m: lowest foot on the floor in the nominal pose",
            "[control]": f"guess: kp from the mass, kd = kp / 40, action_scale as {self.nearest}",
            "nominal": f"rad; {pose}",
            "max_velocity": f"rad/s{guessed}",
            "[feet]": "guess: the lowest geoms of the limbs that reach lowest",
            "[termination]": f"guess: {self._termination_note()}",
            "[reward]": f"{as_nearest}; the lists from the model",
            "[initial_state]": as_nearest,
            "[randomisation]": f"guess: in proportion to the robot; the world as {self.nearest}",
        }

    def _termination_note(self) -> str:
        if self.legs > 2 and self._trunk_geoms():
            return "it has fallen when the trunk touches anything"
        return f"it has fallen below {FALLEN_HEIGHT:g} of the drop height"


def _nearest_packaged(legs: int, height: float) -> tuple[str, dict[str, Any]]:
    """Name and config of the packaged robot with as many legs that is nearest in height.

    Where none has as many legs, bipeds are compared with bipeds and others with others.
    """
    configs = {
        name: loader.read_task_config(registry.find_model(name))
        for name in registry.packaged_robots()
    }
    alike = {name: own for name, own in configs.items() if own["legs"] == legs}
    if not alike:
        alike = {name: own for name, own in configs.items() if (own["legs"] > 2) == (legs > 2)}
    name = min(alike, key=lambda name: abs(log(alike[name]["drop_height"] / height)))
    return name, alike[name]


def _common_prefix(names: Sequence[str]) -> str:
    """What names have in common before their numbers."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same).rstrip("_-. 0123456789")


def _rounded_up(height: float) -> float:
    """A height to the next millimetre, or tenth of one where it is small."""
    step = 1000.0 if height > 0.15 else 10000.0
    return ceil(height * step) / step


def _rounded(values: Float[np.ndarray, "K"], roughly: bool) -> list[float]:
    """Two decimals, or six digits; -0 becomes 0."""
    return [round(float(value), 2) + 0.0 if roughly else float(f"{value:.6g}") for value in values]
