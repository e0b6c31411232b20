"""The literal log: what a run's robots saw and did, episode by episode, whatever chunks it was in.

A stand-in run writes into each number which robot, episode and moment it is of.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import COMMAND, descriptor

from bodyplan.datasets.dataset import Dataset
from bodyplan.datasets.replay_log import (
    ReplayChunk,
    chunk_paths,
    join_chunks,
    read_log,
    replay_path,
    robots_with_log,
    write_log,
)
from bodyplan.envs.environment import StepResult
from bodyplan.envs.walking_task import Observation
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor

JOINTS, FEET = 3, 2
SIMULATED, LOGGED, MOMENTS = 5, 3, 23
ROBOT = SimpleNamespace(name="dog", num_joints=JOINTS, num_feet=FEET)
OWN = descriptor("dog", JOINTS, FEET)


def look(time, episode, robots=SIMULATED):
    """Robot, its episode, and the moment."""
    general = np.zeros((robots, 13), np.float32)
    general[:, 0], general[:, 1], general[:, 2] = np.arange(robots), episode, time
    joints = np.broadcast_to(general[:, None, :3], (robots, JOINTS, 3)).copy()
    return Observation(joints, np.zeros((robots, FEET, 2), np.float32), general)


def bodies(episode, several):
    """A body for each robot and episode, or one for all."""
    if not several:
        return OWN
    sets = RobotDescriptor(*(np.repeat(part[None], SIMULATED, axis=0) for part in OWN))
    sets.context[:, 0] = 100 * np.arange(SIMULATED) + episode
    return sets


def run(folder, between, several=False):
    """Robot r falls at every moment that 4 + r divides; at moment 15 the clock ends for all."""
    episode = np.zeros(SIMULATED, int)
    paths = chunk_paths(folder, between)
    chunk = ReplayChunk(LOGGED)
    for time in range(MOMENTS):
        chunk.add_observation(look(time, episode), bodies(episode, several))
        fallen = (time + 1) % (4 + np.arange(SIMULATED)) == 0
        late = np.full(SIMULATED, time == 15)
        actions = np.full((SIMULATED, JOINTS), time, np.float32)
        reward = np.float32(time + 100 * np.arange(SIMULATED))
        step = StepResult(
            look(time + 1, episode),
            reward,
            fallen,
            late,
            np.zeros((SIMULATED, 3)),
            np.zeros((SIMULATED, 15)),
        )
        chunk.add_step(actions, step, bodies(episode, several))
        episode[fallen | late] += 1
        if time + 1 in between:
            chunk.save(paths[between.index(time + 1) - 1], last=time + 1 == MOMENTS)
            chunk = ReplayChunk(LOGGED)
    return paths


def joined(folder, between, several=False):
    return join_chunks(ROBOT, run(folder, between, several), SIMULATED)


@pytest.mark.parametrize("between", [[0, 23], [0, 10, 23], [0, 3, 4, 16, 23]])
def test_each_step_is_where_it_belongs(tmp_path, between):
    episodes, ends = joined(tmp_path, between)
    assert episodes.num_steps == LOGGED * MOMENTS
    here, row = episodes.frame_indices(), np.arange(LOGGED * MOMENTS)
    robot, time = row // MOMENTS, row % MOMENTS
    np.testing.assert_array_equal(episodes.general[here, 0], robot)
    np.testing.assert_array_equal(episodes.general[here, 2], time)
    np.testing.assert_array_equal(episodes.general[here + 1, 2], time + 1)
    # The frame after a step is of the step's own episode, not of what began after a reset.
    np.testing.assert_array_equal(episodes.general[here + 1, 1], episodes.general[here, 1])
    np.testing.assert_array_equal(episodes.actions, np.tile(time[:, None], (1, JOINTS)))
    np.testing.assert_array_equal(episodes.rewards, time + 100 * robot)
    fallen = (time + 1) % (4 + robot) == 0
    np.testing.assert_array_equal(episodes.terminated, fallen)
    last = time == MOMENTS - 1
    np.testing.assert_array_equal(episodes.truncated, ((time == 15) | last) & ~fallen)
    closing = episodes.episode_ends - 1
    np.testing.assert_array_equal(closing, np.flatnonzero(fallen | (time == 15) | last))
    np.testing.assert_array_equal(ends, (time[closing] + 1) * SIMULATED)


def test_chunks_leave_no_trace(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = joined(tmp_path / "a", [0, 23], several=True)[0]
    many = joined(tmp_path / "b", [0, 1, 9, 17, 23], several=True)[0]
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(many.arrays()[name], array, err_msg=name)
    # In which order the sets are kept does not matter, who has which does.
    np.testing.assert_array_equal(
        many.descriptors.context[many.descriptor_ids], one.descriptors.context[one.descriptor_ids]
    )
    frames = one.general
    told = one.descriptors.context[one.descriptor_ids, 0]
    np.testing.assert_array_equal(told, 100 * frames[:, 0] + frames[:, 1])


@pytest.fixture
def home(tmp_path):
    path = replay_path("dog", COMMAND, tmp_path)
    path.parent.mkdir()
    settings = {"command": list(COMMAND), "seed": 3, "physics": "fast"}
    write_log(path, ROBOT, *joined(tmp_path, [0, 23]), settings)
    return tmp_path


def test_a_log_is_a_dataset_of_its_own(home):
    path = replay_path("dog", COMMAND, home)
    card = Dataset.open(path).card
    assert (card["recipe"], card["seed"], card["physics"]) == ("replay", 3, "fast")
    log = read_log("dog", COMMAND, home)
    assert log.episodes.num_steps == card["steps"] == LOGGED * MOMENTS
    np.testing.assert_array_equal(log.ends, card["robots"]["dog"]["training_steps"])
    assert robots_with_log(COMMAND, home) == ("dog",)


def test_logs_that_are_not_there_or_incomplete_are_named(home):
    with pytest.raises(BodyplanError, match="run of cat .*forward.*--log-replay"):
        read_log("cat", COMMAND, home)
    with pytest.raises(BodyplanError, match="backward"):
        robots_with_log((-1.0, 0.0, 0.0), home)
    card = replay_path("dog", COMMAND, home) / "card.json"
    card.write_text(card.read_text().replace("training_steps", "forgotten"))
    with pytest.raises(BodyplanError, match=r"card.json .*dog ended"):
        read_log("dog", COMMAND, home)


def test_a_damaged_chunk_is_named(tmp_path):
    paths = run(tmp_path, [0, 10, 23])
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    with pytest.raises(BodyplanError, match=r"replay-000000000010.npz is damaged"):
        join_chunks(ROBOT, paths, SIMULATED)
