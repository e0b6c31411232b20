"""Search for a nominal pose of a model that comes without one.

A keyframe of the MJCF is taken where the robot stands in it. Otherwise many poses are sampled, and
each leg descends from the best of them to a minimum of its cost. An ordinary leg carries the trunk
at a moderate height with little torque: feet below the hips, knees bent. A biped's leg with a flat
foot keeps the foot level and bends the knee a little. Arms that touch the body are moved away.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.inference.named_feet import named_feet
from bodyplan.robots.inference.posed_model import MAX_ANGLE, LimbView, PosedModel, StandingKey
from bodyplan.robots.kinematic_tree import Limb, can_touch_floor, geom_bounds, robot_geoms
from bodyplan.robots.notes import Note, dropped
from bodyplan.robots.validation.part_words import geom_words

SAMPLES = 1000
"""Random poses."""
DESCENTS = 3
"""Samples of a leg, the best ones, from which a descent starts."""
COST_FACTOR, COST_MARGIN = 1.5, 0.05
"""A mirrored leg may cost this factor of the first leg's cost, and this more."""
# Trunk height over the largest possible one. The packaged quadrupeds have 0.73 to 0.82, the
# hexapod with its outward legs 0.44. The bipeds have 0.93 to 0.96 of the height on straight legs.
UPRIGHT_HEIGHT, SPRAWLED_HEIGHT, FLAT_FOOT_HEIGHT = 0.8, 0.45, 0.95
LEG_DEPTH = 0.6
"""A limb is a leg if it reaches down this share of what the deepest limb does."""
SOLE, TOE = 0.04, 0.01
"""Shares of the trunk height: geoms so near the lowest one belong to a flat foot, to another."""
ANKLE = 0.3
"""Share of the trunk height: a last joint so near the floor is an ankle above a flat foot."""
FOOT = 0.15
"""Share of the trunk height: what is called a foot, or is like the lowest shape, may be so high."""
PARALLEL = 0.7
"""Component of a unit vector above which it counts as parallel to that axis."""
MAX_OVERLAP = 0.002
"""m: two geoms may be inside each other by this much."""
MAX_ARM_CHANGE, ARM_TRIALS = 0.8, 100
"""rad, and number of trials, for moving arms away from the body."""


class NominalPose(NamedTuple):
    """A nominal pose, and the limbs that stand in it."""

    qpos: Float[np.ndarray, "nq"]
    legs: tuple[Limb, ...]
    feet: tuple[tuple[int, ...], ...]
    """Ids of the geoms of each leg that stand on the floor."""
    height: float
    """m: of the trunk over the lowest foot."""
    keyframe: str | None
    """Name of the keyframe that it comes from; None where it was searched for."""
    notes: tuple[Note, ...] = ()
    """Keyframes that were not taken, and why."""


def find_nominal_pose(
    model: mujoco.MjModel, driven: Sequence[int], limbs: Sequence[Limb], seed: int = 0
) -> NominalPose | None:
    """The nominal pose of a model; None where no limb reaches below its trunk.

    Args:
        model: the compiled model, its first joint free.
        driven: ids of the actuated joints.
        limbs: its limbs.
        seed: of the search.
    """
    posed, rng = PosedModel(model, driven, limbs), np.random.default_rng(seed)
    samples = posed.sample_poses(rng, SAMPLES)
    key, notes = _standing_key(posed, samples)
    posed.set_pose(key.qpos if key else posed.neutral)
    legs = _find_legs([posed.limb_view(limb) for limb in range(len(limbs))], samples)
    if not legs:
        return None
    posed.set_pose(posed.neutral)
    goals = [_leg_goal(posed, legs, leg, samples) for leg in legs]
    qpos = key.qpos if key else _move_arms(posed, legs, _search(posed, goals, samples), rng)
    qpos = posed.with_followers(qpos)
    posed.set_pose(qpos)
    height = float(-min(posed.limb_view(leg).tip[2] for leg in legs))
    feet = tuple(_foot_geoms(posed, goal, height) for goal in goals)
    name = key.name if key else None
    return NominalPose(qpos, tuple(limbs[leg] for leg in legs), feet, height, name, tuple(notes))


def _standing_key(
    posed: PosedModel, samples: Sequence[LimbView]
) -> tuple[StandingKey | None, list[Note]]:
    """The first keyframe in which the robot stands, and why others before it are not taken."""
    notes: list[Note] = []
    for key in posed.standing_keyframes():
        posed.set_pose(key.qpos)
        legs = _find_legs([posed.limb_view(limb) for limb in range(len(posed.limbs))], samples)
        overlaps = posed.new_collisions(key.qpos, MAX_OVERLAP)
        if overlaps:
            first, second = (geom_words(posed.model, geom) for geom in overlaps[0])
            reason = f"{first} is inside {second}"
        elif not legs or not _stands(posed, legs, key.qpos):
            reason = "other parts reach lower than the legs"
        else:
            return key, notes
        notes.append(dropped(f"keyframe '{key.name}' as nominal pose: {reason}"))
    return None, notes


