"""Damage of every kind to every kind of file: one sentence, and nothing that differs passes."""

import contextlib
import io
import json
import shutil
from dataclasses import replace
from unittest.mock import ANY

import fuzz
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FEW = {"cards": 40, "arrays": 40, "runs": 15, "policies": 4, "mappings": 40, "logs": 20}
"""Mutations of each kind; `benchmarks/fuzz.py` makes thousands."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """All kinds, but for the commands that take seconds: training, and the page of a run."""
    found = fuzz.make_kinds(tmp_path_factory.mktemp("fuzz"))
    quick = {
        name: tuple(own for own in kind.commands if own[0] not in ("train", "report"))
        for name, kind in found.items()
    }
    return {name: replace(kind, commands=quick[name]) for name, kind in found.items()}


def test_sound_files_are_accepted(kinds):
    for name in FEW:
        with contextlib.chdir(kinds[name].folder):
            for command in kinds[name].commands:
                assert fuzz.verdict(command) == fuzz.Verdict(0, ANY), command
                shutil.rmtree("new", ignore_errors=True)


@pytest.mark.parametrize("name", FEW)
def test_damage_is_a_sentence(kinds, name):
    @settings(max_examples=FEW[name], deadline=None, derandomize=True, database=None)
    @given(seed=st.integers(0, 2**32))
    def check(seed):
        trial = fuzz.try_mutation(kinds[name], seed)
        for own in trial.verdicts:
            assert own.status is not None, own.text
            assert own.status == 0 or own.text.startswith("error: ")
        verified = [own[:2] == ("data", "verify") for own in kinds[name].commands]
        if any(verified) and trial.verdicts[verified.index(True)].status == 0:
            assert meaning(trial.file, trial.after) == meaning(trial.file, trial.before)

    check()


def meaning(file, content):
    """What a file says, however its bytes say it."""
    if file.endswith(".json"):
        return json.loads(content)
    if file.endswith(".npy"):
        array = np.load(io.BytesIO(content))
        return array.dtype, array.shape, array.tobytes()
    with np.load(io.BytesIO(content)) as archive:
        return {name: (archive[name].shape, archive[name].tobytes()) for name in archive.files}
