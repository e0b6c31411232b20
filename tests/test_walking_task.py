"""The walking task's formulas, on states that were recorded in the original environment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyplan.envs import walking_task
from bodyplan.envs.components import join_components, split_components
from bodyplan.envs.walking_task import REWARD_TERMS, RobotState, StepHistory, WalkingTask
from bodyplan.errors import BodyplanError

RECORDED = pytest.mark.parametrize("name", ["unitree_go1", "unitree_h1", "cassie", "hexapod"])
COLLISION = REWARD_TERMS.index("collision")
TOLERANCE = {"rtol": 0.0, "atol": 1e-5}


def state_after(robot, golden):
    """The recorded states after each step; geom contacts were not recorded."""
    qpos, qvel = golden["next_qpos"], golden["next_qvel"]
    before = golden["qpos"][:, robot.qpos_index], golden["qvel"][:, robot.qvel_index]
    target = robot.nominal + robot.action_scale * golden["action"]
    torques = robot.kp * (target - before[0]) - robot.kd * before[1]
    return walking_task.compute_robot_state(
        robot,
        *map(split_components, (qpos, qvel)),
        split_components(np.clip(torques, -robot.torque_limit, robot.torque_limit)),
        split_components(golden["next_foot_contact"].astype(float)),
        split_components(np.zeros((len(qpos), len(robot.contact_geoms)))),
    )


def history_before(golden):
    names = ("last_action", "prev_joint_vel", "foot_timers")
    return StepHistory(*(split_components(golden[name]) for name in names))


def still(robot, touching):
    """Robots at rest in the nominal pose, all feet down, with the given geoms touching."""
    count, joints = len(touching), robot.num_joints
    return RobotState(
        height=np.full(count, robot.drop_height),
        gravity=np.tile([0.0, 0.0, -1.0], (count, 1)),
        linear_velocity=np.zeros((count, 3)),
        angular_velocity=np.zeros((count, 3)),
        joint_positions=np.tile(robot.nominal, (count, 1)),
        joint_velocities=np.zeros((count, joints)),
        torques=np.zeros((count, joints)),
        foot_contact=np.ones((count, robot.num_feet), bool),
        touching=np.array([[geom in own for geom in robot.contact_geoms] for own in touching]),
    ).components()


@RECORDED
def test_observations_are_the_recorded_ones(load, recorded, name):
    robot, golden = load(name), recorded(name)
    given = (split_components(golden[name]) for name in ("action", "foot_timers", "command"))
    state = state_after(robot, golden)
    observation = WalkingTask(robot, len(golden["action"])).observation(state, *given)
    joints, feet = robot.num_joints, robot.num_feet
    flat = golden["observation"]
    own = flat[:, : 26 * joints].reshape(-1, joints, 26)[:, :, 23:]
    np.testing.assert_allclose(observation.joints, own, **TOLERANCE)
    own = flat[:, 26 * joints :][:, : 12 * feet].reshape(-1, feet, 12)[:, :, 10:]
    np.testing.assert_allclose(observation.feet, own, **TOLERANCE)
    np.testing.assert_allclose(observation.general, flat[:, -20:-7], **TOLERANCE)
    assert {part.dtype for part in observation} == {np.dtype(np.float32)}


@RECORDED
def test_every_reward_term_is_the_recorded_one(load, recorded, name):
    robot, golden = load(name), recorded(name)
    action, command = split_components(golden["action"]), split_components(golden["command"])
    state, history = state_after(robot, golden), history_before(golden)
    terms = WalkingTask(robot, len(golden["action"])).reward_terms(state, action, history, command)
    for index, term in enumerate(REWARD_TERMS):
        if index != COLLISION:
            expected = golden["reward_terms"][:, index]
            np.testing.assert_allclose(
                terms[:, index], expected, rtol=1e-5, atol=1e-8, err_msg=term
            )
    terms[:, COLLISION] = golden["reward_terms"][:, COLLISION]
    rewards = walking_task.total_reward(terms)
    np.testing.assert_allclose(rewards, golden["reward"], **TOLERANCE)
    assert (rewards == 0.0).any()
    assert (rewards > 0.0).any()


@RECORDED
def test_the_terms_are_named_in_the_recorded_order(recorded, name):
    by_original = {
        "tracking_xy_velocity_command": "tracking_xy",
        "tracking_yaw_velocity_command": "tracking_yaw",
        "linear_velocity": "z_velocity",
        "angular_velocity": "roll_pitch_velocity",
        "angular_position": "roll_pitch",
        "joint_nominal_diff": "nominal_pose",
        "joint_position_limit": "joint_limit",
        "velocity": "joint_velocity",
        "base_height": "height",
        "symmetry_air": "symmetry",
    }
    originals = recorded(name)["reward_term_names"].tolist()
    assert tuple(by_original.get(term, term) for term in originals) == REWARD_TERMS


@RECORDED
def test_foot_timers_are_updated_as_recorded(load, recorded, name):
    golden = recorded(name)
    state = state_after(load(name), golden)
    given = (split_components(golden[name]) for name in ("action", "foot_timers"))
    history = StepHistory(
        *(
            join_components(part, len(golden["action"]))
            for part in walking_task.update_history(state, *given)
        )
    )
    np.testing.assert_allclose(history.foot_timers, golden["next_foot_timers"], **TOLERANCE)
    assert (history.foot_timers == 0.0).any()
    assert (history.foot_timers > 0.1).any()
    # The history after a recorded step is the one that the next recorded step starts from.
    follows = np.flatnonzero(golden["episode"][1:] == golden["episode"][:-1])
    for kept, before in zip(history, history_before(golden), strict=True):
        np.testing.assert_allclose(kept[follows], before.T[follows + 1], **TOLERANCE)


def test_collisions_count_single_geoms_and_the_trunk_once(load):
    robot = load("unitree_go1")
    touching = [[], ["FR_calf1"], ["FR_calf1", "RL_calf1"], ["trunk_1", "trunk_3"]]
    touching += [["trunk_2", "FL_calf1"]]
    state, count = still(robot, touching), len(touching)
    zeros, task = np.zeros((robot.num_joints, count)), WalkingTask(robot, count)
    history = StepHistory(zeros, zeros, np.zeros((robot.num_feet, count)))
    terms = task.reward_terms(state, zeros, history, np.zeros((3, count)))
    np.testing.assert_allclose(terms[:, COLLISION], [0.0, -0.02, -0.04, -0.02, -0.04])
    assert task.is_terminated(state).tolist() == [False, False, False, True, True]


def test_a_hexapod_falls_on_trunk_or_hips_but_not_on_knees(load):
    robot = load("hexapod")
    state = still(robot, [["knee_0", "knee_5"], ["hip_3"], ["trunk_7"]])
    assert WalkingTask(robot, 3).is_terminated(state).tolist() == [False, True, True]


def test_the_penalty_scale_does_not_change_tracking():
    terms = np.zeros((3, len(REWARD_TERMS)))
    terms[:, 0], terms[:, 1], terms[:, 8] = 0.04, 0.02, [-0.01, -0.05, -0.2]
    np.testing.assert_allclose(
        walking_task.total_reward(terms, 0.5), [0.055, 0.035, 0.0], atol=1e-12
    )
    np.testing.assert_allclose(walking_task.total_reward(terms), [0.05, 0.01, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("forward", (1.0, 0.0, 0.0)),
        ("backward", (-1.0, 0.0, 0.0)),
        ("0.5,-0.25,1", (0.5, -0.25, 1.0)),
        ([0.0, 1.0, 0.0], (0.0, 1.0, 0.0)),
    ],
)
def test_commands_are_read(text, command):
    assert walking_task.parse_command(text) == command


@given(st.tuples(*[st.integers(-40, 40).map(lambda n: n / 16)] * 3))
def test_a_commands_name_is_read_as_that_command(command):
    assert walking_task.parse_command(walking_task.command_name(command)) == command


@pytest.mark.parametrize(
    "text", ["sideways", "", "1,0", "1,0,0,0", "1,x,0", "nan,0,0", "1,inf,0", (1.0, 2.0)]
)
def test_wrong_commands_are_refused_with_the_choices(text):
    with pytest.raises(BodyplanError, match="forward, backward"):
        walking_task.parse_command(text)
