"""Labels beside lines: apart, in order, and beside the plot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyplan.report.label_spacing import space_labels


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_spaced_labels_keep_their_order_and_their_distance(positions):
    moved = space_labels(positions, 0.1)
    order = np.argsort(positions, kind="stable")
    assert (np.diff(np.array(moved)[order]) >= 0.1 - 1e-9).all()
    assert np.mean(moved) == pytest.approx(np.mean(positions))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=9))
def test_labels_that_fit_between_two_limits_are_between_them(positions):
    moved = np.array(space_labels(positions, 0.1, 0.0, 1.0))
    assert moved.min() >= -1e-9
    assert moved.max() <= 1.0 + 1e-9
    assert (np.diff(moved[np.argsort(positions, kind="stable")]) >= 0.1 - 1e-9).all()


def test_labels_that_do_not_touch_stay():
    assert space_labels([0.9, 0.1, 0.5], 0.1) == [0.9, 0.1, 0.5]
