"""Your own robot: check it, print its sizes, step it, and compare it with the packaged robots.

    python examples/my_robot.py [path/to/your.xml]

The robot of this example is two files, starfish/starfish.xml and starfish/starfish.toml. Nothing
is registered anywhere. Give the path of your own MJCF instead.
"""

import sys
from pathlib import Path

import numpy as np

import bodyplan
from bodyplan.grouping import body_graph, distance_matrix

STARFISH = Path(__file__).parent / "starfish" / "starfish.xml"


def main(mjcf: Path = STARFISH) -> None:
    # Every fault of the two files, with its fix.
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

    # What a policy knows about this body: arrays with the same columns for every robot.
    for part, array in robot.descriptor._asdict().items():
        print(f"descriptor, {part}: {array.shape}")

    # Does it stand for two seconds without any action?
    environment = bodyplan.make(robot, "forward", num_envs=4)
    for _ in range(100):
        step = environment.step(np.zeros((4, robot.num_joints)))
    print(
        f"after 2 s: {(~step.terminated).sum()} of 4 stand, trunk at {environment.qpos[0, 2]:.3f} m"
    )

    # Which robots are most similar? Fused Gromov-Wasserstein distances between body graphs.
    others = [name for name in bodyplan.list_robots() if name != robot.name]
    bodies = [body_graph(body) for body in (robot, *map(bodyplan.Robot.load, others))]
    distances = distance_matrix(bodies)[0, 1:]
    for index in np.argsort(distances)[:3]:
        print(f"distance to {others[index]}: {distances[index]:.3f}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
