"""Tables of descriptor sets: each body once, and every frame still of the body it was of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyplan.datasets.descriptor_sets import (
    DescriptorTable,
    merge_sets,
    read_sets,
    unique_sets,
    write_sets,
)
from bodyplan.errors import BodyplanError
from bodyplan.robots.descriptors import RobotDescriptor


def table(marks, joints=2, feet=1):
    """Sets that differ where their marks do: by one number of one of the three arrays."""
    sets = RobotDescriptor(
        *(np.zeros((len(marks), *s), "f4") for s in ((joints, 23), (feet, 10))),
        np.zeros((len(marks), 7), "f4"),
    )
    for place, mark in enumerate(marks):
        sets[mark % 3][(place, *(-1,) * (sets[mark % 3].ndim - 1))] = 1.0 + mark
    return sets


def marks_of(sets):
    """What `table` made them from."""
    tops = np.stack([part.reshape(len(part), -1).max(axis=1, initial=0) for part in sets])
    return (tops.max(axis=0) - 1).astype(int).tolist()


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20))
def test_equal_sets_are_one_in_the_order_of_first_use(marks):
    sets, place = unique_sets(table(marks))
    assert marks_of(sets) == list(dict.fromkeys(marks))
    assert [marks_of(sets)[index] for index in place] == marks


def test_sets_are_equal_by_their_bytes():
    sets = table([3, 3, 3])
    sets.context[:, 2] = 0.0, -0.0, np.nan
    sets.context[2, 3] = np.nan
    assert unique_sets(sets)[1].tolist() == [0, 1, 2]
    assert unique_sets(RobotDescriptor(*(part[[2, 2]] for part in sets)))[1].tolist() == [0, 0]


@given(
    st.lists(
        st.lists(st.integers(0, 5), min_size=1, max_size=5).flatmap(
            lambda marks: st.tuples(
                st.just(marks), st.lists(st.integers(0, len(marks) - 1), min_size=1, max_size=9)
            )
        ),
        min_size=1,
        max_size=4,
    )
)
def test_joined_frames_keep_their_bodies(parts):
    tables, ids = [table(marks) for marks, _ in parts], [np.array(ids) for _, ids in parts]
    before = [marks[index] for marks, ids in parts for index in ids]
    sets, places = merge_sets(tables, ids)
    after = marks_of(sets)
    assert sorted(set(after)) == sorted(after)  # each once
    assert set(after) == set(before)  # and none that no frame is of
    if len(after) == 1:
        assert places is None
        return
    assert places.dtype == np.int32
    assert [after[place] for place in places] == before


def test_a_register_notes_who_changes_when():
    register = DescriptorTable(3)
    own = RobotDescriptor(*(part[0] for part in table([0])))
    assert register.add(own).tolist() == [0, 1, 2]
    assert register.add(own).tolist() == [0, 1, 2]
    first = register.add(table([0, 4, 0]))
    assert first.tolist() == [0, 3, 2]
    assert register.add(table([0, 4, 5])).tolist() == [0, 3, 4]
    assert first.tolist() == [0, 3, 2]  # what was answered once stays
    assert register.add(table([4, 4, 5])).tolist() == [5, 3, 4]
    assert marks_of(register.table) == [0, 0, 0, 4, 5, 4]


def test_bodies_without_feet_are_bodies(tmp_path):
    sets, place = unique_sets(table([0, 2, 0], feet=0))
    assert place.tolist() == [0, 1, 0]
    write_sets(tmp_path / "sets.npz", sets)
    for read, written in zip(read_sets(tmp_path / "sets.npz"), sets, strict=True):
        np.testing.assert_array_equal(read, written)


@pytest.mark.parametrize(
    "sets", [table([0, 1])._replace(context=np.zeros((3, 7))), [np.zeros((2, 23))] * 3]
)
def test_tables_that_are_none_are_refused(tmp_path, sets):
    write_sets(tmp_path / "sets.npz", RobotDescriptor(*sets))
    with pytest.raises(BodyplanError, match=r"sets.npz holds arrays \[\[2.* belong; rebuild"):
        read_sets(tmp_path / "sets.npz")
