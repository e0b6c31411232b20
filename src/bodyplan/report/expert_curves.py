"""Training curves of experts: a panel for each robot, returns against training steps.

Lines are returns during training, under noisy actions, changing penalties and fast physics. Dots
are the returns of the snapshots in reference physics, as datasets record them. Dashes are the
return of the last snapshot's mean action. All are in percent of perfect tracking.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bodyplan.datasets.policy_snapshots import Snapshots
from bodyplan.envs.walking_task import HORIZON, command_name
from bodyplan.report.figure_style import PALETTE
from bodyplan.report.small_multiples import INK, MUTED, new_panels, set_panel_title
from bodyplan.robots.robot import Robot


def draw_expert_curves(runs: Sequence[tuple[Robot, Snapshots]], path: Path) -> None:
    """Write the figure of one or more runs: a panel for each robot, a colour for each command.

    Args:
        runs: robots and the graded snapshots of their runs.
        path: the file; its suffix decides the format.
    """
    robots = {robot.name: robot for robot, _ in runs}
    commands = list(dict.fromkeys(command_name(run.command) for _, run in runs))
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(commands)}
    with new_panels(len(robots), path) as panels:
        for axes, (name, robot) in zip(panels.axes, robots.items(), strict=True):
            robot_runs = [run for owner, run in runs if owner.name == name]
            for run in robot_runs:
                colour = colours[command_name(run.command)]
                _draw_run(axes, run, robot.tracking_ceiling, colour)
            set_panel_title(axes, name)
            axes.set_xlim(0.0, max(run.steps[-1] for run in robot_runs) / 1e6)
            axes.locator_params(axis="x", nbins=4)
        panels.axes[0].set_ylim(0.0, 100.0)
        panels.legend(_legend_entries(colours))
        panels.label("million steps of training", "return, % of perfect tracking")


def _draw_run(axes: Axes, run: Snapshots, ceiling: float, colour: str) -> None:
    """Draw one run; `ceiling` is the return of perfect tracking."""
    steps, returns, _ = np.array(run.card["curve"], float).T
    # Training episodes may be shorter than the task's.
    scale = HORIZON / run.card["settings"].get("episode_steps", HORIZON)
    axes.plot(steps / 1e6, 100.0 * scale * returns / ceiling, color=colour, linewidth=0.9)
    graded = 100.0 * np.array(run.return_mean) / ceiling
    axes.plot(np.array(run.steps) / 1e6, graded, ".", color=colour, markersize=4.0)
    expert = 100.0 * run.card["expert"]["return_mean"] / ceiling
    axes.axhline(expert, color=colour, linewidth=0.8, linestyle=(0, (3, 2)))


def _legend_entries(colours: dict[str, str]) -> list[Patch | Line2D]:
    entries: list[Patch | Line2D] = [
        Patch(facecolor=colour, label=name) for name, colour in colours.items()
    ]
    entries.append(Line2D([], [], color=MUTED, linewidth=0.9, label="in training"))
    entries.append(Line2D([], [], color=MUTED, marker=".", linestyle="", label="a snapshot"))
    dashes = (0, (3, 2))
    entries.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=dashes, label="the expert"))
    return entries
