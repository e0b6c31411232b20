"""The `Robot`: a compiled model with the config of its walking task, read from an MJCF and a TOML.

`Robot.load("unitree_go1")` reads a packaged robot. `Robot.load("path/to/mine.xml")` reads yours,
with `mine.toml` beside it. Descriptors, body graph and observation size are computed from the
model, so that a new robot needs no code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from bodyplan.notebook_html import html_facts
from bodyplan.robots import loader, registry
from bodyplan.robots.descriptors import RobotDescriptor, describe
from bodyplan.robots.kinematic_tree import torque_limit
from bodyplan.robots.model_parameters import ModelParameters
from bodyplan.robots.randomisation_ranges import RandomisationRanges
from bodyplan.robots.task_config import (
    ExpertSettings,
    Foot,
    InitialState,
    RewardCoefficients,
    Termination,
    task_contact_geoms,
)


@dataclass(frozen=True, eq=False)
class Robot:
    """A robot and its walking task. Build one with `Robot.load`; J joints, F feet."""

    name: str
    description: str
    kind: str
    """biped, quadruped ..."""
    legs: int
    provenance: str
    """Where the values come from."""
    model: mujoco.MjModel
    """Compiled, with the contact sensors of the task."""
    trunk: str
    """Name of the root body."""
    joints: tuple[str, ...]
    """Actuated hinge joints, in task order."""
    feet: tuple[Foot, ...]
    """In task order."""
    senses_feet: bool
    """Whether it observes contacts of its feet."""
    nominal: Float[np.ndarray, "J"]
    """Joint angles of the nominal pose, rad."""
    max_velocity: Float[np.ndarray, "J"]
    """rad/s; the simulator clips to it."""
    kp: float
    """N m / rad."""
    kd: float
    """N m s / rad."""
    action_scale: float
    """rad: target position = nominal + action_scale * action."""
    drop_height: float
    """m: trunk height at reset, and the height that the reward asks for."""
    box_min: Float[np.ndarray, "3"]
    """Lowest corner of the robot's box in the trunk frame at the nominal pose, m."""
    box_size: Float[np.ndarray, "3"]
    """m."""
    reward: RewardCoefficients
    termination: Termination
    children_override: tuple[int, ...] | None = None
    """Takes the place of the counted `children` in the descriptors, where given."""
    initial_state: InitialState = field(default_factory=InitialState)
    randomisation: RandomisationRanges = field(default_factory=RandomisationRanges)
    expert: ExpertSettings = field(default_factory=ExpertSettings)

    @classmethod
    def load(
        cls,
        source: str | Path,
        models: Mapping[str, str] | None = None,
        allow_paths: Sequence[Path] = (),
    ) -> "Robot":
        """Read a robot by name, or your own by the path of its MJCF.

        Args:
            source: a name that `list_robots` gives, or the path of an MJCF (.xml).
            models: paths of your own robots by name, as `card["models"]` of a dataset records them.
            allow_paths: folders besides its own whose files the MJCF may name.

        Raises:
            BodyplanError: the name is unknown, a file is missing or faulty, or the TOML does not
                fit the model.
        """
        return cls(**loader.read_robot(registry.find_model(source, models), allow_paths))

    @classmethod
    def build(cls, mjcf: Path, spec: mujoco.MjSpec, content: dict[str, Any]) -> "Robot":
        """Build a robot from a model in memory and the content of its TOML.

        Args:
            mjcf: path of the MJCF, whether it exists or not; gives the robot its name.
            spec: the model.
            content: what the TOML holds.

        Raises:
            BodyplanError: the model does not compile, or the content does not fit it.
        """
        return cls(**loader.robot_fields(mjcf, spec, content))

    def __repr__(self) -> str:
        return (
            f"Robot('{self.name}': {self.kind}, {self.num_joints} joints, {self.num_feet} feet, "
            f"{self.mass:.3g} kg)"
        )

    def _repr_html_(self) -> str:
        """A small table for notebooks."""
        about = {
            "kind": self.kind,
            "legs": self.legs,
            "joints": self.num_joints,
            "feet": self.num_feet,
            "mass": f"{self.mass:.4g} kg",
            "trunk height": f"{self.drop_height:.4g} m",
            "kp, kd": f"{self.kp:g} N m / rad, {self.kd:g} N m s / rad",
            "action scale": f"{self.action_scale:g} rad",
        }
        return html_facts(f"{self.name}: {self.description}", about)

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def num_feet(self) -> int:
        return len(self.feet)

    @cached_property
    def mass(self) -> float:
        """Of all bodies, kg."""
        return float(self.model.body_mass.sum())

    @property
    def tracking_ceiling(self) -> float:
        """Return of an episode (1,000 steps, 20 s) with perfect tracking and no penalty."""
        return 20.0 * (self.reward.tracking_xy + self.reward.tracking_yaw)

    @cached_property
    def joint_ids(self) -> Int[np.ndarray, "J"]:
        """Ids of the actuated joints in the model, in task order."""
        return np.array([self.model.joint(name).id for name in self.joints])

    @cached_property
    def qpos_index(self) -> Int[np.ndarray, "J"]:
        """Indices of the actuated joints in qpos."""
        return self.model.jnt_qposadr[self.joint_ids]

    @cached_property
    def qvel_index(self) -> Int[np.ndarray, "J"]:
        """Indices of the actuated joints in qvel."""
        return self.model.jnt_dofadr[self.joint_ids]

    @cached_property
    def actuator_ids(self) -> Int[np.ndarray, "J"]:
        """Ids of the joints' motors, in task order."""
        by_joint = {int(self.model.actuator_trnid[i, 0]): i for i in range(self.model.nu)}
        return np.array([by_joint[int(joint)] for joint in self.joint_ids])

    @cached_property
    def torque_limit(self) -> Float[np.ndarray, "J"]:
        """Torque limits of the actuated joints, N m: the smallest that a model gives for each."""
        return np.array([torque_limit(self.model, int(motor)) for motor in self.actuator_ids])

    @cached_property
    def joint_range(self) -> Float[np.ndarray, "J 2"]:
        """Ranges of the actuated joints, rad."""
        return self.model.jnt_range[self.joint_ids]

    @cached_property
    def joint_bodies(self) -> tuple[int, ...]:
        """Ids of the bodies that the actuated joints move."""
        return tuple(int(self.model.jnt_bodyid[joint]) for joint in self.joint_ids)

    @cached_property
    def children(self) -> Int[np.ndarray, "J"]:
        """Number of actuated joints directly below each actuated joint."""
        if self.children_override is not None:
            return np.array(self.children_override)
        owner = {body: index for index, body in enumerate(self.joint_bodies)}
        count = np.zeros(self.num_joints, int)
        for body in self.joint_bodies:
            above = int(self.model.body_parentid[body])
            while above and above not in owner:
                above = int(self.model.body_parentid[above])
            if above:
                count[owner[above]] += 1
        return count

    @cached_property
    def foot_bodies(self) -> tuple[int, ...]:
        """Ids of the bodies that carry the feet."""
        return tuple(int(self.model.geom(foot.geoms[0]).bodyid[0]) for foot in self.feet)

    @cached_property
    def nominal_qpos(self) -> Float[np.ndarray, "nq"]:
        """The default reset: upright at the drop height, with nominal joint angles.

        Joints without a motor have the angles of the MJCF's keyframe `nominal`, where there is one.
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
        return task_contact_geoms(self.reward, self.termination)

    @cached_property
    def parameters(self) -> ModelParameters:
        """The parameters that domain randomisation may change."""
        model, joints, dofs = self.model, self.joint_ids, self.qvel_index
        return ModelParameters(
            mass=np.array(self.mass),
            nominal=self.nominal,
            joint_range=self.joint_range,
            torque_limit=self.torque_limit,
            max_velocity=self.max_velocity,
            damping=model.dof_damping[dofs],
            armature=model.dof_armature[dofs],
            stiffness=model.jnt_stiffness[joints],
            friction_loss=model.dof_frictionloss[dofs],
            kp=np.array(self.kp),
            kd=np.array(self.kd),
            action_scale=np.array(self.action_scale),
        )

    @cached_property
    def descriptor(self) -> RobotDescriptor:
        """The descriptors of this robot (reference task, section 2)."""
        return describe(self, self.parameters)
