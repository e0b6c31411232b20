"""Pre-training from Python: one run or several in one program, with progress and evaluations."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from bodyplan.evaluation.evaluate import evaluation_callback
from bodyplan.experiments.training_display import TrainingDisplay
from bodyplan.learn.compilation import enable_compilation_cache
from bodyplan.learn.config import TrainConfig
from bodyplan.learn.run import Run
from bodyplan.learn.train import OnInterval, OnLog, OnSentence, run_training
from bodyplan.learn.training_setup import TrainingSetup, draws_groups, seed_configs
from bodyplan.progress import progress


def train(
    config: TrainConfig,
    log: OnLog | None = None,
    on_interval: OnInterval | None = None,
    *,
    episodes: int = 8,
    show_progress: bool = False,
    compile_cache: bool = True,
) -> Run:
    """Train one policy on many robots' data, or continue an interrupted run.

    Args:
        config: what to train on, how, and where to.
        log: called after each interval with the updates done and the line of metrics.jsonl.
        on_interval: called every `config.evaluate_every` updates with the updates done and the
            policy; what it returns is logged, and decides which policy is the best. By default the
            policy is evaluated on its robots.
        episodes: episodes of each robot in such an evaluation.
        show_progress: show a progress bar on standard error, with the numbers that matter.
        compile_cache: keep compiled programs in the user's cache folder, so that a second run of
            the same shapes starts at once. A cache folder already set in JAX stays in use.

    Returns:
        The run. It is the same, to the byte on a CPU, whether it was interrupted or not.

    Raises:
        BodyplanError: settings, data or the run's folder do not fit or are damaged.
        TrainingDiverged: a loss or a parameter is no longer finite.
    """
    setup = TrainingSetup.of(config)
    on_interval = on_interval or evaluation_callback(config, episodes)
    with _extras(config, log, on_interval, show_progress, compile_cache) as callbacks:
        (run,) = run_training(setup, [setup.seed()], *callbacks)
    return run


def train_seeds(
    config: TrainConfig,
    count: int,
    log: OnLog | None = None,
    on_interval: OnInterval | None = None,
    *,
    episodes: int = 8,
    show_progress: bool = False,
    compile_cache: bool = True,
) -> tuple[Run, ...]:
    """Train `count` seeds side by side, from `config.seed` on, in `config.out`'s `seed<k>`.

    Their numbers differ in rounding from those of seeds trained one by one, and in the order in
    which groups step, which is the first seed's. Random groups are drawn for each seed. A program
    is compiled for given groups, so those seeds are trained one after another, each as `train`
    trains it. Other arguments and errors are those of `train`.

    Raises:
        BodyplanError: also where the seeds cannot share a program.
    """
    if count > 0 and draws_groups(config):
        return tuple(
            train(
                own,
                log,
                on_interval,
                episodes=episodes,
                show_progress=show_progress,
                compile_cache=compile_cache,
            )
            for own in seed_configs(config, count)
        )
    setup = TrainingSetup.of(config)
    on_interval = on_interval or evaluation_callback(config, episodes)
    with _extras(config, log, on_interval, show_progress, compile_cache) as callbacks:
        return tuple(run_training(setup, setup.seeds(count), *callbacks))


def train_together(
    configs: Sequence[TrainConfig],
    log: OnLog | None = None,
    on_interval: OnInterval | None = None,
    *,
    episodes: int = 8,
    show_progress: bool = False,
    compile_cache: bool = True,
) -> tuple[Run, ...]:
    """Train runs side by side in one program: other seeds, learning rates, betas.

    Every run has a folder of its own. Numbers differ in rounding from those of runs trained one by
    one, and the order in which groups step is the first run's. `configs` differ in `seed`, `out`
    and hyperparameters that are numbers. Other arguments and errors are those of `train`.

    Raises:
        BodyplanError: also where the runs cannot share a program.
    """
    setup = TrainingSetup.of(configs[0])
    on_interval = on_interval or evaluation_callback(configs[0], episodes)
    with _extras(configs[0], log, on_interval, show_progress, compile_cache) as callbacks:
        return tuple(run_training(setup, setup.together(configs), *callbacks))


_Callbacks = tuple[OnLog | None, OnInterval, OnSentence | None]


@contextmanager
def _extras(
    config: TrainConfig,
    log: OnLog | None,
    on_interval: OnInterval,
    show_progress: bool,
    compile_cache: bool,
) -> Iterator[_Callbacks]:
    """The callbacks of `run_training`: the given ones, and a display where it is asked for."""
    if compile_cache:
        enable_compilation_cache()
    if not show_progress:
        yield log, on_interval, None
        return
    with progress() as report:
        display = TrainingDisplay(config, report)

        def log_and_show(update: int, line: Mapping[str, Any]) -> None:
            display.log(update, line)
            if log is not None:
                log(update, line)

        yield log_and_show, display.watched(on_interval), report.say
        display.finish()
