"""Recipes on a literal log: phases where they should end, whole episodes, exact sizes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import COMMAND, descriptor

from bodyplan.datasets.build import build_dataset
from bodyplan.datasets.episode_selection import (
    AVERAGE_WINDOW,
    first_reaching,
    moving_average,
    select_episodes,
    take_episodes,
)
from bodyplan.datasets.episodes import Episodes
from bodyplan.datasets.recipes import Recipe
from bodyplan.datasets.replay_log import ReplayLog, replay_path, write_log
from bodyplan.envs.disturbances import Disturbances
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor

TOP = 60.0
RISE = 300
"""Episode, in order of training, whose return is the highest for the first time."""


def climbing(count=400, seed=0, bodies=1):
    """A log whose returns rise evenly and then stay; a frame tells its episode and moment.

    Every second episode falls. The log lies robot after robot, as logs do.
    """
    rng = np.random.default_rng(seed)
    rank = np.lexsort([np.arange(count), rng.integers(4, size=count)])  # of each in training
    lengths = rng.integers(3, 30, count)
    ends = np.cumsum(lengths)
    episode = np.repeat(np.arange(count), lengths + 1)
    moment = np.concatenate([np.arange(length + 1) for length in lengths])
    general = np.zeros((len(episode), 13), np.float32)
    general[:, 0], general[:, 1], general[:, 6] = rank[episode], moment, 1.0
    last = np.zeros(ends[-1], bool)
    last[ends - 1] = True
    fallen = np.repeat(rank % 2 == 1, lengths)
    goal = TOP * np.minimum(rank / RISE, 1.0)
    sets = (np.stack([part] * bodies) for part in descriptor("dog", 2, 1))
    table = RobotDescriptor(*sets)
    table.context[:, 0] = np.arange(bodies)
    return ReplayLog(
        Episodes(
            joints=np.zeros((len(episode), 2, 3), np.float32),
            feet=np.zeros((len(episode), 1, 2), np.float32),
            general=general,
            actions=np.zeros((ends[-1], 2), np.float32),
            rewards=np.repeat(goal / lengths, lengths).astype(np.float32),
            terminated=last & fallen,
            truncated=last & ~fallen,
            episode_ends=ends,
            descriptors=table,
            descriptor_ids=(rank[episode] % bodies).astype(np.int32) if bodies > 1 else None,
        ),
        ends=1000 * (rank + 1),
        card={},
    )


def ranks(log, selection):
    """Which episodes of the training these are."""
    return log.ends[selection.chosen] // 1000 - 1


def test_the_moving_average_is_that_of_a_window():
    returns = np.random.default_rng(0).normal(size=350)
    direct = [returns[max(0, i + 1 - AVERAGE_WINDOW) : i + 1].mean() for i in range(350)]
    np.testing.assert_allclose(moving_average(returns), direct, atol=1e-12)


def test_a_lucky_start_does_not_end_a_phase():
    returns = np.concatenate(
        [[TOP] * 3, np.zeros(AVERAGE_WINDOW), np.full(2 * AVERAGE_WINDOW, TOP)]
    )
    first = first_reaching(moving_average(returns), 0.9)
    # The last 100 returns must be 90 good ones.
    assert first == 3 + AVERAGE_WINDOW + 89


def test_phases_end_where_the_average_says():
    log = climbing()
    early, late = select_episodes(Recipe.parse("suboptimal70"), log, 1000)
    # An average of 100 returns on a slope lags by 49.5 episodes; it ends at the mean of the last.
    half, ninety = 0.5 * RISE + 49.5, 0.9 * RISE + 49.5
    assert (early.phase, late.phase) == ("early", "late")
    assert ranks(log, early).max() <= half
    assert ranks(log, early).max() > half - 10
    assert ninety - 2 <= ranks(log, late).min() <= ninety + 10
    (replay,) = select_episodes(Recipe.parse("expert_replay"), log, 3000)
    assert ninety - 10 < ranks(log, replay).max() <= ninety + 6  # the slope ends in its window
    assert ranks(log, replay).min() < 5


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    percent=st.integers(1, 99),
    share=st.floats(0.01, 1.0),
    count=st.integers(110, 500),
)
def test_sizes_are_exact_and_all_episodes_but_one_whole(seed, percent, share, count):
    log = climbing(count, seed)
    recipe = Recipe.parse(f"suboptimal{percent}")
    room = [_room(log, phase) for phase in ("early", "late")]
    steps = int(share * min(room[0] / (percent / 100), room[1] / (1 - percent / 100))) - 1
    if steps < 1:
        return
    selections = select_episodes(recipe, log, steps)
    sizes = [int(selection.lengths.sum()) for selection in selections]
    assert sizes == [round(steps * percent / 100), steps - round(steps * percent / 100)]
    for selection in selections:
        cut = selection.lengths != log.episodes.lengths[selection.chosen]
        assert cut.sum() <= 1
        assert (np.diff(ranks(log, selection)) > 0).all()


def _room(log, phase):
    averages = moving_average(log.episodes.returns[np.argsort(log.ends)])
    lengths = log.episodes.lengths[np.argsort(log.ends)]
    if phase == "early":
        return lengths[: first_reaching(averages, 0.5)].sum()
    return lengths[first_reaching(averages, 0.9) :].sum()


@pytest.mark.parametrize("share", [0.1, 0.37, 0.8])
def test_what_is_dropped_is_spread_evenly(share):
    log = climbing(500)
    total = _room(log, "late")
    recipe = Recipe.parse("suboptimal1")
    late = select_episodes(recipe, log, int(share * total))[1]
    order = np.argsort(log.ends)
    phase = order[len(order) - np.count_nonzero(log.ends >= log.ends[late.chosen].min()) :]
    kept = np.zeros(len(log.ends))
    kept[late.chosen] = late.lengths
    seen = np.cumsum(log.episodes.lengths[phase]) / log.episodes.lengths[phase].sum()
    left = np.cumsum(kept[phase]) / kept.sum()
    assert np.abs(seen - left).max() < 2 * 30 / kept.sum()  # two of the longest episodes


def test_taken_episodes_are_the_logs_own():
    log = climbing(bodies=3)
    selections = select_episodes(Recipe.parse("suboptimal70"), log, 1500)
    taken = take_episodes(log.episodes, selections)
    chosen = np.concatenate([ranks(log, selection) for selection in selections])
    lengths = np.concatenate([selection.lengths for selection in selections])
    assert taken.num_steps == 1500
    np.testing.assert_array_equal(taken.lengths, lengths)
    here = taken.frame_indices()
    np.testing.assert_array_equal(taken.general[here, 0], np.repeat(chosen, lengths))
    np.testing.assert_array_equal(taken.general[here + 1, 0], np.repeat(chosen, lengths))
    within = np.concatenate([np.arange(length) for length in lengths])
    np.testing.assert_array_equal(taken.general[here, 1], within)
    np.testing.assert_array_equal(taken.general[here + 1, 1], within + 1)
    body = taken.descriptors.context[taken.descriptor_ids[here], 0]
    np.testing.assert_array_equal(body, np.repeat(chosen % 3, lengths))
    whole = lengths == log.episodes.lengths[np.concatenate([s.chosen for s in selections])]
    last = taken.episode_ends - 1
    np.testing.assert_array_equal(taken.terminated[last], (chosen % 2 == 1) & whole)
    np.testing.assert_array_equal(taken.truncated[last], ~taken.terminated[last])
    assert taken.terminated.sum() + taken.truncated.sum() == len(lengths)


def test_what_a_log_cannot_give_is_refused():
    log = climbing()
    with pytest.raises(BodyplanError, match="expert.*without --replay"):
        select_episodes(Recipe.parse("expert"), log, 10)
    with pytest.raises(BodyplanError, match="early phase .*7,000"):
        select_episodes(Recipe.parse("suboptimal70"), log, 10_000)


@pytest.fixture
def logs(tmp_path):
    for name in ("unitree_go1", "hexapod"):
        path = replay_path(name, COMMAND, tmp_path / "logs")
        path.parent.mkdir(parents=True)
        log = climbing()
        settings = {"command": list(COMMAND), "physics": "fast", "initial_state": "random"}
        write_log(path, SimpleNamespace(name=name), log.episodes, log.ends, settings)
    return tmp_path / "logs"


def test_a_dataset_of_logs_is_sound_and_repeats(logs, tmp_path):
    def make(out, recipe="suboptimal70", robots=("hexapod",)):
        return build_dataset(tmp_path / out, robots, recipe, COMMAND, 500, replay=logs)

    dataset = make("data")
    assert dataset.card["physics"] == "fast"
    entry = dataset.card["robots"]["hexapod"]
    assert entry["segments"] == [{"phase": "early", "steps": 350}, {"phase": "late", "steps": 150}]
    assert dataset.episodes["hexapod"].num_steps == 500
    assert make("again").card == dataset.card
    assert make("data").card == dataset.card
    with pytest.raises(BodyplanError, match="suboptimal70, not suboptimal30"):
        make("data", "suboptimal30")
    with pytest.raises(BodyplanError, match="other robots"):
        make("data", robots=("unitree_go1",))


def test_what_a_log_decides_is_not_asked_for_again(logs, tmp_path):
    for asked in (
        {"initial_state": "nominal"},
        {"disturbances": Disturbances(noise=True)},
        {"snapshots": tmp_path},
    ):
        with pytest.raises(BodyplanError, match="--replay"):
            build_dataset(
                tmp_path / "data", ["hexapod"], "suboptimal70", COMMAND, 5, replay=logs, **asked
            )


def test_logs_of_different_circumstances_are_not_mixed(logs, tmp_path):
    card = replay_path("hexapod", COMMAND, logs) / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"physics": "reference"}))
    robots = ("unitree_go1", "hexapod")
    with pytest.raises(BodyplanError, match="unitree_go1 and hexapod"):
        build_dataset(tmp_path / "data", robots, "suboptimal70", COMMAND, 500, replay=logs)
    assert not list(tmp_path.glob("data*"))
