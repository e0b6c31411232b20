"""A run folder as training and evaluation would leave it, made without training anything."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROBOTS = ("unitree_go1", "anymal_c", "badger", "hexapod")
GROUPS = (("unitree_go1", "badger", "hexapod"), ("anymal_c",))
RETURNS = {
    "unitree_go1": (45.2, 18.3, 52.0),
    "anymal_c": (38.4, 15.9, 50.7),
    "badger": (44.0, 21.4, 51.3),
    "hexapod": (30.9, 17.2, 33.5),
}
"""Of the policy, the data and the expert; other robots have those of the first."""
FLOOR = 4.0
PROVENANCE = {
    "bodyplan": "0.1.0",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "jax": "0.10.1",
    "mujoco": "4.0.0",
    "python": "3.12.4",
    "host": "station",
    "processor": "a processor",
    "accelerator": None,
    "date": "2026-11-30T13:47:20+00:00",
}


def write_run(
    path: Path,
    updates: int = 2500,
    every: int = 10,
    evaluated: bool = True,
    robots: Sequence[str] = ROBOTS,
    groups: Sequence[Sequence[str]] = GROUPS,
    **more: Any,
) -> Path:
    """A finished run of IQL with groups; `evaluated=False` leaves all evaluations out.

    Args:
        path: its folder.
        updates: how many it made.
        every: updates between two lines of metrics.
        evaluated: whether it was evaluated, also during training.
        robots: names.
        groups: of the robots.
        more: other settings of config.json.
    """
    path.mkdir(parents=True)
    config = {
        "data": "data/demo",
        "out": str(path),
        "algorithm": "iql",
        "combine": "grouped",
        "group_by": "embodiment",
        "network": "small",
        "updates": updates,
        "batch_size": 64,
        "seed": 0,
        "reward_scale": "per_robot",
        "iql": {"expectile": 0.8, "beta": 3.0, "gamma": 0.99, "tau": 0.005},
        "robots": robots,
        "groups": groups,
        "dataset_card_sha256": "0" * 64,
        "provenance": PROVENANCE,
    }
    (path / "config.json").write_text(json.dumps(config | more))
    lines = [_metrics(update, robots) for update in range(every, updates + 1, every)]
    if evaluated:
        lines += [_interval(update, updates, robots) for update in range(500, updates + 1, 500)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if evaluated:
        (path / "evaluation.json").write_text(json.dumps(_evaluation(robots)))
    return path


def write_conflicts(path: Path, robots: Sequence[str] = ROBOTS, count: int = 5) -> None:
    """Measurements of conflict in a run's folder."""
    pairs = len(robots) * (len(robots) - 1) // 2
    rng = np.random.default_rng(0)
    lines = [
        {
            "update": 500 * (place + 1),
            "norms": [1.0] * len(robots),
            "cosines": rng.uniform(-0.3, 0.6, pairs).round(6).tolist(),
        }
        for place in range(count)
    ]
    (path / "conflicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _metrics(update: int, robots: Sequence[str]) -> dict[str, float]:
    rng = np.random.default_rng(update)
    line = {
        "update": update,
        "wall_s": 0.05 * update,
        "cpu_s": 0.09 * update,
        "updates_per_s": 20.0,
        "critic/v_loss": 2e-4 * np.exp(-update / 900) + 2e-5 * rng.uniform(0.8, 1.2),
        "critic/q_loss": 9e-3 * np.exp(-update / 700) + 4e-4 * rng.uniform(0.8, 1.2),
        "critic/grad_norm": 0.5 + 0.1 * rng.uniform(),
        "actor/grad_norm": 0.9 + 0.1 * rng.uniform(),
        "mine/oddity": float(update % 7),
    }
    for rank, robot in enumerate(robots):
        learned = 1.0 - np.exp(-update / (600 + 150 * rank))
        line[f"critic/q_mean/{robot}"] = (2.0 + 0.5 * rank) * learned + 0.05 * rng.normal()
        line[f"actor/loss/{robot}"] = 1.4 - (0.9 - 0.1 * rank) * learned + 0.02 * rng.normal()
        line[f"actor/weight_std/{robot}"] = (0.1 + 0.05 * rank) * learned + 0.01 * rng.uniform()
    return {"update": update} | {key: float(line[key]) for key in line if key != "update"}


def _interval(update: int, updates: int, robots: Sequence[str]) -> dict[str, object]:
    share = 1.0 - np.exp(-3.0 * update / updates)
    scores = {
        name: {
            "return_mean": _returns(name)[0] * share,
            "fall_share": 0.5 * (1.0 - share),
            "returns": [_returns(name)[0] * share] * 8,
        }
        for name in robots
    }
    return {"update": update, "evaluation": scores}


def _returns(name: str) -> tuple[float, float, float]:
    return RETURNS.get(name, RETURNS["unitree_go1"])


def _evaluation(robots: Sequence[str]) -> dict[str, object]:
    scores = {}
    for rank, name in enumerate(robots):
        policy, data, expert = _returns(name)
        returns = np.random.default_rng(rank).normal(policy, 2.5, 16)
        scores[name] = {
            "return_mean": float(returns.mean()),
            "return_se": float(returns.std(ddof=1) / 4.0),
            "returns": returns.round(4).tolist(),
            "length_mean": 980.0 + rank,
            "fall_share": 0.125 if name == "hexapod" else 0.0,
            "velocity": [0.9, 0.01],
            "velocity_error": 0.12 + 0.02 * (rank % 5),
            "normalised_return": float((returns.mean() - FLOOR) / (expert - FLOOR)),
            "floor_return": FLOOR,
            "expert_return": expert,
            "reference": "expert",
            "data_return": data,
            "data_episodes": 200,
            "data_best_return": data + 8.0,
        }
    keys = ("return_mean", "normalised_return", "data_return", "expert_return")
    mean = {key: float(np.mean([score[key] for score in scores.values()])) for key in keys}
    return {
        "command": [1.0, 0.0, 0.0],
        "episodes": 16,
        "seed": 0,
        "initial_state": "random",
        "conditions": {"randomise": False, "pushes": 0.0},
        "policy": "last",
        "updates": 2500,
        "robots": scores,
        "mean": mean,
    }
