"""How far robots pull one actor apart: cosines between their gradients, along a run or after it.

A robot's gradient is that of its own mean actor loss, over its part of the batch, with respect to
all of the actor's parameters, before clipping and before Adam (Abe et al., arXiv 2602.18025,
section 5). Two robots are in conflict where the cosine between their gradients is negative.

    conflicts.jsonl    {"update", "norms": [R], "cosines": [R (R - 1) / 2]}, pairs row by row
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bodyplan.datasets.mixture import Mixture
from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms.algorithm import ActorBatch, Metrics
from bodyplan.learn.combiners.robot_gradients import cosines, robot_gradients
from bodyplan.learn.compilation import compiled
from bodyplan.learn.finetune import finetuning
from bodyplan.learn.learner import Learner, LearnerState
from bodyplan.learn.metrics import read_lines
from bodyplan.learn.networks.families import Policy
from bodyplan.learn.plan import Plan
from bodyplan.learn.run import CONFLICTS, Run


@dataclass(frozen=True, eq=False)
class Conflicts:
    """Measurements of R robots' gradients at T moments."""

    robots: tuple[str, ...]
    updates: Int[np.ndarray, "T"]
    """Updates done when each was taken."""
    norms: Float[np.ndarray, "T R"]
    cosines: Float[np.ndarray, "T R R"]
    """Symmetric, ones on the diagonal."""

    @classmethod
    def of(
        cls,
        robots: Sequence[str],
        updates: Int[np.ndarray, "T"],
        grams: Float[np.ndarray, "T R R"],
    ) -> "Conflicts":
        """From inner products of gradients."""
        angles = np.array(jax.vmap(cosines)(jnp.asarray(grams)), np.float64)
        own = np.arange(len(robots))
        angles[:, own, own] = 1.0
        norms = np.sqrt(np.diagonal(np.asarray(grams, float), axis1=1, axis2=2))
        return cls(tuple(robots), np.asarray(updates), norms, np.clip(angles, -1.0, 1.0))

    @classmethod
    def of_interval(
        cls,
        robots: Sequence[str],
        grams: Float[np.ndarray, "K R R"],
        before: int,
        actor_every: int,
        conflicts_every: int,
    ) -> "Conflicts":
        """The turns of an interval in which there was a measurement; there may be none.

        Args:
            robots: whose gradients they are.
            grams: inner products, of every turn of the interval.
            before: updates done before it.
            actor_every: updates in a turn.
            conflicts_every: updates from one measurement to the next.
        """
        ends = before + actor_every * np.arange(1, len(grams) + 1)
        measured = ends % conflicts_every == 0
        return cls.of(robots, ends[measured], np.asarray(grams)[measured])

    @classmethod
    def read(cls, run: Run) -> "Conflicts":
        """What a run measured on its way.

        Raises:
            BodyplanError: it measured nothing, or its file is damaged.
        """
        path, robots = run.path / CONFLICTS, tuple(run.config["robots"])
        lines = read_lines(path)
        if not lines:
            raise BodyplanError(
                f"{run.path} has no measurements of conflicts on its way; train with "
                "--conflicts-every 100, or give --data to measure what it has learned"
            )
        try:
            norms = np.array([line["norms"] for line in lines], float)
            pairs = np.array([line["cosines"] for line in lines], float)
            angles = np.stack([_matrix(row, len(robots)) for row in pairs])
            if norms.shape != angles.shape[:2]:
                raise ValueError("norms of another number of robots")
        except (KeyError, TypeError, ValueError) as error:
            raise BodyplanError(
                f"{path} is damaged or of other robots ({error}); train the run again"
            ) from error
        return cls(robots, np.array([line["update"] for line in lines]), norms, angles)

    def lines(self) -> list[dict[str, Any]]:
        """As conflicts.jsonl has them."""
        rows, columns = _places(len(self.robots))
        return [
            {
                "update": int(update),
                "norms": [float(f"{norm:.6g}") for norm in norms],
                "cosines": [round(float(value), 6) for value in angles[rows, columns]],
            }
            for update, norms, angles in zip(self.updates, self.norms, self.cosines, strict=True)
        ]

    @property
    def pairs(self) -> Float[np.ndarray, "T P"]:
        """Cosines of all R (R - 1) / 2 pairs of robots."""
        rows, columns = _places(len(self.robots))
        return self.cosines[:, rows, columns]

    @property
    def negative_share(self) -> float:
        """Of all pairs in all measurements: the paper's measure of conflict."""
        return float((self.pairs < 0.0).mean())

    @property
    def opposed_share(self) -> float:
        """Of pairs, those whose cosine is negative on average over the measurements.

        A batch's gradient is its expectation and noise, and noise alone is negative half of the
        time: where training has converged, `negative_share` is high without anyone's being opposed.
        """
        return float((self.pairs.mean(axis=0) < 0.0).mean())

    @property
    def mean_cosines(self) -> Float[np.ndarray, "R R"]:
        """Over the measurements."""
        return self.cosines.mean(axis=0)

    @property
    def robot_cosines(self) -> Float[np.ndarray, "R"]:
        """Each robot's mean cosine with the others."""
        count = len(self.robots)
        return (self.mean_cosines.sum(axis=1) - 1.0) / max(count - 1, 1)

    @property
    def robot_shares(self) -> Float[np.ndarray, "R"]:
        """Of the others, those that each robot is in conflict with, on average."""
        count = len(self.robots)
        return (self.cosines < 0.0).mean(axis=0).sum(axis=1) / max(count - 1, 1)


