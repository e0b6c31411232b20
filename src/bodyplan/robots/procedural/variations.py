"""Variations of a packaged robot: other sizes, masses, limb lengths, motors and gains.

Each number in the robot's two files is scaled by its own powers of length and mass. With a size
factor s alone, lengths grow with s, masses with s^3, torques with s^4 and times with the root of s.
The larger robot then moves as the small one does in slow motion (Froude scaling). Contacts, the
control step and the reward belong to the task and stay as they are.

Left and right stay symmetric, because a limb's kind and not its side decides its factors.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import chain
from math import ceil, inf, sqrt
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bodyplan.errors import BodyplanError
from bodyplan.robots import loader, registry
from bodyplan.robots.procedural.robot_design import RobotDesign, measure_pose, rounded
from bodyplan.robots.robot import Robot

SIZE_RANGE = (2 / 3, 3 / 2)
LENGTH_RANGE = (0.85, 1 / 0.85)
"""Range of limb lengths relative to the robot's size."""
STRENGTH_RANGE = (0.8, 1 / 0.8)
"""Range of masses, torque limits and gains relative to what the size needs."""


class Proportion(NamedTuple):
    """Factors on one kind of limb, besides those of size."""

    length: float = 1.0
    mass: float = 1.0


UNCHANGED = Proportion()


@dataclass(frozen=True)
class Variation:
    """How a robot differs from its origin; every number is a factor."""

    size: float = 1.0
    """On all lengths; masses grow with its cube."""
    trunk: Proportion = UNCHANGED
    upper_legs: Proportion = UNCHANGED
    """The first half of a leg's joints: hips and thighs."""
    lower_legs: Proportion = UNCHANGED
    """Knees, shanks and feet; equal to the upper legs where linkages close over the knee."""
    upper_body: Proportion = UNCHANGED
    """All limbs without a foot: arms, head, a torso on a waist."""
    torque: float = 1.0
    """On torque limits, besides the factor that weight and leg length need."""
    gains: float = 1.0
    """On kp, and its root on kd, besides the same factor."""

    def __post_init__(self) -> None:
        factors = [self.size, *chain(*self._proportions().values()), self.torque, self.gains]
        if not all(0.0 < factor < inf for factor in factors):
            raise BodyplanError(
                f"{self} has a factor that is not positive; give 1 to change nothing"
            )

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Variation":
        """A random variation, each factor log-uniform in its range."""

        def factor(bounds: tuple[float, float]) -> float:
            return float(np.exp(rng.uniform(*np.log(bounds))))

        def proportion() -> Proportion:
            return Proportion(factor(LENGTH_RANGE), factor(STRENGTH_RANGE))

        kinds = [field.name for field in fields(cls) if field.type is Proportion]
        return cls(
            size=factor(SIZE_RANGE),
            **{kind: proportion() for kind in kinds},
            torque=factor(STRENGTH_RANGE),
            gains=factor(STRENGTH_RANGE),
        )

    def factors_of(self, kind: str) -> Proportion:
        """Factors on one kind of limb, size included."""
        length, mass = self._proportions()[kind]
        return Proportion(self.size * length, self.size**3 * mass)

    def _proportions(self) -> dict[str, Proportion]:
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.type is Proportion
        }


class _Strength(NamedTuple):
    """Factors on joints and motors that changes of weight and leg length need."""

    torque: float
    time: float
    inertia: float


def vary_robot(origin: str, variation: Variation, name: str | None = None) -> RobotDesign:
    """The design of a variation of a packaged robot.

    Args:
        origin: name of a packaged robot.
        variation: factors on its parameters.
        name: of the new robot; `<origin>_varied` where not given.

    Raises:
        BodyplanError: no packaged robot has this name.
    """
    if origin not in registry.packaged_robots():
        names = ", ".join(registry.packaged_robots())
        raise BodyplanError(f"'{origin}' is not a packaged robot; choose one of {names}")
    name = name or f"{origin}_varied"
    source = registry.find_model(origin)
    config = loader.read_task_config(source)
    tree = ET.parse(source).getroot()
    kinds = _kinds(tree, config)
    if tree.find("equality") is not None:  # its linkages close over the knee
        variation = replace(variation, lower_legs=variation.upper_legs)
    factors = {body: variation.factors_of(kind) for body, kind in kinds.items()}
    strength = _strength(tree, variation, factors)
    _change_body(tree, factors, strength, variation)
    tree.set("model", name)
    _change_config(config, tree, factors, strength, variation)
    present = dict.fromkeys(kinds.values())
    lengths = ", ".join(f"{kind} {variation.factors_of(kind).length:.2f}" for kind in present)
    config["description"] += f"; lengths varied: {lengths.replace('_', ' ')}"
    config["provenance"] = f"varied from {origin}: {config.get('provenance', '')}"
    draft = RobotDesign(name, ET.tostring(tree, encoding="unicode") + "\n", config, origin)
    clearance, min_margin, size_margin = _margins(origin)
    size = variation.size
    return draft.with_measured_box(size * clearance, size * min_margin, size * size_margin)


