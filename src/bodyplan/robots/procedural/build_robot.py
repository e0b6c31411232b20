"""From a body plan to a robot's two files: limbs as nested bodies, and the task config."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from math import cos, sin
from typing import Any

from bodyplan.robots.procedural.body_plans import BodyPlan
from bodyplan.robots.procedural.limb_links import spine
from bodyplan.robots.procedural.robot_design import RobotDesign, rounded
from bodyplan.robots.procedural.trunk_and_limbs import (
    LimbPlan,
    Piece,
    arms,
    legs,
    spine_place,
    trunk,
)

KIND_NAMES = {2: "biped", 3: "triped", 4: "quadruped", 5: "pentapod", 6: "hexapod", 7: "heptapod"}
KIND_NAMES[8] = "octopod"

HELD = 0.02
"""Seconds for which a torque is held: one control step."""
# Held so long, a torque carries a light joint past its target and feeds its own oscillation. With
# this much rotor inertia at least, and damping in this measure, no leg is too light for its gains.
ROTOR = 1.5 * HELD**2
DAMPING = 0.9 * HELD
FRICTION = 0.01
"""Of the torque limit."""
BIPED_FALLEN_SHARE = 0.6
"""A biped is down when its trunk is below this share of the drop height."""
STANDING_PENALTY = 0.11
"""Coefficient of the torque penalty times a squared torque limit, as quadrupeds have it."""

Vector = tuple[float, ...]


def build_design(plan: BodyPlan, name: str | None = None) -> RobotDesign:
    """The robot of a plan.

    Args:
        plan: its parameters.
        name: of the robot; `plan_<kind>` where not given.
    """
    name = name or f"plan_{KIND_NAMES[plan.legs]}"
    draft = RobotDesign(name, _mjcf(name, plan), _config(plan)).settled()
    if plan.legs > 2:
        return draft
    fallen = {"min_height": rounded(BIPED_FALLEN_SHARE * draft.config["drop_height"])}
    return replace(draft, config=draft.config | {"termination": fallen})


def _mjcf(name: str, plan: BodyPlan) -> str:
    root = ET.Element("mujoco", model=name)
    ET.SubElement(root, "compiler", angle="radian", autolimits="true")
    ET.SubElement(root, "option", timestep="0.005", cone="pyramidal", impratio="100")
    default = ET.SubElement(root, "default")
    stiff = plan.stiffness * plan.burden
    friction = FRICTION * plan.strength * plan.burden
    joint = {"armature": ROTOR * stiff, "damping": DAMPING * stiff, "frictionloss": friction}
    ET.SubElement(default, "joint", {key: _text(value) for key, value in joint.items()})
    ET.SubElement(default, "geom", solref="-1000 -80")
    world = ET.SubElement(root, "worldbody")
    ET.SubElement(world, "geom", name="floor", type="plane", size="100 100 0.125")
    _add_trunk(world, plan)
    bodies = {body.get("name"): body for body in world.iter("body")}
    contact = ET.SubElement(root, "contact")
    for limb in (*legs(plan), *arms(plan)):
        _add_limb(bodies[limb.carrier], limb)
        for first, second in _neighbours(limb):
            ET.SubElement(contact, "exclude", body1=first, body2=second)
    motors = ET.SubElement(root, "actuator")
    for motor, torque in _torques(plan).items():
        limit = _text(-torque, torque)
        ET.SubElement(motors, "motor", name=motor, joint=motor, ctrlrange=limit)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _add_trunk(world: ET.Element, plan: BodyPlan) -> None:
    first, *others = trunk(plan)
    body = ET.SubElement(world, "body", name=first.name)
    ET.SubElement(body, "freejoint", name="root")
    _add_box(body, first)
    joint = spine(plan)
    if joint:
        body = ET.SubElement(body, "body", name=others[0].name)
        place, limits = _text(spine_place(plan), 0.0, 0.0), _text(*joint.limits)
        ET.SubElement(body, "joint", name=joint.name, pos=place, axis="0 0 1", range=limits)
    for piece in others:
        _add_box(body, piece)


def _add_box(body: ET.Element, piece: Piece) -> None:
    ET.SubElement(
        body,
        "geom",
        name=piece.name,
        type="box",
        size=_text(*piece.half),
        pos=_text(*piece.centre),
        mass=_text(piece.mass),
    )


def _add_limb(body: ET.Element, limb: LimbPlan) -> None:
    """Links as bodies, one within the other, all with the trunk's axes at joint angles of zero."""
    outward = (cos(limb.heading), sin(limb.heading), 0.0)
    along = (0.0, 0.0, -1.0) if limb.hangs else outward
    # A rotation seen in a mirror turns the other way, but for those in the mirror's own plane.
    axes = {
        "pitch": (-outward[1], outward[0], 0.0),
        "roll": _times(limb.side, outward),
        "yaw": (0.0, 0.0, float(limb.side)),
    }
    place: Vector = limb.place
    for link in limb.links:
        name = f"{limb.name}_{link.name}"
        end = _times(link.length, along)
        body = ET.SubElement(body, "body", name=name, pos=_text(*place))
        limits = _text(*link.limits)
        ET.SubElement(body, "joint", name=name, axis=_text(*axes[link.axis]), range=limits)
        shape = {"name": name, "size": _text(link.radius), "mass": _text(link.mass)}
        if link.length:
            shape |= {"type": "capsule", "fromto": _text(0.0, 0.0, 0.0, *end)}
        ET.SubElement(body, "geom", shape)
        place = end
    if limb.foot:
        kind = "sphere" if len(limb.foot.size) == 1 else "box"
        ET.SubElement(
            body,
            "geom",
            name=f"{limb.name}_foot",
            type=kind,
            size=_text(*limb.foot.size),
            pos=_text(place[0] + limb.foot.forward, *place[1:]),
            mass=_text(limb.foot.mass),
        )


