"""The policy that an evaluation is about: of a run, of its checkpoint, of a folder, or your own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeGuard

from bodyplan.datasets.dataset import card_with_whole_episodes
from bodyplan.errors import BodyplanError
from bodyplan.evaluation.rollout import CrossEmbodimentPolicy
from bodyplan.learn.checkpoint_files import checkpoints, extract_policy
from bodyplan.learn.numpy_policy import NumPyPolicy
from bodyplan.learn.run import BEST, CHECKPOINTS, CONFIG, Run, runs_in
from bodyplan.robots.robot import Robot

if TYPE_CHECKING:
    from bodyplan.learn.policy import Policy


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy, and what is known of its training."""

    policy: CrossEmbodimentPolicy
    robots: Sequence[Robot | str | Path] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    """Paths of the user's own robots by name."""
    command: str | Sequence[float] | None = "forward"
    data_card: Mapping[str, Any] = field(default_factory=dict)
    chosen: str | None = None
    """Which policy of a run: `last`, `best` or `at <updates>`."""


def trained_policy(
    source: CrossEmbodimentPolicy | Run | str | Path, best: bool, at: int | None
) -> TrainedPolicy:
    """Read the policy, and find the robots, the command and the data of its training.

    Args:
        source: as for `evaluate`.
        best: the policy that did best during the training of a run.
        at: the run's checkpoint after this many updates.

    Raises:
        BodyplanError: there is no such policy, or it is damaged.
    """
    if isinstance(source, str | Path):
        folder = Path(source)
        source = Run(folder) if (folder / CONFIG).is_file() else folder
    if isinstance(source, Run):
        return _policy_of_run(source, best, at)
    if best or at is not None:
        raise BodyplanError("only a run keeps several policies of its training; give the run")
    policy = load_policy(_no_seeds(source)) if isinstance(source, Path) else source
    if not is_trained(policy):
        return TrainedPolicy(policy)
    card = policy.card
    return TrainedPolicy(
        policy, card.get("robots", ()), card.get("models") or {}, card.get("command")
    )


def _policy_of_run(run: Run, best: bool, at: int | None) -> TrainedPolicy:
    """The policy that is asked for; of a run that is not finished, that of its last checkpoint."""
    if best and at is not None:
        raise BodyplanError("best and at name two policies of a run; give one of them")
    saved = dict(checkpoints(run.path / CHECKPOINTS))
    if at is None and not best and not run.has_policy and saved:
        at = max(saved)
    if at is None:
        policy = load_policy(run.path / (best * BEST))
    elif at in saved:
        with TemporaryDirectory() as folder:
            extract_policy(saved[at], Path(folder))
            policy = load_policy(folder)
        policy.card["update"] = at
    else:
        there = ", ".join(map(str, saved)) or "none"
        raise BodyplanError(
            f"{run.path} has no checkpoint after {at} updates; those that are left: {there}"
        )
    return TrainedPolicy(
        policy,
        run.robots,
        policy.card.get("models") or {},
        policy.card.get("command"),
        card_with_whole_episodes(Path(run.config["data"])),
        "best" if best else "last" if at is None else f"at {at}",
    )


def _no_seeds(folder: Path) -> Path:
    """The folder, unless it is that of several seeds."""
    if runs := [run for run in runs_in(folder) if run.path != folder]:
        raise BodyplanError(
            f"{folder} holds {len(runs)} seeds; give one of them, such as {runs[0].path}"
        )
    return folder


def load_policy(path: str | Path) -> "NumPyPolicy | Policy":
    """A policy from its folder or its run's, in NumPy where that can be.

    Raises:
        BodyplanError: there is no policy, or its files are damaged or of another format.
    """
    policy = NumPyPolicy.load(path)
    if policy is not None:
        return policy
    from bodyplan.learn.policy import Policy  # imports JAX, which takes as long as many episodes

    return Policy.load(path)


def is_trained(policy: CrossEmbodimentPolicy) -> "TypeGuard[NumPyPolicy | Policy]":
    """Whether it is a policy of this package, which has a card."""
    return isinstance(getattr(policy, "card", None), dict)
