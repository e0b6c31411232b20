"""The commands `bodyplan experts`: train an expert, show its run, plot and film several runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from bodyplan.bounds import (
    AboveZero,
    AnyInteger,
    CountFromOne,
    CountFromZero,
    NewPath,
    Seed,
    Threads,
)
from bodyplan.cli.output import (
    Column,
    comma_list,
    figure_place,
    print_json,
    print_line,
    print_table,
    require_figure_path,
    require_image_size,
    require_writable,
)
from bodyplan.datasets.policy_snapshots import PACKAGED_SNAPSHOTS, Snapshots, snapshot_path
from bodyplan.datasets.replay_log import replay_path
from bodyplan.envs.disturbances import NO_DISTURBANCES, Disturbances
from bodyplan.envs.walking_task import HORIZON, Command, command_name, parse_command
from bodyplan.errors import BodyplanError
from bodyplan.progress import progress
from bodyplan.rendering.camera import RGBFrames
from bodyplan.robots.robot import Robot
from bodyplan.robots.task_config import CONTROL_STEP
from bodyplan.storage import atomic_write

MAX_FILM_SECONDS = HORIZON * CONTROL_STEP
"""Longest film: one episode."""

_SNAPSHOTS = (
    Column("snapshot"),
    Column("steps"),
    Column("return", digits=1),
    Column("length", unit="steps", digits=0),
)
_EXPERT = (
    Column("return_mean", "return", digits=1),
    Column("return_se", "±", digits=1),
    Column("length_mean", "length", "steps", digits=0),
    Column("velocity_error", "velocity\nerror", "m/s", digits=2),
)


@dataclass(frozen=True)
class TrainExpert:
    """Train one robot's expert by PPO and keep snapshots of its policy.

    The same command continues an interrupted run.
    """

    robot: tyro.conf.Positional[str]
    """Packaged name, or path of an MJCF with a TOML beside it."""
    command: str = "forward"
    """forward, backward, vx,vy,wz, or both: one policy for forward and backward."""
    steps: CountFromOne | None = None
    """Training steps: control steps of all simulated robots together; by default the robot's."""
    episode_steps: CountFromOne | None = None
    """Control steps after which a training episode ends; by default the robot's."""
    snapshots: CountFromOne = 16
    """Policy snapshots to keep, at equal distances of training steps."""
    seed: Seed = 0
    """Seed of everything random."""
    threads: Threads | None = None
    """Threads of the physics; by default all cores."""
    out: NewPath = Path("runs/experts")
    """Folder for <robot>/<command>.safetensors, and for checkpoints during training."""
    episodes: CountFromOne = 32
    """Episodes to grade each snapshot with, in reference physics."""
    physics: Literal["fast", "reference"] = "fast"
    """Physics of training. Grading, and the last part of a training with assistance, use the
    reference physics."""
    log_replay: CountFromZero = 0
    """Number of the 256 simulated robots whose every step is logged for `data build --replay`. In a
    run of 5 million steps 52 robots give a million logged steps."""
    disturbances: tyro.conf.OmitArgPrefixes[Disturbances] = NO_DISTURBANCES
    """Disturbances during training; grading has none."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Train, grade each snapshot, write the files and print them."""
        from bodyplan.evaluation.grade_expert import grade_expert
        from bodyplan.experts.command_sampling import CommandSampler
        from bodyplan.experts.expert_config import ExpertConfig
        from bodyplan.experts.train_expert import train_expert

        config = ExpertConfig(
            robot=self.robot,
            command=self.command,
            steps=self.steps,
            episode_steps=self.episode_steps,
            snapshots=self.snapshots,
            seed=self.seed,
            threads=self.threads,
            physics=self.physics,
            log_replay=self.log_replay,
            disturbances=self.disturbances,
        )
        robot, sampler = Robot.load(self.robot), CommandSampler.parse(self.command)
        for command in sampler.graded:
            require_writable(snapshot_path(robot.name, command, self.out))
        title = f"{robot.name} {sampler.name}"
        total = self.steps or robot.expert.steps
        with progress() as report:

            def log(steps: int, metrics: dict[str, float]) -> None:
                note = f"return {metrics['return']:.1f}, length {metrics['length']:.0f}"
                if metrics.get("assistance"):
                    note += f", assistance {100 * metrics['assistance']:.0f} %"
                report(title, min(steps, total), total, note)

            logs = self.log_replay > 0
            replay = replay_path(robot.name, sampler.graded[0], self.out) if logs else None
            folder = self.out / robot.name / f"{sampler.name}.run"
            snapshots = train_expert(config, folder, log, replay)
        print_line("grading the snapshots in reference physics ...")
        runs = []
        for command in sampler.graded:
            graded = grade_expert(snapshots.with_command(command), robot, self.episodes, self.seed)
            path = snapshot_path(robot.name, command, self.out)
            graded.save(path)
            runs.append((graded, path))
        _print_runs(runs, self.json)


