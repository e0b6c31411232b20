"""A posed model: where joints and geoms are while the trunk is held upright at the origin."""

from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.inference.named_feet import named_feet
from bodyplan.robots.kinematic_tree import (
    Limb,
    following_joints,
    geom_bounds,
    geom_extent,
    joint_ranges,
)

STANDING_KEYS = ("nominal", "home", "stand", "standing", "init")
"""Usual names of keyframes in which a robot stands; the first that exists is taken."""
MAX_ANGLE = 2.5
"""rad: poses are sampled up to this angle from zero."""
READ_FIELDS = ("qpos", "xanchor", "xaxis", "geom_xpos", "geom_xmat", "xmat")
"""Fields of MjData that a `LimbView` is computed from."""


class StandingKey(NamedTuple):
    """A keyframe in which the robot may stand."""

    name: str
    qpos: Float[np.ndarray, "nq"]
    """Its root upright at the origin."""


class LimbView(NamedTuple):
    """Where one limb is in a pose; leading axes are any batch of poses."""

    angles: Float[np.ndarray, "... K"]
    """Of its joints, rad."""
    anchors: Float[np.ndarray, "... K 3"]
    """Of its joints, m."""
    axes: Float[np.ndarray, "... K 3"]
    """Of its joints."""
    tip: Float[np.ndarray, "... 3"]
    """x and y of the centre of its lowest end, and z of that geom's lowest point, m."""
    rotation: Float[np.ndarray, "... 3 3"]
    """Rotation matrix of the body that carries this geom."""


class PosedModel:
    """A model whose trunk is upright at the origin."""

    def __init__(self, model: mujoco.MjModel, driven: Sequence[int], limbs: Sequence[Limb]) -> None:
        """Start in the neutral pose.

        Args:
            model: the compiled model, its first joint free.
            driven: ids of the actuated joints.
            limbs: its limbs.
        """
        self.model, self.data = model, mujoco.MjData(model)
        self.driven, self.limbs = list(driven), list(limbs)
        self.ends = [list(named_feet(model, limb) or limb.geoms) for limb in limbs]
        """For each limb the geoms of its foot, where the model names one, else all."""
        self.qpos_index = model.jnt_qposadr[self.driven]
        self.ranges = joint_ranges(model, self.driven)
        self.followers = following_joints(model)
        self.neutral = self._upright(model.qpos0)
        """Joint angles of zero, or the nearest that the ranges allow."""

    def standing_keyframes(self) -> list[StandingKey]:
        """The keyframes, those first in which the robot most likely stands."""
        names = [self.model.key(i).name for i in range(self.model.nkey)]
        usual = [names.index(name) for name in STANDING_KEYS if name in names]
        order = dict.fromkeys([*usual, *range(len(names))])
        return [
            StandingKey(names[i] or str(i), self._upright(self.model.key_qpos[i])) for i in order
        ]

    def set_pose(self, qpos: Float[np.ndarray, "nq"]) -> None:
        """Move the model into a pose."""
        self.data.qpos[:] = self.with_followers(qpos)
        mujoco.mj_kinematics(self.model, self.data)

    def with_followers(self, qpos: Float[np.ndarray, "nq"]) -> Float[np.ndarray, "nq"]:
        """A pose in which joints that follow others by an equality (mimic) do so."""
        own, model = qpos.copy(), self.model
        for equality, (joint, leader) in self.followers.items():
            places = model.jnt_qposadr[[joint, leader]]
            change = own[places[1]] - model.qpos0[places[1]]
            powers = change ** np.arange(5)
            own[places[0]] = model.qpos0[places[0]] + model.eq_data[equality, :5] @ powers
        return own

    def limb_view(self, limb: int) -> LimbView:
        """Where a limb is in the current pose."""
        return self._view(limb, {name: getattr(self.data, name) for name in READ_FIELDS})

    def sample_poses(self, rng: np.random.Generator, count: int) -> list[LimbView]:
        """Every limb in the same `count` random poses, with a leading axis of poses."""
        low, high = np.clip(self.ranges, -MAX_ANGLE, MAX_ANGLE).T
        poses = np.tile(self.neutral, (count, 1))
        poses[:, self.qpos_index] = rng.uniform(low, high, (count, len(self.qpos_index)))
        read: dict[str, list[np.ndarray]] = {name: [] for name in READ_FIELDS}
        for qpos in poses:
            self.set_pose(qpos)
            for name, arrays in read.items():
                arrays.append(getattr(self.data, name).copy())
        stacked = {name: np.stack(arrays) for name, arrays in read.items()}
        return [self._view(limb, stacked) for limb in range(len(self.limbs))]

    def _view(self, limb: int, read: dict[str, np.ndarray]) -> LimbView:
        model, joints, geoms = self.model, list(self.limbs[limb].joints), self.ends[limb]
        centres, axes = read["geom_xpos"][..., geoms, :], read["geom_xmat"][..., geoms, :]
        low = np.stack(
            [
                centres[..., i, 2] - geom_extent(model, geom, -axes[..., i, 6:])
                for i, geom in enumerate(geoms)
            ],
            axis=-1,
        )
        lowest = low.argmin(axis=-1)
        centre = np.take_along_axis(centres, lowest[..., None, None], axis=-2)[..., 0, :2]
        carrier = model.geom_bodyid[geoms][lowest]
        rotation = np.take_along_axis(read["xmat"], carrier[..., None, None], axis=-2)[..., 0, :]
        return LimbView(
            read["qpos"][..., model.jnt_qposadr[joints]],
            read["xanchor"][..., joints, :],
            read["xaxis"][..., joints, :],
            np.concatenate([centre, low.min(axis=-1)[..., None]], axis=-1),
            rotation.reshape(*rotation.shape[:-1], 3, 3),
        )

    def lowest_geoms(self, limb: Limb, within: float) -> tuple[int, ...]:
        """The geoms of a limb that reach as low as its lowest one in the current pose.

        Args:
            limb: whose geoms.
            within: m; how much higher a geom may be.
        """
        low = geom_bounds(self.model, self.data, limb.geoms)[0][:, 2]
        return tuple(g for g, z in zip(limb.geoms, low, strict=True) if z < low.min() + within)

    def self_collisions(self, qpos: Float[np.ndarray, "nq"], depth: float) -> list[tuple[int, int]]:
        """Pairs of the robot's geoms that are inside each other by more than `depth` (m)."""
        model, data = self.model, self.data
        data.qpos[:] = self.with_followers(qpos)
        data.qpos[2] = 10.0 * model.stat.extent  # far above any floor
        mujoco.mj_fwdPosition(model, data)
        deep = data.contact.geom[data.contact.dist < -depth]
        return [(int(a), int(b)) for a, b in deep]

    def new_collisions(self, qpos: Float[np.ndarray, "nq"], depth: float) -> list[tuple[int, int]]:
        """The pairs of `self_collisions` that are not inside each other in the neutral pose too."""
        usual = set(self.self_collisions(self.neutral, depth))
        return [pair for pair in self.self_collisions(qpos, depth) if pair not in usual]

    def _upright(self, qpos: Float[np.ndarray, "nq"]) -> Float[np.ndarray, "nq"]:
        own = qpos.copy()
        own[:7] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
        own[self.qpos_index] = np.clip(own[self.qpos_index], *self.ranges.T)
        return own
