"""Build a robot from a body plan: its MJCF, with limbs as nested bodies, and its task config."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from math import cos, sin
from typing import Any

from bodyplan.robots.model_parameters import MIN_INERTIA_PER_KP
from bodyplan.robots.procedural.body_plans import BodyPlan
from bodyplan.robots.procedural.limb_links import spine_link
from bodyplan.robots.procedural.robot_design import RobotDesign, rounded
from bodyplan.robots.procedural.trunk_and_limbs import (
    LimbPlan,
    TrunkBox,
    plan_arms,
    plan_legs,
    spine_position,
    trunk_boxes,
)
from bodyplan.robots.task_config import CONTROL_STEP, KIND_BY_LEGS

# A torque is held for a control step. It can carry a light joint past its target, so that the joint
# oscillates. An armature of MIN_INERTIA_PER_KP and this damping prevent that for every leg.
DAMPING_PER_KP = 0.9 * CONTROL_STEP
"""s."""
FRICTION_SHARE = 0.01
"""Friction loss of a joint over its torque limit."""
BIPED_FALLEN_HEIGHT = 0.6
"""A biped has fallen when its trunk is below this share of the drop height."""
STANDING_PENALTY = 0.11
"""Torque penalty coefficient times the squared torque limit, as the packaged quadrupeds have."""

Vector = tuple[float, ...]


def build_design(plan: BodyPlan, name: str | None = None) -> RobotDesign:
    """The design of a plan's robot.

    Args:
        plan: its parameters.
        name: of the robot; `plan_<kind>` where not given.
    """
    name = name or f"plan_{KIND_BY_LEGS[plan.legs]}"
    draft = RobotDesign(name, _mjcf(name, plan), _config(plan)).with_measured_box()
    if plan.legs > 2:
        return draft
    fallen = {"min_height": rounded(BIPED_FALLEN_HEIGHT * draft.config["drop_height"])}
    return replace(draft, config=draft.config | {"termination": fallen})


def _mjcf(name: str, plan: BodyPlan) -> str:
    root = ET.Element("mujoco", model=name)
    ET.SubElement(root, "compiler", angle="radian", autolimits="true")
    ET.SubElement(root, "option", timestep="0.005", cone="pyramidal", impratio="100")
    default = ET.SubElement(root, "default")
    kp = plan.stiffness * plan.reference_torque
    friction = FRICTION_SHARE * plan.strength * plan.reference_torque
    joint = {
        "armature": MIN_INERTIA_PER_KP * kp,
        "damping": DAMPING_PER_KP * kp,
        "frictionloss": friction,
    }
    ET.SubElement(default, "joint", {key: _text(value) for key, value in joint.items()})
    ET.SubElement(default, "geom", solref="-1000 -80")
    world = ET.SubElement(root, "worldbody")
    ET.SubElement(world, "geom", name="floor", type="plane", size="100 100 0.125")
    _add_trunk(world, plan)
    bodies = {body.get("name"): body for body in world.iter("body")}
    contact = ET.SubElement(root, "contact")
    for limb in (*plan_legs(plan), *plan_arms(plan)):
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
    first, *others = trunk_boxes(plan)
    body = ET.SubElement(world, "body", name=first.name)
    ET.SubElement(body, "freejoint", name="root")
    _add_box(body, first)
    joint = spine_link(plan)
    if joint:
        body = ET.SubElement(body, "body", name=others[0].name)
        position, limits = _text(spine_position(plan), 0.0, 0.0), _text(*joint.limits)
        ET.SubElement(body, "joint", name=joint.name, pos=position, axis="0 0 1", range=limits)
    for box in others:
        _add_box(body, box)


def _add_box(body: ET.Element, box: TrunkBox) -> None:
    ET.SubElement(
        body,
        "geom",
        name=box.name,
        type="box",
        size=_text(*box.half_size),
        pos=_text(*box.centre),
        mass=_text(box.mass),
    )


def _add_limb(body: ET.Element, limb: LimbPlan) -> None:
    """Links as bodies, one within the other, all with the trunk's axes at joint angles of zero."""
    outward = (cos(limb.heading), sin(limb.heading), 0.0)
    along = (0.0, 0.0, -1.0) if limb.hangs else outward
    # A mirror reverses rotations, except those about its normal.
    axes = {
        "pitch": (-outward[1], outward[0], 0.0),
        "roll": _times(limb.side, outward),
        "yaw": (0.0, 0.0, float(limb.side)),
    }
    position: Vector = limb.position
    for link in limb.links:
        name = f"{limb.name}_{link.name}"
        end = _times(link.length, along)
        body = ET.SubElement(body, "body", name=name, pos=_text(*position))
        limits = _text(*link.limits)
        ET.SubElement(body, "joint", name=name, axis=_text(*axes[link.axis]), range=limits)
        shape = {"name": name, "size": _text(link.radius), "mass": _text(link.mass)}
        if link.length:
            shape |= {"type": "capsule", "fromto": _text(0.0, 0.0, 0.0, *end)}
        ET.SubElement(body, "geom", shape)
        position = end
    if limb.foot:
        kind = "sphere" if len(limb.foot.size) == 1 else "box"
        ET.SubElement(
            body,
            "geom",
            name=f"{limb.name}_foot",
            type=kind,
            size=_text(*limb.foot.size),
            pos=_text(position[0] + limb.foot.forward, *position[1:]),
            mass=_text(limb.foot.mass),
        )


