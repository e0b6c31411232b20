"""One robot's log, handed to d3rlpy through Minari, and 1,000 steps of its IQL.

    pip install --no-deps d3rlpy
    pip install torch tqdm gym click structlog colorama dataclasses-json scikit-learn
    python examples/d3rlpy_iql.py path/to/dataset [robot]

d3rlpy 2.8.1 asks for gymnasium 1.0.0, which is older than what bodyplan needs; it works with the
newer one, so its dependencies are named by hand. Make the dataset with `bodyplan data build`.

The episodes are given to d3rlpy one by one. Its own `get_minari` is not used: it puts Minari's
observations, one more than actions in each episode, end to end as if they were as many, so that
from the second episode on they no longer belong to their actions.
"""

import os
import sys
import tempfile
from pathlib import Path

import d3rlpy
import minari
import numpy as np
import torch
from d3rlpy.dataset import MDPDataset

import bodyplan
from bodyplan.datasets.io.minari_export import export_minari

STEPS = 1000


def main(path: str, robot: str | None = None) -> None:
    dataset = bodyplan.Dataset.open(path)
    robot = robot or dataset.robots[0]
    with tempfile.TemporaryDirectory() as folder:
        # Without it Minari uses the folder in which it keeps all datasets.
        os.environ["MINARI_DATASETS_PATH"] = folder
        (own,) = export_minari(dataset, Path(folder), [robot])
        log = minari.load_dataset(own)
        buffer = to_d3rlpy(log)
        environment = log.recover_environment()
    print(f"{own}: {buffer.transition_count} transitions in {len(buffer.episodes)} episodes")
    torch.set_num_threads(1)  # networks this small are fastest so
    d3rlpy.seed(0)
    iql = d3rlpy.algos.IQLConfig(batch_size=256).create(device="cpu:0")
    epochs = iql.fitter(
        buffer,
        n_steps=STEPS,
        n_steps_per_epoch=STEPS // 4,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    for epoch, losses in epochs:
        told = ", ".join(f"{name} {losses[name]:.4f}" for name in sorted(losses) if "loss" in name)
        print(f"step {epoch * STEPS // 4}: {told}")
    observation, _ = environment.reset(seed=0)
    action = iql.predict(observation[None])[0]
    print(f"first action in {environment.spec.id}: {np.round(action, 2)}")


def to_d3rlpy(log: minari.MinariDataset) -> MDPDataset:
    """The episodes of a Minari dataset, each without the frame after its last step.

    d3rlpy does not look at what follows an episode's last step, and takes an end for a fall or for
    a time-out, never for both.
    """
    episodes = list(log)
    terminals = np.concatenate([episode.terminations for episode in episodes])
    timeouts = np.concatenate([episode.truncations for episode in episodes])
    return MDPDataset(
        observations=np.concatenate([episode.observations[:-1] for episode in episodes]),
        actions=np.concatenate([episode.actions for episode in episodes]),
        rewards=np.concatenate([episode.rewards for episode in episodes]),
        terminals=terminals,
        timeouts=timeouts & ~terminals,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
