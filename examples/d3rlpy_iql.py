"""Train d3rlpy's IQL on one robot of a dataset for 1,000 steps, through Minari.

    pip install --no-deps d3rlpy
    pip install torch tqdm gym click structlog colorama dataclasses-json scikit-learn
    python examples/d3rlpy_iql.py path/to/dataset [robot]

d3rlpy 2.8.1 requires gymnasium 1.0.0, which is older than what bodyplan needs. It works with the
newer one, so its dependencies are installed by name. `bodyplan data build` makes the dataset.

The script does not use d3rlpy's `get_minari`. Minari has one more observation than actions in each
episode, but `get_minari` ignores that. From the second episode on, its observations would therefore
belong to other actions.
"""

import os
import sys
import tempfile

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
        # By default Minari uses the folder with all of its datasets.
        os.environ["MINARI_DATASETS_PATH"] = folder
        (minari_id,) = export_minari(dataset, folder, [robot])
        minari_dataset = minari.load_dataset(minari_id)
        buffer = to_d3rlpy(minari_dataset)
        environment = minari_dataset.recover_environment()
    print(f"{minari_id}: {buffer.transition_count} transitions in {len(buffer.episodes)} episodes")
    torch.set_num_threads(1)  # the fastest for networks of this size
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
        text = ", ".join(f"{name} {losses[name]:.4f}" for name in sorted(losses) if "loss" in name)
        print(f"step {epoch * STEPS // 4}: {text}")
    observation, _ = environment.reset(seed=0)
    action = iql.predict(observation[None])[0]
    print(f"first action in {environment.spec.id}: {np.round(action, 2)}")


def to_d3rlpy(dataset: minari.MinariDataset) -> MDPDataset:
    """The episodes of a Minari dataset, each without its final observation.

    d3rlpy does not use the final observation. For d3rlpy an episode is terminated or timed out, but
    never both.
    """
    episodes = list(dataset)
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
