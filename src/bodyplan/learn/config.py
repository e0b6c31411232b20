"""The configuration of a training run: its settings, bounds, and form in config.json."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from annotated_types import Ge, Le, Lt

from bodyplan.bounds import (
    AboveZero,
    CountFromOne,
    CountFromZero,
    DistinctNames,
    Named,
    Seed,
    require_bounds,
)
from bodyplan.errors import BodyplanError
from bodyplan.learn.registry import ALGORITHMS, COMBINERS

if TYPE_CHECKING:
    from bodyplan.learn.algorithms.algorithm import Algorithm
    from bodyplan.learn.combiners.combiner import Combiner

PROVENANCE, RESUMED = "provenance", "resumed"
"""In config.json: of the process that began, and of those that continued elsewhere or otherwise."""
GROUPS_FROM = "groups_from"
"""In config.json: the number of groups that was asked for, or the file, where groups are from."""
NOT_IN_IDENTITY = frozenset(
    {
        *("data", "out", "data_on", "verify", "keep_checkpoints", "tensorboard", "wandb"),
        *(PROVENANCE, RESUMED, GROUPS_FROM),
    }
)
"""What a run's result does not depend on, so that it can be continued under other values."""
_OLD_NAMES = {"begin_with": "init_from"}
"""Settings that older runs have under another name."""


@dataclass(frozen=True)
class TrainConfig:
    """What to train on, how, and where to."""

    data: Path | str
    """Folder of the dataset."""
    out: Annotated[Path | str, Named()]
    """Folder of the run; an interrupted run of the same settings there is continued."""
    algorithm: "Algorithm | str" = "iql"
    """What to learn from the data. In Python also `IQL(beta=1.0)` and the like."""
    combine: "Combiner | str" = "pooled"
    """How robots share the actor. `pooled`: one step on the mean of their losses. `grouped`,
    `selective`: a step for each group of robots, fixed before or found during training. `pcgrad`,
    `cagrad`, `aligned_mtl`: one step on their gradients with conflicts resolved."""
    groups: CountFromOne | Path | str | Sequence[Sequence[str]] = 4
    """With `grouped`: a number of groups, or a JSON file with lists of names. In Python also these
    lists."""
    group_by: Literal["embodiment", "random", "heuristic"] = "embodiment"
    """Similar bodies (the paper's), random (groups as large as those), or number of legs."""
    group_critic: bool = False
    """With `grouped`: let the critics step group by group too (the paper's EG-Actor+Critic)."""
    actor_steps_per_iteration: CountFromOne = 1
    """Actor updates in an iteration, each on an equal share of every robot's batch."""
    robots: DistinctNames = ()
    """Robots of the dataset to train on; all of them where none is named."""
    robots_per_update: CountFromZero = 0
    """Robots in an update, drawn anew each time, of each build and group its share; 0 for all."""
    weights: dict[str, AboveZero] | None = None
    """Weights of robots' losses, as in `--weights hexapod 2`; 1 for those not named."""
    network: Literal["paper", "small", "tiny", "flat"] = "paper"
    """The paper's sizes, sizes for CPUs or for trying things out; `flat` for one robot."""
    q_actions: Literal["slots", "joints"] = "slots"
    """How Q reads actions: zero-padded to fixed slots (the paper's), or with joints' states."""
    batch_size: Annotated[int, Ge(1), Le(2**24)] = 1024
    """Transitions of each robot in one update."""
    updates: CountFromOne = 100_000
    """Updates of the critics."""
    reward_scale: Literal["none", "per_robot"] = "none"
    """`per_robot` gives each robot's episode returns a range of 1000, as usual on D4RL."""
    observation_scale: Literal["none", "shared"] = "none"
    """`shared` standardises each kind of number (a joint's position, say) over all robots."""
    held_out: Annotated[float, Ge(0.0), Lt(1.0)] = 0.0
    """Share of each robot's episodes kept out of training, to compare values with their returns."""
    init_from: Path | str | None = None
    """A run whose networks to start from, and whose scale of observations to keep."""
    data_on: Literal["device", "host"] = "device"
    """`host` reads batches from disk as they are needed, for data the device cannot hold."""
    verify: bool = True
    """Compare the data with their checksums first, which takes a second a GB and core; with
    --no-verify not."""
    devices: CountFromOne | None = None
    """Devices that each batch is split over; all there are where not given."""
    seed: Seed = 0
    """Decides initial weights, batches and the order of groups."""
    log_every: CountFromOne = 100
    """Updates in one interval, which is one call of the compiled program."""
    checkpoint_every: CountFromOne = 1000
    """Updates between checkpoints; a multiple of log_every."""
    keep_checkpoints: CountFromZero = 2
    """Checkpoints to keep, the latest ones; 0 keeps all, so that `evaluate --at` has a choice."""
    evaluate_every: CountFromZero = 0
    """Updates between evaluations during training, a multiple of log_every; 0 for none."""
    conflicts_every: CountFromZero = 0
    """Updates between measurements of gradient conflict, for `bodyplan conflicts`; a multiple of
    log_every, 0 for none."""
    tensorboard: bool = False
    """Also write the metrics to TensorBoard files in the run's folder."""
    wandb: str | None = None
    """Also log the metrics to this project of Weights & Biases."""

    def __post_init__(self) -> None:
        require_bounds(self)

    @property
    def algorithm_name(self) -> str:
        """The name of the algorithm, such as `iql`."""
        return ALGORITHMS.name_of(self.algorithm)

    @property
    def combiner_name(self) -> str:
        """The name of the combiner, such as `grouped`."""
        return COMBINERS.name_of(self.combine)

    def with_hyperparameters(self, **hyperparameters: Any) -> Self:
        """The same with other hyperparameters of the algorithm."""
        return replace(self, algorithm=replace(ALGORITHMS.make(self.algorithm), **hyperparameters))

    def to_json(self) -> dict[str, Any]:
        """As in config.json: names of methods, and the hyperparameters of each under its name."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        named = {"algorithm": self.algorithm_name, "combine": self.combiner_name}
        settings = {
            named["algorithm"]: asdict(ALGORITHMS.make(self.algorithm)),
            named["combine"]: asdict(COMBINERS.make(self.combine)),
        }
        return plain | named | {name: values for name, values in settings.items() if values}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, also by older versions; other keys are ignored.

        Raises:
            BodyplanError: the algorithm or combiner is unknown.
            KeyError: a setting without a default is missing.
        """
        current = renamed(document)
        known = {one.name: current[one.name] for one in fields(cls) if one.name in current}
        known["robots"] = tuple(known.get("robots") or ())
        for setting, registry in (("algorithm", ALGORITHMS), ("combine", COMBINERS)):
            if setting in known:
                known[setting] = registry.make(known[setting], current.get(known[setting]))
        return cls(**{"data": current["data"], "out": current["out"], **known})


def renamed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an older run under the names of this version."""
    return {_OLD_NAMES.get(name, name): value for name, value in document.items()}


def flat_settings(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names, as on the command line."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flat_settings(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def check_config(config: TrainConfig, devices: int) -> None:
    """Refuse settings that do not go together, whatever the data.

    Raises:
        BodyplanError: naming the setting, and what would do.
    """
    COMBINERS.make(config.combine)
    every, log_every = ALGORITHMS.make(config.algorithm).actor_every, config.log_every
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
    if config.group_critic and config.combiner_name != "grouped":
        raise BodyplanError("group_critic asks for groups; give combine grouped")
