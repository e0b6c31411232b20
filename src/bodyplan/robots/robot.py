"""A robot is data: an MJCF with the body and a TOML with the walk.

`Robot.load("unitree_go1")` reads a packaged pair, `Robot.load("path/to/mine.xml")` reads yours
(`mine.toml` lies beside it). Everything else (descriptors, body graph, observation size) is
computed from the compiled model, so adding a robot never means adding code.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from bodyplan.errors import BodyplanError
from bodyplan.robots.contacts import add_contact_sensors
from bodyplan.robots.descriptors import RobotDescriptor, describe
from bodyplan.robots.walk import (
    ExpertCourse,
    Foot,
    InitialState,
    RewardCoefficients,
    Termination,
)

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True, eq=False)
class Robot:
    """A body and its walk. Build one with `Robot.load`."""

    name: str
    description: str
    kind: str
    legs: int
    provenance: str
    model: mujoco.MjModel
    trunk: str
    """Name of the root body."""
    joints: tuple[str, ...]
    """Actuated hinge joints, in task order."""
    feet: tuple[Foot, ...]
    senses_feet: bool
    nominal: Float[np.ndarray, "J"]
    """rad."""
    max_velocity: Float[np.ndarray, "J"]
    """rad/s; the simulator clips to it."""
    kp: float
    kd: float
    action_scale: float
    """Target position = nominal + action_scale * action (rad)."""
    drop_height: float
    """Metres: trunk height at reset, and the height the reward asks for."""
    box_min: Float[np.ndarray, "3"]
    """Lowest corner of the robot's box in the trunk frame at the nominal pose, m."""
    box_size: Float[np.ndarray, "3"]
    reward: RewardCoefficients
    termination: Termination
    initial_state: InitialState = field(default_factory=InitialState)
    expert: ExpertCourse = field(default_factory=ExpertCourse)

    @staticmethod
    def names() -> tuple[str, ...]:
        """Names of the packaged robots."""
        return tuple(sorted(path.stem for path in MODELS.glob("*.toml")))

    @classmethod
    def load(cls, source: str | Path) -> "Robot":
        """Read a packaged robot by name, or your own by the path of its MJCF.

        Raises:
            BodyplanError: unknown name, missing or faulty file, or figures that do not fit the
                model.
        """
        mjcf = MODELS / f"{source}.xml"
        if not mjcf.is_file():
            mjcf = Path(source)
            if mjcf.suffix != ".xml":
                raise BodyplanError(
                    f"no robot is called '{source}'; choose one of {', '.join(cls.names())} "
                    "or give the path of an MJCF (.xml)"
                )
        return _read(mjcf)

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def num_feet(self) -> int:
        return len(self.feet)

    @cached_property
    def mass(self) -> float:
        """Kilograms, all bodies."""
        return float(self.model.body_mass.sum())

    @property
    def tracking_ceiling(self) -> float:
        """Return of 1,000 steps of perfect tracking without a penalty (20 s)."""
        return 20.0 * (self.reward.tracking_xy + self.reward.tracking_yaw)

    @cached_property
    def joint_ids(self) -> Int[np.ndarray, "J"]:
        return np.array([self.model.joint(name).id for name in self.joints])

    @cached_property
    def qpos_index(self) -> Int[np.ndarray, "J"]:
        """Where the actuated joints are in qpos."""
        return self.model.jnt_qposadr[self.joint_ids]

    @cached_property
    def qvel_index(self) -> Int[np.ndarray, "J"]:
        """Where the actuated joints are in qvel."""
        return self.model.jnt_dofadr[self.joint_ids]

    @cached_property
    def actuator_ids(self) -> Int[np.ndarray, "J"]:
        """The motor of each joint, in task order."""
        by_joint = {int(self.model.actuator_trnid[i, 0]): i for i in range(self.model.nu)}
        return np.array([by_joint[int(joint)] for joint in self.joint_ids])

    @cached_property
    def torque_limit(self) -> Float[np.ndarray, "J"]:
        """N m."""
        return self.model.actuator_ctrlrange[self.actuator_ids, 1]

    @cached_property
    def joint_range(self) -> Float[np.ndarray, "J 2"]:
        """rad."""
        return self.model.jnt_range[self.joint_ids]

    @cached_property
    def joint_bodies(self) -> tuple[int, ...]:
        """Id of the body that each actuated joint moves."""
        return tuple(int(self.model.jnt_bodyid[joint]) for joint in self.joint_ids)

    @cached_property
    def foot_bodies(self) -> tuple[int, ...]:
        """Id of the body that carries each foot."""
        return tuple(int(self.model.geom(foot.geoms[0]).bodyid[0]) for foot in self.feet)

    @cached_property
    def nominal_qpos(self) -> Float[np.ndarray, "nq"]:
        """Pose of the default reset: upright at the drop height, joints nominal.

        Joints without a motor take the MJCF's keyframe `nominal` where it has one.
        """
        model = self.model
        key = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY, "nominal")
        qpos = (model.qpos0 if key < 0 else model.key_qpos[key]).copy()
        qpos[:7] = (0.0, 0.0, self.drop_height, 1.0, 0.0, 0.0, 0.0)
        qpos[self.qpos_index] = self.nominal
        return qpos

    @cached_property
    def contact_geoms(self) -> tuple[str, ...]:
        """Geoms whose touching anything matters to the task, each once."""
        return _contact_geoms(self.reward, self.termination)

    @cached_property
    def descriptor(self) -> RobotDescriptor:
        """What a policy may know of this body (reference task, section 2)."""
        return describe(self)


