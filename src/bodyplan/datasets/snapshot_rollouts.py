"""Records episodes by rolling out policy snapshots in many environments side by side.

Snapshots act in reference physics with the exploration noise that they had in training, and every
step is recorded. An episode ends where the robot falls (terminated). It also ends at the horizon,
where the next segment of the recipe starts, and at the end of its environment (truncated).
Disturbances appear in the observations. For each frame the number of its descriptor set is
recorded too.

What a part contains depends only on the task and the part's number, not on other parts.
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
from bodyplan.datasets.recipes import RecipeSegment
from bodyplan.datasets.rollout_schedule import DEFAULT_SIZES, RecordingSizes, schedule_rollouts
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
"""Called after each control step with the number of environments that took it."""


@dataclass(frozen=True)
class RecordingTask:
    """The recording of one robot: everything that decides its bytes."""

    robot: Robot
    snapshots: Snapshots
    segments: list[RecipeSegment]
    command: Command
    seed: int
    initial_state: str
    recipe: str
    """Its name seeds the random numbers too, so that two recipes never share them."""
    disturbances: Disturbances = NO_DISTURBANCES
    sizes: RecordingSizes = DEFAULT_SIZES
    threads: int | None = None
    """Native threads of the simulation. This field decides no bytes."""

    @property
    def steps(self) -> int:
        """Number of control steps."""
        return sum(segment.steps for segment in self.segments)


def record_rollouts(
    task: RecordingTask,
    part: int,
    start: int,
    stop: int,
    on_step: OnStep | None = None,
    make_environment: Callable[..., Environment] = Environment,
) -> Episodes:
    """Records one part of a task: the steps from `start` to `stop`.

    Args:
        task: what to record.
        part: the part's number, which seeds its random numbers.
        start: first step.
        stop: the step after the last.
        on_step: called after each control step.
        make_environment: called with the arguments of `Environment`.
    """
    schedule = schedule_rollouts(task.segments, start, stop, task.sizes)
    num_envs = len(schedule.lengths)
    policies = {int(i): task.snapshots.policy(int(i)) for i in np.unique(schedule.snapshot)}
    action_seed, environment_seed = _seeds(task, part)
    rng = np.random.default_rng(action_seed)
    environment = make_environment(
        task.robot,
        command=task.command,
        num_envs=num_envs,
        physics=RECORDING_PHYSICS,
        initial_state=task.initial_state,
        seed=environment_seed,
        threads=task.threads,
        disturbances=task.disturbances,
    )
    recording = Recording.empty(task.robot, stop - start)
    table, redrawn = DescriptorTable(num_envs), task.disturbances.redraw > 0.0
    frames = RecordedFrames(*environment.observation, table.add(environment.descriptor))
    padded = np.zeros((num_envs, task.robot.num_joints), np.float32)
    for time in range(schedule.lengths[0]):
        active = int(np.count_nonzero(schedule.lengths > time))  # longer rollouts come first
        rows = schedule.offsets[:active] + time
        actions = _sample_actions(policies, schedule.snapshot[rows], Observation(*frames[:3]), rng)
        padded[:active] = actions
        step = environment.step(padded)
        ids = table.add(environment.descriptor) if redrawn else frames.descriptor_ids
        next_frames = RecordedFrames(*step.observation, ids)
        ended = recording.add_step(rows, frames, actions, step, next_frames, schedule.cut[rows])
        frames = next_frames
        if ended.any():
            mask = np.zeros(num_envs, bool)
            mask[:active] = ended
            frames = RecordedFrames(*environment.reset(mask), table.add(environment.descriptor))
        if on_step:
            on_step(active)
    return recording.episodes(table.table)


def _seeds(task: RecordingTask, part: int) -> tuple[np.random.SeedSequence, int]:
    """Seeds of the actions' noise and of the environment."""
    names = [crc32(name.encode()) for name in (task.robot.name, task.recipe)]
    actions, resets = np.random.SeedSequence([task.seed, *names, part]).spawn(2)
    return actions, int(resets.generate_state(1)[0])


