"""Your own logs: record them, import them with a mapping file, verify them, train on them.

    python examples/my_dataset.py [folder]

`record` takes the place of your robot. A simulated Go1 walks, and the log has one file for each
run, in the units and the order of joints of the robot's maker. Everything else is what you would
do with real logs. my_logs/mapping.toml says which array is what.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

import bodyplan
from bodyplan.datasets.policy_snapshots import Snapshots

MAPPING = Path(__file__).parent / "my_logs" / "mapping.toml"
FORWARD = (1.0, 0.0, 0.0)
LEGS = ("FL", "FR", "RL", "RR")  # in the maker's order
PARTS = ("hip", "thigh", "calf")
FOOT_FORCE = 60.0  # N, of a foot on the floor


def record(folder: Path, runs: int = 4, steps: int = 250) -> None:
    """Write walk_0.npz and so on: what a Go1 senses before each action, the action, the reward."""
    robot = bodyplan.Robot.load("unitree_go1")
    policy = Snapshots.load(robot.name, FORWARD).policy(-1)
    joints = [robot.joints.index(f"{leg}_{part}_joint") for leg in LEGS for part in PARTS]
    feet = [[foot.name for foot in robot.feet].index(f"{leg}_foot") for leg in LEGS]
    rng = np.random.default_rng(0)
    for run in range(runs):
        environment = bodyplan.make(robot, "forward")
        rows: dict[str, list[np.ndarray]] = {}
        for _ in range(steps):
            state = environment.simulator.robot_state()
            action = policy.sample(environment.observation, rng)
            sensed = {
                "q": state.joint_positions[0, joints],
                "dq": state.joint_velocities[0, joints],
                "gyro": np.degrees(state.angular_velocity[0]),
                "quaternion": environment.qpos[0, [4, 5, 6, 3]],  # x, y, z, w
                "foot_force": FOOT_FORCE * state.foot_contact[0, feet],
                "q_target": (robot.nominal + robot.action_scale * action[0])[joints],
            }
            step = environment.step(action)
            earned = {"reward": step.reward[0], "fell": step.terminated[0]}
            for name, value in {**sensed, **earned}.items():
                rows.setdefault(name, []).append(np.array(value))
            if step.terminated[0]:
                break
        np.savez(folder / f"walk_{run}.npz", **{name: np.stack(own) for name, own in rows.items()})


def main(folder: Path) -> None:
    logs, data, out = folder / "my_logs", folder / "my_data", folder / "run"
    for path in (logs, data, out):
        if path.exists():
            raise bodyplan.BodyplanError(f"{path} exists; delete it or give another folder")
    logs.mkdir(parents=True)
    record(logs)
    shutil.copy(MAPPING, logs)

    # As `bodyplan data import my_logs/mapping.toml --out my_data`.
    dataset = bodyplan.import_dataset(logs / MAPPING.name, data)
    for name, entry in dataset.card["robots"].items():
        print(
            f"{name}: {entry['steps']} steps in {entry['episodes']} episodes, "
            f"{entry['given_up']} given up, unknown: {', '.join(entry['unknown'])}"
        )
        for note in entry["notes"]:
            print(f"{name}: {note}")
    print(f"faults: {dataset.verify() or 'none'}")

    # A few updates show that training works. For a real run leave `network` out and give more.
    config = bodyplan.TrainConfig(
        dataset.path, out, network="tiny", batch_size=64, updates=20, log_every=10
    )
    run = bodyplan.train(config, lambda update, _: print(f"{update} of {config.updates} updates"))
    print(f"a policy for {', '.join(run.policy.card['robots'])}")


if __name__ == "__main__":
    try:
        if len(sys.argv) > 1:
            main(Path(sys.argv[1]))
        else:
            with tempfile.TemporaryDirectory() as temporary:
                main(Path(temporary))
    except bodyplan.BodyplanError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
