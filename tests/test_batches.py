"""Batches: samples are true steps of their robots, whatever the build, the part or the padding."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare, kstest
from synthetic import drawn_batch, synthetic_episodes, write_dataset

from bodyplan.datasets.dataset import Dataset
from bodyplan.errors import BodyplanError
from bodyplan.learn.data.batches import Batch, normal
from bodyplan.learn.data.builds import Stratum
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.data.transitions import MemoryData, RobotTable
from bodyplan.storage import write_array

STEPS, LENGTH = 60, 7
ROBOTS = {"dog": (4, 2), "cat": (4, 2), "biped": (3, 2), "crab": (6, 4)}
"""The biped shares the build of dog and cat, and lacks one of its joints."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("mixture") / "data", ROBOTS, STEPS, LENGTH)


@pytest.fixture(scope="module")
def batch(dataset):
    return drawn_batch(dataset, 500)


def whole(data: TrainingData) -> Batch:
    """All steps of all robots in their order."""
    rows = np.broadcast_to(np.arange(STEPS), (len(data.robots), STEPS))
    return RobotTable.of(data).unpack(MemoryData(data).read(rows))


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_samples_are_steps_with_the_frames_before_and_after_them(dataset, batch):
    for robot, name in enumerate(ROBOTS):
        own, episodes = batch.robot(robot), dataset.episodes[name]
        # Found again by their action, step by step and episode by episode.
        place = {bytes(action): n for n, action in enumerate(episodes.actions)}
        starts = np.concatenate([[0], episodes.episode_ends[:-1]])
        drawn = [place[bytes(action)] for action in np.asarray(own.action)]
        frames = np.array([n + int((starts <= n).sum()) - 1 for n in drawn])
        for field in ("joints", "feet", "general"):
            there = np.asarray(getattr(episodes, field))
            np.testing.assert_array_equal(getattr(own.observation, field), there[frames])
            np.testing.assert_array_equal(getattr(own.next_observation, field), there[frames + 1])
        np.testing.assert_array_equal(own.reward, episodes.rewards[drawn])
        np.testing.assert_array_equal(own.terminated, episodes.terminated[drawn].astype("f4"))
        equal(own.body, episodes.descriptor)
        assert set(drawn) == set(range(STEPS))  # 500 draws of 60 steps miss one with p < 0.015
        assert np.bincount(drawn).max() < 30
    assert batch.num_robots == 4
    np.testing.assert_array_equal(batch.rewards[2], batch.robot(2).reward)


def test_what_a_robot_lacks_of_its_build_is_zero_and_masked(batch):
    three, crab = batch.builds
    assert [len(build.reward) for build in batch.builds] == [3, 1]
    np.testing.assert_array_equal(three.bodies.joint_mask, [[1] * 4, [1] * 4, [1, 1, 1, 0]])
    np.testing.assert_array_equal(three.bodies.foot_mask, np.ones((3, 2)))
    for padded in (three.action[2, :, 3], three.observation.joints[2, :, 3]):
        assert not np.any(padded)
    assert crab.bodies.joint_mask is None


@pytest.mark.parametrize("robots", [[0], [1, 2], [0, 2, 3], [3], [0, 1, 2, 3]])
def test_parts_of_a_batch_are_those_of_their_robots(batch, robots):
    batch = batch._replace(aux=batch.rewards + 1.0)
    part = batch.select(robots)
    for place, robot in enumerate(robots):
        equal(part.robot(place), batch.robot(robot))
        assert part.robot_keys[place] == batch.robot_keys[robot]
        np.testing.assert_array_equal(part.aux[place], batch.aux[robot])
    build, place = (1, 0) if robots[0] == 3 else (0, robots[0])
    equal(batch.one_robot(build, np.int32(place)), batch.select([robots[0]]))


@pytest.mark.parametrize("bodies", [1, 3])
def test_shares_follow_one_another_and_are_all_of_the_batch(tmp_path, bodies):
    batch = drawn_batch(write_dataset(tmp_path, ROBOTS, STEPS, LENGTH, bodies=bodies), 12)
    shares = [batch.share(np.int32(number), 3) for number in range(3)]
    for robot in range(len(ROBOTS)):
        parts, own = [share.robot(robot) for share in shares], batch.robot(robot)
        if bodies == 1:
            parts = [part[:5] for part in parts]
            own = own[:5]
        equal(jax.tree.map(lambda *each: np.concatenate(each), *parts), own)


