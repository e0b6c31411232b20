"""The commands of a training run: one for all, or random speeds forward and backward."""

import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.experts.command_sampling import CommandSampler


def test_both_is_graded_forward_and_backward():
    both = CommandSampler.parse("both")
    assert both.graded == ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
    assert (both.name, both.is_random) == ("both", True)


@pytest.mark.parametrize("command", ["forward", "backward", "0.5,0,1"])
def test_one_command_is_always_the_same(command):
    one, rng = CommandSampler.parse(command), np.random.default_rng(0)
    assert (one.name, one.is_random) == (command, False)
    before = rng.bit_generator.state
    commands = one.sample(rng, 3, 0.3)
    assert (commands == one.graded[0]).all()
    one.resample(rng, commands, 0.3)
    assert (commands == one.graded[0]).all()
    assert rng.bit_generator.state == before  # so that runs under one command stay as they were


def test_speeds_are_uniform_and_some_are_full():
    commands = CommandSampler.parse("both").sample(np.random.default_rng(0), 20_000, 0.25)
    speed = commands[:, 0]
    assert (commands[:, 1:] == 0.0).all()
    assert np.mean(np.abs(speed) == 1.0) == pytest.approx(0.25, abs=0.02)
    assert np.mean(speed == 1.0) == pytest.approx(0.125, abs=0.02)
    slower = speed[np.abs(speed) < 1.0]
    np.testing.assert_allclose(np.quantile(slower, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.03)


def test_a_few_commands_change_within_an_episode():
    both, rng = CommandSampler.parse("both"), np.random.default_rng(0)
    commands = np.full((100_000, 3), 7.0)
    both.resample(rng, commands, 0.5)
    changed = (commands != 7.0).any(axis=1)
    assert changed.mean() == pytest.approx(both.resample_probability, rel=0.2)
    assert (np.abs(commands[changed]) <= 1.0).all()


def test_an_unknown_command_is_an_error():
    with pytest.raises(BodyplanError, match="sideways"):
        CommandSampler.parse("sideways")
