"""The commands of a page repeat the run: parsed as a user's, they ask for the very same one."""

import json
import random
import shlex
from pathlib import Path

import pytest
from synthetic import ROBOTS, write_dataset

from bodyplan.cli.data import BuildData
from bodyplan.cli.evaluate import Evaluate
from bodyplan.cli.parsing import parse
from bodyplan.cli.train import Train
from bodyplan.datasets.rollout_schedule import RecordingSizes
from bodyplan.grouping.robot_groups import group_robots
from bodyplan.learn.algorithms.awac import AWAC
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.combiners.cagrad import CAGrad
from bodyplan.learn.combiners.selective import Selective
from bodyplan.learn.config import GROUPS_FROM, NOT_IN_IDENTITY, TrainConfig
from bodyplan.learn.training_setup import TrainingSetup
from bodyplan.machine import cache_folder
from bodyplan.report.repeat_commands import repeat_run
from bodyplan.report.run_record import RunRecord
from bodyplan.storage import write_json

LISTED = [["crab", "biped"], ["dog"]]
BODIES = {"hexapod": (18, 6), "unitree_go1": (12, 4), "cassie": (10, 2)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("repeat") / "data", ROBOTS, steps=120)


def identity_of(config, seeds=1):
    """What decides a run's result, as its config.json has it."""
    setup = TrainingSetup.of(config)
    own = setup.seeds(seeds)[-1] if seeds > 1 else setup.seed()
    return json.loads(json.dumps(own.identity, default=str))


def record(folder, identity, evaluation=None, metrics=()):
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", identity)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    if evaluation is not None:
        write_json(folder / "evaluation.json", evaluation)
    return RunRecord.read(folder)


def arguments(repeat, command):
    """The arguments of one of the commands, after what comes before it was run."""
    (line,) = (line for line in repeat.commands if line.startswith(f"bodyplan {command}"))
    return shlex.split(line)[1 + len(command.split()) :]


def trained_again(repeat):
    """What the command for training asks for, and its number of seeds."""
    for line in repeat.commands:
        if line.startswith("echo "):
            subprocess.run(line, shell=True, check=True, cwd=folder)
    asked = parse(Train, "bodyplan train", arguments(repeat, "train"))
    config = asked.settings.to_config()
    if isinstance(config.groups, Path):
        config = replace(config, groups=folder / config.groups)
    return config, asked


def assert_same_run(identity, again, seeds=1):
    """Whether the identity of the run that is asked for is that of the run there is."""
    other = identity_of(again, seeds)
    left_out = NOT_IN_IDENTITY - {"data"}
    assert {k: v for k, v in other.items() if k not in left_out} == {
        k: v for k, v in identity.items() if k not in left_out
    }
    assert Path(other["out"]).parent != Path(identity["out"])


def random_config(data, rng):
    """Any settings that training takes."""
    algorithm = rng.choice(
        [
            IQL(beta=rng.choice([0.0, 0.3, 1e-5]), expectile=0.7, actor_decay=1200),
            TD3BC(alpha=0.01, q_scale="robot"),
            AWAC(),
            BC(learning_rate=4e-3),
        ]
    )
    combine = rng.choice(["pooled", "grouped", "pcgrad", CAGrad(c=0.4, unscaled=True), Selective()])
    robots = rng.choice([(), ("dog", "crab")])
    grouped = combine == "grouped"
    every = rng.choice([10, 50])
    return TrainConfig(
        data=data.path,
        out=data.path.parent / "first",
        algorithm=algorithm,
        combine=combine,
        groups=LISTED if grouped and not robots else [["crab"], ["dog"]] if grouped else 4,
        group_by=rng.choice(["embodiment", "random"]) if not grouped else "embodiment",
        group_critic=grouped and rng.random() < 0.5,
        actor_steps_per_iteration=rng.choice([1, 2]),
        robots=robots,
        weights=rng.choice([None, {"dog": 2.0, "crab": 0.5}]),
        network=rng.choice(["tiny", "small"]),
        q_actions=rng.choice(["slots", "joints"]),
        batch_size=rng.choice([64, 256]),
        updates=rng.choice([1000, 100_000]),
        reward_scale=rng.choice(["none", "per_robot"]),
        observation_scale=rng.choice(["none", "shared"]),
        data_on=rng.choice(["device", "host"]),
        seed=rng.choice([0, 7]),
        log_every=every,
        checkpoint_every=10 * every,
        evaluate_every=rng.choice([0, 20 * every]),
        conflicts_every=rng.choice([0, every]),
    )


