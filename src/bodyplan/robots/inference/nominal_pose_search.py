"""A nominal pose for a body that comes without one.

The MJCF's keyframe where it has one, else a search: many poses are drawn at random, and each leg
settles where it carries the trunk at a moderate height with little torque (feet below the hips,
knees bent), or, if it ends in a biped's flat foot, with the foot as it was and the knee bent a
little. Arms that touch the body are moved out of the way.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.inference.posed_model import SWING, LimbView, PosedModel
from bodyplan.robots.kinematic_tree import Limb, can_touch_floor, geom_bounds, robot_geoms

DRAWS = 1000
DESCENTS = 3
"""Best draws of a leg from which the search goes downhill."""
UNLIKE, SLACK = 1.5, 0.05
"""By which factor, and how much on top, a leg may cost more than the first one."""
# Trunk height over the largest there is: the quadrupeds among the packaged robots have 0.73 to
# 0.82, the hexapod, whose legs reach outward, 0.44; the bipeds have 0.93 to 0.96 of what they have
# on straight legs.
UPRIGHT, SPRAWLED, FLAT = 0.8, 0.45, 0.95
FOOT_SHARE = 0.6
"""A limb is a leg if it reaches down this share of what the deepest one does."""
SOLE, TOE = 0.04, 0.01
"""Shares of the trunk's height: shapes so near the lowest belong to a flat foot, to any other."""
ANKLE = 0.3
"""Share of the trunk's height: a last joint so near the floor is an ankle above a flat foot."""
FOOT_WORDS = ("foot", "feet", "toe", "sole", "paw", "hoof")
ALONG = 0.7
"""Component of a unit vector from which on an axis counts as that one."""
CLASH = 0.002
"""m: shapes may be so far inside each other."""
FARTHEST, CHANGES = 0.8, 100
"""rad, and number of tries: how arms are moved out of the way."""


class NominalPose(NamedTuple):
    """A nominal pose, and the limbs that stand in it."""

    qpos: Float[np.ndarray, "nq"]
    legs: tuple[Limb, ...]
    feet: tuple[tuple[int, ...], ...]
    """Ids of the shapes of each leg that stand on the floor."""
    height: float
    """m: of the trunk over the lowest foot."""
    keyframe: str | None
    """Name of the keyframe that it is; None where it was searched for."""


def find_nominal_pose(
    model: mujoco.MjModel, driven: Sequence[int], limbs: Sequence[Limb], seed: int = 0
) -> NominalPose | None:
    """The nominal pose of a body; None where no limb reaches below its trunk.

    Args:
        model: the body, its first joint free.
        driven: ids of the joints with motors.
        limbs: its limbs.
        seed: decides the search.
    """
    body, rng = PosedModel(model, driven, limbs), np.random.default_rng(seed)
    drawn = body.draw(rng, DRAWS)
    key = body.keyframe()
    body.take(key[1] if key else body.rest)
    legs = _legs([body.view(limb) for limb in range(len(limbs))], drawn)
    if not legs:
        return None
    key = key if key and _stands(body, legs, key[1]) else None
    body.take(body.rest)
    goals = [_goal(body, legs, leg, drawn) for leg in legs]
    qpos = key[1] if key else _clear(body, legs, _search(body, goals, drawn), rng)
    body.take(qpos)
    height = float(-min(body.view(leg).tip[2] for leg in legs))
    feet = tuple(_foot(body, goal, height) for goal in goals)
    return NominalPose(
        qpos, tuple(limbs[leg] for leg in legs), feet, height, key[0] if key else None
    )


def _legs(start: Sequence[LimbView], drawn: Sequence[LimbView]) -> list[int]:
    """Which limbs are legs: those that are low to begin with and can reach low."""
    depth = [-now.tip[2] - own.tip[:, 2].min() for now, own in zip(start, drawn, strict=True)]
    return [limb for limb, own in enumerate(depth) if own > FOOT_SHARE * max(depth) > 0.0]