@dataclass(frozen=True)
class ShowExpert:
    """Show an expert's run: its snapshots and their returns."""

    robot: tyro.conf.Positional[str]
    """Packaged name, or path of an MJCF."""
    command: str = "forward"
    """forward, backward or vx,vy,wz."""
    snapshots: Path | None = None
    """Folder of your own snapshots; by default the packaged ones."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Print the snapshots' training steps, returns and lengths."""
        command = parse_command(self.command)
        name = Robot.load(self.robot).name
        path = snapshot_path(name, command, self.snapshots)
        _print_runs([(Snapshots.load(name, command, self.snapshots), path)], self.json)


@dataclass(frozen=True)
class PlotExperts:
    """Plot the returns of PPO runs against training steps, a panel for each robot."""

    robots: tyro.conf.Positional[tuple[str, ...]] = ("all",)
    """Names, or paths of MJCFs. `all` is every robot with a run under one of the commands."""
    commands: tuple[str, ...] = ("forward", "backward")
    """forward, backward or vx,vy,wz."""
    snapshots: Path | None = None
    """Folder of your own snapshots; by default the packaged ones."""
    out: Path | None = None
    """The figure (.svg, .png, .pdf), which is replaced. By default experts.svg, in the folder of
    --snapshots or here."""
    json: bool = False
    """Print JSON: the curves as (step, return, length)."""

    def run(self) -> None:
        """Write the figure and print its path."""
        if self.out is not None:
            require_figure_path(self.out)
        out = figure_place(self.out, (self.snapshots or Path()) / "experts.svg")
        from bodyplan.report.expert_curves import draw_expert_curves

        commands = [parse_command(command) for command in self.commands]
        robots = [Robot.load(name) for name in self._robot_names(commands)]
        runs = [
            (robot, Snapshots.load(robot.name, command, self.snapshots))
            for robot in robots
            for command in commands
            if snapshot_path(robot.name, command, self.snapshots).is_file()
        ]
        if not runs:
            raise _no_run(self.snapshots)
        with atomic_write(out) as temporary:
            draw_expert_curves(runs, temporary)
        if self.json:
            curves = [
                {"robot": run.robot, "command": run.command, "curve": run.card["curve"]}
                for _, run in runs
            ]
            print_json({"figure": str(out), "runs": curves})
        else:
            print_line(f"written to {out}")

    def _robot_names(self, commands: Sequence[Command]) -> Sequence[str]:
        if self.robots != ("all",):
            return comma_list(self.robots)
        home = PACKAGED_SNAPSHOTS if self.snapshots is None else self.snapshots
        files = {f"{command_name(command)}.safetensors" for command in commands}
        return sorted({path.parent.name for path in home.glob("*/*") if path.name in files})


