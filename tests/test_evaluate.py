"""Evaluation: what the policy sees of the robots, where its defaults come from, and its result."""

import json
import shutil

import numpy as np
import pytest
from file_faults import failing

import bodyplan
from bodyplan.cli import main
from bodyplan.envs.disturbances import Disturbances
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.evaluate import evaluate, evaluation_callback
from bodyplan.evaluation.evaluation import Evaluation, EvaluationConfig
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.networks.urma import PRESETS
from bodyplan.learn.networks.urma_heads import URMAPolicy
from bodyplan.learn.policy import Policy
from bodyplan.learn.run import Run
from bodyplan.robots.registry import MODELS


class Still:
    """Does not move, and remembers the shapes of the descriptors it was given."""

    def __init__(self):
        self.seen = []

    def act(self, observation, descriptor):
        self.seen.append(descriptor.joints.shape)
        return np.zeros(observation.joints.shape[:2])


def save_run(folder, **facts):
    """A run with an untrained policy; its data do not exist."""
    sizes = PRESETS["tiny"]
    network = URMAPolicy(np.random.default_rng(0), sizes)
    Policy.of(network, IQL(), sizes, None, **facts).save(folder / "policy")
    config = {"data": str(folder / "gone"), "robots": ["unitree_h1"]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_robots_share_a_descriptor_unless_they_are_randomised(load):
    found = {}
    for name, disturbances in (("clean", Disturbances()), ("wild", Disturbances(randomise=True))):
        policy = Still()
        found[name] = evaluate(policy, load("unitree_h1"), episodes=3, disturbances=disturbances)
        assert set(policy.seen) == {(19, 23) if name == "clean" else (3, 19, 23)}
    assert found["wild"].document["conditions"]["randomise"]
    assert not any(found["clean"].document["conditions"].values())
    returns = [each["unitree_h1"]["return_mean"] for each in found.values()]
    assert returns[0] != returns[1]


def test_arguments_out_of_range_are_refused(load):
    with pytest.raises(BodyplanError, match="episodes"):
        evaluate(Still(), load("unitree_h1"), episodes=0)
    with pytest.raises(BodyplanError, match="robots"):
        evaluate(Still())
    with pytest.raises(BodyplanError, match="run"):
        evaluate(Still(), load("unitree_h1"), best=True)


def test_a_run_and_its_folders_have_the_robots_and_the_command_of_the_training(tmp_path):
    run = save_run(tmp_path, command=[-1.0, 0.0, 0.0], robots=["unitree_h1"])
    found = [
        bodyplan.evaluate(source, episodes=1)
        for source in (run, str(run / "policy"), Run(run), Policy.load(run))
    ]
    assert all(each.scores == found[0].scores for each in found)
    chosen = [each.document["policy"] for each in found]
    assert chosen == ["last", None, "last", None]  # only a run keeps several policies
    assert found[0].command == (-1.0, 0.0, 0.0)
    assert list(found[0]) == ["unitree_h1"]
    with pytest.raises(BodyplanError, match="policy"):
        evaluate(tmp_path / "nothing")


def test_the_command_line_writes_what_python_returns(tmp_path, capsys):
    run = save_run(tmp_path, command=[-1.0, 0.0, 0.0])
    assert main(["evaluate", str(run), "--episodes", "1"]) == 0
    assert "unitree_h1" in capsys.readouterr().out
    written = Evaluation.load(run / "evaluation.json")
    assert written.command == (-1.0, 0.0, 0.0)
    assert written["unitree_h1"]["return_se"] is None  # of one episode
    again = evaluate(run, episodes=1)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (run / "evaluation.json").read_bytes()
    assert main(["evaluate", str(run), "--episodes", "1", "--noise", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["conditions"]["noise"]
    assert (run / "evaluation_noise.json").is_file()


def test_results_do_not_depend_on_how_many_robots_are_evaluated_at_once(tmp_path):
    run = save_run(tmp_path, command=[1.0, 0.0, 0.0])
    robots = ["unitree_h1", "cassie", "talos"]
    found = [evaluate(run, robots, episodes=8, threads=threads) for threads in (1, 2, 6)]
    assert found[0] == found[1] == found[2]
    assert list(found[0]) == robots
    assert found[0].scores == evaluate(Run(run).policy, robots, episodes=8).scores


def test_the_best_policy_of_a_run_is_evaluated_on_request(tmp_path):
    run = save_run(tmp_path, command=[1.0, 0.0, 0.0])
    sizes = PRESETS["tiny"]
    network = URMAPolicy(np.random.default_rng(1), sizes)
    Policy.of(network, IQL(), sizes, None, command=[1.0, 0.0, 0.0]).save(run / "best")
    last, best = (evaluate(run, episodes=1, best=best) for best in (False, True))
    assert last != best
    assert main(["evaluate", str(run), "--episodes", "1", "--best"]) == 0
    assert Evaluation.load(run / "evaluation_best.json") == best


def test_each_question_has_a_file_of_its_own(tmp_path):
    run = save_run(tmp_path, command=[1.0, 0.0, 0.0])
    questions = {
        "evaluation.json": [],
        "evaluation_backward.json": ["--command", "backward"],
        "evaluation_0.5,0,0.json": ["--command", "0.5,0,0"],
        "evaluation_on_cassie.json": ["--robots", "cassie"],
        "evaluation_nominal.json": ["--initial-state", "nominal"],
        "evaluation_on_cassie+unitree_h1_backward_pushes0.5_noise.json": [
            *("--robots", "unitree_h1", "cassie", "--command", "backward"),
            *("--noise", "--pushes", "0.5"),
        ],
    }
    for name, options in questions.items():
        before = {path: path.read_bytes() for path in run.glob("evaluation*.json")}
        assert main(["evaluate", str(run), "--episodes", "1", *options]) == 0
        after = {path: path.read_bytes() for path in run.glob("evaluation*.json")}
        assert {path.name for path in after} - {path.name for path in before} == {name}
        assert before.items() <= after.items()
    # The same question in other words.
    assert main(["evaluate", str(run), "--episodes", "1", "--robots", "unitree_h1"]) == 0
    assert len(list(run.glob("evaluation*.json"))) == len(questions)


def test_a_policy_without_a_command_needs_one(tmp_path, capsys):
    run = save_run(tmp_path)
    assert main(["evaluate", str(run)]) == 2
    assert "--command" in capsys.readouterr().err
    assert not (run / "evaluation.json").exists()


def test_robots_of_the_user_have_the_names_that_the_run_records(tmp_path):
    for suffix in (".xml", ".toml"):
        shutil.copy(MODELS / f"unitree_h1{suffix}", tmp_path / f"mine{suffix}")
    models = {"mine": str(tmp_path / "mine.xml")}
    run = save_run(tmp_path / "run", command=[1.0, 0.0, 0.0], models=models)
    assert main(["evaluate", str(run), "--robots", "mine", "--episodes", "1"]) == 0
    evaluation = Evaluation.load(run / "evaluation_on_mine.json")
    assert list(evaluation) == ["mine"]
    assert evaluation["mine"]["reference"] == "ceiling"  # an expert belongs to a packaged robot


def test_training_evaluates_through_the_callback(tmp_path):
    whole = {"return_mean": 7.5, "episodes": 3, "best_return_mean": 9.5}
    card = {"robots": {"unitree_h1": {"whole_episodes": whole}}, "command": [1.0, 0.0, 0.0]}
    on_interval = evaluation_callback(TrainConfig(tmp_path, tmp_path / "run", seed=3), 2, card)
    scores = on_interval(100, Still())
    alone = evaluate(Still(), "unitree_h1", episodes=2, seed=3)["unitree_h1"]
    data = {"data_return": 7.5, "data_episodes": 3, "data_best_return": 9.5}
    assert scores == {"unitree_h1": {**alone, **data}}


def score(value, expert):
    return {
        "return_mean": value,
        "return_se": 0.5,
        "length_mean": 900.0,
        "velocity_error": 0.25,
        "returns": [value - 0.5, value + 0.5],
        "normalised_return": None if expert is None else value / expert,
        "expert_return": expert,
        "data_return": 10.0,
    }


RESULT = Evaluation(
    {
        "command": [1.0, 0.0, 0.0],
        "episodes": 2,
        "seed": 0,
        "initial_state": "random",
        "conditions": {},
        "robots": {"dog": score(30.0, 60.0), "<cat>": score(20.0, None)},
        "mean": {"return_mean": 25.0, "normalised_return": None},
    }
)


def test_a_result_is_a_mapping_with_a_short_text():
    assert list(RESULT) == ["dog", "<cat>"]
    assert len(RESULT) == 2
    assert RESULT["dog"]["normalised_return"] == 0.5
    assert RESULT.mean["return_mean"] == 25.0
    assert repr(RESULT) == "Evaluation(2 robots, 2 episodes each, forward, mean return 25.0)"
    html = RESULT._repr_html_()
    assert html.count("<tr>") == 4  # head, two robots, mean
    assert "&lt;cat&gt;" in html
    assert "<cat>" not in html


def test_a_result_becomes_a_data_frame():
    frame = RESULT.to_dataframe()
    assert list(frame.index) == ["dog", "<cat>"]
    assert frame.loc["dog", "expert_return"] == 60.0
    assert frame["return_mean"].mean() == 25.0
    assert "returns" not in frame


def test_the_seed_and_the_number_of_episodes_decide_the_returns(load):
    robot = load("unitree_h1")
    few = [evaluate(Still(), robot, episodes=2, seed=seed)["unitree_h1"] for seed in (0, 0, 1)]
    assert few[0] == few[1]
    assert few[0]["returns"] != few[2]["returns"]
    assert len(few[0]["returns"]) == 2
    assert EvaluationConfig().episodes == 32


def test_what_was_computed_is_shown_also_where_it_cannot_be_written(tmp_path, capsys):
    run = save_run(tmp_path, robots=["unitree_h1"], command=[1.0, 0.0, 0.0])
    full = OSError(28, "No space left on device")
    with failing("open", ".evaluation.partial.json", full):
        assert main(["evaluate", str(run), "--episodes", "1"]) == 2
    said = capsys.readouterr()
    assert "unitree_h1" in said.out
    assert "written" not in said.out
    assert "no space left" in said.err
