"""Policy snapshots: one PPO run from its first to its last update, as small NumPy networks.

A run is kept as S policies in float16 with the training steps at which each was taken and the
returns it reached. Rolling them out again regenerates any recipe of any size on any machine,
without shipping a byte of data. Inference is plain NumPy, so that data collection needs neither
JAX nor a compiler.

    <folder>/<robot>/<command>.safetensors     arrays stacked over snapshots, one card of metadata
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bodyplan.envs.walking_task import ACTION_MEAN_LIMIT, Command, Observation, command_name
from bodyplan.errors import BodyplanError
from bodyplan.robots.feature_sizes import POLICY_GENERAL
from bodyplan.storage import read_tensors, write_tensors

PACKAGED_SNAPSHOTS = Path(__file__).parent / "snapshots"
"""Policy means are clipped to this, sampled actions are not, as in the original task."""
_SINGLE_THREADED = 2**18
"""Multiplications up to which OpenBLAS does not share a product among threads."""

_LAYERS = tuple(f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias"))
_HALF = (*_LAYERS, "log_std")
_SINGLE = ("observation_mean", "observation_std")
_SKIP = ("skip.weight", "skip.bias")
"""Of all snapshots of a run alike; a run may have them or not."""
_PER_SNAPSHOT = ("steps", "return_mean", "length_mean")


def policy_input(observation: Observation) -> Float[np.ndarray, "N I"]:
    """What a policy sees, flat: joints, feet, and `general` without velocity and height."""
    count = len(observation.general)
    return np.concatenate(
        [
            observation.joints.reshape(count, -1),
            observation.feet.reshape(count, -1),
            observation.general[:, POLICY_GENERAL],
        ],
        axis=1,
    )


@dataclass(frozen=True, eq=False)
class SnapshotPolicy:
    """A Gaussian policy: an ELU network for the mean and a standard deviation for each joint.

    One with a skip layer adds an affine function of its raw senses and bounds the sum.
    """

    layers: tuple[tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_"]], ...]
    std: Float[np.ndarray, "J"]
    observation_mean: Float[np.ndarray, "I"]
    observation_std: Float[np.ndarray, "I"]
    skip: tuple[Float[np.ndarray, "J I"], Float[np.ndarray, "J"]] | None = None
    """Weight and bias."""

    def mean(self, observation: Observation) -> Float[np.ndarray, "N J"]:
        """The mean action, clipped to +-10."""
        senses = policy_input(observation)
        return self._bounded(self._network(senses), senses)

    def sample(
        self, observation: Observation, rng: np.random.Generator
    ) -> Float[np.ndarray, "N J"]:
        """An action as PPO would have drawn it while training."""
        senses = policy_input(observation)
        mean = self._network(senses)
        noisy = mean + self.std * rng.standard_normal(mean.shape, dtype=np.float32)
        return self._bounded(noisy, senses)

    def _network(self, senses: Float[np.ndarray, "N I"]) -> Float[np.ndarray, "N J"]:
        hidden = (senses - self.observation_mean) / self.observation_std
        for weight, bias in self.layers[:-1]:
            hidden = _multiply(hidden, weight) + bias
            hidden = np.where(hidden > 0.0, hidden, np.expm1(np.minimum(hidden, 0.0)))
        weight, bias = self.layers[-1]
        return np.clip(_multiply(hidden, weight) + bias, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT)

    def _bounded(
        self, action: Float[np.ndarray, "N J"], senses: Float[np.ndarray, "N I"]
    ) -> Float[np.ndarray, "N J"]:
        """With what the skip layer adds; without one, as it is."""
        if self.skip is None:
            return action
        weight, bias = self.skip
        return np.clip(
            action + _multiply(senses, weight) + bias, -ACTION_MEAN_LIMIT, ACTION_MEAN_LIMIT
        )


@dataclass(frozen=True, eq=False)
class Snapshots:
    """The snapshots of one robot's run under one command, in order of training.

    Tensors, S snapshots: `layers.i.weight [S, H, I]` and `layers.i.bias [S, H]` for i = 0, 1, 2,
    `log_std [S, J]`, all float16; `observation_mean` and `observation_std [S, I]` float32.
    Where the run has them, for all snapshots: `skip.weight [J, I]` and `skip.bias [J]` float32.

    The card has `robot`, `command`, `steps [S]`, and `return_mean [S]`, `length_mean [S]` of
    sampled actions in reference physics; `expert`, figures of the last snapshot's mean action;
    `curve`, the run's (steps, return, length); and the `settings` of the run.
    """

    tensors: dict[str, np.ndarray]
    card: dict[str, Any]

    @classmethod
    def load(cls, robot: str, command: Command, folder: str | Path | None = None) -> "Snapshots":
        """Reads the packaged run of a robot and command, or that of your own `folder`.

        Raises:
            BodyplanError: there is no such run, or its file is damaged.
        """
        path = snapshot_path(robot, command, folder)
        if not path.is_file():
            name = command_name(command)
            raise BodyplanError(
                f"there is no expert of '{robot}' for the command {name} ({path} is missing); "
                f"train one with `bodyplan experts train {robot} --command {name}` "
                "or name the folder of your own snapshots."
            )
        return cls.read(path)

    @classmethod
    def read(cls, path: str | Path) -> "Snapshots":
        """Reads one file of snapshots.

        Raises:
            BodyplanError: the file is missing, damaged, or its parts do not fit together.
        """
        tensors, metadata = read_tensors(path)
        try:
            snapshots = cls(tensors, json.loads(metadata["card"]))
            fault = _fault(snapshots)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            fault = f"it lacks or garbles {error}"
        if fault:
            raise BodyplanError(
                f"{path} is no file of policy snapshots ({fault}); "
                "restore it or train the expert again."
            )
        return snapshots

    def save(self, path: str | Path) -> None:
        """Writes the file, atomically, in half precision but for the observation statistics.

        Raises:
            BodyplanError: the disk is full, or the place cannot be written to.
        """
        half = {name: self.tensors[name].astype(np.float16) for name in _HALF}
        single = {name: self.tensors[name].astype(np.float32) for name in _SINGLE}
        single |= {name: self.tensors[name] for name in _SKIP if name in self.tensors}
        write_tensors(path, {**half, **single}, {"card": json.dumps(self.card, allow_nan=False)})

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
        """Training steps at which each snapshot was taken."""
        return tuple(self.card["steps"])

    @property
    def return_mean(self) -> tuple[float, ...]:
        """Mean return of each snapshot, sampled actions in reference physics."""
        return tuple(self.card["return_mean"])

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs of a policy and joints it moves."""
        return self.tensors["observation_mean"].shape[1], self.tensors["log_std"].shape[1]

    def policy(self, index: int) -> SnapshotPolicy:
        """One snapshot, ready to act; negative indices count from the end."""
        part = {
            name: np.asarray(self.tensors[name][index], np.float32) for name in (*_HALF, *_SINGLE)
        }
        given = self.tensors
        return SnapshotPolicy(
            layers=tuple((part[f"layers.{i}.weight"], part[f"layers.{i}.bias"]) for i in range(3)),
            std=np.exp(part["log_std"]),
            observation_mean=part["observation_mean"],
            observation_std=part["observation_std"],
            skip=(given[_SKIP[0]], given[_SKIP[1]]) if _SKIP[0] in given else None,
        )

    def under(self, command: Command) -> "Snapshots":
        """The same policies, not graded yet, for another command."""
        return replace(self, card=self.card | {"command": list(command)})


