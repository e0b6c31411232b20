"""Recording: every frame, action and reward ends up in the step it belongs to.

A stand-in environment writes into each observation which robot, episode and step it is, and falls
by its own plan, so that the recorded arrays can be checked number by number.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import COMMAND, descriptor, synthetic_snapshots

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.datasets.recipes import RecipeSegment
from bodyplan.datasets.rollout_schedule import RecordingSizes, schedule_rollouts
from bodyplan.datasets.snapshot_rollouts import RecordingTask, record_rollouts
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.environment import StepResult
from bodyplan.envs.walking_task import Observation
from bodyplan.robots.descriptors import RobotDescriptor

JOINTS, FEET, HORIZON = 3, 2, 11
ROBOT = SimpleNamespace(
    name="dog", num_joints=JOINTS, num_feet=FEET, descriptor=descriptor("dog", JOINTS, FEET)
)
SNAPSHOTS = synthetic_snapshots(joints=JOINTS, feet=FEET)
RUN = [RecipeSegment(0, 37, "early"), RecipeSegment(1, 20, "early"), RecipeSegment(3, 26, "late")]
STEPS = 83
SIZES = RecordingSizes(rollout_steps=16)


class StandInEnvironment:
    """general[0:3] = robot, episode, step; reward = 100 robot + step; falls after 2 + robot.

    Under randomisation robots 0 and 2 are alike, the others are not; bodies change with each reset
    and, where they may, at step 4.
    """

    def __init__(
        self, robot, command, num_envs, physics, initial_state, seed, threads, disturbances
    ):
        self.own, self.disturbances = robot.descriptor, disturbances
        self.arguments = (robot.name, command, physics, initial_state)
        self.seed = seed
        self.robots = np.arange(num_envs)
        self.episode, self.time = np.full(num_envs, -1), np.zeros(num_envs, int)
        self.received = []
        self.observation = self.reset()

    def reset(self, mask=None):
        mask = np.ones(len(self.robots), bool) if mask is None else mask
        self.episode[mask] += 1
        self.time[mask] = 0
        return self.look()

    def step(self, actions):
        self.received.append(actions.copy())
        rewards = np.float32(100 * self.robots + self.time)
        self.time += 1
        fallen = (self.time >= 2 + self.robots) & (self.episode % 2 == 0)
        velocity = np.zeros((len(self.robots), 3))
        terms = np.zeros((len(self.robots), 15))
        return StepResult(self.look(), rewards, fallen, self.time >= HORIZON, velocity, terms)

    @property
    def descriptor(self):
        if not self.disturbances.randomise:
            return self.own
        marks = body(self.robots, self.episode, self.time, self.disturbances)
        parts = (np.repeat(part[None], len(marks), axis=0) for part in self.own)
        sets = RobotDescriptor(*parts)
        sets.context[:, 0] = marks
        return sets

    def look(self):
        count = len(self.robots)
        general = np.zeros((count, 13), np.float32)
        general[:, :3] = np.stack([self.robots, self.episode, self.time], axis=1)
        joints = np.broadcast_to(general[:, None, :3], (count, JOINTS, 3)).copy()
        return Observation(joints, np.zeros((count, FEET, 2), np.float32), general)


def body(robot, episode, time, disturbances):
    """The mark of a robot's body."""
    redrawn = (time >= 4) & (disturbances.redraw > 0.0)
    return np.where(robot == 2, 0, robot) + 10 * episode + 100 * redrawn


class Recorder:
    """Records the run, and keeps the environments in which it did so."""

    def __init__(self):
        self.environments = []

    def __call__(
        self,
        part=0,
        start=0,
        stop=STEPS,
        seed=1,
        on_step=None,
        disturbances=NO_DISTURBANCES,
        recipe="suboptimal70",
        snapshots=SNAPSHOTS,
    ):
        task = RecordingTask(
            ROBOT, snapshots, RUN, COMMAND, seed, "random", recipe, disturbances, SIZES
        )
        return record_rollouts(task, part, start, stop, on_step, self.make_environment)

    def make_environment(self, robot, **arguments):
        self.environments.append(StandInEnvironment(robot, **arguments))
        return self.environments[-1]


@pytest.fixture
def record():
    return Recorder()


