"""Policy snapshots: the policies of one PPO run at several training steps, as NumPy networks.

A run is stored as S policies in float16, with the training step and the return of each. Rolling
them out again gives a dataset of any recipe and size, so that no data need to be shipped. The
networks are plain NumPy, so that recording needs neither JAX nor a compiler.

    <folder>/<robot>/<command>.safetensors     arrays stacked over snapshots, one card of metadata
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import numpy as np
from jaxtyping import Float
from msgspec import Meta

from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT, Command, Observation, command_name
from bodyplan.errors import BodyplanError
from bodyplan.records import Count, Triple, checked_record
from bodyplan.robots.feature_sizes import POLICY_GENERAL
from bodyplan.robots.registry import models_of, recorded_models
from bodyplan.storage import read_tensors, write_tensors

PACKAGED_SNAPSHOTS = Path(__file__).parent / "snapshots"
"""Mean actions are clipped to this; sampled actions are not, as in the original task."""
_SINGLE_THREAD_PRODUCTS = 2**18
"""Number of multiplications up to which OpenBLAS computes a product in one thread."""

_LAYERS = tuple(f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias"))
_FLOAT16 = (*_LAYERS, "log_std")
_FLOAT32 = ("observation_mean", "observation_std")
_SKIP = ("skip.weight", "skip.bias")
"""Tensors that a run may have, the same for all its snapshots."""
_CARD_LISTS = ("steps", "return_mean", "length_mean")
"""Lists of the card with one number for each snapshot."""


def policy_input(observation: Observation) -> Float[np.ndarray, "N I"]:
    """The input of a policy: joints, feet, and `general` without linear velocity and height."""
    count = len(observation.general)
    return np.concatenate(
        [
            observation.joints.reshape(count, -1),
            observation.feet.reshape(count, -1),
            observation.general[:, POLICY_GENERAL],
        ],
        axis=1,
    )


@dataclass(frozen=True, eq=False, repr=False)
class SnapshotPolicy:
    """A Gaussian policy: an ELU network for the mean and a standard deviation for each joint.

    A policy with a skip layer adds an affine function of its raw input and clips the sum.
    """

    layers: tuple[tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_"]], ...]
    std: Float[np.ndarray, "J"]
    observation_mean: Float[np.ndarray, "I"]
    observation_std: Float[np.ndarray, "I"]
    skip: tuple[Float[np.ndarray, "J I"], Float[np.ndarray, "J"]] | None = None
    """Weight and bias of the skip layer."""

    def __repr__(self) -> str:
        widths = [len(self.observation_mean), *(len(bias) for _, bias in self.layers)]
        return f"SnapshotPolicy({' -> '.join(map(str, widths))})"

    def mean(self, observation: Observation) -> Float[np.ndarray, "N J"]:
        """The mean action, clipped to +-10."""
        inputs = policy_input(observation)
        return self._add_skip(self._network(inputs), inputs)

    def sample(
        self, observation: Observation, rng: np.random.Generator
    ) -> Float[np.ndarray, "N J"]:
        """An action with the exploration noise that PPO had in training."""
        inputs = policy_input(observation)
        mean = self._network(inputs)
        noisy = mean + self.std * rng.standard_normal(mean.shape, dtype=np.float32)
        return self._add_skip(noisy, inputs)

    def _network(self, inputs: Float[np.ndarray, "N I"]) -> Float[np.ndarray, "N J"]:
        hidden = (inputs - self.observation_mean) / self.observation_std
        for weight, bias in self.layers[:-1]:
            hidden = _multiply(hidden, weight) + bias
            hidden = np.where(hidden > 0.0, hidden, np.expm1(np.minimum(hidden, 0.0)))
        weight, bias = self.layers[-1]
        return np.clip(_multiply(hidden, weight) + bias, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT)

    def _add_skip(
        self, action: Float[np.ndarray, "N J"], inputs: Float[np.ndarray, "N I"]
    ) -> Float[np.ndarray, "N J"]:
        """Adds the output of the skip layer and clips the sum; without one, changes nothing."""
        if self.skip is None:
            return action
        weight, bias = self.skip
        return np.clip(
            action + _multiply(inputs, weight) + bias, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT
        )


class ExpertScores(TypedDict):
    """The evaluation of the last snapshot's mean action."""

    return_mean: float