@dataclass(frozen=True)
class FilmExperts:
    """Film experts as they walk: a column for each robot, a row for each command.

    The picture of a robot without a run under a command stays empty.
    """

    robots: tyro.conf.Positional[tuple[str, ...]]
    """Names, or paths of MJCFs."""
    commands: tuple[str, ...] = ("forward", "backward")
    """forward, backward or vx,vy,wz."""
    snapshots: Path | None = None
    """Folder of your own snapshots; by default the packaged ones."""
    snapshot: AnyInteger = -1
    """Number of the snapshot, from 0; -1 is the last."""
    seconds: AboveZero = 4.0
    """Length of the film; at most an episode, 20 s."""
    size: tuple[CountFromOne, CountFromOne] = (200, 200)
    """Width and height of each robot's picture in pixels."""
    seed: Seed = 0
    """Seed of the random initial states."""
    out: Path | None = None
    """The film (.webp), which is replaced. By default experts.webp, in the folder of --snapshots
    or here."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Simulate, render, write the film and print its path."""
        if not self.robots:
            raise BodyplanError("no robot is named; name one or more")
        if self.out is not None and self.out.suffix != ".webp":
            raise BodyplanError(f"--out {self.out} must end in .webp, the format of the film")
        if not 0.0 < self.seconds <= MAX_FILM_SECONDS:
            raise BodyplanError(
                f"--seconds {self.seconds:g} must be above 0 and at most {MAX_FILM_SECONDS:g}"
            )
        require_image_size(*self.size)
        out = figure_place(self.out, (self.snapshots or Path()) / "experts.webp")
        from bodyplan.evaluation.video import encode_webp, tile_videos

        commands = [parse_command(command) for command in self.commands]
        robots = [Robot.load(name) for name in comma_list(self.robots)]
        films = [[self._film(robot, command) for robot in robots] for command in commands]
        if all(film is None for row in films for film in row):
            raise _no_run(self.snapshots)
        with atomic_write(out) as temporary:
            temporary.write_bytes(encode_webp(tile_videos(films)))
        if self.json:
            robot_names = [robot.name for robot in robots]
            command_names = [command_name(command) for command in commands]
            print_json({"film": str(out), "robots": robot_names, "commands": command_names})
        else:
            print_line(f"written to {out}")

    def _film(self, robot: Robot, command: Command) -> RGBFrames | None:
        from bodyplan.envs.environment import Environment
        from bodyplan.evaluation.video import record_poses
        from bodyplan.rendering.renderer import render_poses

        if not snapshot_path(robot.name, command, self.snapshots).is_file():
            return None
        run = Snapshots.load(robot.name, command, self.snapshots)
        if not -len(run) <= self.snapshot < len(run):
            raise BodyplanError(
                f"--snapshot {self.snapshot} is out of range; give one from 0 to {len(run) - 1}"
            )
        environment = Environment(robot, command, initial_state="random", seed=self.seed)
        steps = round(self.seconds / CONTROL_STEP)
        poses = record_poses(environment, run.policy(self.snapshot).mean, steps)
        return render_poses(robot, poses, self.size, "auto")


def _no_run(snapshots: Path | None) -> BodyplanError:
    return BodyplanError(
        f"{snapshots or 'the package'} has no snapshots of these robots under these commands; "
        "name others, or train one with `bodyplan experts train`"
    )


def _print_runs(runs: Sequence[tuple[Snapshots, Path]], as_json: bool) -> None:
    if as_json:
        cards = [snapshots.card | {"file": str(path)} for snapshots, path in runs]
        print_json(cards[0] if len(cards) == 1 else {"runs": cards})
        return
    for snapshots, path in runs:
        card = snapshots.card
        columns = (card["steps"], card["return_mean"], card["length_mean"])
        rows = [
            {"snapshot": i, "steps": steps, "return": value, "length": length}
            for i, (steps, value, length) in enumerate(zip(*columns, strict=True))
        ]
        title = f"{snapshots.robot}, {command_name(snapshots.command)}: sampled actions"
        print_table(title, rows, _SNAPSHOTS)
        print_line("")
        print_table("The expert: last snapshot, mean action", [card["expert"]], _EXPERT)
        print_line(str(path))
