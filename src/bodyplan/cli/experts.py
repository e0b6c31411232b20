"""The PPO runs behind the data: train one, look at one, draw and film many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from bodyplan.cli.output import (
    comma_list,
    print_json,
    print_line,
    print_table,
    require_figure_path,
    require_image_size,
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

LONGEST = HORIZON * CONTROL_STEP
"""Seconds of a film: an episode."""
_NO_RUN = "none of these robots has a run under these commands."


@dataclass(frozen=True)
class TrainExpert:
    """Train one robot's expert by PPO and keep snapshots of the run.

    The same command continues an interrupted run.
    """

    robot: tyro.conf.Positional[str]
    """Packaged name, or path of an MJCF with a TOML beside it."""
    command: str = "forward"
    """forward, backward, vx,vy,wz, or both: one run that serves forward and backward."""
    steps: int | None = None
    """Control steps, all simulated robots together; as the robot needs where not given."""
    episode_steps: int | None = None
    """Control steps after which a robot in training starts anew; as it needs where not given."""
    snapshots: int = 16
    """Policies kept along the run."""
    seed: int = 0
    """Decides everything."""
    threads: int | None = None
    """Native threads of the physics; all cores where not given."""
    out: Path = Path("runs/experts")
    """Folder for <robot>/<command>.safetensors, and for checkpoints while training."""
    episodes: int = 32
    """Episodes for grading each snapshot in reference physics."""
    physics: Literal["fast", "reference"] = "fast"
    """Of training; grading, and the end of a training that began with help, are in reference
    physics."""
    log_replay: int = 0
    """Robots, of the 256 simulated, whose every step is kept for `data build --replay`; in a run of
    5 million steps 52 of them live a million."""
    disturbances: tyro.conf.OmitArgPrefixes[Disturbances] = NO_DISTURBANCES
    """What disturbs the robots in training; grading is undisturbed."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Train, grade, save."""
        from bodyplan.evaluation.grade_expert import grade_expert
        from bodyplan.experts.command_sampling import Commands
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
        robot, commands = Robot.load(self.robot), Commands.parse(self.command)
        title = f"{robot.name} {commands.name}"
        total = self.steps or robot.expert.steps
        with progress() as report:

            def log(steps: int, metrics: dict[str, float]) -> None:
                note = f"return {metrics['return']:.1f}, length {metrics['length']:.0f}"
                if metrics.get("help"):
                    note += f", helped {100 * metrics['help']:.0f} %"
                report(title, min(steps, total), total, note)

            asked = self.log_replay > 0
            replay = replay_path(robot.name, commands.graded[0], self.out) if asked else None
            folder = self.out / robot.name / f"{commands.name}.run"
            snapshots = train_expert(config, folder, log, replay)
        print_line("grading the snapshots in reference physics ...")
        answers = []
        for command in commands.graded:
            graded = grade_expert(snapshots.under(command), robot, self.episodes, self.seed)
            path = snapshot_path(robot.name, command, self.out)
            graded.save(path)
            answers.append((graded, path))
        _answer(answers, self.json)


@dataclass(frozen=True)
class ShowExpert:
    """Show an expert's run: its snapshots and what they are worth."""

    robot: tyro.conf.Positional[str]
    """Name of the robot."""
    command: str = "forward"
    """forward, backward or vx,vy,wz."""
    snapshots: Path | None = None
    """Folder of your own snapshots; the packaged ones where not given."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Print the card."""
        command = parse_command(self.command)
        name = Robot.load(self.robot).name
        path = snapshot_path(name, command, self.snapshots)
        _answer([(Snapshots.load(name, command, self.snapshots), path)], self.json)


