"""A starting TOML for a body that comes without one, read and guessed from its MJCF.

What a body says is read: trunk, joints, feet, the standing height, the box, left and right. What it
cannot say is guessed after the packaged robots, and the written TOML says of each such figure that
it is a guess.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from math import ceil, log
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots import loader, registry
from bodyplan.robots.inference.gains import gains, usual_kp
from bodyplan.robots.inference.missing_names import Nameless, nameless
from bodyplan.robots.inference.nominal_pose_search import NominalPose, find_nominal_pose
from bodyplan.robots.inference.posed_model import PosedModel
from bodyplan.robots.kinematic_tree import (
    actuated_hinges,
    find_limbs,
    free_bodies,
    geom_bounds,
    robot_geoms,
)
from bodyplan.robots.toml_writer import to_toml

KIND_BY_LEGS = {1: "monopod", 2: "biped", 3: "triped", 4: "quadruped", 5: "pentapod", 6: "hexapod"}
KIND_BY_LEGS |= {7: "heptapod", 8: "octopod"}

FALLEN_HEIGHT_SHARE = 0.55
"""A biped is down when its trunk is below this share of the drop height (H1 0.55, NAO 0.56, G1
0.56, Cassie 0.50; Talos and OP3 0.68)."""
MIRROR = 0.25
"""Share of the drop height by which the places of a left and a right foot may differ."""
SPEED = {"biped": 12.0, "other": 20.0}
"""rad/s: the median of the packaged bipeds' joints, and of the others'."""
OWN = {"trunk_mass", "com", "foot_size", "damping", "armature", "stiffness", "friction_loss"}
OWN |= {"kp", "kd", "action_scale"}
"""Ranges of randomisation that belong to a body; the others belong to the world."""
SEARCHED = "guess: found by search"


HEADER = """\
# Inferred from the MJCF of the same name. What it could not say is marked as a guess: read those
# values once, and correct them from the robot's data sheet (docs/add_a_robot.md explains each).

