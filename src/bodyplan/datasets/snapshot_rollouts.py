"""Recording: a part of a training run lived again by many robots side by side.

Snapshots act with the exploration they had while training, in reference physics, and every step
is kept. A slot's episode ends where the robot falls, at the horizon, where the next segment takes
over and at the end of the slot, the last three as truncation. What disturbs the robots is in what
they sense and so in what is kept; of which body each frame is, is kept beside it. What a part holds
depends on the run's settings and the part's number alone, not on what was recorded before.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

import numpy as np
from jaxtyping import Bool, Float, Int

from bodyplan.datasets.descriptor_sets import DescriptorTable, merge_sets
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.format import FRAME_ARRAYS, STEP_ARRAYS
from bodyplan.datasets.policy_snapshots import SnapshotPolicy, Snapshots
from bodyplan.datasets.recipes import Segment, schedule_rollouts
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.environment import Environment, StepResult
from bodyplan.envs.walking_task import Command, Observation
from bodyplan.robots.descriptors import RobotDescriptor
from bodyplan.robots.feature_sizes import (
    FOOT_OBSERVATION_SIZE,
    GENERAL_OBSERVATION_SIZE,
    JOINT_OBSERVATION_SIZE,
)
from bodyplan.robots.robot import Robot

RECORDING_PHYSICS = "reference"

OnStep = Callable[[int], None]
"""Called after each control step with the number of robots that took it."""


@dataclass(frozen=True)
class RecordingTask:
    """One robot's share of a dataset: all that decides its bytes."""

    robot: Robot
    snapshots: Snapshots
    segments: list[Segment]
    command: Command
    seed: int
    initial_state: str
    recipe: str
    """Its name, so that sets of one seed and different recipes share no random numbers."""
    disturbances: Disturbances = NO_DISTURBANCES
    """What disturbs the robots."""
    threads: int | None = None
    """Native threads; the one field that decides no bytes."""

    @property
    def steps(self) -> int:
        """Control steps in all."""
        return sum(segment.steps for segment in self.segments)


def record_rollouts(
    run: RecordingTask, number: int, start: int, stop: int, tick: OnStep | None = None
) -> Episodes:
    """Records part `number`: the steps of the run from `start` to `stop`, all slots at once."""
    slots = schedule_rollouts(run.segments, start, stop)
    policies = {int(i): run.snapshots.policy(int(i)) for i in np.unique(slots.snapshot)}
    rng, environment = _stage(run, number, len(slots.lengths))
    recording = Recording.blank(run.robot, stop - start)
    register, redrawn = DescriptorTable(len(slots.lengths)), run.disturbances.redraw > 0.0
    seen = RecordedFrames(*environment.observation, register.add(environment.descriptor))
    padded = np.zeros((len(slots.lengths), run.robot.num_joints), np.float32)
    for time in range(slots.lengths[0]):
        live = int(np.count_nonzero(slots.lengths > time))  # longer slots come first
        rows = slots.offsets[:live] + time
        actions = _act(policies, slots.snapshot[rows], Observation(*seen[:3]), rng)
        padded[:live] = actions
        step = environment.step(padded)
        bodies = register.add(environment.descriptor) if redrawn else seen.bodies
        after = RecordedFrames(*step.observation, bodies)
        ended = recording.put(rows, seen, actions, step, after, slots.cut[rows])
        seen = after
        if ended.any():
            mask = np.zeros(len(slots.lengths), bool)
            mask[:live] = ended
            seen = RecordedFrames(*environment.reset(mask), register.add(environment.descriptor))
        if tick:
            tick(live)
    return recording.episodes(register.table)


def _stage(run: RecordingTask, number: int, slots: int) -> tuple[np.random.Generator, Environment]:
    """The generator of the actions and the freshly reset environment of one part."""
    names = [crc32(name.encode()) for name in (run.robot.name, run.recipe)]
    root = np.random.SeedSequence([run.seed, *names, number])
    noise, resets = root.spawn(2)
    environment = Environment(
        run.robot,
        command=run.command,
        num_envs=slots,
        physics=RECORDING_PHYSICS,
        initial_state=run.initial_state,
        seed=int(resets.generate_state(1)[0]),
        threads=run.threads,
        disturbances=run.disturbances,
    )
    return np.random.default_rng(noise), environment