@dataclass(frozen=True)
class PlotExperts:
    """Draw the returns of PPO runs as they were trained; those of several robots side by side."""

    robots: tyro.conf.Positional[tuple[str, ...]] = ("all",)
    """Names, or paths of MJCFs; `all` is every robot that has a run under one of the commands."""
    commands: tuple[str, ...] = ("forward", "backward")
    """forward, backward or vx,vy,wz."""
    snapshots: Path | None = None
    """Folder of your own snapshots; the packaged ones where not given."""
    out: Path = Path("experts.svg")
    """The figure (.svg, .png, .pdf), written over what is there."""
    json: bool = False
    """Answer in JSON: the curves, as (step, return, length)."""

    def run(self) -> None:
        """Draw, write, and tell where the figure is."""
        require_figure_path(self.out)
        from bodyplan.report.expert_curves import draw_expert_curves

        wanted = [parse_command(command) for command in self.commands]
        robots = [Robot.load(name) for name in self._names(wanted)]
        runs = [
            (robot, Snapshots.load(robot.name, command, self.snapshots))
            for robot in robots
            for command in wanted
            if snapshot_path(robot.name, command, self.snapshots).is_file()
        ]
        if not runs:
            raise BodyplanError(_NO_RUN)
        with atomic_write(self.out) as temporary:
            draw_expert_curves(runs, temporary)
        if self.json:
            curves = [
                {"robot": run.robot, "command": run.command, "curve": run.card["curve"]}
                for _, run in runs
            ]
            print_json({"figure": str(self.out), "runs": curves})
        else:
            print_line(str(self.out))

    def _names(self, commands: Sequence[Command]) -> Sequence[str]:
        if self.robots != ("all",):
            return comma_list(self.robots)
        home = PACKAGED_SNAPSHOTS if self.snapshots is None else self.snapshots
        files = {f"{command_name(command)}.safetensors" for command in commands}
        return sorted({path.parent.name for path in home.glob("*/*") if path.name in files})


@dataclass(frozen=True)
class FilmExperts:
    """Film experts as they walk: a column for each robot, a row for each command.

    Where a robot has no run under a command, its place stays empty.
    """

    robots: tyro.conf.Positional[tuple[str, ...]]
    """Names, or paths of MJCFs."""
    commands: tuple[str, ...] = ("forward", "backward")
    """forward, backward or vx,vy,wz."""
    snapshots: Path | None = None
    """Folder of your own snapshots; the packaged ones where not given."""
    snapshot: int = -1
    """Which of the run, counted from 0; -1 is the last."""
    seconds: float = 4.0
    """Length of the film."""
    size: tuple[int, int] = (200, 200)
    """Width and height of each robot's part in pixels."""
    seed: int = 0
    """Decides the random states they start from."""
    out: Path = Path("experts.webp")
    """The film (.webp), written over what is there."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Live, render, write, and tell where the film is."""
        if self.out.suffix != ".webp":
            raise BodyplanError(f"--out {self.out} must end in .webp, the format of the film")
        if not 0.0 < self.seconds <= LONGEST:
            raise BodyplanError(f"--seconds {self.seconds:g} must be above 0, at most {LONGEST:g}")
        require_image_size(*self.size)
        from bodyplan.evaluation.video import encode_webp, tile_videos

        wanted = [parse_command(command) for command in self.commands]
        robots = [Robot.load(name) for name in comma_list(self.robots)]
        films = [[self._film(robot, command) for robot in robots] for command in wanted]
        if all(film is None for row in films for film in row):
            raise BodyplanError(_NO_RUN)
        with atomic_write(self.out) as temporary:
            temporary.write_bytes(encode_webp(tile_videos(films)))
        if self.json:
            names = [command_name(command) for command in wanted]
            shown = [robot.name for robot in robots]
            print_json({"film": str(self.out), "robots": shown, "commands": names})
        else:
            print_line(str(self.out))

    def _film(self, robot: Robot, command: Command) -> RGBFrames | None:
        from bodyplan.envs.environment import Environment
        from bodyplan.evaluation.video import record_poses
        from bodyplan.rendering.renderer import render_poses

        if not snapshot_path(robot.name, command, self.snapshots).is_file():
            return None
        run = Snapshots.load(robot.name, command, self.snapshots)
        if not -len(run) <= self.snapshot < len(run):
            raise BodyplanError(f"--snapshot {self.snapshot}: the run has {len(run)} snapshots")
        environment = Environment(robot, command, initial_state="random", seed=self.seed)
        steps = round(self.seconds / CONTROL_STEP)
        poses = record_poses(environment, run.policy(self.snapshot).mean, steps)
        return render_poses(robot, poses, self.size, "auto")


def _answer(answers: Sequence[tuple[Snapshots, Path]], as_json: bool) -> None:
    if as_json:
        cards = [snapshots.card | {"file": str(path)} for snapshots, path in answers]
        print_json(cards[0] if len(cards) == 1 else {"runs": cards})
        return
    for snapshots, path in answers:
        card = snapshots.card
        columns = (card["steps"], card["return_mean"], card["length_mean"])
        rows = [
            {"snapshot": i, "steps": steps, "return": value, "length": length}
            for i, (steps, value, length) in enumerate(zip(*columns, strict=True))
        ]
        title = f"{snapshots.robot}, {command_name(snapshots.command)}: sampled actions"
        print_table(title, rows)
        print_table("The expert: last snapshot, mean action", [card["expert"]])
        print_line(str(path))