"""


class Inferred(NamedTuple):
    """What could be read and guessed."""

    config: dict[str, Any]
    """The content of a TOML."""
    notes: dict[str, str]
    """Comments for it, by key or [table]."""
    posture: NominalPose


def infer(
    name: str, model: mujoco.MjModel, speeds: Mapping[str, float] | None = None
) -> Inferred | list[Nameless]:
    """The task config of a body, or the parts that need names first.

    Args:
        name: of the robot.
        model: the body, its first joint free, with an actuator on every joint to be driven.
        speeds: velocity limits of joints where they are known, rad/s.

    Returns:
        An empty list where the body has no legs.
    """
    driven = actuated_hinges(model)
    posture = find_nominal_pose(model, driven, find_limbs(model, driven)) if driven else None
    if posture is None:
        return []
    missing = nameless(model, posture)
    if missing:
        return missing
    return _Reading(name, model, driven, posture).inferred(speeds or {})


def config_text(inferred: Inferred) -> str:
    """The TOML of an inferred config, its guesses marked."""
    return HEADER + to_toml(inferred.config, inferred.notes)


class _Reading:
    """A body in its nominal pose, and the packaged robot that is nearest in legs and height."""

    def __init__(
        self, name: str, model: mujoco.MjModel, driven: list[int], posture: NominalPose
    ) -> None:
        self.name, self.model, self.driven, self.posture = name, model, driven, posture
        self.names = [model.joint(joint).name for joint in driven]
        self.nominal = _plain(posture.qpos[model.jnt_qposadr[driven]], posture.keyframe is None)
        self.body = PosedModel(model, driven, posture.legs)
        qpos = posture.qpos.copy()
        qpos[model.jnt_qposadr[driven]] = self.nominal
        self.body.take(qpos)
        feet = [geom for foot in posture.feet for geom in foot]
        self.height = _rounded_up(-geom_bounds(model, self.body.data, feet)[0][:, 2].min())
        self.legs = len(posture.feet)
        self.mass = float(model.body_mass.sum())
        self.relative, self.pattern = _nearest(self.legs, self.height)
        self.feet = self._feet()

    def inferred(self, speeds: Mapping[str, float]) -> Inferred:
        """Everything, table by table."""
        kind = KIND_BY_LEGS.get(self.legs, f"{self.legs}-legged")
        box_min, box_size = self._box()
        config = {
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
                "max_velocity": self._speeds(speeds),
            },
            "feet": {foot: {"geoms": geoms} for foot, geoms in self.feet.items()},
        }
        config |= self._ends() | {"initial_state": self.pattern["initial_state"]}
        config["randomisation"] = self._randomisation(config["control"])
        return Inferred(config, self._notes(speeds), self.posture)

    def _control(self) -> dict[str, float]:
        scale = self.pattern["control"]["action_scale"]
        return gains(usual_kp(self.mass)) | {"action_scale": scale}

    def _speeds(self, speeds: Mapping[str, float]) -> float | list[float]:
        usual = SPEED["biped" if self.legs <= 2 else "other"]
        known = [float(speeds.get(name, usual)) for name in self.names]
        return known if speeds else usual

    def _feet(self) -> dict[str, list[str]]:
        feet: dict[str, list[str]] = {}
        for foot in self.posture.feet:
            geoms = [self.model.geom(geom).name for geom in foot]
            shared = _beginning(geoms)
            name = geoms[0] if len(geoms) == 1 else shared
            body = self.model.body(int(self.model.geom_bodyid[foot[0]])).name
            feet[name if name and name not in feet else body] = geoms
        return feet

    def _box(self) -> tuple[list[float], list[float]]:
        low, high = geom_bounds(self.model, self.body.data, robot_geoms(self.model))
        corner = low.min(axis=0)
        return _plain(corner, False), _plain(high.max(axis=0) - corner, False)

    def _ends(self) -> dict[str, Any]:
        """What ends an episode, and what the reward pays."""
        trunk = self._trunk_geoms()
        reward = {
            key: value
            for key, value in self.pattern["reward"].items()
            if not isinstance(value, list)
        }
        if self.legs <= 2 or not trunk:
            termination: dict[str, Any] = {
                "min_height": float(f"{FALLEN_HEIGHT_SHARE * self.height:.3g}")
            }
        else:
            termination = {"contact_geoms": trunk}
            reward["collision_geoms"] = self._shin_geoms()
            reward["trunk_geoms"] = trunk
        if self.legs <= 2:
            legs = {joint for leg in self.posture.legs for joint in leg.joints}
            others = zip(self.names, self.driven, strict=True)
            reward["nominal_pose_joints"] = [own for own, joint in others if joint not in legs]
        reward["symmetry_pairs"] = self._pairs()
        return {"termination": termination, "reward": reward}

    def _trunk_geoms(self) -> list[str]:
        """The trunk's named solid shapes, but for those that touch something as it stands."""
        touching = {geom for pair in self.body.clashes(self.posture.qpos, -1.0) for geom in pair}
        root = free_bodies(self.model)[0]
        own = np.flatnonzero(self.model.body_weldid[self.model.geom_bodyid] == root)
        return self._solid(geom for geom in map(int, own) if geom not in touching)

    def _shin_geoms(self) -> list[str]:
        """The named shapes beyond the last joints that are no feet."""
        feet = {geom for foot in self.posture.feet for geom in foot}
        return self._solid(g for leg in self.posture.legs for g in leg.geoms if g not in feet)

    def _solid(self, geoms: Iterable[int]) -> list[str]:
        model = self.model
        solid = [g for g in geoms if model.geom_contype[g] or model.geom_conaffinity[g]]
        return [model.geom(geom).name for geom in solid if model.geom(geom).name]

    def _pairs(self) -> list[list[str]]:
        """Left and right feet, nearest to each other's mirror image."""
        places = dict(zip(self.feet, self._places(), strict=True))
        left = {name: place for name, place in places.items() if place[1] > 0.0}
        right = {name: place for name, place in places.items() if place[1] < 0.0}
        pairs = []
        for name, (x, y) in left.items():
            apart = {other: np.hypot(x - a, y + b) for other, (a, b) in right.items()}
            nearest = min(apart, key=lambda other: apart[other], default=None)
            if nearest and apart[nearest] < MIRROR * self.height:
                pairs.append([name, nearest])
                del right[nearest]
        return pairs

    def _places(self) -> Float[np.ndarray, "F 2"]:
        data = self.body.data
        feet = [list(foot) for foot in self.posture.feet]
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
        world = self.pattern.get("randomisation", {})
        return table | {key: value for key, value in world.items() if key not in OWN}

    def _foot_size(self) -> float | None:
        """The first size of all feet's shapes; None where they differ or are meshes."""
        geoms = [geom for foot in self.posture.feet for geom in foot]
        if (self.model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_MESH.value).any():
            return None
        sizes = self.model.geom_size[geoms, 0]
        return float(sizes[0]) if np.ptp(sizes) < 0.01 * sizes[0] else None

    def _notes(self, speeds: Mapping[str, float]) -> dict[str, str]:
        as_relative = f"guess: as {self.relative}"
        key = self.posture.keyframe
        velocity = "rad/s" if speeds else "rad/s; guess: an MJCF does not say, a data sheet does"
        return {
            "drop_height": "m: lowest foot on the floor in the nominal pose",
            "[control]": f"guess: kp from the mass, kd = kp / 40, action_scale as {self.relative}",
            "nominal": f"rad; {SEARCHED if key is None else f'the keyframe {key}'}",
            "max_velocity": velocity,
            "[feet]": "guess: the lowest shapes of the limbs that reach lowest",
            "[termination]": "guess: a fall is " + self._fall(),
            "[reward]": f"{as_relative}; the lists from the body",
            "[initial_state]": as_relative,
            "[randomisation]": f"guess: the robot's in proportion, the world's as {self.relative}",
        }

    def _fall(self) -> str:
        if self.legs > 2 and self._trunk_geoms():
            return "when the trunk touches anything"
        return f"below {FALLEN_HEIGHT_SHARE:g} of the drop height"


def _nearest(legs: int, height: float) -> tuple[str, dict[str, Any]]:
    """The packaged robot of as many legs, or as like, that is nearest in height."""
    told = {
        name: loader.read_task_config(registry.find_model(name))
        for name in registry.packaged_robots()
    }
    alike = {name: own for name, own in told.items() if own["legs"] == legs}
    if not alike:
        alike = {name: own for name, own in told.items() if (own["legs"] > 2) == (legs > 2)}
    name = min(alike, key=lambda name: abs(log(alike[name]["drop_height"] / height)))
    return name, alike[name]


def _beginning(names: Sequence[str]) -> str:
    """What names have in common before their numbers."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same).rstrip("_-. 0123456789")


def _rounded_up(height: float) -> float:
    step = 1000.0 if height > 0.15 else 10000.0
    return ceil(height * step) / step


def _plain(values: Float[np.ndarray, "K"], roughly: bool) -> list[float]:
    return [round(float(value), 2) + 0.0 if roughly else float(f"{value:.6g}") for value in values]
