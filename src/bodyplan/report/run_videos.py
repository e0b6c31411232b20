"""Each robot of a run walking under its policy, as short films for the report."""

from collections.abc import Sequence
from functools import partial

from bodyplan.envs.environment import Environment
from bodyplan.envs.walking_task import Command
from bodyplan.evaluation.evaluate import ActsOnAnyRobot
from bodyplan.evaluation.video import animate
from bodyplan.progress import OnProgress
from bodyplan.robots.robot import Robot


def film(
    policy: ActsOnAnyRobot,
    robots: Sequence[str | Robot],
    command: str | Command = "forward",
    progress: OnProgress | None = None,
) -> dict[str, bytes]:
    """One animated WebP a robot, from the nominal state.

    Args:
        policy: acts on any robot.
        robots: robots, names or paths of MJCFs.
        command: what the robots are asked to do.
        progress: called as videos are finished.

    Raises:
        BodyplanError: unknown robot or command.
    """
    films = {}
    for done, source in enumerate(robots):
        robot = source if isinstance(source, Robot) else Robot.load(source)
        if progress:
            progress("rendering videos", done, len(robots), robot.name)
        act = partial(policy.act, descriptor=robot.descriptor)
        films[robot.name] = animate(Environment(robot, command), act)
    if progress:
        progress("rendering videos", len(robots), len(robots))
    return films