def snapshot_path(robot: str, command: Command, folder: str | Path | None = None) -> Path:
    """Where the run of a robot and command is kept; packaged runs where no folder is given."""
    folder = PACKAGED_SNAPSHOTS if folder is None else Path(folder)
    return folder / robot / f"{command_name(command)}.safetensors"


def robots_with_snapshots(command: Command, folder: str | Path | None = None) -> tuple[str, ...]:
    """Robots whose run under a command is kept, in the packaged folder where none is given.

    Raises:
        BodyplanError: there is none.
    """
    home = PACKAGED_SNAPSHOTS if folder is None else Path(folder)
    file = f"{command_name(command)}.safetensors"
    names = tuple(sorted(path.parent.name for path in home.glob(f"*/{file}")))
    if not names:
        raise BodyplanError(
            f"no robot has snapshots for {command_name(command)} in {home}; train some with "
            "`bodyplan experts train`, or give a command that has"
        )
    return names


def _multiply(values: Float[np.ndarray, "N I"], weight: Float[np.ndarray, "H I"]) -> np.ndarray:
    """`values @ weight.T`, a few rows at a time so that BLAS stays on this thread.

    Its own threads go on spinning after a product, against those of the simulator: on two cores
    data were collected at a quarter of the speed. Results do not depend on their number either.
    """
    rows = max(1, _SINGLE_THREADED // weight.size)
    blocks = [values[i : i + rows] @ weight.T for i in range(0, len(values), rows)]
    return np.concatenate(blocks)


def _fault(snapshots: Snapshots) -> str | None:
    """What does not fit together, in a few words."""
    card, tensors = snapshots.card, snapshots.tensors
    count = len(card["steps"])
    if count == 0 or any(len(card[name]) != count for name in _PER_SNAPSHOT):
        return "its card counts steps and returns differently"
    if any(b <= a for a, b in zip(card["steps"], card["steps"][1:], strict=False)):
        return "its steps do not rise"
    if not np.isfinite(card["return_mean"]).all():
        return "its returns are not all numbers"
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
        **dict.fromkeys(_SINGLE, (inputs,)),
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
