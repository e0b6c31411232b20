"""The command `robots generate`: new robots by seed, as files that every command takes."""

from dataclasses import dataclass

from bodyplan.bounds import CountFromOne, NewPath, Seed
from bodyplan.cli.output import Column, print_json, print_table
from bodyplan.errors import BodyplanError
from bodyplan.robots.procedural import design_robot

_COLUMNS = (
    Column("name"),
    Column("legs"),
    Column("joints"),
    Column("mass", unit="kg", digits=2),
    Column("relative", "made from"),
)


@dataclass(frozen=True)
class GenerateRobots:
    """Generate robots: variations of the packaged ones, and new body plans."""

    out: NewPath
    """Folder for the robots, two files each."""
    count: CountFromOne = 8
    """Number of robots; every second one is a new body plan."""
    seed: Seed = 0
    """Seed of the robots; a larger count starts with the same robots."""
    json: bool = False
    """Answer in JSON."""

    def run(self) -> None:
        """Write the files, then print one line for each robot."""
        if self.count < 1:
            raise BodyplanError(f"count = {self.count}; give 1 or more")
        designs = [design_robot(index, self.seed) for index in range(self.count)]
        taken = [path for own in designs for path in own.paths(self.out) if path.exists()]
        if taken:
            raise BodyplanError(f"{taken[0]} exists; choose another folder or delete it first")
        rows = []
        for own in designs:
            robot = own.robot()
            own.write(self.out)
            rows.append(
                {
                    "name": own.name,
                    "legs": robot.legs,
                    "joints": robot.num_joints,
                    "mass": round(robot.mass, 4),
                    "relative": own.origin,
                }
            )
        if self.json:
            print_json(rows)
        else:
            print_table("Generated robots", rows, _COLUMNS)