@cache
def _margins(origin: str) -> tuple[float, Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """A packaged robot's clearance and margins, as `with_measured_box` takes them."""
    robot = Robot.load(origin)
    extent = measure_pose(robot)
    margins = robot.box_min - extent.box_min, robot.box_size - extent.box_size
    return robot.drop_height + extent.lowest_foot, *margins


def _kinds(tree: ET.Element, config: dict[str, Any]) -> dict[str, str]:
    """The kind of limb that each body belongs to, by the body's name."""
    driven = set(config["joints"]["names"])
    foot_geoms = {foot["geoms"][0] for foot in config["feet"].values()}
    joints = {
        body: sum(joint.get("name") in driven for joint in body.findall("joint"))
        for body in tree.iter("body")
    }
    feet = {
        body: sum(geom.get("name") in foot_geoms for geom in body.iter("geom")) for body in joints
    }

    def kind(path: tuple[ET.Element, ...]) -> str:
        limb = next((i for i, part in enumerate(path) if i and feet[part] < 2), None)
        if limb is None:
            return "trunk"
        if not feet[path[limb]]:
            return "upper_body"
        to_foot = [part for part in path[limb].iter("body") if feet[part]]
        above = sum(joints[part] for part in path[limb:])
        upper = above <= ceil(sum(joints[part] for part in to_foot) / 2)
        return "upper_legs" if upper else "lower_legs"

    return {path[-1].get("name", ""): kind(path) for path in _paths(tree.iter("body"))}


def _paths(bodies: Iterable[ET.Element]) -> Iterator[tuple[ET.Element, ...]]:
    """The path from the root to each body."""
    above: dict[ET.Element, tuple[ET.Element, ...]] = {}
    for body in bodies:  # parents come before their children
        path = (*above.get(body, ()), body)
        above.update(dict.fromkeys(body.findall("body"), path))
        yield path


def _strength(tree: ET.Element, variation: Variation, factors: dict[str, Proportion]) -> _Strength:
    masses = {
        body.get("name", ""): float(inertial.get("mass", 0.0))
        for body in tree.iter("body")
        for inertial in body.findall("inertial")
    }
    weight = sum(mass * factors[body].mass for body, mass in masses.items()) / sum(masses.values())
    upper, lower = (
        variation.factors_of("upper_legs").length,
        variation.factors_of("lower_legs").length,
    )
    length = sqrt(upper * lower)
    return _Strength(torque=weight * length, time=sqrt(length), inertia=weight * length**2)


def _change_body(
    tree: ET.Element,
    factors: dict[str, Proportion],
    strength: _Strength,
    variation: Variation,
) -> None:
    for body in tree.iter("body"):
        length, mass = factors[body.get("name", "")]
        for child in body:
            if child.tag in ("body", "inertial", "geom", "joint"):
                _scale(child, pos=length)
            if child.tag == "inertial":
                _scale(child, mass=mass, diaginertia=mass * length**2)
            if child.tag == "geom":
                _scale(child, size=length)
    for joint in tree.iter("joint"):  # those of the defaults included
        _scale(
            joint,
            damping=strength.torque * strength.time,
            armature=strength.inertia,
            stiffness=strength.torque,
            frictionloss=strength.torque,
        )
    for motor in tree.iter("motor"):
        _scale(motor, ctrlrange=strength.torque * variation.torque)
    for loop in tree.iter("connect"):
        _scale(loop, anchor=factors[loop.get("body1", "")].length)


def _change_config(
    config: dict[str, Any],
    tree: ET.Element,
    factors: dict[str, Proportion],
    strength: _Strength,
    variation: Variation,
) -> None:
    control, joints, reward = (config[table] for table in ("control", "joints", "reward"))
    control["kp"] = rounded(control["kp"] * strength.torque * variation.gains)
    damping = strength.torque * strength.time * sqrt(variation.gains)
    control["kd"] = rounded(control["kd"] * damping)
    velocity = joints["max_velocity"]
    limits = velocity if isinstance(velocity, list) else [velocity]
    slower = [rounded(limit / strength.time) for limit in limits]
    joints["max_velocity"] = slower if isinstance(velocity, list) else slower[0]
    # The torque penalty is the only coefficient that depends on a robot's size.
    reward["torque"] = rounded(reward["torque"] / strength.torque**2)
    if "min_height" in config["termination"]:
        height = config["termination"]["min_height"]
        config["termination"]["min_height"] = rounded(height * strength.time**2)
    carriers = {
        geom.get("name"): body.get("name", "")
        for body in tree.iter("body")
        for geom in body.findall("geom")
    }
    for foot in config["feet"].values():
        if "point" in foot:
            length = factors[carriers[foot["geoms"][0]]].length
            foot["point"] = [rounded(length * x) for x in foot["point"]]
    # These ranges belong to the size of the origin; the defaults suit any size.
    config.pop("randomisation", None)


def _scale(element: ET.Element, **factors: float) -> None:
    """Multiply the numbers in an element's attributes, where it has them."""
    for attribute, factor in factors.items():
        if attribute in element.attrib:
            numbers = [float(number) * factor for number in element.attrib[attribute].split()]
            element.set(attribute, " ".join(f"{number:.9g}" for number in numbers))
