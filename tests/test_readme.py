"""README's tour runs as written in an empty folder, its sizes overridden by `SMALL`.

The commands and the Python blocks run in their order, in one process. A number of steps or updates
is replaced by a small one, and a few options are added where an option's default is large.
"""

import re
import shlex
from pathlib import Path

import pytest

from bodyplan.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()
TOUR = README.partition("[start:tour]")[2].partition("[end:tour]")[0]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

SMALL = {
    "data build": ["--steps", "400"],
    "groups": ["--count", "2", "--robots", "unitree_go1", "hexapod"],
    "train": [
        *("--updates", "4", "--batch-size", "8", "--network", "tiny", "--log-every", "2"),
        *("--robots", "unitree_go1", "badger"),
    ],
    "evaluate": ["--episodes", "1"],
    "report": ["--no-films"],
    "finetune": ["--updates", "2", "--batch-size", "8"],
}
"""Options of a command that replace those of README, or are added to them."""


def commands(code):
    """The commands of a block as lists of words, without `bodyplan`."""
    for line in code.replace("\\\n", " ").splitlines():
        name, *words = shlex.split(line, comments=True)
        assert name == "bodyplan"
        yield words


def small(words):
    """The same command with the sizes of `SMALL`."""
    key = next((key for key in SMALL if words[: len(key.split())] == key.split()), None)
    override = SMALL.get(key, [])
    kept = list(words)
    for option in (word for word in override if word.startswith("--")):
        if option in kept:
            place = kept.index(option)
            end = next(
                (i for i in range(place + 1, len(kept)) if kept[i].startswith("--")), len(kept)
            )
            del kept[place:end]
    return kept + override


def test_options_are_replaced_or_added():
    words = ["finetune", "x", "--updates", "10000", "--robot", "a", "--batch-size", "256"]
    assert small(words) == ["finetune", "x", "--robot", "a", *SMALL["finetune"]]
    assert small(["data", "info", "x"]) == ["data", "info", "x"]


@pytest.mark.slow
def test_the_tour_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = {}
    for language, code in BLOCK.findall(TOUR):
        if language == "python":
            exec(compile(code, "README.md", "exec"), names)
            continue
        for words in commands(code):
            status = main(small(words))
            assert status == 0, f"{words}: {capsys.readouterr().err}"

    assert names["actions"].shape == (64, 12)
    assert names["step"].reward.shape == (64,)
    written = ["go1.png", "data/four/returns.svg", "groups.png", "runs/three/report.html"]
    written += [f"runs/{run}/evaluation.json" for run in ("three", "hexapod")]
    assert [name for name in written if not Path(name).is_file()] == []


def test_fine_tuning_is_on_a_robot_that_pre_training_did_not_see():
    blocks = [code for language, code in BLOCK.findall(TOUR) if not language]
    calls = {words[0]: words for code in blocks for words in commands(code)}
    trained, tuned = calls["train"], calls["finetune"]
    start = trained.index("--robots") + 1
    stop = next(i for i in range(start, len(trained)) if trained[i].startswith("--"))
    assert tuned[tuned.index("--robot") + 1] not in trained[start:stop]
    assert tuned[1] == trained[trained.index("--out") + 1]


@pytest.mark.parametrize("line", ["pip install bodyplan", "bodyplan[cuda13]", "make demo"])
def test_the_first_screen_says_how_to_install(line):
    assert line in "\n".join(README.splitlines()[:30])
    assert ". .venv/bin/activate" in "\n".join(README.splitlines()[:35])
