"""The training loop: any algorithm, any combiner, any robots, one seed or several at once.

A run is a folder. The same configuration again continues it: from its latest checkpoint to the very
bytes an undisturbed run would have ended with (on CPU), or, where it is finished, at once to its
result. More updates continue a finished run likewise.

    config.json      settings, robots, groups and the data's checksum: the run's identity; and where
                     and with what it was made
    metrics.jsonl    a line for each interval, and for each evaluation during training
    conflicts.jsonl  cosines between robots' gradients, where they are asked for
    checkpoints/     <update>.safetensors, all that training needs to go on
    policy/          the trained policy
    best/            the policy that did best in the evaluations during training

Several seeds have a folder each, in one compiled program. On several hosts all run this same loop
on parts of each batch; the first host writes.

Where training is asked to stop, by Ctrl-C or a scheduler, it writes a checkpoint first. Updates
that take long are done a few at a time, so that it need not wait for more than a few seconds.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import jax
import numpy as np

from bodyplan.learn.checkpoint import save_checkpoint
from bodyplan.learn.checkpoint_files import checkpoints, holds_policy
from bodyplan.learn.compilation import keeps_programs
from bodyplan.learn.critic_check import convergence_warning, covered_share
from bodyplan.learn.data.batch_loader import Chunk
from bodyplan.learn.device_memory import enough_memory
from bodyplan.learn.distributed import accelerator, is_first_host, wait_for_hosts
from bodyplan.learn.gradient_conflict import ConflictMeter
from bodyplan.learn.learner import IntervalReport, LearnerState, Program
from bodyplan.learn.metric_writers import require_metric_writers
from bodyplan.learn.metrics_file import Seconds, name_metrics
from bodyplan.learn.nan_guard import require_finite, require_finite_state
from bodyplan.learn.parallel_seeds import seed_part, seed_state
from bodyplan.learn.policy import Policy
from bodyplan.learn.policy_files import POLICY_FOLDER
from bodyplan.learn.run import CHECKPOINTS, Run, claim_folder, continue_run
from bodyplan.learn.run_logger import RunLogger
from bodyplan.learn.training_setup import SeedSetup, TrainingSetup
from bodyplan.locking import writer_lock
from bodyplan.provenance import provenance
from bodyplan.safe_points import safe_points

OnLog = Callable[[int, Mapping[str, Any]], None]
"""Called after each interval with the updates done and the line of metrics.jsonl (of several seeds,
the first one's)."""
OnInterval = Callable[[int, Policy], Mapping[str, Any] | None]
"""Called every `evaluate_every` updates with the policy; what it returns goes to metrics.jsonl. A
mean of the robots' `return_mean` in it decides which policy is kept as the best."""

OnSentence = Callable[[str], None]
"""Called with a sentence for whoever waits."""

SAFE_WITHIN = 3.0
"""Seconds of training, about, after which it can be stopped."""
_MANY = 2e7
"""Parameters times samples whose updates take a processor about 20 ms."""


def run_training(
    setup: TrainingSetup,
    seeds: Sequence[SeedSetup],
    log: OnLog | None = None,
    on_interval: OnInterval | None = None,
    tell: OnSentence | None = None,
) -> list[Run]:
    """Train all seeds from their latest common checkpoint on, and save their policies.

    Args:
        setup: what all seeds share.
        seeds: the runs.
        log: called after each interval.
        on_interval: called every `evaluate_every` updates.
        tell: called with sentences for whoever waits, such as that compilation begins.

    Raises:
        BodyplanError: the data or a run's folder do not fit or are damaged, another process writes
            to a folder, or memory does not suffice.
        TrainingDiverged: a loss or a parameter of a seed is no longer finite.
    """
    with ExitStack() as locks:
        for seed in seeds if is_first_host() else ():
            locks.enter_context(writer_lock(seed.folder))
        locks.enter_context(enough_memory())
        config, learner, count = setup.config, setup.learner, len(seeds)
        if is_first_host():
            require_metric_writers(config)
        made_by = provenance(accelerator(learner.devices))
        if is_first_host():
            for seed in seeds:
                claim_folder(seed.folder, seed.identity, made_by)
        wait_for_hosts("claimed")
        runs = [Run(seed.folder) for seed in seeds]
        if all(_is_finished(run, config.updates) for run in runs):
            return runs
        loader, state = setup.loader(), setup.restore(seeds)
        numbers, key = setup.numbers(seeds), np.array(state.key)
        measure_conflict = ConflictMeter(learner, numbers, loader)
        check_critics = setup.critic_check(loader)
        program: Program | None = None
        update = int(state.update)
        if tell is not None:
            for sentence in _before_training(setup, update):
                tell(sentence)
        writers = [seed for seed in seeds if is_first_host()]
        for seed in writers:
            continue_run(seed.folder, config.updates, made_by, update)
        loggers = [
            RunLogger(config, seed.folder, update, seed.identity, made_by) for seed in writers
        ]

        def evaluate(only_missing: bool = False) -> None:
            for place, logger in enumerate(loggers):
                if on_interval is None or (only_missing and not logger.lacks_evaluation(update)):
                    continue
                policy = seeds[place].policy(seed_state(state, place, count), logger.provenance)
                logger.evaluation(update, policy, on_interval(update, policy))

        # Iterations in one call of the program, where it is slow: one, until it is known how slow.
        # Several hosts are not stopped between calls.
        measured = jax.process_count() > 1 or not _may_be_slow(state, learner.batch_size)
        most = sys.maxsize if measured else 1

        def most_now() -> int:
            return most

        try:
            evaluate(only_missing=True)
            with safe_points(hold=jax.process_count() == 1) as stop:
                while update < config.updates:
                    # To the next multiple, also where a shorter training had ended in between.
                    length = min(
                        config.log_every - update % config.log_every, config.updates - update
                    )
                    start, busy, compiling = time.perf_counter(), time.process_time(), 0.0
                    reports: list[tuple[IntervalReport, int]] = []
                    chunks = loader.chunks(key, update, length)
                    for chunk in _pieces(chunks, most_now):
                        if program is None:
                            with stop.at_once():
                                if tell is not None:
                                    tell(_compiling(setup))
                                began = time.perf_counter()
                                program = learner.compile_interval(
                                    state, numbers, loader.table, chunk
                                )
                                compiling += time.perf_counter() - began
                                if tell is not None:
                                    tell(f"compiled in {compiling:.1f} s")
                        called = time.perf_counter()
                        state, report = program(state, numbers, loader.table, chunk)
                        if not measured:
                            jax.block_until_ready(report)
                            seconds, measured = time.perf_counter() - called, True
                            most = max(int(SAFE_WITHIN / seconds), 1)
                        jax.block_until_ready(reports[-1:])  # at most two chunks are on the device
                        reports.append((report, int(chunk.iterations)))
                        if stop.requested():
                            length = loader.every * sum(done for _, done in reports)
                            break
                    report = _joined(jax.device_get(reports))
                    training = time.perf_counter() - start - compiling
                    most = max(int(SAFE_WITHIN * length / training / loader.every), 1)
                    for place, seed in enumerate(seeds):
                        own_key, own = seed_part((key, report), place, count)
                        require_finite(own, learner, loader, own_key, update, seed.folder)
                    update += length
                    measures = config.conflicts_every and update % config.conflicts_every == 0
                    grams = measure_conflict(state) if measures else None
                    stops = stop.requested()
                    evaluates = bool(config.evaluate_every) and update % config.evaluate_every == 0
                    saves = (
                        stops or update % config.checkpoint_every == 0 or update == config.updates
                    )
                    spent = Seconds(time.perf_counter() - start, time.process_time() - busy)
                    for place, logger in enumerate(loggers):
                        metrics = seed_part(report, place, count).metrics
                        if grams is not None:
                            metrics |= logger.conflicts(update, seed_part(grams, place, count))
                        if evaluates or saves:
                            own_state = seed_state(state, place, count)
                            metrics |= check_critics(seeds[place].learner.algorithm, own_state)
                        covered = covered_share(seeds[place].learner.algorithm, update)
                        if covered is not None:
                            metrics |= {"critic/covered": np.float64(covered)}
                        line = logger.interval(
                            update,
                            spent,
                            {"updates_per_s": round(length / training, 3)}
                            | name_metrics(metrics, setup.data.robots),
                        )
                        if log is not None and place == 0:
                            log(update, line)
                    if evaluates and not stops:  # a run that stops evaluates when it goes on
                        try:
                            with stop.at_once():
                                evaluate()
                        except KeyboardInterrupt:
                            _save_checkpoints(seeds, state, update)
                            raise
                    # Last, so that a run killed at any moment repeats what the checkpoint does not
                    # hold.
                    if saves:
                        _save_checkpoints(seeds, state, update)
                    if stops:
                        stop.now()
        finally:
            for logger in loggers:
                logger.close()
        for place, (seed, logger) in enumerate(zip(writers, loggers, strict=True)):
            own_state = seed_state(state, place, count)
            policy = seed.policy(own_state, logger.provenance)
            policy.save(seed.folder / POLICY_FOLDER)
        wait_for_hosts("saved")
        return runs


def _may_be_slow(state: LearnerState, batch_size: int) -> bool:
    """Whether a chunk of updates may take longer than `SAFE_WITHIN`, judged by the actor.

    Not by time, because metrics are means over the updates of a call, whose last bits depend on
    how many these are: small runs repeat to the last bit.
    """
    return batch_size * sum(leaf.size for leaf in jax.tree.leaves(state.actor.policy)) > _MANY


def _pieces(chunks: Iterator[Chunk], most: Callable[[], int]) -> Iterator[Chunk]:
    """Chunks of at most so many iterations, as is known when each begins."""
    for chunk in chunks:
        count, done = int(chunk.iterations), 0
        while done < count:
            now = min(most(), count - done)
            yield chunk._replace(first=np.int32(chunk.first + done), iterations=np.int32(now))
            done += now


def _before_training(setup: TrainingSetup, update: int) -> Iterator[str]:
    """What to know before waiting."""
    config, algorithm = setup.config, setup.learner.algorithm
    if update == config.updates:
        yield "nothing is left to train; the last checkpoint's policy is saved again"
        return
    if update:
        yield f"continuing after {update:,} of {config.updates:,} updates"
    if warning := convergence_warning(algorithm, config.updates):
        yield warning
    if 0 < algorithm.actor_decay < config.updates:
        yield (
            f"the actor's learning rate is 0 from update {algorithm.actor_decay:,} on "
            f"(actor_decay), {config.updates:,} are to be trained"
        )


def _compiling(setup: TrainingSetup) -> str:
    config, robots = setup.config, len(setup.dataset.robots)
    kept = " (kept for the next run)" if keeps_programs() else ""
    return (
        f"compiling the update of {config.algorithm_name} {config.combiner_name} for {robots} "
        f"robot{'s' * (robots > 1)}{kept}"
    )


def _is_finished(run: Run, updates: int) -> bool:
    """Whether the run's last checkpoint and its policy are there, and sound."""
    saved = checkpoints(run.path / CHECKPOINTS)
    return (
        bool(saved)
        and saved[-1][0] == updates
        and run.has_policy
        and holds_policy(saved[-1][1], run.path / POLICY_FOLDER)
    )


def _joined(reports: Sequence[tuple[IntervalReport, int]]) -> IntervalReport:
    """One report of an interval's chunks, each with its number of iterations."""
    seen = np.sum([report.seen for report, _ in reports], axis=0)
    total = sum(count for _, count in reports)
    metrics = {}
    for name, first in reports[0][0].metrics.items():
        by_robot = first.shape == seen.shape
        sums = [
            report.metrics[name] * (report.seen if by_robot else count) for report, count in reports
        ]
        with np.errstate(invalid="ignore"):  # NaN for robots that no update had
            metrics[name] = np.nansum(sums, axis=0) / (seen if by_robot else total)
    finite = [report.finite[..., :count, :] for report, count in reports]
    return IntervalReport(metrics, seen, np.concatenate(finite, axis=-2))


def _save_checkpoints(seeds: Sequence[SeedSetup], state: LearnerState, update: int) -> None:
    """A checkpoint of every seed, unless its parameters are not finite."""
    for place, seed in enumerate(seeds):
        own = seed_state(state, place, len(seeds))
        require_finite_state(own, seed.folder)
        if is_first_host():
            card, kept = seed.policy(own, {}).card, seed.setup.config.keep_checkpoints
            save_checkpoint(seed.folder / CHECKPOINTS, update, own, card, kept)