class RecordedFrames(NamedTuple):
    """What robots sense, and the place of each one's descriptor set in a table of them."""

    joints: Float[np.ndarray, "S J 3"]
    feet: Float[np.ndarray, "S F 2"]
    general: Float[np.ndarray, "S 13"]
    bodies: Int[np.ndarray, "S"]


@dataclass(frozen=True, eq=False)
class Recording:
    """Steps in their final order, each with the frame it starts from; closing frames apart."""

    opening: RecordedFrames
    actions: Float[np.ndarray, "N J"]
    rewards: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    closing: list[tuple[Int[np.ndarray, "D"], RecordedFrames]] = field(default_factory=list)
    """Rows that ended an episode, and what was seen after them."""

    @classmethod
    def blank(cls, robot: Robot, steps: int) -> "Recording":
        shapes = (
            (robot.num_joints, JOINT_OBSERVATION_SIZE),
            (robot.num_feet, FOOT_OBSERVATION_SIZE),
            (GENERAL_OBSERVATION_SIZE,),
        )
        joints, feet, general = (np.empty((steps, *shape), np.float32) for shape in shapes)
        return cls(
            RecordedFrames(joints, feet, general, np.empty(steps, np.int32)),
            actions=np.empty((steps, robot.num_joints), np.float32),
            rewards=np.empty(steps, np.float32),
            terminated=np.empty(steps, bool),
            truncated=np.empty(steps, bool),
        )

    def put(
        self,
        rows: Int[np.ndarray, "L"],
        seen: RecordedFrames,
        actions: Float[np.ndarray, "L J"],
        step: StepResult,
        after: RecordedFrames,
        cut: Bool[np.ndarray, "L"],
    ) -> Bool[np.ndarray, "L"]:
        """Keeps one step of the L live slots; returns whose episode has ended with it."""
        live = len(rows)
        terminated = step.terminated[:live]
        truncated = (step.truncated[:live] | cut) & ~terminated
        for store, part in zip(self.opening, seen, strict=True):
            store[rows] = part[:live]
        self.actions[rows] = actions
        self.rewards[rows] = step.reward[:live]
        self.terminated[rows] = terminated
        self.truncated[rows] = truncated
        ended = terminated | truncated
        self.closing.append((rows[ended], RecordedFrames(*(part[:live][ended] for part in after))))
        return ended

    def episodes(self, sets: RobotDescriptor) -> Episodes:
        """Puts the closing frame of each episode behind the frames its steps start from.

        `sets` are the descriptor sets, on a leading axis, in which frames name their bodies.
        """
        ends = np.flatnonzero(self.terminated | self.truncated) + 1
        order = np.argsort(np.concatenate([rows for rows, _ in self.closing]))
        closing = zip(*(seen for _, seen in self.closing), strict=True)
        frames = RecordedFrames(
            *(
                np.insert(opening, ends, np.concatenate(parts)[order], axis=0)
                for opening, parts in zip(self.opening, closing, strict=True)
            )
        )
        table, ids = merge_sets([sets], [frames.bodies])
        arrays = {name: getattr(frames, name) for name in FRAME_ARRAYS}
        arrays |= {name: getattr(self, name) for name in STEP_ARRAYS}
        return Episodes(**arrays, episode_ends=ends, descriptors=table, descriptor_ids=ids)


def _act(
    policies: dict[int, SnapshotPolicy],
    snapshot: Int[np.ndarray, "L"],
    observation: Observation,
    rng: np.random.Generator,
) -> Float[np.ndarray, "L J"]:
    """Samples actions of the live slots; each snapshot holds a run of neighbouring slots."""
    bounds = [0, *(np.flatnonzero(np.diff(snapshot)) + 1), len(snapshot)]
    sampled = [
        policies[int(snapshot[first])].sample(
            Observation(*(part[first:last] for part in observation)), rng
        )
        for first, last in pairwise(bounds)
    ]
    return np.concatenate(sampled)
