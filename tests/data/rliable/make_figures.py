"""Compute figures.json with rliable 1.2.0, for tests/test_stratified_bootstrap.py.

rliable needs arch < 8, and that needs pandas < 3, so it has an environment of its own:

    python -m venv rliable && rliable/bin/pip install "rliable==1.2.0" "pandas<3" "numpy>=2"
    rliable/bin/python tests/data/rliable/make_figures.py
"""

import json
from pathlib import Path

import numpy as np
from rliable import library, metrics

REPS = 20_000
CASES = {"few seeds": (3, 3, 4), "uneven": (5, 2, 3), "many robots": (5, 5, 16), "one": (6, 4, 1)}
"""Seeds of the first arm, seeds of the second, robots."""


def scores(rng, seeds, robots):
    """Returns of robots with scales and spreads of their own; rounded, so that some are equal."""
    level = 20.0 + 10.0 * np.arange(robots) % 70.0
    return np.round(rng.normal(level, 2.0 + level / 10.0, (seeds, robots)))


def both(values):
    return np.array([metrics.aggregate_mean(values), metrics.aggregate_iqm(values)])


def main():
    np.random.seed(0)  # rliable draws from NumPy's global generator
    rng, figures = np.random.default_rng(0), {}
    for name, (seeds, others, robots) in CASES.items():
        first, second = scores(rng, seeds, robots), scores(rng, others, robots)
        means, intervals = library.get_interval_estimates({"it": first}, both, reps=REPS)
        better, between = library.get_interval_estimates(
            {"it": (first, second)}, metrics.probability_of_improvement, reps=REPS // 4
        )
        figures[name] = {
            "first": first.tolist(),
            "second": second.tolist(),
            "mean": means["it"][0],
            "mean_interval": intervals["it"][:, 0].tolist(),
            "iqm": means["it"][1],
            "iqm_interval": intervals["it"][:, 1].tolist(),
            "probability": float(better["it"]),
            "probability_interval": between["it"].ravel().tolist(),
        }
    path = Path(__file__).with_name("figures.json")
    path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