def _neighbours(limb: LimbPlan) -> list[tuple[str, str]]:
    """Pairs of bodies that meet at one point without being parent and child."""
    names = [limb.carrier, *(f"{limb.name}_{link.name}" for link in limb.links)]
    between = [link.length for link in limb.links]
    return [
        (names[i], names[j])
        for i in range(len(names))
        for j in range(i + 2, len(names))
        if not any(between[i : j - 1])
    ]


def _torques(plan: BodyPlan) -> dict[str, float]:
    """Torque limit of each joint, in task order."""
    joint = spine(plan)
    limbs = {
        f"{limb.name}_{link.name}": link.torque
        for limb in (*legs(plan), *arms(plan))
        for link in limb.links
    }
    return ({joint.name: joint.torque} if joint else {}) | limbs


def _config(plan: BodyPlan) -> dict[str, Any]:
    """The TOML's content, but for what depends on how the body stands."""
    limbs = (*legs(plan), *arms(plan))
    nominal = [0.0] * plan.spine + [rounded(link.nominal) for limb in limbs for link in limb.links]
    names = list(_torques(plan))
    feet = [f"{limb.name}_foot" for limb in limbs if limb.foot]
    biped, pieces = plan.legs == 2, [piece.name for piece in trunk(plan)]
    upper = names[: plan.spine] + names[plan.spine + plan.legs * plan.leg_joints :]
    shanks = [f"{limb.name}_{limb.links[-1].name}" for limb in limbs if limb.foot]
    stir = 0.1 if biped else 0.2
    return {
        "description": plan.description,
        "kind": KIND_NAMES[plan.legs],
        "legs": plan.legs,
        "trunk": "trunk",
        "provenance": "a generated body plan, after no particular machine",
        "drop_height": 1.0,
        "box_min": [-1.0, -1.0, -1.0],
        "box_size": [2.0, 2.0, 2.0],
        "control": {
            "kp": rounded(plan.stiffness * plan.burden),
            "kd": rounded(DAMPING * plan.stiffness * plan.burden),
            "action_scale": rounded(plan.action_scale),
        },
        "joints": {
            "names": names,
            "nominal": nominal,
            "max_velocity": rounded(plan.speed),
        },
        "feet": {foot: {"geoms": [foot]} for foot in feet},
        "termination": {} if biped else {"contact_geoms": pieces},
        "reward": {
            "tracking_xy": 3.0,
            "tracking_yaw": 1.5,
            "nominal_pose": 0.2 if upper else 0.0,
            "torque": rounded(min(2e-4, STANDING_PENALTY / (plan.strength * plan.burden) ** 2)),
            "collision_geoms": [] if biped else shanks,
            "trunk_geoms": [] if biped else pieces,
            "nominal_pose_joints": upper,
            "symmetry_pairs": [feet[i : i + 2] for i in range(0, plan.legs - 1, 2)],
        },
        "initial_state": {
            "roll_pitch": stir / 10,
            "joint_position": stir,
            "joint_velocity": stir,
            "linear_velocity": stir,
            "angular_velocity": stir,
        },
    }


def _times(factor: float, vector: Vector) -> Vector:
    return tuple(factor * x for x in vector)


def _text(*numbers: float) -> str:
    return " ".join(f"{rounded(number) + 0.0:g}" for number in numbers)