def test_noise_depends_on_robot_and_joint_alone(dataset, batch):
    key = jax.random.key(3)
    noise = [np.asarray(own) for own in normal(key, batch)]
    alone = normal(key, drawn_batch(replace(dataset, robots=("biped",)), 500))
    np.testing.assert_array_equal(alone[0][0], noise[0][2, :, :3])
    np.testing.assert_array_equal(normal(key, batch.select([1, 3]))[1], noise[1])
    every = np.concatenate([own.ravel() for own in noise])
    assert len(np.unique(every)) > 0.999 * every.size
    assert kstest(every, "norm").pvalue > 1e-3


def test_some_robots_stand_for_all_on_average(batch):
    """Of a loss that is the robot's own number, the weighted mean is the mean over all robots."""
    strata = (Stratum(0, 3, 2), Stratum(3, 4, 1))
    draw = jax.jit(jax.vmap(lambda key: whole_means(*batch.draw(strata, key))))

    def whole_means(drawn, places):
        actions = [build.action.sum((1, 2)) for build in drawn.builds]
        losses = jnp.array([3.0, 1.0, 7.0, 20.0])[places]
        return drawn.weighted(losses).mean(), places, jnp.concatenate(actions)

    means, places, actions = draw(jax.random.split(jax.random.key(0), 600))
    all_actions = np.concatenate([build.action.sum((1, 2)) for build in batch.builds])
    np.testing.assert_allclose(actions, all_actions[places], rtol=1e-5)
    assert (np.diff(places, axis=1) > 0).all()
    assert (places[:, 2] == 3).all()
    counts = np.bincount(np.asarray(places).ravel(), minlength=4)
    assert chisquare(counts[:3]).pvalue > 1e-3
    assert float(means.mean()) == pytest.approx(31.0 / 4, abs=4 * float(means.std()) / 600**0.5)


def numbered(name, lengths, terminated):
    """Episodes whose every frame and step says where it is: joints, actions and rewards count."""
    ends, frames = np.cumsum(lengths), sum(lengths) + len(lengths)
    episodes = synthetic_episodes(name, 2, 1, steps=int(ends[-1]), length=max(lengths))
    done = np.zeros(ends[-1], bool)
    done[ends - 1] = True
    fell = np.zeros_like(done)
    fell[ends - 1] = terminated
    return replace(
        episodes,
        joints=np.broadcast_to(np.arange(frames, dtype="f4")[:, None, None], (frames, 2, 3)),
        feet=np.zeros((frames, 1, 2), "f4"),
        general=np.zeros((frames, 13), "f4"),
        rewards=np.arange(ends[-1], dtype="f4"),
        terminated=fell,
        truncated=done & ~fell,
        episode_ends=ends,
    )


def test_every_step_of_every_robot_is_as_likely_and_leads_to_its_own_next_frame(tmp_path):
    # By hand: steps 0, 1, 2 | 3 | 4, 5 start from frames 0, 1, 2 | 4 | 6, 7; the second falls.
    robots = {
        "short": numbered("short", [3, 1, 2], [False, True, False]),
        "long": numbered("long", [40, 7, 53], [True, False, True]),
    }
    dataset = Dataset(tmp_path, {}, tuple(robots), robots)
    batch = drawn_batch(dataset, 6000)
    short, long = batch.robot(0), batch.robot(1)
    frame_of = np.array([0, 1, 2, 4, 6, 7])
    rows = np.asarray(short.reward).astype(int)
    np.testing.assert_array_equal(short.observation.joints[:, 0, 0], frame_of[rows])
    np.testing.assert_array_equal(short.next_observation.joints[:, 0, 0], frame_of[rows] + 1)
    np.testing.assert_array_equal(short.terminated, rows == 3)
    rows = np.asarray(long.reward).astype(int)
    np.testing.assert_array_equal(long.terminated, np.isin(rows, [39, 99]))
    after_the_clock = rows == 46  # truncated: its closing frame is 48, the next episode's first 49
    np.testing.assert_array_equal(long.next_observation.joints[after_the_clock, 0, 0], 48.0)
    # Both robots give as many samples, whatever their sizes, and each step its share of them.
    for batch, steps in ((short, 6), (long, 100)):
        counts = np.bincount(np.asarray(batch.reward).astype(int), minlength=steps)
        assert counts.sum() == 6000
        assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("batch_size", [2, 300])  # fewer samples than bodies, and more
