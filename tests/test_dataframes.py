"""Data frames: rows become columns, and a missing pandas is an error that names the extra."""

import sys

import pytest

from bodyplan.dataframes import dataframe
from bodyplan.errors import BodyplanError


def test_rows_become_a_data_frame():
    pytest.importorskip("pandas")
    frame = dataframe(({"robot": name, "steps": 2} for name in ("dog", "crab")), index="robot")
    assert frame.loc["crab", "steps"] == 2
    assert list(dataframe([{"a": 1}, {"a": 2}]).index) == [0, 1]


def test_a_missing_pandas_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BodyplanError, match=r"bodyplan\[pandas\]"):
        dataframe([])
