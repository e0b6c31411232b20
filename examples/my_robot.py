"""A robot of one's own: checked, measured, stepped, and compared with the packaged ones.

    python examples/my_robot.py [path/to/your.xml]

The robot is two files beside this one, starfish/starfish.xml and starfish.toml; nothing is
registered anywhere. Give the path of yours instead.
"""

import sys
from pathlib import Path

import numpy as np

import bodyplan
from bodyplan.grouping import body_graph, distance_matrix
from bodyplan.robots.registry import packaged_robots

STARFISH = Path(__file__).parent / "starfish" / "starfish.xml"


def main(mjcf: Path = STARFISH) -> None:
    # Everything that is wrong with the two files, each with its fix.
    check = bodyplan.check_robot(mjcf)
    for problem in check.problems:
        print(f"{problem.severity}: {problem}")
    if not check.usable:
        sys.exit(2)

    robot = bodyplan.Robot.load(mjcf)
    print(
        f"{robot.description}: {robot.num_joints} joints, {robot.num_feet} feet, "
        f"{robot.mass:.1f} kg"
    )

    # What a policy may know of this body: the same vectors as for any other.
    for part, array in robot.descriptor._asdict().items():
        print(f"descriptor, {part}: {array.shape}")

    # Two seconds without any action: does it stand?
    environment = bodyplan.make(robot, "forward", num_envs=4)
    for _ in range(100):
        step = environment.step(np.zeros((4, robot.num_joints)))
    print(
        f"after 2 s: {(~step.terminated).sum()} of 4 stand, trunk at {environment.qpos[0, 2]:.3f} m"
    )

    # Whom does it resemble? Distances between body graphs (Fused Gromov-Wasserstein).
    others = packaged_robots()
    bodies = [body_graph(own) for own in (robot, *map(bodyplan.Robot.load, others))]
    distances = distance_matrix(bodies)[0, 1:]
    for place in np.argsort(distances)[:3]:
        print(f"distance to {others[place]}: {distances[place]:.3f}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
