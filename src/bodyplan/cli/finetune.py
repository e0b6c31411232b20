"""Fine-tune a pre-trained policy on a robot that pre-training did not see."""

from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from bodyplan.bounds import CountFromOne, CountFromZero, LearningRate, NewPath, Seed
from bodyplan.cli.output import comma_list


@dataclass(frozen=True)
class Finetune:
    """Train a run's policy and critics further, offline, on another robot's data.

    Algorithm, sizes and hyperparameters are the run's. With --from-scratch training starts with
    fresh networks, for the same number of updates: the difference is the value of pre-training.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of a finished run."""
    robot: tuple[str, ...]
    """Robots of the dataset to train on; `all` for all of them."""
    data: Path
    """Folder of the dataset."""
    out: NewPath
    """Folder of the new run; an interrupted one of the same settings there is continued."""
    updates: CountFromOne = 10_000
    """Updates of the critics."""
    from_scratch: bool = False
    """Start with fresh networks, for comparison."""
    batch_size: CountFromOne | None = None
    """Transitions of each robot in one update; as the run had where not given."""
    learning_rate: LearningRate | None = None
    """Adam's; as the run had where not given."""
    log_every: CountFromOne = 100
    """Updates in one interval."""
    checkpoint_every: CountFromOne = 1000
    """Updates between checkpoints; a multiple of log_every."""
    evaluate_every: CountFromZero = 0
    """Updates between evaluations during training, a multiple of log_every; 0 for none."""
    episodes: CountFromOne = 8
    """Episodes of each robot in an evaluation during training."""
    seed: Seed = 0
    """Decides initial weights and batches."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> int:
        """Train; 1 where it diverged."""
        from bodyplan.cli.train import train_and_report
        from bodyplan.learn.finetune import finetune_config, with_updates
        from bodyplan.learn.run import Run

        names = comma_list(self.robot)
        robots = () if names == ("all",) else names
        config = finetune_config(
            Run(self.run_folder), robots, self.data, self.out, self.from_scratch
        )
        config = replace(
            config,
            batch_size=self.batch_size or config.batch_size,
            log_every=self.log_every,
            checkpoint_every=self.checkpoint_every,
            evaluate_every=self.evaluate_every,
            seed=self.seed,
        )
        config = with_updates(config, self.updates, self.learning_rate)
        return train_and_report(config, 1, self.episodes, self.json)
