"""The command `robots draw`: pictures of one robot, or of many to scale."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from bodyplan.bounds import CountFromOne
from bodyplan.cli.output import comma_list, figure_place, print_json, print_line, require_image_size
from bodyplan.errors import BodyplanError


@dataclass(frozen=True)
class DrawRobots:
    """Draw a robot in its nominal pose, or many in one picture to scale."""

    robots: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of robots, or paths of MJCFs with a TOML beside them."""
    all: bool = False
    """Draw every robot that `robots list` shows."""
    out: Path | None = None
    """The picture (.png, .webp, .jpg), which is replaced. By default <robot>.png: beside the MJCF
    that you named, or here. For several robots robots.png, here."""
    size: tuple[CountFromOne, CountFromOne] | None = None
    """Width and height in pixels; by default 640 480 for one robot, 1800 1160 for several."""
    renderer: Literal["drawn", "mujoco", "auto"] = "drawn"
    """drawn: without graphics libraries, the same on every machine. mujoco: by MuJoCo. auto: by
    MuJoCo where it works, else drawn."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Draw, write, and print the path of the picture."""
        from bodyplan.rendering import robot_images
        from bodyplan.robots.registry import list_robots
        from bodyplan.robots.robot import Robot

        names = self._names(list_robots())
        usual = "robots.png" if len(names) > 1 else Path(names[0]).with_suffix(".png")
        out = figure_place(self.out, Path(usual))
        robot_images.check_image_suffix(out)
        size = robot_images.LINEUP_SIZE if len(names) > 1 else robot_images.ROBOT_IMAGE_SIZE
        width, height = self.size or size
        require_image_size(width, height)
        robots = [Robot.load(name) for name in names]
        if len(robots) > 1:
            picture = robot_images.render_lineup(robots, (width, height), self.renderer)
        else:
            picture = robot_images.render_robot(robots[0], (width, height), self.renderer)
        robot_images.save_image(out, picture)
        if self.json:
            shown = [robot.name for robot in robots]
            print_json({"picture": str(out), "size": [width, height], "robots": shown})
        else:
            many = f"{len(robots)} robots, " if len(robots) > 1 else ""
            print_line(f"{many}written to {out}")

    def _names(self, known: tuple[str, ...]) -> tuple[str, ...]:
        if self.all and self.robots:
            raise BodyplanError("--all draws every robot; give names or --all, not both")
        if not self.all and not self.robots:
            raise BodyplanError("no robot is given; give names, or --all for every robot")
        return known if self.all else comma_list(self.robots)
