"""Check of the critics during training: how far their values have come, and whom they weigh up.

Values begin near zero and approach their fixed point slowly, because TD targets come from target
networks that follow at the rate tau. In expectation a target moves by tau (r + gamma v - v) in an
update, if Q and V follow at once. So after u updates values have covered
1 - exp(-tau (1 - gamma) u) of their way: 18 % after 2,000 updates with tau = 0.01, gamma = 0.99
(the soft target updates of Lillicrap et al. 2015, arXiv 1509.02971, as a differential equation).

What Q and V say of recorded steps is compared with the discounted returns that followed. Behaviour
earned those; expectiles above 0.5, and policies that act better, are valued higher. So the share of
a converged critic may be somewhat above 1, but one at 0.3 has not arrived.

Weights are told by the phase of the data: advantages that mean something prefer late data to early.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from zlib import crc32

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from bodyplan.learn.algorithms.algorithm import Algorithm, Judgement
from bodyplan.learn.data.batch_loader import BatchLoader
from bodyplan.learn.data.discounted_returns import discounted_returns, known_returns
from bodyplan.learn.data.training_data import TrainingData
from bodyplan.learn.data.transitions import PackedTransitions, RobotTable
from bodyplan.learn.learner import LearnerState, numbers_of
from bodyplan.learn.networks.architectures import ActorNetwork

MOST_STEPS = 512
"""Most steps of each robot that values, and weights, are computed of."""
_ALL_STEPS = 16_384
"""Most steps of all robots together, so that a check takes no more memory than training."""
ARRIVED = 3.0
"""tau (1 - gamma) updates from which on values count as converged: they have covered 95 %."""


def covered_share(algorithm: Algorithm, updates: int) -> float | None:
    """The share of their way that values have covered by now; None without target networks."""
    exponent = _exponent(algorithm, updates)
    return None if exponent is None else 1.0 - math.exp(-exponent)


def convergence_warning(algorithm: Algorithm, updates: int) -> str | None:
    """A sentence where a run is too short for its critics, else None."""
    exponent = _exponent(algorithm, updates)
    if exponent is None or exponent >= ARRIVED:
        return None
    return (
        f"after {updates:,} updates values will have covered about "
        f"{100 * (1 - math.exp(-exponent)):.0f} % of their way: tau (1 - gamma) updates is "
        f"{exponent:.2g}; give more updates or a larger tau, until it is {ARRIVED:.0f}"
    )


def _exponent(algorithm: Algorithm, updates: int) -> float | None:
    tau, gamma = (getattr(algorithm, name, None) for name in ("tau", "gamma"))
    if tau is None or gamma is None:
        return None
    return float(tau) * (1.0 - float(gamma)) * (updates / algorithm.actor_every)


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Some steps of each robot, the same during all of training."""

    rows: Int[np.ndarray, "R S"]
    packed: tuple[PackedTransitions, ...]