def _find_legs(start: Sequence[LimbView], samples: Sequence[LimbView]) -> list[int]:
    """Which limbs are legs: those that start low and can reach low."""
    depths = [
        -now.tip[2] - sampled.tip[:, 2].min() for now, sampled in zip(start, samples, strict=True)
    ]
    deepest = max(depths, default=0.0)
    return [limb for limb, depth in enumerate(depths) if depth > LEG_DEPTH * deepest > 0.0]


def _stands(posed: PosedModel, legs: Sequence[int], qpos: Float[np.ndarray, "nq"]) -> bool:
    """Whether no other geom reaches lower than the legs."""
    posed.set_pose(qpos)
    model, height = posed.model, -min(float(posed.limb_view(leg).tip[2]) for leg in legs)
    others = set(robot_geoms(model)) - {geom for leg in legs for geom in posed.limbs[leg].geoms}
    solid = [geom for geom in others if can_touch_floor(model, geom)]
    low = geom_bounds(model, posed.data, solid)[0][:, 2]
    return height > 0.0 and bool((low > -(1.0 + TOE) * height).all())


def _foot_geoms(posed: PosedModel, goal: "_LegGoal", height: float) -> tuple[int, ...]:
    """The geoms that a leg stands on.

    What the model calls a foot wins, else it is the lowest geom with those as low. Geoms like the
    lowest belong to it: a tilted sole is whole, though only its edge is lowest.
    """
    limb = posed.limbs[goal.leg]
    named = named_feet(posed.model, limb)
    feet = limb._replace(geoms=named or limb.geoms)
    low = posed.lowest_geoms(feet, (SOLE if goal.flat else TOE) * height)
    near = posed.lowest_geoms(feet, FOOT * height)
    return tuple(geom for geom in near if any(_alike(posed.model, geom, other) for other in low))


def _alike(model: mujoco.MjModel, geom: int, other: int) -> bool:
    """Whether two geoms are the same shape on the same body, as the parts of a sole are."""
    fields = (model.geom_bodyid, model.geom_type, model.geom_dataid)
    same = all(own[geom] == own[other] for own in fields)
    return geom == other or (same and np.allclose(model.geom_size[geom], model.geom_size[other]))


class _LegGoal(NamedTuple):
    """What the nominal pose of one leg should be like."""

    leg: int
    own_joints: list[int]
    """Which of the limb's joints move this leg alone (a spine moves two)."""
    neutral: LimbView
    change_weights: Float[np.ndarray, "K"]
    """Weight of each own joint's change. Joints about the forward axis should stay, so that feet
    are as far apart as hips."""
    flat: bool
    """Whether the leg ends in a flat foot."""
    backward_weight: float
    """Weight of a last joint's position behind the foot. Where legs may bend either way, all of
    them then bend the same way."""
    depth: float
    """m: of the foot below the trunk."""

    def cost(self, view: LimbView) -> Float[np.ndarray, "..."]:
        """Sum of squared deviations, in units of the height and of radians."""
        own, axes = self.own_joints, view.axes[..., self.own_joints, :]
        change = np.square(view.angles - self.neutral.angles)[..., own]
        total = 100.0 * np.square(view.tip[..., 2] / self.depth + 1.0)
        total = total + (self.change_weights * change).sum(axis=-1)
        if self.flat:
            shift = (view.tip - self.neutral.tip)[..., :2] / self.depth
            tilt = view.rotation - self.neutral.rotation
            total = total + 50.0 * (np.square(shift).sum(-1) + np.square(tilt).sum((-1, -2)))
            return np.asarray(total)
        # Torque of a vertical unit force at the foot about each joint.
        arms = (view.tip[..., None, :] - view.anchors[..., own, :]) / self.depth
        torque = axes[..., 0] * arms[..., 1] - axes[..., 1] * arms[..., 0]
        forward = (view.anchors[..., own[-1], 0] - view.tip[..., 0]) / self.depth
        return np.asarray(total + np.square(torque).sum(axis=-1) + self.backward_weight * forward)


def _leg_goal(
    posed: PosedModel, legs: Sequence[int], leg: int, samples: Sequence[LimbView]
) -> _LegGoal:
    """The goal of a leg of the model in its neutral pose."""
    shared = {joint for other in legs if other != leg for joint in posed.limbs[other].joints}
    own = [i for i, joint in enumerate(posed.limbs[leg].joints) if joint not in shared]
    neutral = posed.limb_view(leg)
    height, ankle = -neutral.tip[2], neutral.anchors[own[-1], 2] - neutral.tip[2]
    flat = len(legs) <= 2 and len(own) > 2 and ankle < ANKLE * height
    sprawled = len(legs) > 2 and abs(neutral.axes[own[0], 2]) > PARALLEL
    sideways = np.abs(neutral.axes[own, 0]) > PARALLEL
    weights = np.where(sideways & (not sprawled and not sideways.all()), 1.0, 0.02)
    if flat:
        return _LegGoal(leg, own, neutral, weights, flat, 0.0, FLAT_FOOT_HEIGHT * height)
    deepest = min(-samples[other].tip[:, 2].min() for other in legs)
    share, backward = (SPRAWLED_HEIGHT, 0.0) if sprawled else (UPRIGHT_HEIGHT, 0.02)
    return _LegGoal(leg, own, neutral, weights, flat, backward, float(share * deepest))