def _neighbours(limb: LimbPlan) -> list[tuple[str, str]]:
    """Pairs of bodies that meet at one point and are not parent and child."""
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
    joint = spine_link(plan)
    limbs = {
        f"{limb.name}_{link.name}": link.torque
        for limb in (*plan_legs(plan), *plan_arms(plan))
        for link in limb.links
    }
    return ({joint.name: joint.torque} if joint else {}) | limbs


def _config(plan: BodyPlan) -> dict[str, Any]:
    """The content of the TOML, without the values that depend on the nominal pose."""
    limbs = (*plan_legs(plan), *plan_arms(plan))
    nominal = [0.0] * plan.spine + [rounded(link.nominal) for limb in limbs for link in limb.links]
    names = list(_torques(plan))
    feet = [f"{limb.name}_foot" for limb in limbs if limb.foot]
    biped, pieces = plan.legs == 2, [box.name for box in trunk_boxes(plan)]
    upper = names[: plan.spine] + names[plan.spine + plan.legs * plan.leg_joints :]
    shanks = [f"{limb.name}_{limb.links[-1].name}" for limb in limbs if limb.foot]
    reset = 0.1 if biped else 0.2
    return {
        "description": plan.description,
        "kind": KIND_BY_LEGS[plan.legs],
        "legs": plan.legs,
        "trunk": "trunk",
        "provenance": "a generated body plan, after no particular machine",
        "drop_height": 1.0,
        "box_min": [-1.0, -1.0, -1.0],
        "box_size": [2.0, 2.0, 2.0],
        "control": {
            "kp": rounded(plan.stiffness * plan.reference_torque),
            "kd": rounded(DAMPING_PER_KP * plan.stiffness * plan.reference_torque),
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
            "torque": rounded(
                min(2e-4, STANDING_PENALTY / (plan.strength * plan.reference_torque) ** 2)
            ),
            "collision_geoms": [] if biped else shanks,
            "trunk_geoms": [] if biped else pieces,
            "nominal_pose_joints": upper,
            "symmetry_pairs": [feet[i : i + 2] for i in range(0, plan.legs - 1, 2)],
        },
        "initial_state": {
            "roll_pitch": reset / 10,
            "joint_position": reset,
            "joint_velocity": reset,
            "linear_velocity": reset,
            "angular_velocity": reset,
        },
    }


def _times(factor: float, vector: Vector) -> Vector:
    return tuple(factor * x for x in vector)


def _text(*numbers: float) -> str:
    return " ".join(f"{rounded(number) + 0.0:g}" for number in numbers)
