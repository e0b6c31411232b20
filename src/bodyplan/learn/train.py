"""The one training loop: any algorithm, any combiner, any robots, one seed or several at once.

A run is a folder. The same command again continues it: from its latest checkpoint to the very bytes
an undisturbed run would have ended with (on CPU), or, where it is finished, at once to its result.

    config.json      settings, robots, groups and the data's checksum: the run's identity
    metrics.jsonl    a line for each interval, and for each evaluation on the way
    conflicts.jsonl  cosines between robots' gradients, where they are asked for
    checkpoints/     <update>.safetensors, all that training needs to go on
    policy/          what it has learned, for acting
    best/            what did best in the evaluations on the way

Several seeds have a folder each, in one compiled program. On several hosts all run this same loop
on parts of each batch; the first one writes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bodyplan.errors import BodyplanError
from bodyplan.learn.checkpoint import checkpoints, restore_checkpoint, save_checkpoint
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.distributed import is_first_host, replicate, wait_for_hosts
from bodyplan.learn.learner import LearnerState
from bodyplan.learn.metrics_file import name_metrics
from bodyplan.learn.nan_guard import TrainingDiverged, require_finite, require_finite_state
from bodyplan.learn.parallel_seeds import seed_part, seed_state, stack_seeds
from bodyplan.learn.policy import POLICY_FOLDER, Policy
from bodyplan.learn.run import CHECKPOINTS, Run, claim
from bodyplan.learn.run_logger import RunLogger
from bodyplan.learn.training_setup import TrainingSetup

__all__ = ["TrainConfig", "TrainingDiverged", "train", "train_seeds"]

OnLog = Callable[[int, Mapping[str, Any]], None]
"""Called after each interval with the updates done and the line of metrics.jsonl (of several seeds,
the first one's)."""
OnInterval = Callable[[int, Policy], Mapping[str, Any] | None]
"""Called every `evaluate_every` updates with the policy; what it returns goes to metrics.jsonl. A
mean of the robots' `return_mean` in it decides which policy is kept as the best."""


def train(
    config: TrainConfig, log: OnLog | None = None, on_interval: OnInterval | None = None
) -> Run:
    """Train, or go on training, and release the policy.

    Raises:
        BodyplanError: settings, data or the run's folder do not fit or are damaged.
        TrainingDiverged: a loss or a parameter is no longer finite.
    """
    plan = TrainingSetup.of(config)
    (run,) = _train(plan, [_Seed(plan, config.out, config.seed, plan.identity())], log, on_interval)
    return run


def train_seeds(
    config: TrainConfig, count: int, log: OnLog | None = None, on_interval: OnInterval | None = None
) -> tuple[Run, ...]:
    """Train `count` seeds side by side, from `config.seed` on, in `config.out`'s `seed<k>`.

    Their numbers differ in rounding from those of seeds trained one by one, and in the order of
    turns, which is the first seed's.

    Raises:
        BodyplanError: as `train`, or the seeds cannot share a program.
        TrainingDiverged: a loss or a parameter of any seed is no longer finite.
    """
    if count < 1:
        raise BodyplanError(f"seeds is {count}; give 1 or more")
    if config.data_on == "host" and count > 1:
        raise BodyplanError(
            "several seeds at once need their data on the device; give data_on device"
        )
    plan = TrainingSetup.of(config)
    together = [config.seed + i for i in range(count)]
    seeds = []
    for seed in together:
        folder = config.out / f"seed{seed}"
        own = plan.identity(seed=seed, out=str(folder), together=together)
        seeds.append(_Seed(plan, folder, seed, own))
    return tuple(_train(plan, seeds, log, on_interval))


@dataclass(frozen=True, eq=False)
class _Seed:
    """One run among those that train at once."""

    plan: TrainingSetup
    folder: Path
    number: int
    identity: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        saved = checkpoints(self.folder / CHECKPOINTS)
        ended = saved and saved[-1][0] == self.plan.config.updates
        return bool(ended) and (self.folder / POLICY_FOLDER / "card.json").is_file()

    def release(self, state: LearnerState) -> Policy:
        card = self.plan.dataset.card
        return Policy.of(
            state.actor.policy,
            self.plan.learner.algorithm,
            self.plan.sizes,
            self.plan.data.observation_scale,
            update=int(state.update),
            seed=self.number,
            robots=list(self.plan.dataset.robots),
            combine=self.plan.config.combine,
            groups=self.identity["groups"],
            command=card.get("command"),
            models=card.get("models", {}),
            recipe=card.get("recipe"),
            dataset_card_sha256=self.identity["dataset_card_sha256"],
        )


def _train(
    plan: TrainingSetup, seeds: Sequence[_Seed], log: OnLog | None, on_interval: OnInterval | None
) -> list[Run]:
    """Claim the folders, train what is left to be trained, release."""
    if is_first_host():
        for seed in seeds:
            claim(seed.folder, seed.identity)
    wait_for_hosts("claimed")
    runs = [Run(seed.folder) for seed in seeds]
    if all(seed.finished for seed in seeds):
        return runs
    states = [plan.first_state(seed.number) for seed in seeds]
    saved = [dict(checkpoints(seed.folder / CHECKPOINTS)) for seed in seeds]
    common = set.intersection(*(set(own) for own in saved))
    if common:
        paths = [own[max(common)] for own in saved]
        states = [restore_checkpoint(path, own) for path, own in zip(paths, states, strict=True)]
    state = replicate(stack_seeds(states), plan.learner.devices)
    update = int(state.update)
    ledgers = [
        RunLogger(plan.config, s.folder, update, s.identity) for s in seeds if is_first_host()
    ]
    try:
        state = _loop(plan, seeds, ledgers, state, log, on_interval)
    finally:
        for ledger in ledgers:
            ledger.close()
    if is_first_host():
        for place, seed in enumerate(seeds):
            seed.release(seed_state(state, place, len(seeds))).save(seed.folder / POLICY_FOLDER)
    wait_for_hosts("released")
    return runs


def _loop(
    plan: TrainingSetup,
    seeds: Sequence[_Seed],
    ledgers: Sequence[RunLogger],
    state: LearnerState,
    log: OnLog | None,
    on_interval: OnInterval | None,
) -> LearnerState:
    """Interval after interval, until all updates are done."""
    config, dispatch, count = plan.config, plan.dispatch(), len(seeds)
    update = int(state.update)
    while update < config.updates:
        length = min(config.log_every, config.updates - update)
        started = time.perf_counter()
        dispatch.prepare(state, length)
        compiled = time.perf_counter()
        keys = np.array(state.key)
        state, reports = dispatch.advance(state, length)
        reports = jax.device_get(reports)
        advanced = time.perf_counter()
        for place, seed in enumerate(seeds):
            key, report = seed_part((keys, reports), place, count)
            require_finite(report, plan.learner, plan.data, key, update, length, seed.folder)
        update += length
        measures = config.conflicts_every and update % config.conflicts_every == 0
        grams = np.asarray(dispatch.gram(state)) if measures else None
        ended = time.perf_counter()
        speed = {"updates_per_s": round(length / (advanced - compiled), 3)}
        for place, ledger in enumerate(ledgers):
            metrics = seed_part(reports, place, count).metrics
            if grams is not None:
                metrics |= ledger.conflicts(update, seed_part(grams, place, count))
            metrics = name_metrics(metrics, plan.data.robots)
            line = ledger.interval(update, ended - started, speed | metrics)
            if log is not None and place == 0:
                log(update, line)
        evaluates = config.evaluate_every and update % config.evaluate_every == 0
        if evaluates and on_interval is not None:
            for place, ledger in enumerate(ledgers):
                policy = seeds[place].release(seed_state(state, place, count))
                ledger.evaluation(update, policy, on_interval(update, policy))
        # Last, so that a run killed at any moment repeats what the checkpoint does not know of.
        if update % config.checkpoint_every == 0 or update == config.updates:
            for place, seed in enumerate(seeds):
                own = seed_state(state, place, count)
                require_finite_state(own, seed.folder)
                if is_first_host():
                    save_checkpoint(seed.folder / CHECKPOINTS, update, own)
    return state