class SnapshotCard(TypedDict):
    """The card of a file of snapshots, see `Snapshots`."""

    robot: str
    command: Triple
    steps: Annotated[list[Count], Meta(min_length=1)]
    return_mean: list[float]
    length_mean: list[float]
    expert: ExpertScores
    curve: list[Triple]
    settings: dict[str, Any]
    model: NotRequired[str | None]


@dataclass(frozen=True, eq=False, repr=False)
class Snapshots:
    """The snapshots of one robot's run for one command, in order of training.

    Tensors of S snapshots in float16: `layers.i.weight [S, H, I]` and `layers.i.bias [S, H]` for
    i = 0, 1, 2, and `log_std [S, J]`. In float32: `observation_mean` and `observation_std [S, I]`.
    Some runs have `skip.weight [J, I]` and `skip.bias [J]` too, the same for all snapshots.

    The card has `robot`, `command` and `steps [S]`. It has `return_mean [S]` and `length_mean [S]`
    of sampled actions in reference physics. `expert` is the evaluation of the last snapshot's mean
    action, `curve` the run's (steps, return, length), and `settings` the run's settings. `model` is
    the path of a robot of your own; the file has it relative to its folder.
    """

    tensors: dict[str, np.ndarray]
    card: dict[str, Any]

    def __repr__(self) -> str:
        command = command_name(self.command)
        run = f"{self.robot!r}, {command!r}, {len(self)} policies"
        return f"Snapshots({run}, up to step {self.steps[-1]:,})"

    @classmethod
    def load(cls, robot: str, command: Command, folder: str | Path | None = None) -> "Snapshots":
        """Reads the run of a robot and command from the package, or from your own `folder`.

        Raises:
            BodyplanError: there is no such run, or its file is damaged.
        """
        path = snapshot_path(robot, command, folder)
        if not path.is_file():
            name = command_name(command)
            raise BodyplanError(
                f"there is no expert of '{robot}' for the command {name} ({path} is missing); "
                f"train one with `bodyplan experts train {robot} --command {name}`, or give the "
                "folder of your own snapshots."
            )
        return cls.read(path)

    @classmethod
    def read(cls, path: str | Path) -> "Snapshots":
        """Reads one file of snapshots.

        Raises:
            BodyplanError: the file is missing or damaged, or its tensors do not fit together.
        """
        tensors, metadata = read_tensors(path)
        try:
            card = msgspec.json.decode(metadata["card"])
            checked_record(f"the card in {path}", card, SnapshotCard, "train the expert again")
            card = _with_model(card, Path(path), _absolute)
            snapshots = cls(tensors, card)
            fault = _fault(snapshots)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            fault = f"missing or invalid: {error}"
        if fault:
            raise BodyplanError(
                f"{path} is not a file of policy snapshots ({fault}); restore it or train the "
                "expert again."
            )
        return snapshots

    def save(self, path: str | Path) -> None:
        """Writes the file atomically; all but observation statistics and skip layer in float16.

        Raises:
            BodyplanError: the disk is full, or the place cannot be written to.
        """
        tensors = {name: self.tensors[name].astype(np.float16) for name in _FLOAT16}
        tensors |= {name: self.tensors[name].astype(np.float32) for name in _FLOAT32}
        tensors |= {name: self.tensors[name] for name in _SKIP if name in self.tensors}
        card = _with_model(self.card, Path(path), recorded_models)
        write_tensors(path, tensors, {"card": json.dumps(card, allow_nan=False)})

    def __len__(self) -> int:
        return len(self.card["steps"])

    @property
    def robot(self) -> str:
        """Name of the robot."""
        return self.card["robot"]

    @property
    def command(self) -> Command:
        """The run's command."""
        vx, vy, wz = self.card["command"]
        return (vx, vy, wz)

    @property
    def steps(self) -> tuple[int, ...]:
        """Training step at which each snapshot was taken."""
        return tuple(self.card["steps"])

    @property
    def return_mean(self) -> tuple[float, ...]:
        """Mean return of each snapshot with sampled actions in reference physics."""
        return tuple(self.card["return_mean"])

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of a policy's inputs and of the joints that it moves."""
        return self.tensors["observation_mean"].shape[1], self.tensors["log_std"].shape[1]

    def policy(self, index: int) -> SnapshotPolicy:
        """The policy of one snapshot; negative indices count from the end."""
        own = {
            name: np.asarray(self.tensors[name][index], np.float32)
            for name in (*_FLOAT16, *_FLOAT32)
        }
        weight, bias = (self.tensors.get(name) for name in _SKIP)
        return SnapshotPolicy(
            layers=tuple((own[f"layers.{i}.weight"], own[f"layers.{i}.bias"]) for i in range(3)),
            std=np.exp(own["log_std"]),
            observation_mean=own["observation_mean"],
            observation_std=own["observation_std"],
            skip=None if weight is None or bias is None else (weight, bias),
        )

    def with_command(self, command: Command) -> "Snapshots":
        """The same policies for another command, for which they are not evaluated yet."""
        return replace(self, card=self.card | {"command": list(command)})