class CriticCheck:
    """Compares what an algorithm thinks of recorded steps with what is known of them."""

    def __init__(
        self, data: TrainingData, loader: BatchLoader, entries: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Nothing is read yet.

        Args:
            data: of all robots.
            loader: reads them.
            entries: each robot's entry in the dataset's card, whose `segments` have phases.
        """
        self._data, self._loader = data, loader
        self._segments = [entries[name].get("segments", ()) for name in data.robots]
        self._count = max(16, min(MOST_STEPS, _ALL_STEPS // len(data.robots)))
        self._chosen: dict[float | None, _Chosen] = {}
        self._returns: dict[float, Float[np.ndarray, "R S"]] = {}

    def __call__(
        self, algorithm: Algorithm, state: LearnerState
    ) -> dict[str, Float[np.ndarray, "R"]]:
        """Metrics of each robot, NaN where a robot's data cannot tell.

        Args:
            algorithm: with its hyperparameters.
            state: of one seed.
        """
        if type(algorithm).judge is Algorithm.judge:
            return {}
        policy, critic, key = jax.device_get((state.actor.policy, state.critic, state.key))
        metrics: dict[str, Float[np.ndarray, R]] = {}
        gamma = getattr(algorithm, "gamma", None)
        if gamma is not None:
            chosen = self._with_returns(float(gamma))
            judged = _judged(algorithm, policy, critic, self._loader.table, chosen.packed, key)
            metrics |= self._values(judged, self._returns[float(gamma)])
        if any(len({segment["phase"] for segment in own}) > 1 for own in self._segments):
            chosen = self._everywhere()
            judged = _judged(algorithm, policy, critic, self._loader.table, chosen.packed, key)
            metrics |= self._weights(judged, chosen.rows)
        return {name: own for name, own in metrics.items() if np.isfinite(own).any()}

    def _values(
        self, judged: Judgement, returns: Float[np.ndarray, "R S"]
    ) -> dict[str, Float[np.ndarray, "R"]]:
        """Values against returns: bias, correlation, and the share of the way that is covered."""
        where = "training_data" if self._data.held_out is None else "held_out"
        metrics = {f"{where}/return": returns.mean(axis=1)}
        for name, values in (("q", judged.q), ("v", judged.value)):
            if values is not None:
                own = compare_with_returns(values, returns)
                metrics |= {f"{where}/{name}_{what}": each for what, each in own.items()}
        return metrics

    def _weights(
        self, judged: Judgement, rows: Int[np.ndarray, "R S"]
    ) -> dict[str, Float[np.ndarray, "R"]]:
        """Mean weights of the steps of each phase; and of late ones over early ones."""
        if judged.weight is None:
            return {}
        weights = np.asarray(judged.weight)
        phases = np.stack(
            [step_phases(own, at) for own, at in zip(self._segments, rows, strict=True)]
        )
        means = {str(phase): _mean_where(weights, phases == phase) for phase in np.unique(phases)}
        metrics = {f"actor/weight_{phase}": own for phase, own in means.items()}
        if {"early", "late"} <= means.keys():
            metrics["actor/late_preference"] = means["late"] / means["early"]
        return metrics

    def _with_returns(self, gamma: float) -> _Chosen:
        """Steps whose returns are known; of robots without any their first one, and NaN."""
        if gamma not in self._chosen:
            rows = np.zeros((len(self._data.robots), self._count), np.int32)
            returns = np.full(rows.shape, np.nan)
            for robot, episodes in enumerate(self._data.episodes):
                known = known_returns(episodes, gamma)
                if self._data.held_out is not None:
                    known &= self._data.held_out[robot]
                places = np.flatnonzero(known)
                if len(places):
                    rows[robot] = self._draw(robot, places)
                    every = discounted_returns(episodes, gamma)
                    returns[robot] = self._data.reward_scales[robot] * every[rows[robot]]
            self._chosen[gamma] = _Chosen(rows, self._loader.source.read(rows))
            self._returns[gamma] = returns
        return self._chosen[gamma]

    def _everywhere(self) -> _Chosen:
        """Steps of all the data."""
        if None not in self._chosen:
            sizes = [episodes.num_steps for episodes in self._data.episodes]
            rows = np.stack([self._draw(at, np.arange(size)) for at, size in enumerate(sizes)])
            self._chosen[None] = _Chosen(rows, self._loader.source.read(rows))
        return self._chosen[None]

    def _draw(self, robot: int, places: Int[np.ndarray, "N"]) -> Int[np.ndarray, "S"]:
        """Some places of a robot; which follows from its name."""
        rng = np.random.default_rng(crc32(self._data.robots[robot].encode()))
        return rng.choice(places, self._count).astype(np.int32)


def compare_with_returns(
    values: Float[Array | np.ndarray, "R S"], returns: Float[np.ndarray, "R S"]
) -> dict[str, Float[np.ndarray, "R"]]:
    """How values of R robots' steps differ from the returns that followed, robot by robot.

    Returns:
        `bias`, the mean difference; `share`, the mean value over the mean return; `correlation`,
        NaN where either does not vary.
    """
    values, returns = (np.asarray(own, np.float64) for own in (values, returns))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = values.std(axis=1) * returns.std(axis=1)
        centred = (values - values.mean(axis=1, keepdims=True)) * returns
        correlation = np.where(spread > 0.0, centred.mean(axis=1) / spread, np.nan)
        share = np.where(
            returns.mean(axis=1) != 0.0, values.mean(axis=1) / returns.mean(axis=1), np.nan
        )
    return {
        "bias": (values - returns).mean(axis=1),
        "share": np.where(np.isfinite(share), share, np.nan),  # returns may be zero
        "correlation": correlation,
    }


def step_phases(segments: Sequence[Mapping[str, Any]], rows: Int[np.ndarray, "S"]) -> np.ndarray:
    """The phase of the expert's run that each of some steps is from.

    Args:
        segments: of a robot's entry in the dataset's card, each with its `phase` and number of
            `steps`, in the order of the steps; phases are `unknown` where there are none.
        rows: places of the steps.
    """
    if not segments:
        return np.full(len(rows), "unknown")
    names = np.array([str(segment["phase"]) for segment in segments])
    ends = np.cumsum([segment["steps"] for segment in segments])
    return names[np.minimum(np.searchsorted(ends, rows, side="right"), len(names) - 1)]


def _mean_where(values: Float[np.ndarray, "R S"], chosen: np.ndarray) -> Float[np.ndarray, "R"]:
    """Each robot's mean over some of its steps; NaN where there is none."""
    counts = chosen.sum(axis=1)
    sums = np.where(chosen, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _judged(
    algorithm: Algorithm,
    policy: ActorNetwork,
    critic: PyTree,
    table: RobotTable,
    packed: tuple[PackedTransitions, ...],
    key: Any,
) -> Judgement:
    numbers = numbers_of(algorithm)
    no_numbers: dict[str, Any] = dict.fromkeys(numbers)
    plain = replace(algorithm, **no_numbers)
    arguments = policy, critic, jax.device_get(table), packed, key
    return Judgement(*jax.device_get(_judge(plain, numbers, *arguments)))


@partial(jax.jit, static_argnums=0)
def _judge(
    algorithm: Algorithm,
    numbers: dict[str, Any],
    policy: ActorNetwork,
    critic: PyTree,
    table: RobotTable,
    packed: tuple[PackedTransitions, ...],
    key: Any,
) -> Judgement:
    """One program for all numbers, seeds and robots of the same builds."""
    algorithm = replace(algorithm, **numbers)
    return algorithm.judge(critic, policy, table.unpack(packed), key)