def test_frames_steps_and_ends_fit_together(record):
    episodes = record()
    schedule = schedule_rollouts(RUN, 0, STEPS, SIZES)
    assert schedule.lengths.tolist() == [14, 14, 14, 14, 14, 13]
    robot_of = np.repeat(np.arange(6), schedule.lengths)
    time_of = np.arange(STEPS) - schedule.offsets[robot_of]
    (environment,) = record.environments
    starts = np.concatenate([[0], episodes.episode_ends[:-1]])
    assert len(episodes.general) == STEPS + episodes.num_episodes
    for e, (start, end) in enumerate(zip(starts, episodes.episode_ends, strict=True)):
        robot = robot_of[start]
        frames = slice(start + e, end + e + 1)
        assert (robot_of[start:end] == robot).all()
        assert episodes.general[frames, 2].tolist() == list(range(end - start + 1))
        assert (episodes.general[frames, 0] == robot).all()
        assert len(set(episodes.general[frames, 1])) == 1
        np.testing.assert_array_equal(episodes.joints[frames, 1], episodes.general[frames, :3])
        steps = np.arange(end - start)
        np.testing.assert_array_equal(episodes.rewards[start:end], 100 * robot + steps)
    for n in range(STEPS):
        received = environment.received[time_of[n]][robot_of[n]]
        np.testing.assert_array_equal(episodes.actions[n], received)


def test_episodes_end_by_falling_by_time_with_the_segment_and_with_the_environment(record):
    episodes = record()
    ends = episodes.episode_ends - 1
    done = episodes.terminated | episodes.truncated
    np.testing.assert_array_equal(np.flatnonzero(done), ends)
    assert not (episodes.terminated & episodes.truncated).any()
    last = episodes.general[episodes.frame_indices()[ends] + 1]
    robot, episode, length = last[:, :3].T
    fallen = (episode % 2 == 0) & (length >= 2 + robot)
    np.testing.assert_array_equal(episodes.terminated[ends], fallen)
    cut = schedule_rollouts(RUN, 0, STEPS, SIZES).cut
    assert (done[cut]).all()
    np.testing.assert_array_equal(episodes.truncated[ends], ~fallen & (cut[ends] | (length == 11)))
    assert {36, 56} <= set(ends.tolist())  # where the next snapshots take over


@pytest.mark.parametrize("redraw", [0.0, 0.5])
def test_each_frame_has_the_body_it_was_seen_from(record, redraw):
    disturbances = Disturbances(randomise=True, redraw=redraw)
    episodes = record(disturbances=disturbances)
    robot, episode, time = episodes.general[:, :3].T
    expected = body(robot, episode, time, disturbances)
    marks = episodes.descriptors.context[:, 0]
    np.testing.assert_array_equal(marks[episodes.descriptor_ids], expected)
    assert sorted(marks) == sorted(set(expected))  # each body once, none that left no frame
    assert episodes.descriptor_ids.dtype == np.int32
    changes = np.flatnonzero(np.diff(episodes.descriptor_ids))
    final = episodes.episode_ends + np.arange(episodes.num_episodes)
    assert (set(changes) <= set(final)) == (redraw == 0.0)


def test_one_body_is_kept_once(record):
    episodes = record()
    assert episodes.descriptor_ids is None
    for part, own in zip(episodes.descriptor, ROBOT.descriptor, strict=True):
        np.testing.assert_array_equal(part, own)


def test_each_step_is_acted_by_its_own_snapshot(record):
    """Each snapshot's network has no weights; its bias, the action, is the snapshot's number."""
    tensors = SNAPSHOTS.tensors | {
        "layers.2.weight": np.zeros_like(SNAPSHOTS.tensors["layers.2.weight"]),
        "layers.2.bias": np.arange(4.0).repeat(JOINTS).reshape(4, JOINTS),
        "log_std": np.full((4, JOINTS), -50.0),
    }
    whole = np.repeat([0.0, 1.0, 3.0], [37, 20, 26])
    for start, stop in ((0, STEPS), (30, 60)):
        episodes = record(0, start, stop, snapshots=Snapshots(tensors, SNAPSHOTS.card))
        np.testing.assert_allclose(episodes.actions[:, 0], whole[start:stop], atol=1e-6)


def test_seeds_differ_between_parts_and_repeat(record):
    first, again, other_part, other_seed = record(), record(), record(part=1), record(seed=2)
    other_recipe = record(recipe="expert_replay")
    np.testing.assert_array_equal(first.actions, again.actions)
    assert (first.actions != other_part.actions).any()
    assert (first.actions != other_seed.actions).any()
    assert (first.actions != other_recipe.actions).any()
    made = record.environments
    assert made[0].seed == made[1].seed
    assert len({environment.seed for environment in made}) == 4
    assert made[0].arguments == ("dog", COMMAND, "reference", "random")


def test_each_step_is_reported(record):
    counts = []
    record(start=30, stop=60, on_step=counts.append)
    assert sum(counts) == 30
    assert set(counts) == {2}
