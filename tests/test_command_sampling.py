"""The commands of a course."""

import numpy as np
import pytest

from bodyplan.errors import BodyplanError
from bodyplan.experts.command_sampling import REDRAWN, Commands


def test_both_are_forward_and_backward():
    both = Commands.parse("both")
    assert both.graded == ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
    assert (both.name, both.varied) == ("both", True)


@pytest.mark.parametrize("command", ["forward", "backward", "0.5,0,1"])
def test_one_command_is_always_the_same(command):
    one, rng = Commands.parse(command), np.random.default_rng(0)
    assert (one.name, one.varied) == (command, False)
    state = rng.bit_generator.state
    drawn = one.draw(rng, 3, 0.3)
    assert (drawn == one.graded[0]).all()
    one.redraw(rng, drawn, 0.3)
    assert (drawn == one.graded[0]).all()
    assert rng.bit_generator.state == state  # so that courses of one command stay as they were


def test_speeds_are_spread_and_some_are_exact():
    drawn = Commands.parse("both").draw(np.random.default_rng(0), 20_000, 0.25)
    speed = drawn[:, 0]
    assert (drawn[:, 1:] == 0.0).all()
    assert np.mean(np.abs(speed) == 1.0) == pytest.approx(0.25, abs=0.02)
    assert np.mean(speed == 1.0) == pytest.approx(0.125, abs=0.02)
    slower = speed[np.abs(speed) < 1.0]
    np.testing.assert_allclose(np.quantile(slower, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.03)


def test_within_an_episode_few_are_redrawn():
    both, rng = Commands.parse("both"), np.random.default_rng(0)
    present = np.full((100_000, 3), 7.0)
    both.redraw(rng, present, 0.5)
    changed = (present != 7.0).any(axis=1)
    assert changed.mean() == pytest.approx(REDRAWN, rel=0.2)
    assert (np.abs(present[changed]) <= 1.0).all()


def test_anything_else_is_refused():
    with pytest.raises(BodyplanError, match="'sideways' is no command"):
        Commands.parse("sideways")