class RecordedFrames(NamedTuple):
    """Observations of B environments, and the numbers of their descriptor sets."""

    joints: Float[np.ndarray, "B J 3"]
    feet: Float[np.ndarray, "B F 2"]
    general: Float[np.ndarray, "B 13"]
    descriptor_ids: Int[np.ndarray, "B"]


@dataclass(frozen=True, eq=False)
class Recording:
    """N recorded steps in their final order. The final frames of episodes are kept apart."""

    first_frames: RecordedFrames
    """The frame that each step starts from."""
    actions: Float[np.ndarray, "N J"]
    rewards: Float[np.ndarray, "N"]
    terminated: Bool[np.ndarray, "N"]
    truncated: Bool[np.ndarray, "N"]
    final_frames: list[tuple[Int[np.ndarray, "D"], RecordedFrames]] = field(default_factory=list)
    """Rows that ended an episode, and the frames that they led to."""

    @classmethod
    def empty(cls, robot: Robot, steps: int) -> "Recording":
        """Arrays without values for a number of steps."""
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

    def add_step(
        self,
        rows: Int[np.ndarray, "L"],
        frames: RecordedFrames,
        actions: Float[np.ndarray, "L J"],
        step: StepResult,
        next_frames: RecordedFrames,
        cut: Bool[np.ndarray, "L"],
    ) -> Bool[np.ndarray, "L"]:
        """Records one step of the first L environments.

        Args:
            rows: where the steps belong.
            frames: what the environments observed before the step.
            actions: the actions.
            step: the environment's answer.
            next_frames: what they observed after the step, before any reset.
            cut: whether the episode is truncated in any case.

        Returns:
            Whether each environment's episode has ended.
        """
        active = len(rows)
        terminated = step.terminated[:active]
        truncated = (step.truncated[:active] | cut) & ~terminated
        for store, part in zip(self.first_frames, frames, strict=True):
            store[rows] = part[:active]
        self.actions[rows] = actions
        self.rewards[rows] = step.reward[:active]
        self.terminated[rows] = terminated
        self.truncated[rows] = truncated
        ended = terminated | truncated
        final = RecordedFrames(*(part[:active][ended] for part in next_frames))
        self.final_frames.append((rows[ended], final))
        return ended

    def episodes(self, sets: RobotDescriptor) -> Episodes:
        """The recorded episodes, with each final frame after the episode's other frames.

        Args:
            sets: the descriptor sets that the frames number, on a leading axis.
        """
        ends = np.flatnonzero(self.terminated | self.truncated) + 1
        order = np.argsort(np.concatenate([rows for rows, _ in self.final_frames]))
        final = zip(*(frames for _, frames in self.final_frames), strict=True)
        frames = RecordedFrames(
            *(
                np.insert(first, ends, np.concatenate(parts)[order], axis=0)
                for first, parts in zip(self.first_frames, final, strict=True)
            )
        )
        table, ids = merge_sets([sets], [frames.descriptor_ids])
        arrays = {name: getattr(frames, name) for name in FRAME_ARRAYS}
        arrays |= {name: getattr(self, name) for name in STEP_ARRAYS}
        return Episodes(**arrays, episode_ends=ends, descriptors=table, descriptor_ids=ids)


def _sample_actions(
    policies: dict[int, SnapshotPolicy],
    snapshot: Int[np.ndarray, "L"],
    observation: Observation,
    rng: np.random.Generator,
) -> Float[np.ndarray, "L J"]:
    """Samples actions of L environments; neighbours with the same snapshot are one batch."""
    bounds = [0, *(np.flatnonzero(np.diff(snapshot)) + 1), len(snapshot)]
    sampled = [
        policies[int(snapshot[first])].sample(
            Observation(*(part[first:last] for part in observation)), rng
        )
        for first, last in pairwise(bounds)
    ]
    return np.concatenate(sampled)