def snapshot_path(robot: str, command: Command, folder: str | Path | None = None) -> Path:
    """Path of the run of a robot and command, in the package if no folder is given."""
    folder = PACKAGED_SNAPSHOTS if folder is None else Path(folder)
    return folder / robot / f"{command_name(command)}.safetensors"


def robots_with_snapshots(command: Command, folder: str | Path | None = None) -> tuple[str, ...]:
    """Names of the robots with a run for a command, in the package if no folder is given.

    Raises:
        BodyplanError: there is none.
    """
    home = PACKAGED_SNAPSHOTS if folder is None else Path(folder)
    file = f"{command_name(command)}.safetensors"
    names = tuple(sorted(path.parent.name for path in home.glob(f"*/{file}")))
    if not names:
        raise BodyplanError(
            f"no robot has snapshots for the command {command_name(command)} in {home}; train some "
            "with `bodyplan experts train`, or give another command."
        )
    return names


def _with_model(
    card: dict[str, Any], path: Path, change: Callable[[dict[str, str], Path], dict[str, str]]
) -> dict[str, Any]:
    """The card with another form of the robot's own path, where it has one."""
    return card | change({"model": card["model"]}, path.parent) if "model" in card else card


def _absolute(models: dict[str, str], folder: Path) -> dict[str, str]:
    return models_of({"models": models}, folder)


def _multiply(values: Float[np.ndarray, "N I"], weight: Float[np.ndarray, "H I"]) -> np.ndarray:
    """Computes `values @ weight.T`, a few rows at a time so that BLAS uses only this thread.

    The threads of BLAS keep spinning after a product and slow down those of the simulator: on two
    cores, recording had a quarter of its speed. Without them, results do not depend on their number
    either.
    """
    rows = max(1, _SINGLE_THREAD_PRODUCTS // weight.size)
    blocks = [values[i : i + rows] @ weight.T for i in range(0, len(values), rows)]
    return np.concatenate(blocks)


def _fault(snapshots: Snapshots) -> str | None:
    """What does not fit together, in a few words; None if all fits."""
    card, tensors = snapshots.card, snapshots.tensors
    count = len(card["steps"])
    if count == 0 or any(len(card[name]) != count for name in _CARD_LISTS):
        return "its card has different numbers of steps and returns"
    if any(b <= a for a, b in zip(card["steps"], card["steps"][1:], strict=False)):
        return "its steps do not rise"
    shapes = [tensors[name].shape for name in _LAYERS]
    inputs = tensors["observation_mean"].shape[-1]
    width, depth, joints = shapes[1][-1], shapes[3][-1], shapes[5][-1]
    expected = {
        **dict(
            zip(
                _LAYERS,
                [(width, inputs), (width,), (depth, width), (depth,), (joints, depth), (joints,)],
                strict=True,
            )
        ),
        "log_std": (joints,),
        **dict.fromkeys(_FLOAT32, (inputs,)),
    }
    stacked = {name: (count, *shape) for name, shape in expected.items()}
    if any(name in tensors for name in _SKIP):
        stacked |= dict(zip(_SKIP, [(joints, inputs), (joints,)], strict=True))
    for name, shape in stacked.items():
        if tensors[name].shape != shape:
            return f"{name} has shape {list(tensors[name].shape)}, not {list(shape)}"
        if not np.isfinite(tensors[name]).all():
            return f"{name} holds NaN or infinity"
    if (tensors["observation_std"] <= 0.0).any():
        return "observation_std is not positive"
    return None