def _contact_geoms(reward: RewardCoefficients, termination: Termination) -> tuple[str, ...]:
    listed = termination.contact_geoms + reward.collision_geoms + reward.trunk_geoms
    return tuple(dict.fromkeys(listed))


def _read(mjcf: Path) -> Robot:
    toml = mjcf.with_suffix(".toml")
    for path in (mjcf, toml):
        if not path.is_file():
            raise BodyplanError(
                f"{path} does not exist; a robot is an MJCF and a TOML of one name, side by side"
            )
    try:
        figures = tomllib.loads(toml.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BodyplanError(f"{toml} is not valid TOML: {error}") from error
    try:
        return _assemble(mjcf, figures)
    except KeyError as error:
        raise BodyplanError(f"{toml} lacks {error}; see the packaged robots' files") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BodyplanError(f"{toml} has a wrong entry: {error}") from error


def _assemble(mjcf: Path, figures: dict[str, Any]) -> Robot:
    joints = figures["joints"]
    feet = tuple(
        Foot(name, tuple(foot["geoms"]), tuple(foot["point"]) if "point" in foot else None)
        for name, foot in figures["feet"].items()
    )
    reward = RewardCoefficients(**_tupled(figures["reward"]))
    termination = Termination(**_tupled(figures["termination"]))
    floor_geoms = [geom for foot in feet for geom in foot.geoms]
    model = _compile(mjcf, floor_geoms, _contact_geoms(reward, termination))
    count = len(joints["names"])
    robot = Robot(
        name=mjcf.stem,
        description=figures["description"],
        kind=figures["kind"],
        legs=figures["legs"],
        provenance=figures.get("provenance", ""),
        model=model,
        trunk=figures["trunk"],
        joints=tuple(joints["names"]),
        feet=feet,
        senses_feet=figures.get("senses_feet", True),
        nominal=_per_joint(mjcf, "nominal", joints["nominal"], count),
        max_velocity=_per_joint(mjcf, "max_velocity", joints["max_velocity"], count),
        **{key: float(figures["control"][key]) for key in ("kp", "kd", "action_scale")},
        drop_height=float(figures["drop_height"]),
        box_min=np.array(figures["box_min"], float).reshape(3),
        box_size=np.array(figures["box_size"], float).reshape(3),
        reward=reward,
        termination=termination,
        initial_state=InitialState(**figures.get("initial_state", {})),
        expert=ExpertCourse(**figures.get("expert", {})),
    )
    _check(mjcf, robot)
    return robot


def _tupled(table: dict[str, Any]) -> dict[str, Any]:
    def freeze(value: Any) -> Any:
        return tuple(freeze(item) for item in value) if isinstance(value, list) else value

    return {key: freeze(value) for key, value in table.items()}


def _per_joint(mjcf: Path, name: str, value: Any, count: int) -> Float[np.ndarray, "J"]:
    array = np.full(count, value, float) if np.isscalar(value) else np.array(value, float)
    if array.shape != (count,):
        raise BodyplanError(
            f"{mjcf.with_suffix('.toml')} gives {array.size} figures in joints.{name} for {count} "
            "joints; give one for each, or one number for all"
        )
    return array


def _compile(mjcf: Path, floor_geoms: list[str], contact_geoms: tuple[str, ...]) -> mujoco.MjModel:
    try:
        spec = mujoco.MjSpec.from_file(str(mjcf))
        known = {geom.name for geom in spec.geoms}
        for name in (*floor_geoms, *contact_geoms):
            if name not in known:
                raise BodyplanError(f"{mjcf} has no geom '{name}', which its TOML names")
        add_contact_sensors(spec, floor_geoms, contact_geoms)
        return spec.compile()
    except ValueError as error:
        fault = " ".join(str(error).split())
        raise BodyplanError(f"MuJoCo cannot compile {mjcf}: {fault}") from error


def _check(mjcf: Path, robot: Robot) -> None:
    model, kinds = robot.model, mujoco.mjtObj
    named = [(kinds.mjOBJ_JOINT, "joint", name) for name in robot.joints]
    named += [(kinds.mjOBJ_BODY, "body", robot.trunk)]
    for kind, word, name in named:
        if mujoco.mj_name2id(model, kind, name) < 0:
            raise BodyplanError(f"{mjcf} has no {word} '{name}', which its TOML names")
    driven = {int(model.actuator_trnid[i, 0]) for i in range(model.nu)}
    for name, joint in zip(robot.joints, robot.joint_ids, strict=True):
        if int(joint) not in driven:
            raise BodyplanError(f"joint '{name}' has no motor in {mjcf}; add one to <actuator>")
    unknown = {foot for pair in robot.reward.symmetry_pairs for foot in pair} - {
        foot.name for foot in robot.feet
    }
    if unknown:
        raise BodyplanError(f"symmetry_pairs of {mjcf.stem} names no foot: {sorted(unknown)}")