def _stands(body: PosedModel, legs: Sequence[int], qpos: Float[np.ndarray, "nq"]) -> bool:
    """Whether nothing of the body reaches lower than its legs."""
    body.take(qpos)
    model, height = body.model, -min(float(body.view(leg).tip[2]) for leg in legs)
    others = set(robot_geoms(model)) - {geom for leg in legs for geom in body.limbs[leg].geoms}
    solid = [geom for geom in others if can_touch_floor(model, geom)]
    low = geom_bounds(model, body.data, solid)[0][:, 2]
    return height > 0.0 and bool((low > -(1.0 + TOE) * height).all())


def _foot(body: PosedModel, goal: "_Goal", height: float) -> tuple[int, ...]:
    """The shapes that a leg stands on; if some of them are called feet, those."""
    low = body.lowest(body.limbs[goal.leg], (SOLE if goal.flat else TOE) * height)
    names = {geom: body.model.geom(geom).name.lower() for geom in low}
    called = tuple(geom for geom in low if any(word in names[geom] for word in FOOT_WORDS))
    return called or low


class _Goal(NamedTuple):
    """What one leg's nominal pose should be like."""

    leg: int
    own: list[int]
    """Which of the limb's joints move this leg and no other (a spine moves two)."""
    rest: LimbView
    dear: Float[np.ndarray, "K"]
    """Weight of each own joint's change: those about the forward axis should stay, so that feet
    are as far apart as hips."""
    flat: bool
    """It ends in a flat foot."""
    backward: float
    """Weight of a last joint's place behind the foot: where legs under a trunk may bend either way,
    all bend the same way."""
    depth: float
    """m: of the foot below the trunk."""

    def cost(self, seen: LimbView) -> Float[np.ndarray, "..."]:
        """Squares of what is not as it should be, in units of the height and of radians."""
        own, axes = self.own, seen.axes[..., self.own, :]
        change = np.square(seen.angles - self.rest.angles)[..., own]
        total = 100.0 * np.square(seen.tip[..., 2] / self.depth + 1.0)
        total = total + (self.dear * change).sum(axis=-1)
        if self.flat:
            aside = (seen.tip - self.rest.tip)[..., :2] / self.depth
            turned = seen.turn - self.rest.turn
            total = total + 50.0 * (np.square(aside).sum(-1) + np.square(turned).sum((-1, -2)))
            return np.asarray(total)
        arms = (seen.tip[..., None, :] - seen.anchors[..., own, :]) / self.depth
        torque = axes[..., 0] * arms[..., 1] - axes[..., 1] * arms[..., 0]
        forward = (seen.anchors[..., own[-1], 0] - seen.tip[..., 0]) / self.depth
        return np.asarray(total + np.square(torque).sum(axis=-1) + self.backward * forward)


def _goal(body: PosedModel, legs: Sequence[int], leg: int, drawn: Sequence[LimbView]) -> _Goal:
    """The goal of a leg of the body at rest."""
    shared = {joint for other in legs if other != leg for joint in body.limbs[other].joints}
    own = [i for i, joint in enumerate(body.limbs[leg].joints) if joint not in shared]
    rest = body.view(leg)
    tall, ankle = -rest.tip[2], rest.anchors[own[-1], 2] - rest.tip[2]
    flat = len(legs) <= 2 and len(own) > 2 and ankle < ANKLE * tall
    sprawled = len(legs) > 2 and abs(rest.axes[own[0], 2]) > ALONG
    sideways = np.abs(rest.axes[own, 0]) > ALONG
    dear = np.where(sideways & (not sprawled and not sideways.all()), 1.0, 0.02)
    if flat:
        return _Goal(leg, own, rest, dear, flat, 0.0, FLAT * tall)
    deepest = min(-drawn[other].tip[:, 2].min() for other in legs)
    share, backward = (SPRAWLED, 0.0) if sprawled else (UPRIGHT, 0.02)
    return _Goal(leg, own, rest, dear, flat, backward, float(share * deepest))