def measure_conflicts(
    run: Run,
    data: Path | None = None,
    batch_size: int | None = None,
    batches: int = 16,
    seed: int = 0,
) -> Conflicts:
    """Gradients of a finished run's actor on any data, which nothing is learned from.

    Args:
        run: whose networks are looked at, as they are after its last update.
        data: folder of a dataset of the same robots; the run's own where not given.
        batch_size: transitions of each robot; as many as in training where not given.
        batches: measurements, each on a batch of its own.
        seed: decides the batches.

    Raises:
        BodyplanError: the run is not finished, the data are not of its robots, or a number is
            below 1.
    """
    robots = tuple(run.config["robots"])
    home = Path(run.config["data"]) if data is None else data
    config = finetuning(run, robots, home, run.path)
    config = replace(config, batch_size=batch_size or config.batch_size, devices=1)
    if batches < 1:
        raise BodyplanError(f"batches is {batches}; give 1 or more")
    plan = Plan.of(config)
    state = plan.first_state(seed)
    keys = jax.random.split(jax.random.PRNGKey(seed), batches)

    def measure(keys: PRNGKeyArray, state: LearnerState, mixture: Mixture) -> Float[Array, "T R R"]:
        return jax.lax.map(lambda key: _gram(plan.learner, state, mixture, key), keys)

    arguments = keys, state, Mixture.of(plan.data)
    grams = compiled(jax.jit(measure).lower(*arguments))(*arguments)
    updates = np.full(batches, int(run.config["updates"]))
    return Conflicts.of(robots, updates, np.asarray(grams))


def _gram(
    learner: Learner, state: LearnerState, mixture: Mixture, key: PRNGKeyArray
) -> Float[Array, "R R"]:
    """As in training, but that the critics stay as they are."""
    sample_key, critic_key, loss_key = jax.random.split(key, 3)
    algorithm, policy, critic = learner.algorithm, state.actor.policy, state.critic
    batches = mixture.sample(sample_key, learner.batch_size)
    _, targets, _ = algorithm.critic_update(
        critic, policy, batches, mixture.descriptors, critic_key
    )
    batch = algorithm.settle(policy, critic, ActorBatch(batches, mixture.descriptors, targets))

    def losses(
        policy: Policy, batch: ActorBatch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "R"], Metrics]:
        return algorithm.actor_losses(policy, critic, batch, key)

    return robot_gradients(policy, losses, batch, loss_key).gram


def _places(robots: int) -> tuple[np.ndarray, np.ndarray]:
    """Above the diagonal."""
    return np.triu_indices(robots, 1)


def _matrix(pairs: Float[np.ndarray, "P"], robots: int) -> Float[np.ndarray, "R R"]:
    matrix = np.eye(robots)
    matrix[_places(robots)] = pairs
    return matrix + np.triu(matrix, 1).T
