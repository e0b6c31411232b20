"""Many copies of one robot, stepped together on MuJoCo's native threads.

One call of `Simulator.step` is one control step for all of them: torques from the action, held
for 20 ms of physics, then joint velocities clipped to what the motors can do. Everything the
simulation carries from step to step is in `states` and `warmstarts`, two plain arrays, so that a
run can be saved and continued exactly; results do not depend on the number of threads.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from mujoco.rollout import Rollout

from bodyplan import machine
from bodyplan.envs.domain_randomisation import RandomisedModel, apply_randomised_model
from bodyplan.envs.walking_task import RobotState, compute_robot_state
from bodyplan.errors import BodyplanError
from bodyplan.robots.model_parameters import ModelParameters, MotorErrors, ideal_motors, pd_torque
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

_CONTROL = mujoco.mjtState.mjSTATE_CTRL.value
_WITH_WRENCH = _CONTROL | mujoco.mjtState.mjSTATE_QFRC_APPLIED.value
_FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS


@dataclass(frozen=True)
class Physics:
    """How the equations of motion are integrated."""

    timestep: float
    """Seconds."""
    integrator: mujoco.mjtIntegrator
    simple_contacts: bool = False
    """Sliding friction only, and no dry friction in the joints: cheaper, for training experts."""


PHYSICS_SETTINGS = {
    "reference": Physics(0.005, mujoco.mjtIntegrator.mjINT_EULER),
    "fast": Physics(0.01, mujoco.mjtIntegrator.mjINT_IMPLICITFAST, simple_contacts=True),
}
"""`reference` is the task's own, used for all data and evaluation; `fast` trains experts."""


WILD = 1e3
"""Velocity, m/s or rad/s, that no robot reaches but in a simulation that has gone wrong."""