def _search(
    body: PosedModel, goals: Sequence[_Goal], drawn: Sequence[LimbView]
) -> Float[np.ndarray, "nq"]:
    """The pose in which every leg is at its goal.

    One leg is searched, and the others begin as its mirror images: legs that are alike then stand
    alike. A leg that does badly so is searched by itself.
    """
    qpos, first = body.rest.copy(), _searched(body, goals[0], drawn)
    qpos[_places(body, goals[0])] = first
    enough = UNLIKE * _cost(body, goals[0], first) + SLACK
    for goal in goals[1:]:
        angles = None
        if len(goal.own) == len(first):
            angles = _settled(body, goal, [_mirrored(body, goal, first)])
        if angles is None or _cost(body, goal, angles) > enough:
            angles = _searched(body, goal, drawn)
        qpos[_places(body, goal)] = angles
    return qpos


def _searched(body: PosedModel, goal: _Goal, drawn: Sequence[LimbView]) -> Float[np.ndarray, "K"]:
    starts = [drawn[goal.leg].angles[i][goal.own] for i in _best(goal, drawn)]
    return _settled(body, goal, [*starts, goal.rest.angles[goal.own]])


def _places(body: PosedModel, goal: _Goal) -> list[int]:
    joints = [body.limbs[goal.leg].joints[i] for i in goal.own]
    return [int(place) for place in body.model.jnt_qposadr[joints]]


def _best(goal: _Goal, drawn: Sequence[LimbView]) -> list[int]:
    return [int(i) for i in np.argsort(goal.cost(drawn[goal.leg]))[:DESCENTS]]


def _mirrored(
    body: PosedModel, goal: _Goal, angles: Float[np.ndarray, "K"]
) -> Float[np.ndarray, "K"]:
    """Another leg's angles with the signs that suit this one best."""
    tried = [np.array(signs) * angles for signs in product((1.0, -1.0), repeat=len(angles))]
    return min(tried, key=lambda own: _cost(body, goal, own))


def _cost(body: PosedModel, goal: _Goal, angles: Float[np.ndarray, "K"]) -> float:
    qpos = body.rest.copy()
    qpos[_places(body, goal)] = angles
    body.take(qpos)
    return float(goal.cost(body.view(goal.leg)))


def _settled(
    body: PosedModel, goal: _Goal, starts: Sequence[Float[np.ndarray, "K"]]
) -> Float[np.ndarray, "K"]:
    """The angles of least cost downhill of any start."""
    from scipy.optimize import minimize

    def cost(angles: Float[np.ndarray, "K"]) -> float:
        return _cost(body, goal, angles)

    joints = [body.driven.index(body.limbs[goal.leg].joints[i]) for i in goal.own]
    low, high = np.clip(body.ranges[joints], -SWING, SWING).T
    limits = list(zip(low, high, strict=True))
    ends = [minimize(cost, np.clip(start, low, high), bounds=limits) for start in starts]
    return np.array(min(ends, key=lambda end: float(end.fun)).x)


def _clear(
    body: PosedModel, legs: Sequence[int], qpos: Float[np.ndarray, "nq"], rng: np.random.Generator
) -> Float[np.ndarray, "nq"]:
    """The pose with arms that touch something moved, little by little, until they do not."""
    clashing = {geom for pair in body.clashes(qpos, CLASH) for geom in pair}
    bodies = {int(body.model.geom_bodyid[geom]) for geom in clashing}
    own = [set(limb.joints) for limb in body.limbs]
    arms = [
        own[i] - set().union(*(own[j] for j in range(len(own)) if j != i))
        for i in range(len(own))
        if i not in legs and bodies & {int(body.model.jnt_bodyid[j]) for j in own[i]}
    ]
    moving = [body.driven.index(joint) for joint in sorted(set().union(*arms))]
    places, (low, high) = body.places[moving], body.ranges[moving].T
    for far in np.linspace(0.0, FARTHEST, CHANGES):
        changed, change = qpos.copy(), rng.uniform(-far, far, len(moving))
        changed[places] = np.clip(qpos[places] + change, low, high)
        if not body.clashes(changed, CLASH):
            return changed
    return qpos