@pytest.mark.parametrize("case", range(12))
def test_any_run_is_asked_for_again(data, tmp_path, case):
    config = random_config(data, random.Random(case))
    identity = identity_of(config)
    repeat = repeat_run(record(tmp_path / "run", identity), data.card)
    again, asked = trained_again(repeat)
    assert_same_run(identity, again)
    assert asked.seeds == 1
    assert Path(again.out) == data.path.parent / "first-again"


def test_a_groups_file_is_told_as_such(data, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(LISTED))
    config = TrainConfig(
        data.path, tmp_path / "r", combine="grouped", groups=tmp_path / "mine.json"
    )
    identity = identity_of(config)
    repeat = repeat_run(record(tmp_path / "run", identity), data.card, {2: [["dog", "crab"]]})
    assert json.dumps(LISTED[0]).replace(" ", "") in repeat.commands[-3]
    assert any("mine.json" in note for note in repeat.notes)
    assert_same_run(identity, trained_again(repeat)[0])


def test_a_number_of_groups_is_given_where_it_makes_the_same_groups(tmp_path):
    data = write_dataset(tmp_path / "data", BODIES, steps=80)
    by_bodies = {2: group_robots(list(BODIES), 2, cache=cache_folder("distances"))}
    config = TrainConfig(data.path, tmp_path / "r", combine="grouped", groups=2, network="tiny")
    identity = identity_of(config)
    older = {name: value for name, value in identity.items() if name != GROUPS_FROM}
    for place, (document, known) in enumerate([(identity, {}), (older, by_bodies)]):
        repeat = repeat_run(record(tmp_path / f"run{place}", document), data.card, known)
        assert "--groups 2" in " ".join(repeat.commands)
        assert_same_run(identity, trained_again(repeat)[0])
    told = repeat_run(record(tmp_path / "other", older | {"group_by": "random"}), data.card)
    assert "[[" in told.commands[-3]


def test_seeds_that_trained_side_by_side_train_so_again(data, tmp_path):
    config = TrainConfig(data.path, tmp_path / "many", network="tiny", seed=3)
    identity = identity_of(config, seeds=3)
    repeat = repeat_run(record(tmp_path / "run", identity), data.card)
    again, asked = trained_again(repeat)
    assert (asked.seeds, again.seed) == (3, 3)
    assert_same_run(identity, again, seeds=3)
    assert repeat.commands[-1] == f"bodyplan report {tmp_path}/many-again/seed5"
    by_name = identity | {"together": ["a", "b"]}
    assert any(
        "rounding" in note
        for note in repeat_run(record(tmp_path / "python", by_name), data.card).notes
    )


def test_a_fine_tuned_run_starts_from_the_same_networks(data, tmp_path):
    config = TrainConfig(
        data.path, tmp_path / "tuned", init_from=tmp_path / "first", network="tiny"
    )
    identity = json.loads(json.dumps(config.to_json(), default=str))
    identity |= {"robots": list(ROBOTS), "groups": [list(ROBOTS)]}
    repeat = repeat_run(record(tmp_path / "run", identity), data.card)
    assert trained_again(repeat)[0].init_from == tmp_path / "first"


