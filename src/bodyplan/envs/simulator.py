"""Batched MuJoCo simulation: N copies of one robot, stepped together on native threads.

One call of `Simulator.step` is one control step for all of them. Torques follow from the action and
are held for 20 ms of physics. Then joint velocities are clipped to the motors' limits. All that the
simulation carries from step to step is in two arrays, `states` and `warmstarts`, so a run can be
saved and continued exactly. Results do not depend on the number of threads.
"""

import copy
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int
from mujoco.rollout import Rollout

from bodyplan import machine
from bodyplan.envs.components import largest, split_components
from bodyplan.envs.domain_randomisation import RandomisedModel, apply_randomised_model
from bodyplan.envs.walking_task import RobotState, StateComponents, compute_robot_state
from bodyplan.errors import BodyplanError
from bodyplan.robots.model_parameters import ModelParameters, MotorErrors, TorqueLaw, ideal_motors
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP

_CONTROL = mujoco.mjtState.mjSTATE_CTRL.value
_WITH_WRENCH = _CONTROL | mujoco.mjtState.mjSTATE_QFRC_APPLIED.value
_FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS


@dataclass(frozen=True)
class PhysicsSettings:
    """How MuJoCo integrates the equations of motion."""

    timestep: float
    """Seconds."""
    integrator: mujoco.mjtIntegrator
    simple_contacts: bool = False
    """Sliding friction only, and no dry friction in the joints."""


PHYSICS_SETTINGS = {
    "reference": PhysicsSettings(0.005, mujoco.mjtIntegrator.mjINT_EULER),
    "fast": PhysicsSettings(0.01, mujoco.mjtIntegrator.mjINT_IMPLICITFAST, simple_contacts=True),
}
"""`reference` is the task's own, for all data and evaluation; `fast` is cheaper, for training."""

DIVERGENCE_VELOCITY = 1e3
"""Velocity (m/s or rad/s) that a robot only reaches where the simulation has diverged."""


