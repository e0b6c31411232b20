"""What a training run is asked to do: its settings, and what is wrong with them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bodyplan.errors import BodyplanError
from bodyplan.learn.algorithms import ALGORITHMS
from bodyplan.learn.algorithms.algorithm import Algorithm
from bodyplan.learn.algorithms.awac import AWAC
from bodyplan.learn.algorithms.bc import BC
from bodyplan.learn.algorithms.iql import IQL
from bodyplan.learn.algorithms.td3_bc import TD3BC
from bodyplan.learn.combiners import COMBINERS
from bodyplan.learn.combiners.aligned_mtl import AlignedMTL
from bodyplan.learn.combiners.cagrad import CAGrad
from bodyplan.learn.combiners.combiner import Combiner
from bodyplan.learn.combiners.selective import Selective
from bodyplan.learn.data.normalisation import ObservationScaling, RewardScaling

UNRELATED = frozenset({"data", "out", "data_on", "tensorboard", "wandb"})
"""Settings that a run's result does not depend on, so that it can be continued under others."""


@dataclass(frozen=True)
class TrainConfig:
    """What to train on, how, and where to."""

    data: Path
    """Folder of the dataset."""
    out: Path
    """Folder of the run; an interrupted run of the same settings there is continued."""
    algorithm: Literal["bc", "td3_bc", "awac", "iql"] = "iql"
    """What to learn from the data."""
    combine: Literal["pooled", "grouped", "selective", "pcgrad", "cagrad", "aligned_mtl"] = "pooled"
    """How robots share the actor: one step on their mean; a step for each group of them, fixed or
    found on the way; or one step on their gradients with conflicts resolved."""
    groups: int | Path = 4
    """With `grouped`: a number of groups, or a JSON file with lists of names."""
    group_by: Literal["embodiment", "random", "heuristic"] = "embodiment"
    """Likeness of bodies (the paper's), chance (groups as large as those), or number of legs."""
    group_critic: bool = False
    """With `grouped`: let the critics step group by group too (the paper's EG-Actor+Critic)."""
    actor_steps_per_iteration: int = 1
    """Turns of the actor in an iteration, each on an equal share of every robot's batch."""
    robots: tuple[str, ...] = ()
    """Robots of the dataset to train on; all of them where none is named."""
    weights: dict[str, float] | None = None
    """Weights of robots' losses, as in `--weights hexapod 2`; 1 for those not named."""
    network: Literal["paper", "small", "tiny", "flat"] = "paper"
    """The paper's sizes, sizes for CPUs or for trials of the machinery; `flat` for one robot."""
    q_actions: Literal["slots", "joints"] = "slots"
    """How Q reads actions: zero-padded to fixed slots (the paper's), or with joints' states."""
    batch_size: int = 1024
    """Transitions of each robot in one update."""
    updates: int = 100_000
    """Updates of the critics."""
    reward_scale: RewardScaling = "none"
    """`per_robot` gives each robot's episode returns a range of 1000, as usual on D4RL."""
    observation_scale: ObservationScaling = "none"
    """`shared` standardises each kind of number (a joint's position, say) over all robots."""
    begin_with: Path | None = None
    """A run whose networks to begin with, and whose scale of observations to keep."""
    data_on: Literal["device", "host"] = "device"
    """`host` reads batches from disk as they are needed, for data the device cannot hold."""
    devices: int | None = None
    """Devices that each batch is split over; all there are where not given."""
    seed: int = 0
    """Decides initial weights, batches and the order of groups."""
    log_every: int = 100
    """Updates in one interval, which is one dispatch of the compiled program."""
    checkpoint_every: int = 1000
    """Updates between checkpoints; a multiple of log_every."""
    evaluate_every: int = 0
    """Updates between evaluations on the way, a multiple of log_every; 0 for none."""
    conflicts_every: int = 0
    """Updates between measurements of how far robots' gradients agree, for `bodyplan conflicts`; a
    multiple of log_every, 0 for none."""
    tensorboard: bool = False
    """Mirror the metrics to TensorBoard files in the run's folder."""
    wandb: str | None = None
    """Mirror the metrics to this project of Weights & Biases."""
    bc: BC = field(default_factory=BC)
    """Hyperparameters of BC."""
    td3_bc: TD3BC = field(default_factory=TD3BC)
    """Hyperparameters of TD3+BC."""
    awac: AWAC = field(default_factory=AWAC)
    """Hyperparameters of AWAC."""
    iql: IQL = field(default_factory=IQL)
    """Hyperparameters of IQL."""
    selective: Selective = field(default_factory=Selective)
    """Hyperparameters of SEL."""
    cagrad: CAGrad = field(default_factory=CAGrad)
    """Hyperparameters of CAGrad."""
    aligned_mtl: AlignedMTL = field(default_factory=AlignedMTL)
    """Hyperparameters of Aligned-MTL."""

    @property
    def chosen_algorithm(self) -> Algorithm:
        """The algorithm, with its hyperparameters.

        Raises:
            BodyplanError: there is none of that name.
        """
        return _chosen(self, "algorithm", ALGORITHMS)

    @property
    def chosen_combiner(self) -> Combiner:
        """The combiner, with its hyperparameters.

        Raises:
            BodyplanError: there is none of that name.
        """
        return _chosen(self, "combine", COMBINERS)

    def to_json(self) -> dict[str, Any]:
        """All settings but the hyperparameters of what is not in use."""
        unused = (ALGORITHMS.keys() | COMBINERS.keys()) - {self.algorithm, self.combine}
        return {name: value for name, value in asdict(self).items() if name not in unused}


def _chosen(config: TrainConfig, setting: str, registry: Mapping[str, type]) -> Any:
    """What a setting names; its own field in `config`, where it has one."""
    name = getattr(config, setting)
    if name not in registry:
        raise BodyplanError(f"no {setting} is called {name}; choose one of {', '.join(registry)}")
    return getattr(config, name, None) or registry[name]()


def require_sensible(config: TrainConfig, devices: int) -> None:
    """Refuse settings that fit no data at all.

    Raises:
        BodyplanError: naming the setting, and what would do.
    """
    for name in ("batch_size", "updates", "log_every", "checkpoint_every"):
        _require_one(config, name)
    _require_one(config, "actor_steps_per_iteration")
    every, log_every = config.chosen_algorithm.actor_every, config.log_every
    for name, value, unit, divisor in (
        ("checkpoint_every", config.checkpoint_every, "log_every", log_every),
        ("evaluate_every", config.evaluate_every, "log_every", log_every),
        ("log_every", log_every, "the actor's period", every),
        ("conflicts_every", config.conflicts_every, "log_every", log_every),
        ("updates", config.updates, "the actor's period", every),
        ("batch_size", config.batch_size, "the number of devices", devices),
        (
            "batch_size",
            config.batch_size // devices,
            "actor_steps_per_iteration on each device",
            config.actor_steps_per_iteration,
        ),
    ):
        if value % divisor:
            raise BodyplanError(f"{name} is {value}; give a multiple of {unit} ({divisor})")
    if config.group_critic and config.combine != "grouped":
        raise BodyplanError("group_critic asks for groups; give combine grouped")


def _require_one(config: TrainConfig, name: str) -> None:
    if getattr(config, name) < 1:
        raise BodyplanError(f"{name} is {getattr(config, name)}; give 1 or more")