def test_episodes_of_evaluations_on_the_way_are_told(data, tmp_path):
    config = TrainConfig(data.path, tmp_path / "r", network="tiny", evaluate_every=500)
    line = {"update": 500, "evaluation": {"dog": {"return_mean": 1.0, "returns": [1.0] * 5}}}
    repeat = repeat_run(record(tmp_path / "run", identity_of(config), metrics=[line]), data.card)
    assert trained_again(repeat)[1].episodes == 5


@pytest.mark.parametrize(
    "card",
    [
        {"recipe": "suboptimal70", "command": [1.0, 0.0, 0.0], "seed": 3, "steps": 9},
        {"recipe": "expert", "command": [-0.5, 0.1, 0.0], "seed": 0, "steps": 7}
        | {"initial_state": "nominal", "conditions": {"noise": True, "pushes": 0.002}}
        | RecordingSizes(restart_steps=250).card(),
    ],
)
def test_the_data_are_built_again(data, tmp_path, card):
    card = card | {"robots": {"unitree_go1": {"steps": 9}, "hexapod": {"steps": 9}}}
    identity = identity_of(TrainConfig(data.path, tmp_path / "r", network="tiny"))
    repeat = repeat_run(record(tmp_path / "run", identity), card)
    asked = parse(BuildData, "bodyplan data build", arguments(repeat, "data build"))
    assert asked.out == data.path
    assert asked.robots == ("unitree_go1", "hexapod")
    assert (asked.recipe, asked.seed, asked.steps) == (card["recipe"], card["seed"], card["steps"])
    assert asked.command == ("forward" if card["seed"] else "-0.5,0.1,0")
    assert asked.initial_state == card.get("initial_state", "random")
    assert RecordingSizes(restart_steps=asked.restart_steps).card() == {
        key: card[key] for key in card if key == "recording_sizes"
    }
    assert asked.disturbances.card().get("conditions") == card.get("conditions")


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"replay": {"dog": "0" * 64}}, "LOGS"),
        ({"snapshots": {"dog": "0" * 64}}, "SNAPSHOTS"),
        ({"recording_sizes": {"part_steps": 5}}, "Python"),
        ({"source": "release"}, "imported"),
    ],
)
def test_what_the_files_do_not_tell_has_a_note(data, tmp_path, facts, word):
    card = {"recipe": "expert", "command": [1.0, 0.0, 0.0], "robots": {"dog": {"steps": 9}}}
    identity = identity_of(TrainConfig(data.path, tmp_path / "r", network="tiny"))
    repeat = repeat_run(record(tmp_path / "run", identity), card | facts)
    assert any(word in note for note in repeat.notes)
    built = any(line.startswith("bodyplan data build") for line in repeat.commands)
    assert built == ("source" not in facts)
    assert not repeat_run(record(tmp_path / "run", identity), data.card).notes or "snapshots" in (
        data.card
    )
    alone = repeat_run(record(tmp_path / "run", identity), {})
    assert "not at hand" in alone.notes[0]


def test_the_evaluation_is_asked_for_as_it_was(data, tmp_path):
    identity = identity_of(TrainConfig(data.path, tmp_path / "r", network="tiny"))
    evaluation = {
        "command": [0.0, 1.0, 0.0],
        "episodes": 16,
        "seed": 1,
        "initial_state": "nominal",
        "conditions": {"randomise": True, "pushes": 0.0},
        "policy": "best",
        "robots": {"dog": {"return_mean": 1.0}},
    }
    repeat = repeat_run(record(tmp_path / "run", identity, evaluation), data.card)
    asked = parse(Evaluate, "bodyplan evaluate", arguments(repeat, "evaluate"))
    assert (asked.trial.episodes, asked.trial.seed, asked.best) == (16, 1, True)
    assert (asked.trial.initial_state, asked.command) == ("nominal", "0,1,0")
    assert asked.trial.disturbances.randomise
    assert asked.robots == ("dog",)