class Simulator:
    """N copies of a robot under one of the `PHYSICS_SETTINGS`.

    It can be pickled and deep-copied. A copy continues with the same bits, on threads of its own.
    """

    def __init__(
        self, robot: Robot, num_envs: int, physics: str = "reference", threads: int | None = None
    ) -> None:
        """Start N robots in the nominal pose.

        Args:
            robot: the robot.
            num_envs: N, the number of copies.
            physics: a name in `PHYSICS_SETTINGS`.
            threads: native threads; by default all cores that the process may use.

        Raises:
            BodyplanError: unknown physics, or `num_envs` or `threads` is below 1.
        """
        if physics not in PHYSICS_SETTINGS:
            raise BodyplanError(
                f"no physics is called '{physics}'; choose one of {list(PHYSICS_SETTINGS)}"
            )
        self.threads = machine.available_cores() if threads is None else threads
        for name, value in (("num_envs", num_envs), ("threads", self.threads)):
            if value < 1:
                raise BodyplanError(f"{name} is {value}; give at least 1")
        self.robot = robot
        self.num_envs = num_envs
        self.physics = physics
        self.parameters = robot.parameters
        """Of each robot; without a leading axis while all copies have the same parameters."""
        self.motor_errors = ideal_motors(robot.num_joints)
        self._settings = _stable(PHYSICS_SETTINGS[physics], robot)
        self._model = copy.copy(robot.model)
        _set_physics(self._model, self._settings)
        self._models = [self._model] * num_envs
        self._substeps = round(CONTROL_STEP / self._settings.timestep)
        self._start_threads()
        model = self._model
        self._position_columns = slice(1, 1 + model.nq)
        self._velocity_columns = slice(1 + model.nq, 1 + model.nq + model.nv)
        self.states = np.zeros((num_envs, mujoco.mj_stateSize(model, _FULL)))
        self.warmstarts = np.zeros((num_envs, model.nv))
        self._sensors = np.zeros((num_envs, self._substeps, model.nsensordata))
        self._trajectory = np.zeros((num_envs, self._substeps, self.states.shape[1]))
        geoms = [len(foot.geoms) for foot in robot.feet]
        self._num_foot_sensors = sum(geoms)
        self._first_sensors = np.cumsum([0, *geoms[:-1]])
        """Of each foot; the sensors of its other geoms follow."""
        self.torques = np.zeros((num_envs, robot.num_joints))
        self.wrench: Float[np.ndarray, "N 6"] | None = None
        """Force (N, world axes) and torque (N m, trunk axes) on the trunk during a control step."""
        self.diverged = np.zeros(num_envs, bool)
        """Robots whose simulation diverged in the last control step."""
        self._joint_columns = np.append(
            self._position_columns.start + robot.qpos_index,
            self._velocity_columns.start + robot.qvel_index,
        )
        self._num_motors = model.nu
        self._motor_columns = _slice_if_possible(robot.actuator_ids)
        self._has_new_parameters = True
        self.reset(np.ones(num_envs, bool), robot.nominal_qpos, np.zeros(model.nv))

    def _start_threads(self) -> None:
        # A single thread is the caller's own, which spares handing over the work.
        self._rollout = Rollout(nthread=self.threads if self.threads > 1 else 0)
        self._data = [mujoco.MjData(self._model) for _ in range(self.threads)]
        self._process, self._busy = os.getpid(), threading.Lock()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other threads, and processes without the native ones, from what would end both.

        Raises:
            BodyplanError: another thread simulates, or the process was forked.
        """
        if self.threads > 1 and os.getpid() != self._process:
            raise BodyplanError(
                "a forked process lacks the threads of this simulator; make it in the process that "
                "uses it, give threads 1, or start processes by spawn"
            )
        if not self._busy.acquire(blocking=False):
            raise BodyplanError("another thread uses this simulator; make one for each thread")
        try:
            yield
        finally:
            self._busy.release()

    def __getstate__(self) -> dict[str, Any]:
        # Native threads and their scratch memory cannot be copied; no result depends on them.
        native = ("_rollout", "_data", "_process", "_busy")
        return {name: value for name, value in vars(self).items() if name not in native}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start_threads()

    def __repr__(self) -> str:
        name, physics = self.robot.name, self.physics
        return f"Simulator({name!r}, num_envs={self.num_envs}, physics={physics!r})"

    @property
    def qpos(self) -> Float[np.ndarray, "N nq"]:
        """Generalised positions; a view into `states`."""
        return self.states[:, self._position_columns]

    @property
    def qvel(self) -> Float[np.ndarray, "N nv"]:
        """Generalised velocities; a view into `states`."""
        return self.states[:, self._velocity_columns]

    def reset(
        self,
        mask: Bool[np.ndarray, "N"],
        qpos: Float[np.ndarray, "... nq"],
        qvel: Float[np.ndarray, "... nv"],
    ) -> None:
        """Set the states of the robots in `mask`, and compute their contacts."""
        self.states[mask] = 0.0
        self.qpos[mask] = qpos
        self.qvel[mask] = qvel
        self.warmstarts[mask] = 0.0
        self.torques[mask] = 0.0
        rows = np.flatnonzero(mask)
        if len(rows):
            control = np.zeros((len(rows), 1, self._model.nu))
            # The sensors of the first physics step are those of the state it starts from.
            sensors = self._roll_out(rows, control)[1]
            self._sensors[rows, -1] = sensors[:, 0]

    def set_model(self, index: int, randomised: RandomisedModel | None) -> None:
        """Give one copy and its world a randomised model, or the robot's own again (None).

        Its state stays.
        """
        if self.parameters.mass.ndim == 0:
            self.parameters = ModelParameters(*_repeated(self.parameters, self.num_envs))
            self.motor_errors = MotorErrors(*_repeated(self.motor_errors, self.num_envs))
        if randomised is None:
            self._models[index] = self._model
            parameters, errors = self.robot.parameters, ideal_motors(self.robot.num_joints)
        else:
            model = copy.copy(self.robot.model)
            apply_randomised_model(self.robot, randomised, model)
            _set_physics(model, self._settings)
            self._models[index] = model
            parameters, errors = randomised.parameters, randomised.motor_errors
        rows = (*self.parameters, *self.motor_errors)
        for batch, own in zip(rows, (*parameters, *errors), strict=True):
            batch[index] = own
        self._has_new_parameters = True

    def step(self, action: Float[np.ndarray, "N J"]) -> None:
        """One control step of 20 ms (reference task, section 1).

        The torques of the PD law are computed once and held. Then joint velocities are clipped.
        """
        if self._has_new_parameters:
            self._use_parameters()
        joints = self.states.take(self._joint_columns, axis=1)
        positions, velocities = joints[:, : action.shape[1]], joints[:, action.shape[1] :]
        self.torques = self._torque_law.torque(action, positions, velocities)
        free, motors = self.wrench is None, self._num_motors
        size = motors if free else motors + self.warmstarts.shape[1]
        held = np.zeros((self.num_envs, self._substeps, size))
        held[..., self._motor_columns] = self.torques[:, None]
        if self.wrench is not None:
            held[..., motors : motors + 6] = self.wrench[:, None]
        with self._alone():
            self._rollout.rollout(
                self._models,
                self._data,
                self.states,
                held,
                control_spec=_CONTROL if free else _WITH_WRENCH,
                skip_checks=True,
                nstep=self._substeps,
                initial_warmstart=self.warmstarts,
                state=self._trajectory,
                sensordata=self._sensors,
            )
        self._store_last_state()

    def robot_state(self) -> RobotState:
        """The present state of the robots."""
        return self.state_components().arrays(self.num_envs)

    def state_components(self) -> StateComponents:
        """The present state of the robots, as the task's formulas read it."""
        numbers = split_components(self.states)
        found, feet = (self._sensors[:, -1] > 0.0).astype(float), self._num_foot_sensors
        foot_contact = found[:, :feet]
        if feet > self.robot.num_feet:
            foot_contact = np.maximum.reduceat(foot_contact, self._first_sensors, axis=1)
        return compute_robot_state(
            self.robot,
            numbers[self._position_columns],
            numbers[self._velocity_columns],
            split_components(self.torques),
            split_components(foot_contact),
            split_components(found[:, feet:]),
        )

    def _store_last_state(self) -> None:
        last, columns = self._trajectory[:, -1], self._velocity_columns
        velocities = last[:, columns]
        # MuJoCo resets a state, its clock as well, when an acceleration is not finite.
        (start,), (end,) = split_components(self.states[:, :1]), split_components(last[:, :1])
        too_fast = largest(split_components(velocities)) > DIVERGENCE_VELOCITY
        self.diverged[:] = too_fast | (end < start + CONTROL_STEP / 2.0)
        before = self._trajectory[:, -2, columns] if self._substeps > 1 else self.qvel
        # MuJoCo does not return the solver's warm start; the last acceleration is as good a guess.
        np.subtract(velocities, before, out=self.warmstarts)
        self.warmstarts /= self._settings.timestep
        np.minimum(last, self._upper, out=self.states)
        np.maximum(self.states, self._lower, out=self.states)

    def _use_parameters(self) -> None:
        """Compute what follows from the parameters: the torque law and the joints' limits."""
        self._torque_law = TorqueLaw.of(self.parameters, self.motor_errors)
        limit = self.parameters.max_velocity
        self._upper = np.full((*limit.shape[:-1], self.states.shape[1]), np.inf)
        self._upper[..., self._joint_columns[self.robot.num_joints :]] = limit
        self._lower = -self._upper
        self._has_new_parameters = False

    def _roll_out(
        self, rows: np.ndarray, control: Float[np.ndarray, "M T nu"]
    ) -> tuple[np.ndarray, np.ndarray]:
        with self._alone():
            return self._rollout.rollout(
                [self._models[index] for index in rows],
                self._data,
                self.states[rows],
                control,
                initial_warmstart=self.warmstarts[rows],
            )


def _stable(physics: PhysicsSettings, robot: Robot) -> PhysicsSettings:
    """Equality constraints (closed linkages) are too stiff for steps longer than 5 ms."""
    return replace(physics, timestep=min(physics.timestep, 0.005)) if robot.model.neq else physics


def _set_physics(model: mujoco.MjModel, physics: PhysicsSettings) -> None:
    model.opt.timestep = physics.timestep
    model.opt.integrator = physics.integrator
    if physics.simple_contacts:
        model.geom_condim[:] = np.minimum(model.geom_condim, 3)
        model.dof_frictionloss[:] = 0.0


def _repeated(arrays: Iterable[np.ndarray], count: int) -> list[np.ndarray]:
    return [np.repeat(array[None], count, axis=0) for array in arrays]


def _slice_if_possible(columns: Int[np.ndarray, "K"]) -> slice | Int[np.ndarray, "K"]:
    """Consecutive columns as a slice, which NumPy assigns to in a third of the time."""
    first = int(columns[0])
    consecutive = np.array_equal(columns, np.arange(first, first + len(columns)))
    return slice(first, first + len(columns)) if consecutive else columns
