"""Every command at 80 columns: no line is longer, and no number is cut.

Commands run as users run them, on a terminal. What takes long is replaced by its result, as large
as results get. A command that is added needs a case in `CASES`.
"""

import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import synthetic_snapshots, write_dataset
from synthetic_run import write_run
from terminal import seen_on_terminal

import bodyplan
from bodyplan.cli import COMMANDS, main
from bodyplan.evaluation.evaluation import Evaluation
from bodyplan.evaluation.tuning import TunedArm
from bodyplan.learn.conflicts import Conflicts
from bodyplan.storage import write_json

WIDTH = 80
ROBOTS = ("barkour_vb", "unitree_go1", "a_robot_of_your_own")
NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?%?")
TABLES = (
    *("robots list", "robots show", "experts show", "data info", "groups", "conflicts", "compare"),
    *("transfer", "evaluate", "demo"),
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder, so that paths in the output are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small_dataset(folder, *_):
    return write_dataset(folder / "set", dict.fromkeys(ROBOTS, (4, 2)), steps=200)


def instead(monkeypatch, place, result):
    """Let a function, named by its module and name, return a result at once."""
    monkeypatch.setattr(place, lambda *arguments, **options: result)


def evaluation(folder):
    """Scores with as many digits as they can have."""
    own = {
        "return_mean": -1234.56,
        "return_se": 123.45,
        "returns": [-1234.56] * 16,
        "floor_return": -1123.4,
        "expert_return": 1149.5,
        "ceiling_return": 1200.0,
        "reference": "expert",
        "normalised_return": -1.0468,
        "data_return": -1234.5,
        "data_best_return": -1111.1,
        "fall_share": 1.0,
        "length_mean": 1000.0,
        "velocity": [-0.123, 1.234],
        "velocity_error": 12.345,
    }
    document = {
        "command": [1.0, 0.0, 0.0],
        "episodes": 16,
        "seed": 0,
        "initial_state": "random",
        "conditions": {},
        "policy": "last",
        "updates": 10_000,
        "robots": dict.fromkeys(ROBOTS, own),
        "mean": {**own, "returns": None},
    }
    return Evaluation(document)


def trained(folder, monkeypatch):
    run = SimpleNamespace(path=folder / "run")
    instead(monkeypatch, "bodyplan.experiments.pretraining.train", run)


def build(folder, monkeypatch):
    instead(monkeypatch, "bodyplan.cli.data.build_dataset", small_dataset(folder))
    return "--out set"


def import_arrays(folder, monkeypatch):
    module = "bodyplan.datasets.io.array_import"
    instead(monkeypatch, f"{module}.import_arrays", small_dataset(folder))
    return "logs.toml --out set"


def import_release(folder, monkeypatch):
    instead(monkeypatch, "bodyplan.cli.data_import.import_release", small_dataset(folder))
    return "release --out set"


def import_minari(folder, monkeypatch):
    module = "bodyplan.datasets.io.minari_import"
    instead(monkeypatch, f"{module}.import_minari", small_dataset(folder))
    return "some/dataset-v0 --out set"


def export(folder, monkeypatch):
    small_dataset(folder)
    ids = [f"bodyplan/{name}/suboptimal70-backward-v0" for name in ROBOTS]
    instead(monkeypatch, "bodyplan.datasets.io.minari_export.export_minari", ids)
    return "set --minari-root minari"


def info(folder, monkeypatch):
    dataset = small_dataset(folder)
    for entry in dataset.card["robots"].values():
        entry["segments"] = [
            {"snapshot": 0, "steps": 70, "phase": "early"},
            {"snapshot": 1, "steps": 30, "phase": "late"},
        ]
    write_json(dataset.path / "card.json", dataset.card)
    return "set"


def expert(folder, monkeypatch):
    steps = tuple(range(1_000_000, 17_000_000, 1_000_000))
    run = synthetic_snapshots("hexapod", 18, 6, steps, (1234.5,) * 16)
    run.save(folder / "hexapod" / "forward.safetensors")
    return run


def show_expert(folder, monkeypatch):
    expert(folder, monkeypatch)
    return "hexapod --snapshots ."


def train_expert(folder, monkeypatch):
    run = expert(folder, monkeypatch)
    instead(monkeypatch, "bodyplan.experts.train_expert.train_expert", run)
    instead(monkeypatch, "bodyplan.evaluation.grade_expert.grade_expert", run)
    return "hexapod --out ."


def plot_experts(folder, monkeypatch):
    expert(folder, monkeypatch)
    return "hexapod --snapshots . --out curves.svg"


def film_experts(folder, monkeypatch):
    expert(folder, monkeypatch)
    return "hexapod --snapshots . --seconds 0.04 --size 16 16 --out film.webp"


def demo(folder, monkeypatch):
    done = SimpleNamespace(
        report=folder / "report.html", seconds=300.0, evaluation=evaluation(folder), run=folder
    )
    instead(monkeypatch, "bodyplan.demo.run_demo", done)
    return ""


def train(folder, monkeypatch):
    trained(folder, monkeypatch)
    return "--data set --out run"


def finetune(folder, monkeypatch):
    trained(folder, monkeypatch)
    write_run(folder / "run", updates=20)
    return "run --robot dog --data set --out tuned"


def evaluate(folder, monkeypatch):
    write_run(folder / "run", updates=20)
    instead(monkeypatch, "bodyplan.evaluation.evaluate.evaluate", evaluation(folder))
    return "run"


def report(folder, monkeypatch):
    write_run(folder / "run", updates=20)
    return "run --no-films"


def conflicts(folder, monkeypatch):
    write_run(folder / "run", updates=20)
    names = ("anymal_c", "badger", "hexapod", "unitree_go1")
    vectors = np.random.default_rng(0).normal(size=(2, 4, 8))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    cosines = vectors @ vectors.swapaxes(1, 2)
    measured = Conflicts(names, np.arange(2), np.ones((2, 4)), cosines)
    monkeypatch.setattr(Conflicts, "read", lambda run: measured)
    return "run"


def transfer(folder, monkeypatch):
    one = {"mean": -1234.5678, "interval": 123.4567, "seeds": [-1234.5] * 3}
    names = ("alone", "together", "gain", "finetuned", "scratch", "head_start")
    row = dict.fromkeys(names, one)
    answer = {"seeds": 3, "robots": dict.fromkeys(ROBOTS, row), "mean": row}
    instead(monkeypatch, "bodyplan.experiments.transfer.measure_transfer", answer)
    return "--data set --out out"


def compare(folder, monkeypatch):
    for arm, algorithm in enumerate(("iql", "bc", "td3_bc")):
        for seed in range(2):
            run = write_run(folder / algorithm / f"seed{seed}", updates=20)
            config = json.loads((run / "config.json").read_text())
            write_json(run / "config.json", {**config, "algorithm": algorithm, "seed": seed})
            scores = json.loads((run / "evaluation.json").read_text())
            for own in scores["robots"].values():
                own["return_mean"] = -1234.5 + 200.0 * arm + seed
            write_json(run / "evaluation.json", scores)
    return "iql bc td3_bc"


def sweep(folder, monkeypatch):
    small_dataset(folder)
    (folder / "grid.toml").write_text("settings.data = 'set'\n[arms.'EG of two groups']\n")
    arms = compare(folder, monkeypatch).split()
    row = {"arm": "EG of two groups", "seed": 1, "state": "finished", "return_mean": -1234.5678}
    comparison = bodyplan.compare({f"an arm of {arm}": arm for arm in arms})
    tuned = [TunedArm("EG of two groups", {"learning_rate=0.001": 0.1, "learning_rate=0.004": 0.2})]
    answer = SimpleNamespace(rows=lambda: [row] * 6, failed=(), comparison=comparison, tuned=tuned)
    instead(monkeypatch, "bodyplan.experiments.sweep.sweep", answer)
    return "grid.toml --out out"


def groups(folder, monkeypatch):
    points = np.random.default_rng(0).uniform(0.0, 0.9, (16, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    module = "bodyplan.grouping.embodiment_distances"
    instead(monkeypatch, f"{module}.embodiment_distances", distances)
    return "--no-cache"


def only(arguments):
    """A case that needs nothing but arguments."""
    return lambda folder, monkeypatch: arguments


def with_dataset(arguments):
    def prepare(folder, monkeypatch):
        small_dataset(folder)
        return arguments

    return prepare


CASES = {
    "demo": demo,
    "robots list": only(""),
    "robots show": only("unitree_go1"),
    "robots draw": only("badger --size 32 32"),
    "robots check": only("talos"),
    "robots adapt": only(
        f"{sys.modules['bodyplan'].__path__[0]}/robots/models/badger.xml --out new.xml"
    ),
    "robots generate": only("--count 2 --out generated"),
    "experts train": train_expert,
    "experts show": show_expert,
    "experts plot": plot_experts,
    "experts film": film_experts,
    "data build": build,
    "data info": info,
    "data verify": with_dataset("set"),
    "data plot": with_dataset("set"),
    "data import": import_arrays,
    "data import-minari": import_minari,
    "data import-release": import_release,
    "data export": export,
    "groups": groups,
    "train": train,
    "finetune": finetune,
    "conflicts": conflicts,
    "compare": compare,
    "sweep": sweep,
    "reproduce": only("--list"),
    "transfer": transfer,
    "evaluate": evaluate,
    "report": report,
}
ALL = [
    f"{name} {sub}".strip()
    for name, entry in COMMANDS.items()
    for sub in ([""] if isinstance(entry.target, str) else entry.target)
]


def check(lines):
    assert any(lines)
    for line in lines:
        assert "…" not in line
        assert len(line) <= WIDTH, line


def run(command, statuses):
    try:
        statuses.append(main(command))
    except SystemExit as stopped:  # --help
        statuses.append(stopped.code)


@pytest.mark.parametrize("command", ALL)
def test_output_fits(command, folder, monkeypatch):
    arguments = CASES[command](folder, monkeypatch).split()
    statuses = []
    shown = seen_on_terminal(monkeypatch, WIDTH, run, [*command.split(), *arguments], statuses)
    assert statuses == [0], shown
    assert "Traceback" not in "".join(shown)
    check(shown)


@pytest.mark.parametrize("command", TABLES)
def test_numbers_are_those_of_piped_output(command, folder, monkeypatch, capsys):
    words = [*command.split(), *CASES[command](folder, monkeypatch).split()]
    shown = seen_on_terminal(monkeypatch, WIDTH, run, words, [])
    statuses: list[int] = []
    run(words, statuses)
    assert statuses == [0]
    piped = capsys.readouterr().out
    found, known = (
        set(filter(NUMBER.fullmatch, text.split())) for text in ("\n".join(shown), piped)
    )
    assert found
    assert found <= known


def test_wide_shows_all_columns_of_data(folder, monkeypatch):
    words = ["data", "info", info(folder, monkeypatch)]
    narrow = seen_on_terminal(monkeypatch, WIDTH, run, words, [])
    wide = seen_on_terminal(monkeypatch, WIDTH, run, [*words, "--wide"], [])
    check(wide)
    assert "--wide adds bodies, median, MB, bytes a step." in narrow
    assert "median" in " ".join(wide)


@pytest.mark.parametrize("command", [*ALL, *COMMANDS, ""])
def test_help_fits(command, monkeypatch):
    statuses = []
    check(seen_on_terminal(monkeypatch, WIDTH, run, [*command.split(), "--help"], statuses))
    assert statuses == [0]