def test_samples_know_the_bodies_before_and_after(tmp_path, batch_size):
    dataset = write_dataset(tmp_path, ROBOTS, STEPS, LENGTH, bodies=3)
    batch, changed = drawn_batch(dataset, batch_size), 0
    for robot, name in enumerate(ROBOTS):
        own, episodes = batch.robot(robot), dataset.episodes[name]
        place = {bytes(joints): n for n, joints in enumerate(episodes.joints)}
        ids = []
        for seen, body in ((own.observation, own.body), (own.next_observation, own.next_body)):
            frames = [place[bytes(joints)] for joints in np.asarray(seen.joints)]
            ids.append(episodes.descriptor_ids[frames])
            equal(body, jax.tree.map(lambda part: part[ids[-1]], episodes.descriptors))  # noqa: B023
        changed += int((ids[0] != ids[1]).sum())
    assert changed > 0 or batch_size == 2


def test_one_body_costs_its_samples_nothing(batch):
    for build, robots in zip(batch.builds, (3, 1), strict=True):
        for bodies in (build.bodies, build.next_bodies):
            assert bodies.ids is None
            assert len(bodies.joints) == len(bodies.feet) == len(bodies.context) == robots


def test_bodies_that_are_not_there_are_refused(tmp_path):
    dataset = write_dataset(tmp_path, {"dog": (2, 2)}, steps=40, bodies=2)
    ids = np.array(dataset.episodes["dog"].descriptor_ids)
    ids[7] = 2
    write_array(tmp_path / "dog" / "descriptor_ids.npy", ids)
    with pytest.raises(BodyplanError, match="descriptor_ids.npy"):
        TrainingData.of(Dataset.open(tmp_path))


def test_truncated_steps_bootstrap(dataset, batch):
    episodes = dataset.episodes["dog"]
    assert episodes.truncated.any()
    steps = whole(TrainingData.of(dataset))
    np.testing.assert_array_equal(steps.not_done[0], 1.0 - episodes.terminated)
    expected = episodes.rewards + 0.9 * np.where(episodes.terminated, 0.0, 2.0)
    targets = steps.td_targets(0.9, np.full((4, STEPS), 2.0, np.float32))
    np.testing.assert_allclose(targets[0], expected, rtol=1e-6)


def test_rewards_are_scaled_by_the_spread_of_returns(dataset):
    data = TrainingData.of(dataset, "per_robot")
    batch = whole(data)
    for robot, (name, scale) in enumerate(zip(data.robots, data.reward_scales, strict=True)):
        rewards, ends = dataset.episodes[name].rewards, dataset.episodes[name].episode_ends
        returns = [part.sum(dtype=float) for part in np.split(rewards, ends[:-1])]
        assert scale == pytest.approx(1000.0 / (max(returns) - min(returns)))
        np.testing.assert_allclose(batch.rewards[robot], rewards * scale, rtol=1e-6)
    assert TrainingData.of(dataset).reward_scales == (1.0,) * 4


def test_one_return_gives_no_scale(tmp_path):
    dataset = write_dataset(tmp_path, {"dog": (2, 2)}, steps=10, length=10)
    with pytest.raises(BodyplanError, match="dog"):
        TrainingData.of(dataset, "per_robot")


@pytest.mark.parametrize("name", ["general", "actions", "rewards"])
def test_nan_is_refused_with_the_files_name(tmp_path, name):
    write_dataset(tmp_path, {"dog": (2, 2)}, steps=10)
    array = np.array(getattr(synthetic_episodes("dog", 2, 2, steps=10), name))
    array[-1] = np.nan
    write_array(tmp_path / "dog" / f"{name}.npy", array)
    with pytest.raises(BodyplanError, match=rf"dog/{name}\.npy"):
        TrainingData.of(Dataset.open(tmp_path))


def test_what_is_in_memory_does_not_hold_on_to_the_files(tmp_path):
    source = MemoryData(TrainingData.of(write_dataset(tmp_path, {"dog": (2, 2)}, steps=10)))
    rows = np.arange(10)[None]
    before = source.read(rows)
    path = tmp_path / "dog" / "actions.npy"
    content = bytearray(path.read_bytes())
    content[-80:] = bytes(80)
    with path.open("r+b") as file:  # in place, as a memory map would see it
        file.write(content)
    equal(source.read(rows), before)
