"""The sentence that follows from each outcome, made up here."""

import pytest

from bodyplan.evaluation.comparison_sentences import Outcome, outcome_sentence, signed_interval

ROBOTS = ("ant", "bee", "cat", "dog")
MANY = tuple("abcdefghijklmnop")


def said(difference, interval, better=(), worse=(), robots=ROBOTS, seeds=(3, 3), pairs=3, **more):
    return outcome_sentence(
        Outcome("ours", "theirs", robots, better, worse, difference, interval, seeds, pairs, **more)
    )


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        (
            said(3.1, (1.0, 5.2), ("ant", "bee", "cat")),
            [
                "ours is better than theirs on 3 of 4 robots (ant, bee, cat);",
                "over robots the difference is 3.1 [1.0, 5.2] in return.",
            ],
        ),
        (
            said(-3.1, (-5.2, -1.0), (), ("dog",)),
            ["ours is worse than theirs on 1 of 4 robots (dog);", "is -3.1 [-5.2, -1.0]"],
        ),
        (said(9.0, (8.0, 10.0), ROBOTS), ["ours is better than theirs on all 4 robots; over"]),
        (
            said(9.0, (8.0, 10.0), ("ant",), ("bee", "cat")),
            ["better than theirs on 1 of 4 robots (ant) and worse on 2 of 4 robots (bee, cat);"],
        ),
        (
            said(9.0, (8.0, 10.0), (), ("bee",)),
            ["worse than theirs on 1 of 4 robots (bee); but over robots the difference is 9.0"],
        ),
        (
            said(0.3, (-2.0, 2.6), ("ant",)),
            [
                "ours is better than theirs on 1 of 4 robots (ant);",
                "over robots no difference can be told from 3 pairs of seeds: it is 0.3",
            ],
        ),
        (
            said(1.2, (-2.0, 4.4)),
            [
                "No difference between ours and theirs can be told from 3 pairs of seeds:",
                "over 4 robots it is 1.2 [-2.0, 4.4] in return.",
            ],
        ),
        (
            said(1.2, (0.2, 2.2)),
            ["ours is better than theirs over 4 robots", "On no single robot"],
        ),
        (
            said(1.2, (0.2, 2.2), ("ant",), robots=("ant",)),
            ["ours is better than theirs on ant: the difference is 1.2 [0.2, 2.2] in return."],
        ),
        (
            said(-1.2, (-2.2, 0.2), robots=("ant",)),
            ["No difference", "on ant it is -1.2 [-2.2, 0.2]"],
        ),
        (
            said(5.0, None, seeds=(1, 1), pairs=None),
            ["No difference", "from one seed each", "it is 5.0 in return", "no interval"],
        ),
        (said(5.0, None, seeds=(1, 3), pairs=None), ["from 1 and 3 seeds", "no interval"]),
        (said(5.0, (-1.0, 11.0), seeds=(5, 4), pairs=None), ["told from 5 and 4 seeds"]),
        (said(5.0, (-1.0, 11.0), seeds=(4, 4), pairs=None), ["told from 4 seeds each"]),
        (
            said(0.1, (0.05, 0.15), ("ant",), score="normalised"),
            ["is 0.10 [0.05, 0.15] in normalised return"],
        ),
        (
            said(1.0, (0.5, 1.5), MANY[:13], robots=MANY),
            ["on 13 of 16 robots (all but n, o, p)"],
        ),
        (said(1.0, (0.5, 1.5), MANY[:4], robots=MANY), ["on 4 of 16 robots (a, b, c, d)"]),
    ],
)
def test_each_outcome_has_its_sentence(sentence, parts):
    assert [part for part in parts if part not in sentence] == []


@pytest.mark.parametrize("interval", [(-1.0, 4.0), (-4.0, 1.0), (0.0, 3.0), (-0.01, 3.0), None])
@pytest.mark.parametrize("robots", [ROBOTS, ROBOTS[:1]])
def test_nothing_is_better_where_the_interval_has_zero(interval, robots):
    sentence = said(1.0, interval, robots=robots)
    assert sentence.startswith("No difference")
    assert "better" not in sentence
    assert "worse" not in sentence


def test_a_bound_is_not_rounded_onto_zero():
    assert signed_interval(3.0, (0.04, 5.96), 1) == "3.00 [0.04, 5.96]"
    assert signed_interval(3.0, (-0.004, 6.004), 1) == "3.000 [-0.004, 6.004]"
    assert signed_interval(3.0, (0.0, 6.0), 1) == "3.0 [0.0, 6.0]"
    assert signed_interval(-0.01, (-2.0, 2.0), 1) == "0.0 [-2.0, 2.0]"
    assert signed_interval(-0.2, None, 1) == "-0.2"


def test_a_narrow_interval_has_digits_that_show_it():
    assert signed_interval(0.005, (-0.0049, 0.0149), 2) == "0.005 [-0.005, 0.015]"
    assert signed_interval(-0.02, (-0.04, 0.03), 2) == "-0.02 [-0.04, 0.03]"
    assert signed_interval(0.5, (0.5, 0.5), 1) == "0.5 [0.5, 0.5]"