class Simulator:
    """N copies of a robot in one physics setting."""

    def __init__(
        self, robot: Robot, num_envs: int, physics: str = "reference", threads: int | None = None
    ) -> None:
        """Start N robots in the nominal pose.

        Args:
            robot: the body.
            num_envs: N.
            physics: a name in `PHYSICS_SETTINGS`.
            threads: native threads; all cores the process may use where not given.

        Raises:
            BodyplanError: unknown physics.
        """
        if physics not in PHYSICS_SETTINGS:
            raise BodyplanError(
                f"no physics is called '{physics}'; choose one of {list(PHYSICS_SETTINGS)}"
            )
        self.robot = robot
        self.num_envs = num_envs
        self.parameters = robot.parameters
        """Of each robot; without a leading axis as long as all are alike."""
        self.errors = ideal_motors(robot.num_joints)
        self._physics = _stable(PHYSICS_SETTINGS[physics], robot)
        self._model = _with_physics(robot.model, self._physics)
        self._models = [self._model] * num_envs
        self._substeps = round(CONTROL_STEP / self._physics.timestep)
        threads = machine.available_cores() if threads is None else threads
        if threads < 1:
            raise BodyplanError(f"threads {threads} must be at least 1")
        self._rollout = Rollout(nthread=threads)
        self._data = [mujoco.MjData(self._model) for _ in range(threads)]
        model = self._model
        self.states = np.zeros((num_envs, mujoco.mj_stateSize(model, _FULL)))
        self.warmstarts = np.zeros((num_envs, model.nv))
        self._sensors = np.zeros((num_envs, self._substeps, model.nsensordata))
        self._path = np.zeros((num_envs, self._substeps, self.states.shape[1]))
        self._feet = _foot_columns(robot)
        self._first_any = sum(len(foot.geoms) for foot in robot.feet)
        self.torques = np.zeros((num_envs, robot.num_joints))
        self.wrench: Float[np.ndarray, "N 6"] | None = None
        """Force (N, world axes) and torque (N m, trunk axes) on the trunk during a control step."""
        self.diverged = np.zeros(num_envs, bool)
        """Whose numbers left all bounds in the last control step; what follows is no physics."""
        everyone = np.ones(num_envs, bool)
        self.reset(everyone, robot.nominal_qpos, np.zeros(model.nv))

    @property
    def qpos(self) -> Float[np.ndarray, "N nq"]:
        """Positions; a view into `states`."""
        return self.states[:, 1 : 1 + self._model.nq]

    @property
    def qvel(self) -> Float[np.ndarray, "N nv"]:
        """Velocities; a view into `states`."""
        return self.states[:, 1 + self._model.nq : 1 + self._model.nq + self._model.nv]

    def reset(
        self,
        mask: Bool[np.ndarray, "N"],
        qpos: Float[np.ndarray, "... nq"],
        qvel: Float[np.ndarray, "... nv"],
    ) -> None:
        """Put the robots of `mask` into the given states and find their contacts."""
        self.states[mask] = 0.0
        self.qpos[mask] = qpos
        self.qvel[mask] = qvel
        self.warmstarts[mask] = 0.0
        self.torques[mask] = 0.0
        chosen = np.flatnonzero(mask)
        if len(chosen):
            control = np.zeros((len(chosen), 1, self._model.nu))
            # The first step's sensors are those of the state it starts from.
            sensors = self._roll(chosen, control)[1]
            self._sensors[chosen, -1] = sensors[:, 0]

    def replace(self, index: int, specimen: RandomisedModel | None) -> None:
        """Make one robot and its world those of a specimen, or the robot's own again (None).

        Its state stays.
        """
        if self.parameters.mass.ndim == 0:
            self.parameters = ModelParameters(*_repeated(self.parameters, self.num_envs))
            self.errors = MotorErrors(*_repeated(self.errors, self.num_envs))
        if specimen is None:
            self._models[index] = self._model
            parameters, errors = self.robot.parameters, ideal_motors(self.robot.num_joints)
        else:
            self._models[index] = copy.copy(self.robot.model)
            apply_randomised_model(self.robot, specimen, self._models[index])
            self._models[index] = _with_physics(self._models[index], self._physics)
            parameters, errors = specimen.parameters, specimen.errors
        for batch, own in zip(
            (*self.parameters, *self.errors), (*parameters, *errors), strict=True
        ):
            batch[index] = own

    def step(self, action: Float[np.ndarray, "N J"]) -> None:
        """One control step (reference task, section 1): the torque of the PD law, computed once and
        held, then the velocity limit.
        """
        robot = self.robot
        positions = self.qpos[:, robot.qpos_index]
        velocities = self.qvel[:, robot.qvel_index]
        self.torques = pd_torque(self.parameters, self.errors, action, positions, velocities)
        motors = self._model.nu
        free = self.wrench is None
        control = np.zeros((self.num_envs, motors if free else motors + self._model.nv))
        control[:, robot.actuator_ids] = self.torques
        if self.wrench is not None:
            control[:, motors : motors + 6] = self.wrench
        held = np.repeat(control[:, None], self._substeps, axis=1)
        self._rollout.rollout(
            self._models,
            self._data,
            self.states,
            held,
            control_spec=_CONTROL if free else _WITH_WRENCH,
            skip_checks=True,
            nstep=self._substeps,
            initial_warmstart=self.warmstarts,
            state=self._path,
            sensordata=self._sensors,
        )
        self._keep_last()

    def robot_state(self) -> RobotState:
        """What the task reads now."""
        sensors = self._sensors[:, -1]
        found = sensors[:, : self._first_any] > 0.0
        foot_contact = np.stack([found[:, own].any(axis=1) for own in self._feet], axis=1)
        touching = sensors[:, self._first_any :] > 0.0
        return compute_robot_state(
            self.robot, self.qpos, self.qvel, self.torques, foot_contact, touching
        )

    def _keep_last(self) -> None:
        last = self._path[:, -1]
        velocities = slice(1 + self._model.nq, 1 + self._model.nq + self._model.nv)
        # MuJoCo starts a state anew, clock and all, when its acceleration is no longer a number.
        restarted = last[:, 0] < self.states[:, 0] + CONTROL_STEP / 2.0
        self.diverged = restarted | (np.abs(last[:, velocities]) > WILD).any(axis=1)
        before = self._path[:, -2, velocities] if self._substeps > 1 else self.qvel
        # The solver's own warm start is not returned; the last acceleration is as good a guess.
        self.warmstarts[:] = (last[:, velocities] - before) / self._model.opt.timestep
        self.states[:] = last
        limit = self.parameters.max_velocity
        index = self.robot.qvel_index
        self.qvel[:, index] = np.clip(self.qvel[:, index], -limit, limit)

    def _roll(
        self, chosen: np.ndarray, control: Float[np.ndarray, "M T nu"]
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._rollout.rollout(
            [self._models[index] for index in chosen],
            self._data,
            self.states[chosen],
            control,
            initial_warmstart=self.warmstarts[chosen],
        )


def _stable(physics: Physics, robot: Robot) -> Physics:
    """Linkages that close are too stiff for long steps."""
    return replace(physics, timestep=min(physics.timestep, 0.005)) if robot.model.neq else physics


def _with_physics(model: mujoco.MjModel, physics: Physics) -> mujoco.MjModel:
    own = copy.copy(model)
    own.opt.timestep = physics.timestep
    own.opt.integrator = physics.integrator
    if physics.simple_contacts:
        own.geom_condim[:] = np.minimum(own.geom_condim, 3)
        own.dof_frictionloss[:] = 0.0
    return own


def _repeated(arrays: Iterable[np.ndarray], count: int) -> list[np.ndarray]:
    return [np.repeat(array[None], count, axis=0) for array in arrays]


def _foot_columns(robot: Robot) -> list[list[int]]:
    columns, start = [], 0
    for foot in robot.feet:
        columns.append(list(range(start, start + len(foot.geoms))))
        start += len(foot.geoms)
    return columns
