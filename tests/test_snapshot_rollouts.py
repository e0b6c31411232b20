"""Recording: every frame, action and reward ends up in the step it belongs to.

A stand-in environment writes into each observation which robot, episode and step it is, and falls
by its own plan, so that the recorded arrays can be checked number by number.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import COMMAND, descriptor, synthetic_snapshots

from bodyplan.datasets import recipes, snapshot_rollouts
from bodyplan.datasets.recipes import Segment
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.environment import StepResult
from bodyplan.envs.walking_task import Observation
from bodyplan.robots.descriptors import RobotDescriptor

JOINTS, FEET, HORIZON = 3, 2, 11
ROBOT = SimpleNamespace(
    name="dog", num_joints=JOINTS, num_feet=FEET, descriptor=descriptor("dog", JOINTS, FEET)
)
SNAPSHOTS = synthetic_snapshots(joints=JOINTS, feet=FEET)
RUN = [Segment(0, 37, "early"), Segment(1, 20, "early"), Segment(3, 26, "late")]
STEPS = 83


class Diary:
    """general[0:3] = robot, episode, step; reward = 100 robot + step; falls after 2 + robot.

    Under randomisation robots 0 and 2 are alike, the others are not; bodies change with each reset
    and, where they may, at step 4.
    """

    made: list["Diary"]

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
        self.made.append(self)

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


@pytest.fixture
def diary(monkeypatch):
    Diary.made = []
    monkeypatch.setattr(snapshot_rollouts, "Environment", Diary)
    monkeypatch.setattr(recipes, "SLOT_STEPS", 16)
    return Diary.made


def record(
    number=0,
    start=0,
    stop=STEPS,
    seed=1,
    tick=None,
    disturbances=NO_DISTURBANCES,
    recipe="suboptimal70",
):
    run = snapshot_rollouts.RecordingTask(
        ROBOT, SNAPSHOTS, RUN, COMMAND, seed, "random", recipe, disturbances
    )
    return snapshot_rollouts.record_rollouts(run, number, start, stop, tick)


def test_frames_steps_and_ends_fit_together(diary):
    episodes = record()
    slots = recipes.schedule_rollouts(RUN, 0, STEPS)
    assert slots.lengths.tolist() == [14, 14, 14, 14, 14, 13]
    slot_of = np.repeat(np.arange(6), slots.lengths)
    time_of = np.arange(STEPS) - slots.offsets[slot_of]
    (environment,) = diary
    starts = np.concatenate([[0], episodes.episode_ends[:-1]])
    assert len(episodes.general) == STEPS + episodes.num_episodes
    for e, (start, end) in enumerate(zip(starts, episodes.episode_ends, strict=True)):
        slot = slot_of[start]
        frames = slice(start + e, end + e + 1)
        assert (slot_of[start:end] == slot).all()
        assert episodes.general[frames, 2].tolist() == list(range(end - start + 1))
        assert (episodes.general[frames, 0] == slot).all()
        assert len(set(episodes.general[frames, 1])) == 1
        np.testing.assert_array_equal(episodes.joints[frames, 1], episodes.general[frames, :3])
        steps = np.arange(end - start)
        np.testing.assert_array_equal(episodes.rewards[start:end], 100 * slot + steps)
    for n in range(STEPS):
        received = environment.received[time_of[n]][slot_of[n]]
        np.testing.assert_array_equal(episodes.actions[n], received)


def test_episodes_end_by_falling_by_time_with_the_segment_and_with_the_slot(diary):
    episodes = record()
    ends = episodes.episode_ends - 1
    done = episodes.terminated | episodes.truncated
    np.testing.assert_array_equal(np.flatnonzero(done), ends)
    assert not (episodes.terminated & episodes.truncated).any()
    last = episodes.general[episodes.frame_indices()[ends] + 1]
    robot, episode, length = last[:, :3].T
    fallen = (episode % 2 == 0) & (length >= 2 + robot)
    np.testing.assert_array_equal(episodes.terminated[ends], fallen)
    cut = recipes.schedule_rollouts(RUN, 0, STEPS).cut
    assert (done[cut]).all()
    np.testing.assert_array_equal(episodes.truncated[ends], ~fallen & (cut[ends] | (length == 11)))
    assert {36, 56} <= set(ends.tolist())  # where the next snapshots take over


@pytest.mark.parametrize("redraw", [0.0, 0.5])
def test_each_frame_has_the_body_it_was_seen_from(diary, redraw):
    disturbances = Disturbances(randomise=True, redraw=redraw)
    episodes = record(disturbances=disturbances)
    robot, episode, time = episodes.general[:, :3].T
    expected = body(robot, episode, time, disturbances)
    marks = episodes.descriptors.context[:, 0]
    np.testing.assert_array_equal(marks[episodes.descriptor_ids], expected)
    assert sorted(marks) == sorted(set(expected))  # each body once, none that left no frame
    assert episodes.descriptor_ids.dtype == np.int32
    changes = np.flatnonzero(np.diff(episodes.descriptor_ids))
    closing = episodes.episode_ends + np.arange(episodes.num_episodes)
    assert (set(changes) <= set(closing)) == (redraw == 0.0)


def test_one_body_is_kept_once(diary):
    episodes = record()
    assert episodes.descriptor_ids is None
    for part, own in zip(episodes.descriptor, ROBOT.descriptor, strict=True):
        np.testing.assert_array_equal(part, own)


def test_each_step_is_acted_by_its_own_snapshot(diary, monkeypatch):
    monkeypatch.setattr(
        snapshot_rollouts.SnapshotPolicy,
        "sample",
        lambda self, observation, rng: np.full((len(observation.general), JOINTS), self.std[0]),
    )
    spread = np.log(np.array([1.0, 2.0, 3.0, 4.0])).repeat(JOINTS).reshape(4, JOINTS)
    tensors = {**SNAPSHOTS.tensors, "log_std": spread}
    run = snapshot_rollouts.RecordingTask(
        ROBOT, type(SNAPSHOTS)(tensors, SNAPSHOTS.card), RUN, COMMAND, 0, "random", "expert"
    )
    whole = np.repeat([1.0, 2.0, 4.0], [37, 20, 26])
    for start, stop in ((0, STEPS), (30, 60)):
        episodes = snapshot_rollouts.record_rollouts(run, 0, start, stop)
        np.testing.assert_allclose(episodes.actions[:, 0], whole[start:stop], rtol=1e-6)


def test_seeds_differ_between_parts_and_repeat(diary):
    first, again, other_part, other_seed = record(), record(), record(number=1), record(seed=2)
    other_recipe = record(recipe="expert_replay")
    np.testing.assert_array_equal(first.actions, again.actions)
    assert (first.actions != other_part.actions).any()
    assert (first.actions != other_seed.actions).any()
    assert (first.actions != other_recipe.actions).any()
    assert diary[0].seed == diary[1].seed
    assert len({environment.seed for environment in diary}) == 4
    assert diary[0].arguments == ("dog", COMMAND, "reference", "random")


def test_each_step_is_told_of(diary):
    ticks = []
    record(start=30, stop=60, tick=ticks.append)
    assert sum(ticks) == 30
    assert set(ticks) == {2}
