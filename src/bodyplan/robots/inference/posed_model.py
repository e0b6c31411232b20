"""A body held up by its trunk and looked at in one pose after another."""

from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.kinematic_tree import Limb, geom_bounds, geom_extent, joint_ranges

KEYS = ("nominal", "home", "stand", "standing", "init")
"""Names of keyframes in which robots stand, first come first served."""
SWING = 2.5
"""rad: how far from zero poses are drawn."""
SEEN = ("qpos", "xanchor", "xaxis", "geom_xpos", "geom_xmat", "xmat")
"""What is looked at, as MuJoCo names it."""


class LimbView(NamedTuple):
    """What one limb looks like in a pose; leading axes are any batch of poses."""

    angles: Float[np.ndarray, "... K"]
    """Of its joints, rad."""
    anchors: Float[np.ndarray, "... K 3"]
    axes: Float[np.ndarray, "... K 3"]
    tip: Float[np.ndarray, "... 3"]
    """Where the centre of its lowest shape is, and how low that shape reaches."""
    turn: Float[np.ndarray, "... 3 3"]
    """Orientation of the body that carries this shape."""


class PosedModel:
    """A model whose trunk is upright at the origin."""

    def __init__(self, model: mujoco.MjModel, driven: Sequence[int], limbs: Sequence[Limb]) -> None:
        self.model, self.data = model, mujoco.MjData(model)
        self.driven, self.limbs = list(driven), list(limbs)
        self.places = model.jnt_qposadr[self.driven]
        self.ranges = joint_ranges(model, self.driven)
        self.rest = self._upright(model.qpos0)
        """Zero angles, or the nearest that the ranges allow."""

    def keyframe(self) -> tuple[str, Float[np.ndarray, "nq"]] | None:
        """Name and pose of the keyframe that is most likely a stance."""
        names = [self.model.key(i).name for i in range(self.model.nkey)]
        if not names:
            return None
        chosen = next((name for name in KEYS if name in names), names[0])
        return chosen, self._upright(self.model.key_qpos[names.index(chosen)])

    def take(self, qpos: Float[np.ndarray, "nq"]) -> None:
        """Take a pose."""
        self.data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, self.data)

    def view(self, limb: int) -> LimbView:
        """Look at a limb in the pose that was taken."""
        return self._view(limb, {name: getattr(self.data, name) for name in SEEN})

    def draw(self, rng: np.random.Generator, count: int) -> list[LimbView]:
        """Every limb in the same poses, drawn at random."""
        low, high = np.clip(self.ranges, -SWING, SWING).T
        poses = np.tile(self.rest, (count, 1))
        poses[:, self.places] = rng.uniform(low, high, (count, len(self.places)))
        seen: dict[str, list[np.ndarray]] = {name: [] for name in SEEN}
        for qpos in poses:
            self.take(qpos)
            for name, arrays in seen.items():
                arrays.append(getattr(self.data, name).copy())
        stacked = {name: np.stack(arrays) for name, arrays in seen.items()}
        return [self._view(limb, stacked) for limb in range(len(self.limbs))]

    def _view(self, limb: int, seen: dict[str, np.ndarray]) -> LimbView:
        model, joints, geoms = self.model, *map(list, self.limbs[limb])
        centres, turns = seen["geom_xpos"][..., geoms, :], seen["geom_xmat"][..., geoms, :]
        low = np.stack(
            [
                centres[..., i, 2] - geom_extent(model, geom, -turns[..., i, 6:])
                for i, geom in enumerate(geoms)
            ],
            axis=-1,
        )
        lowest = low.argmin(axis=-1)
        centre = np.take_along_axis(centres, lowest[..., None, None], axis=-2)[..., 0, :2]
        carrier = model.geom_bodyid[geoms][lowest]
        turn = np.take_along_axis(seen["xmat"], carrier[..., None, None], axis=-2)[..., 0, :]
        return LimbView(
            seen["qpos"][..., model.jnt_qposadr[joints]],
            seen["xanchor"][..., joints, :],
            seen["xaxis"][..., joints, :],
            np.concatenate([centre, low.min(axis=-1)[..., None]], axis=-1),
            turn.reshape(*turn.shape[:-1], 3, 3),
        )

    def lowest(self, limb: Limb, within: float) -> tuple[int, ...]:
        """The shapes of a limb that reach as low as its lowest one, or nearly so (m), in the pose
        that was taken.
        """
        low = geom_bounds(self.model, self.data, limb.geoms)[0][:, 2]
        return tuple(g for g, z in zip(limb.geoms, low, strict=True) if z < low.min() + within)

    def clashes(self, qpos: Float[np.ndarray, "nq"], depth: float) -> list[tuple[int, int]]:
        """Pairs of the body's own shapes that are inside each other by more than `depth` (m)."""
        model, data = self.model, self.data
        data.qpos[:] = qpos
        data.qpos[2] = 10.0 * model.stat.extent  # no floor so high up
        mujoco.mj_fwdPosition(model, data)
        deep = data.contact.geom[data.contact.dist < -depth]
        return [(int(a), int(b)) for a, b in deep]

    def _upright(self, qpos: Float[np.ndarray, "nq"]) -> Float[np.ndarray, "nq"]:
        own = qpos.copy()
        own[:7] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
        own[self.places] = np.clip(own[self.places], *self.ranges.T)
        return own
