"""How experts came to be: one small panel a robot, its runs' returns against their length.

Lines are the returns seen in training, with its loud actions, rising penalties and fast physics;
dots the snapshots' own, in reference physics, which is how data are recorded; dashes what the last
snapshot's mean action returns. All are shares of perfect tracking, so that panels compare.
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
    """Writes the figure of one or more runs; a robot's share a panel, a colour for each command.

    Args:
        runs: bodies and their snapshots.
        path: its suffix decides the format.
    """
    robots = {robot.name: robot for robot, _ in runs}
    commands = list(dict.fromkeys(command_name(run.command) for _, run in runs))
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(commands)}
    with new_panels(len(robots), path) as panels:
        for axes, (name, robot) in zip(panels.axes, robots.items(), strict=True):
            own = [run for body, run in runs if body.name == name]
            for run in own:
                _draw(axes, run, robot.tracking_ceiling, colours[command_name(run.command)])
            set_panel_title(axes, name)
            axes.set_xlim(0.0, max(run.steps[-1] for run in own) / 1e6)
            axes.locator_params(axis="x", nbins=4)
        panels.axes[0].set_ylim(0.0, 100.0)
        panels.legend(_keys(colours))
        panels.label("million steps of training", "return, % of perfect tracking")


def _draw(axes: Axes, run: Snapshots, ceiling: float, colour: str) -> None:
    steps, returns, _ = np.array(run.card["curve"], float).T
    whole = HORIZON / run.card["settings"].get("episode_steps", HORIZON)
    axes.plot(steps / 1e6, 100.0 * whole * returns / ceiling, color=colour, linewidth=0.9)
    graded = 100.0 * np.array(run.return_mean) / ceiling
    axes.plot(np.array(run.steps) / 1e6, graded, ".", color=colour, markersize=4.0)
    expert = 100.0 * run.card["expert"]["return_mean"] / ceiling
    axes.axhline(expert, color=colour, linewidth=0.8, linestyle=(0, (3, 2)))


def _keys(colours: dict[str, str]) -> list[Patch | Line2D]:
    keys: list[Patch | Line2D] = [
        Patch(facecolor=colour, label=name) for name, colour in colours.items()
    ]
    keys.append(Line2D([], [], color=MUTED, linewidth=0.9, label="in training"))
    keys.append(Line2D([], [], color=MUTED, marker=".", linestyle="", label="a snapshot"))
    dashes = (0, (3, 2))
    keys.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=dashes, label="the expert"))
    return keys
