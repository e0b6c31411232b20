"""What is shown while training runs, from made-up lines."""

from bodyplan.experiments.training_display import (
    TrainingDisplay,
    critics_sentence,
    evaluation_parts,
    training_note,
)
from bodyplan.learn.config import TrainConfig

LINE = {
    "updates_per_s": 52.13,
    "actor/loss": 1.2041,
    "critic/q_loss": 0.00213,
    "actor/learning_rate": 3e-3,
}
SCORES = {
    "dog": {"return_mean": 30.0, "fall_share": 0.0},
    "crab": {"return_mean": 32.4, "fall_share": 0.25},
}


class Recorder:
    """A display that remembers."""

    def __init__(self):
        self.shown, self.said = [], []

    def __call__(self, *progress):
        self.shown.append(progress)

    def say(self, sentence):
        self.said.append(sentence)


def test_a_line_becomes_one_that_fits():
    note = training_note(LINE, evaluation_parts(SCORES))
    expected = "52.1 updates/s, actor 1.2, critic 0.0021, return 31.2, falls 12%, rate 0.003"
    assert note == expected
    long = training_note({**LINE, "actor/loss": -1.234e-7}, {"return": "1000.0" * 4})
    assert len(long) <= 78
    assert long.endswith("rate 0.003")
    assert training_note({"updates_per_s": 1234.5}, {}) == "1,234 updates/s"


def test_an_evaluation_without_falls_or_of_nothing_has_the_rest():
    assert evaluation_parts({"dog": {"return_mean": 2.0}}) == {"return": "2.0"}
    assert evaluation_parts({"dog": {"fall_share": None}}) == {}


def test_critics_are_summed_up_by_the_episodes_they_were_held_against():
    line = {"held_out/q_share": 0.62, "held_out/q_correlation": 0.81}
    assert critics_sentence(line) == (
        "Q is 62% of what held-out episodes then earned (correlation 0.81)"
    )
    both = {"training_data/q_share": 1.0, "actor/late_preference": 1.404}
    assert critics_sentence(both) == (
        "Q is 100% of what the data's episodes then earned; "
        "late data weigh 1.40 times as much as early data"
    )
    assert critics_sentence(LINE) == ""


def test_the_last_evaluation_stays_and_critics_are_told_at_the_end():
    recorder = Recorder()
    display = TrainingDisplay(TrainConfig("data", "out", updates=200), recorder)
    assert display.watched(lambda update, policy: SCORES)(100, None) == SCORES
    assert display.watched(lambda update, policy: None)(150, None) is None
    display.log(100, {**LINE, "training_data/q_share": 0.5})
    display.log(200, LINE)
    display.finish()
    assert [progress[:3] for progress in recorder.shown] == [
        ("iql pooled", 100, 200),
        ("iql pooled", 200, 200),
    ]
    assert "return 31.2, falls 12%" in recorder.shown[-1][3]
    assert recorder.said == ["Q is 50% of what the data's episodes then earned"]
