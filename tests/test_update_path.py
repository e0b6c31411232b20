"""Calls and files that a reader follows in one IQL+EG update, counted by tracing it."""

import sys
from pathlib import Path

import pytest
from synthetic import write_dataset

import bodyplan
from bodyplan.experiments.pretraining import train
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.config import TrainConfig

PACKAGE = str(Path(bodyplan.__file__).parent)
UPDATE, LOSS = "learn/learner.py:Learner.update", "learn/algorithms/iql.py:IQL.actor_losses"


def place_of(frame):
    """`file:function` of a frame of the package; a nested function belongs to its outer one."""
    code = frame.f_code
    if not code.co_filename.startswith(PACKAGE):
        return None
    file = Path(code.co_filename).relative_to(PACKAGE).as_posix()
    return f"{file}:{code.co_qualname.partition('.<locals>')[0]}"


def caller_chain(frame):
    """The functions of the package that lead to a frame, each once, outermost first."""
    chain = []
    while frame is not None:
        place = place_of(frame)
        if place is not None and place not in chain:
            chain.append(place)
        frame = frame.f_back
    return chain[::-1]


class TracedOnce(BaseException):
    """The update was traced once; what follows is compilation."""


class UpdateTrace:
    """Collects, while JAX traces a run's program, what Python code the update consists of."""

    def __init__(self):
        self.chain, self.files, self._depth = [], set(), 0

    def __call__(self, frame, event, _):
        place = place_of(frame)
        if place is None or event not in ("call", "return"):
            return
        if event == "call" and place == LOSS and not self.chain:
            self.chain = caller_chain(frame)
            self.files |= {step.partition(":")[0] for step in self.chain}
        if frame.f_code.co_qualname == "Learner.update":
            self._depth += 1 if event == "call" else -1
            if not self._depth:
                raise TracedOnce
        if self._depth and event == "call":
            self.files.add(place.partition(":")[0])


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """The trace of a grouped IQL run on two robots."""
    place = tmp_path_factory.mktemp("trace")
    write_dataset(place / "data", {"dog": (3, 2), "crab": (4, 2)})
    (place / "groups.json").write_text('[["crab"], ["dog"]]')
    config = TrainConfig(
        data=place / "data",
        out=place / "run",
        algorithm=IQL(),
        combine="grouped",
        groups=place / "groups.json",
        network="tiny",
        batch_size=7,  # of no other test: a program compiled before is not traced again
        updates=2,
        log_every=2,
        checkpoint_every=2,
    )
    trace = UpdateTrace()
    sys.setprofile(trace)
    try:
        with pytest.raises(TracedOnce):
            train(config)
    finally:
        sys.setprofile(None)
    return trace


def test_from_train_to_the_actor_loss_are_six_calls_at_most(trace):
    start = trace.chain.index("experiments/pretraining.py:train")
    assert UPDATE in trace.chain
    assert len(trace.chain[start:]) - 1 <= 6, trace.chain[start:]


def test_an_update_is_read_in_nine_files(trace):
    """With the loop that calls it and the networks that it evaluates."""
    # Without what `train` adds for its user, and the check that settings make of themselves.
    files = trace.files - {"experiments/pretraining.py", "bounds.py"}
    assert {"learn/train.py", "learn/algorithms/iql.py", "learn/combiners/grouped.py"} <= files
    assert any(file.startswith("learn/networks/") for file in files)
    assert len(files) <= 9, sorted(files)