def _search(
    posed: PosedModel, goals: Sequence[_LegGoal], samples: Sequence[LimbView]
) -> Float[np.ndarray, "nq"]:
    """The pose in which every leg is at its goal.

    One leg is searched, and the others start as its mirror images. Legs that are alike then stand
    alike. A leg for which that costs too much is searched by itself.
    """
    qpos = posed.neutral.copy()
    first = _search_leg(posed, goals[0], qpos, samples)
    limit = COST_FACTOR * _cost_function(posed, goals[0], qpos)(first) + COST_MARGIN
    qpos[_qpos_index(posed, goals[0])] = first
    for goal in goals[1:]:
        cost, angles = _cost_function(posed, goal, qpos), None
        if len(goal.own_joints) == len(first):
            # Another leg's angles, with the signs that cost this leg least.
            signs = product((1.0, -1.0), repeat=len(first))
            mirrored = [np.array(own) * first for own in signs]
            angles = _descend(posed, goal, cost, [min(mirrored, key=cost)])
        if angles is None or cost(angles) > limit:
            angles = _search_leg(posed, goal, qpos, samples)
        qpos[_qpos_index(posed, goal)] = angles
    return qpos


def _search_leg(
    posed: PosedModel,
    goal: _LegGoal,
    qpos: Float[np.ndarray, "nq"],
    samples: Sequence[LimbView],
) -> Float[np.ndarray, "K"]:
    sampled = samples[goal.leg]
    best = np.argsort(goal.cost(sampled))[:DESCENTS]
    starts = [sampled.angles[i][goal.own_joints] for i in best]
    cost = _cost_function(posed, goal, qpos)
    return _descend(posed, goal, cost, [*starts, goal.neutral.angles[goal.own_joints]])


def _qpos_index(posed: PosedModel, goal: _LegGoal) -> list[int]:
    joints = [posed.limbs[goal.leg].joints[i] for i in goal.own_joints]
    return [int(place) for place in posed.model.jnt_qposadr[joints]]


def _cost_function(
    posed: PosedModel, goal: _LegGoal, qpos: Float[np.ndarray, "nq"]
) -> Callable[[Float[np.ndarray, "K"]], float]:
    """The cost of a leg's angles, while other joints are as in `qpos`."""
    index, pose = _qpos_index(posed, goal), qpos.copy()

    def cost(angles: np.ndarray) -> float:
        pose[index] = angles
        posed.set_pose(pose)
        return float(goal.cost(posed.limb_view(goal.leg)))

    return cost


def _descend(
    posed: PosedModel,
    goal: _LegGoal,
    cost: Callable[[Float[np.ndarray, "K"]], float],
    starts: Sequence[Float[np.ndarray, "K"]],
) -> Float[np.ndarray, "K"]:
    """The angles of least cost that a descent from any of the starts reaches."""
    from scipy.optimize import minimize

    joints = [posed.driven.index(posed.limbs[goal.leg].joints[i]) for i in goal.own_joints]
    low, high = np.clip(posed.ranges[joints], -MAX_ANGLE, MAX_ANGLE).T
    limits = list(zip(low, high, strict=True))
    ends = [minimize(cost, np.clip(start, low, high), bounds=limits) for start in starts]
    return np.array(min(ends, key=lambda end: float(end.fun)).x)


def _move_arms(
    posed: PosedModel,
    legs: Sequence[int],
    qpos: Float[np.ndarray, "nq"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "nq"]:
    """The pose with arms that touch the body moved at random, more and more, until they do not."""
    touching = {geom for pair in posed.self_collisions(qpos, MAX_OVERLAP) for geom in pair}
    bodies = {int(posed.model.geom_bodyid[geom]) for geom in touching}
    own = [set(limb.joints) for limb in posed.limbs]
    arms = [
        own[i] - set().union(*(own[j] for j in range(len(own)) if j != i))
        for i in range(len(own))
        if i not in legs and bodies & {int(posed.model.jnt_bodyid[j]) for j in own[i]}
    ]
    moving = [posed.driven.index(joint) for joint in sorted(set().union(*arms))]
    index, (low, high) = posed.qpos_index[moving], posed.ranges[moving].T
    for size in np.linspace(0.0, MAX_ARM_CHANGE, ARM_TRIALS):
        changed, change = qpos.copy(), rng.uniform(-size, size, len(moving))
        changed[index] = np.clip(qpos[index] + change, low, high)
        if not posed.self_collisions(changed, MAX_OVERLAP):
            return changed
    return qpos
