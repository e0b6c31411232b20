"""A run folder as training and evaluation would leave it, made without training anything."""

import json
from pathlib import Path

import numpy as np

ROBOTS = ("unitree_go1", "anymal_c", "badger", "hexapod")
GROUPS = (("unitree_go1", "badger", "hexapod"), ("anymal_c",))
RETURNS = {
    "unitree_go1": (45.2, 18.3, 52.0),
    "anymal_c": (38.4, 15.9, 50.7),
    "badger": (44.0, 21.4, 51.3),
    "hexapod": (30.9, 17.2, 33.5),
}
"""Of the policy, the data and the expert."""


def write_run(path: Path, updates: int = 2500, every: int = 10, evaluated: bool = True) -> Path:
    """A finished run of IQL with two groups; `evaluated=False` leaves all evaluations out."""
    path.mkdir(parents=True)
    config = {
        "data": "data/demo",
        "out": str(path),
        "algorithm": "iql",
        "combine": "grouped",
        "network": "small",
        "updates": updates,
        "batch_size": 64,
        "seed": 0,
        "reward_scale": "per_robot",
        "iql": {"expectile": 0.8, "beta": 3.0, "gamma": 0.99, "tau": 0.005},
        "robots": ROBOTS,
        "groups": GROUPS,
        "dataset_card_sha256": "0" * 64,
    }
    (path / "config.json").write_text(json.dumps(config))
    lines = [_metrics(update) for update in range(every, updates + 1, every)]
    if evaluated:
        lines += [_interval(update, updates) for update in range(500, updates + 1, 500)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if evaluated:
        (path / "evaluation.json").write_text(json.dumps(_evaluation()))
    return path


def _metrics(update: int) -> dict[str, float]:
    rng = np.random.default_rng(update)
    line = {
        "update": update,
        "wall_s": 0.05 * update,
        "updates_per_s": 20.0,
        "critic/v_loss": 2e-4 * np.exp(-update / 900) + 2e-5 * rng.uniform(0.8, 1.2),
        "critic/q_loss": 9e-3 * np.exp(-update / 700) + 4e-4 * rng.uniform(0.8, 1.2),
    }
    for rank, robot in enumerate(ROBOTS):
        learned = 1.0 - np.exp(-update / (600 + 150 * rank))
        line[f"critic/q_mean/{robot}"] = (2.0 + 0.5 * rank) * learned + 0.05 * rng.normal()
        line[f"actor/loss/{robot}"] = 1.4 - (0.9 - 0.1 * rank) * learned + 0.02 * rng.normal()
        line[f"actor/weight_std/{robot}"] = (0.1 + 0.05 * rank) * learned + 0.01 * rng.uniform()
    return {"update": update} | {key: float(line[key]) for key in line if key != "update"}


def _interval(update: int, updates: int) -> dict[str, object]:
    share = 1.0 - np.exp(-3.0 * update / updates)
    scores = {name: {"return_mean": RETURNS[name][0] * share} for name in ROBOTS}
    return {"update": update, "evaluation": scores}


def _evaluation() -> dict[str, object]:
    scores = {}
    for rank, (name, (policy, data, expert)) in enumerate(RETURNS.items()):
        returns = np.random.default_rng(rank).normal(policy, 2.5, 16)
        scores[name] = {
            "return_mean": float(returns.mean()),
            "return_se": float(returns.std(ddof=1) / 4.0),
            "length_mean": 980.0 + rank,
            "velocity_error": 0.12 + 0.02 * rank,
            "normalised_return": float(returns.mean() / expert),
            "expert_return": expert,
            "data_return": data,
            "returns": returns.round(4).tolist(),
        }
    keys = ("return_mean", "normalised_return", "data_return", "expert_return")
    mean = {key: float(np.mean([score[key] for score in scores.values()])) for key in keys}
    return {
        "command": [1.0, 0.0, 0.0],
        "episodes": 16,
        "seed": 0,
        "initial_state": "random",
        "robots": scores,
        "mean": mean,
    }
