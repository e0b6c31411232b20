"""Gymnasium environments: its checker, its vectorisation, and PPO of Stable-Baselines3."""

import copy
import shutil
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from bodyplan.envs.disturbances import TRAINING_DISTURBANCES
from bodyplan.envs.environment import check_action
from bodyplan.envs.gymnasium_registration import environment_id
from bodyplan.errors import BodyplanError
from bodyplan.robots import registry

GO1 = "bodyplan/UnitreeGo1-Forward-v0"
IDS = [name for name in gymnasium.registry if name.startswith("bodyplan/")]
CHECKED = [name for name in IDS if "Forward" in name]
CHECKED += ["bodyplan/Bittle-Backward-v0", "bodyplan/Bittle-Command-v0", "bodyplan/Walk-v0"]
SMALL = (32, 24)

# Gymnasium's checker warns of every space that is not from -1 to 1. Our observations are bounded
# where the task clips them, and our actions as valid datasets are.
unbounded = pytest.mark.filterwarnings(
    "ignore:.*A Box observation space m..imum value is -?infinity:UserWarning",
    "ignore:.*For Box action spaces, we recommend using a symmetric and normalized:UserWarning",
)


def run(program, **settings):
    """What a program prints in a new interpreter."""
    command = [sys.executable, "-W", "error", "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, **settings)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def roll_out(env, steps, seed=0, scale=0.3):
    """All that an environment returns under random actions."""
    rng = np.random.default_rng(seed)
    shape = env.action_space.shape
    return [env.step(rng.normal(0.0, scale, shape).astype(np.float32)) for _ in range(steps)]


def overwrite(given):
    """Overwrite every array in what an environment returned."""
    if isinstance(given, np.ndarray) and given.dtype != object:
        given[...] = 7
    elif isinstance(given, dict):
        overwrite(tuple(given.values()))
    elif isinstance(given, (tuple, np.ndarray)):
        for part in given:
            overwrite(part)


class TestIds:
    def test_every_packaged_robot_has_three(self):
        assert len(IDS) == 49
        for robot in ("UnitreeGo1", "AnymalB", "BarkourVb", "NaoV5", "RobotisOp3", "Cassie"):
            for word in ("Forward", "Backward", "Command"):
                assert f"bodyplan/{robot}-{word}-v0" in IDS
        assert gymnasium.spec("bodyplan/NaoV5-Backward-v0").kwargs == {
            "robot": "nao_v5",
            "command": "backward",
        }

    @pytest.mark.parametrize("order", ["gymnasium, bodyplan", "bodyplan, gymnasium"])
    def test_they_are_registered_after_both_imports_and_no_robot_is_read(self, order):
        program = (
            f"import {order}, sys; print('{GO1}' in gymnasium.registry, 'mujoco' in sys.modules)"
        )
        assert run(program) == ["True", "False"]

    def test_gymnasium_is_not_imported_for_them(self):
        assert run("import bodyplan, sys; print('gymnasium' in sys.modules)") == ["False"]

    def test_looking_for_gymnasium_before_importing_it_changes_nothing(self):
        look = "import bodyplan, importlib.util, sys; importlib.util.find_spec('gymnasium')"
        assert run(f"{look}; import gymnasium; print('{GO1}' in gymnasium.registry)") == ["True"]

    @pytest.mark.parametrize(
        "twice",
        [
            "import gymnasium, bodyplan, importlib; importlib.reload(bodyplan)",
            "import bodyplan, sys; own = [name for name in sys.modules if 'bodyplan' in name]; "
            "[sys.modules.pop(name) for name in own]; import bodyplan, gymnasium",
        ],
        ids=["reloaded", "two copies"],
    )
    def test_importing_the_package_twice_registers_once(self, twice):
        count = "sum(name.startswith('bodyplan/') for name in gymnasium.registry)"
        assert run(f"{twice}; print({count})") == ["49"]

    def test_robots_of_other_packages_have_them_without_importing_these(self, tmp_path):
        (tmp_path / "spots-1.0.dist-info").mkdir()
        offer = f"[{registry.GROUP}]\nspot.mini_2 = absent_module:path\n"
        (tmp_path / "spots-1.0.dist-info" / "entry_points.txt").write_text(offer)
        program = (
            "import gymnasium, bodyplan; print(*[i for i in gymnasium.registry if 'Spot' in i])"
        )
        words = ("Forward", "Backward", "Command")
        expected = [f"bodyplan/SpotMini2-{word}-v0" for word in words]
        assert run(program, cwd=tmp_path) == expected
        assert [environment_id("spot.mini_2", word) for word in words] == expected

    @pytest.mark.parametrize("name", CHECKED)
    @unbounded
    def test_gymnasium_finds_no_fault(self, name):
        own = {"robot": "bittle"} if name == "bodyplan/Walk-v0" else {}
        check_env(gymnasium.make(name, render_size=SMALL, **own).unwrapped)


class TestSpecs:
    @pytest.mark.parametrize("through", [copy.deepcopy, lambda s: EnvSpec.from_json(s.to_json())])
    def test_an_environment_is_made_again_from_its_spec(self, through):
        env = gymnasium.make(GO1, observation="paper", horizon=7)
        again = through(env.spec).make()
        assert again.spec.kwargs == {
            "robot": "unitree_go1",
            "command": "forward",
            "observation": "paper",
            "horizon": 7,
        }
        assert data_equivalence(env.reset(seed=1), again.reset(seed=1), exact=True)

    def test_entry_points_are_those_in_exported_datasets(self):
        spec = gymnasium.spec(GO1)
        assert spec.entry_point == "bodyplan.envs.gymnasium:WalkingEnv"
        assert spec.vector_entry_point == "bodyplan.envs.gymnasium:WalkingVectorEnv"

    def test_metadata_has_the_control_rate(self):
        env = gymnasium.make(GO1)
        assert env.metadata == {"render_modes": ["rgb_array"], "render_fps": 50}

    def test_settings_reach_the_simulation(self):
        plain, fast = (gymnasium.make(GO1, **own) for own in ({}, {"physics": "fast"}))
        for env in (plain, fast):
            env.reset(seed=0)
        one, other = (env.step(np.zeros(12, np.float32))[0] for env in (plain, fast))
        assert not np.array_equal(one, other)
        np.testing.assert_allclose(one[44:], other[44:], atol=0.1)
        scaled = gymnasium.make(GO1, penalty_scale=0.5).unwrapped
        assert scaled.environment.penalty_scale == 0.5

    def test_a_robot_may_be_given_by_its_path(self, tmp_path):
        for kind in ("xml", "toml"):
            shutil.copy(registry.MODELS / f"hexapod.{kind}", tmp_path / f"mine.{kind}")
        mine = gymnasium.make(
            "bodyplan/Walk-v0", robot=tmp_path / "mine.xml", command=np.array([0.5, 0, 0])
        )
        assert mine.unwrapped.robot.name == "mine"
        known = gymnasium.make("bodyplan/Hexapod-Forward-v0", command="0.5,0,0")
        assert data_equivalence(mine.reset(seed=3), known.reset(seed=3), exact=True)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"observation": "pixels"}, "observation.*pixels"),
            ({"render_mode": "ansi"}, "render_mode.*ansi"),
            ({"initial_state": "upside_down"}, "upside_down"),
            ({"command": "sideways"}, "sideways"),
            ({"robot": "cat"}, "cat"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:.*that is not in the possible render_modes:UserWarning")
    def test_unknown_arguments_are_refused(self, wrong, message):
        with pytest.raises(BodyplanError, match=message):
            gymnasium.make(GO1, **wrong)
        with pytest.raises(BodyplanError, match=message):
            gymnasium.make_vec(GO1, num_envs=2, **wrong)


class TestObservations:
    @pytest.mark.parametrize("name", ["unitree_go1", "hexapod"])
    def test_the_layout_paper_is_the_recorded_one(self, recorded, name):
        golden = recorded(name)
        for episode, word in ((0, "Forward"), (1, "Backward")):
            env = gymnasium.make(
                environment_id(name, word), observation="paper", initial_state="nominal"
            )
            expected = golden["reset_observation"][episode]
            np.testing.assert_allclose(env.reset()[0], expected, atol=1e-5)

    def test_flat_and_dict_hold_the_same_numbers_in_the_documented_order(self):
        flat, parts = (
            gymnasium.make(GO1, observation=layout).reset(seed=5)[0] for layout in ("flat", "dict")
        )
        assert flat.shape == (12 * 3 + 4 * 2 + 13,)
        np.testing.assert_array_equal(flat[:36].reshape(12, 3), parts["joints"])
        np.testing.assert_array_equal(flat[36:44].reshape(4, 2), parts["feet"])
        np.testing.assert_array_equal(flat[44:], parts["general"])
        assert flat[50:53].tolist() == [1.0, 0.0, 0.0]  # the command

    @pytest.mark.parametrize("layout", ["flat", "dict", "paper"])
    def test_spaces_are_bounded_where_the_task_clips(self, layout):
        space = gymnasium.make(GO1, observation=layout).observation_space
        clipped = [True] * 6 + [False] * 6 + [True]
        if layout == "dict":
            assert not space["joints"].is_bounded("below")
            assert space["feet"].is_bounded()
            assert space["general"].bounded_below.tolist() == clipped
            return
        feet = {"flat": [True, True] * 4, "paper": ([False] * 10 + [True, True]) * 4}[layout]
        context = {"flat": [], "paper": [False] * 7}[layout]
        size = len(feet) + len(clipped) + len(context)
        for bounded, edge in ((space.bounded_below, -1.0), (space.bounded_above, 1.0)):
            assert bounded[-size:].tolist() == feet + clipped + context
            assert not bounded[:-size].any()
            edges = space.low if edge < 0 else space.high
            assert (edges[bounded] == edge).all()

    def test_randomised_robots_have_their_own_descriptors(self):
        env = gymnasium.make_vec(
            GO1, num_envs=3, observation="paper", disturbances=TRAINING_DISTURBANCES
        )
        observation, _ = env.reset(seed=0)
        described = observation[:, : 26 * 12].reshape(3, 12, 26)[..., :23]
        np.testing.assert_array_equal(described, env.unwrapped.environment.descriptor.joints)
        assert not np.array_equal(described[0], described[1])


class TestEpisodes:
    def test_a_seed_determines_this_episode_and_the_next_ones(self):
        first, again = (gymnasium.make("bodyplan/Badger-Command-v0") for _ in range(2))

        def rollouts(env, seed):
            env.action_space.seed(0)
            seen = []
            for reseed in (seed, None):
                seen.append(env.reset(seed=reseed)[0])
                seen += [env.step(env.action_space.sample() / 10)[0] for _ in range(5)]
            return np.array(seen)

        one = rollouts(first, 1)
        again.reset(seed=77)
        assert rollouts(again, 1).tobytes() == one.tobytes()
        assert not np.array_equal(one[0], one[6])
        assert not np.array_equal(rollouts(first, 2)[0], one[0])

    def test_the_horizon_truncates_and_does_not_terminate(self):
        env = gymnasium.make(GO1, horizon=4)
        env.reset(seed=0)
        ends = [env.step(np.zeros(12, np.float32))[2:4] for _ in range(4)]
        assert ends == [(False, False)] * 3 + [(False, True)]

    def test_twenty_seconds_are_counted_once(self):
        env = gymnasium.make(GO1)
        assert env.spec.max_episode_steps is None
        wrapper = env
        while wrapper is not env.unwrapped:
            assert not isinstance(wrapper, TimeLimit)
            wrapper = wrapper.env
        env.reset(seed=0)
        env.unwrapped.environment.elapsed_steps[:] = 998
        assert [env.step(np.zeros(12, np.float32))[3] for _ in range(2)] == [False, True]

    @pytest.mark.parametrize("horizon", [1, 2])
    def test_a_fall_terminates_at_the_horizon_and_before(self, horizon):
        env = gymnasium.make(GO1, horizon=horizon, initial_state="nominal")
        env.reset()
        env.unwrapped.environment.simulator.qpos[0, 2] = 0.03
        assert env.step(np.zeros(12, np.float32))[2:4] == (True, horizon == 1)

    def test_info_has_the_velocity(self):
        env = gymnasium.make(GO1)
        env.reset(seed=0)
        observation, *_, info = env.step(np.zeros(12, np.float32))
        np.testing.assert_allclose(info["velocity"][:2], 10 * observation[44:46], atol=1e-6)
        np.testing.assert_allclose(info["velocity"][2], 50 * observation[49], atol=1e-6)


class TestCopies:
    def test_they_continue_to_the_same_bits(self, copied):
        single = gymnasium.make("bodyplan/Bittle-Command-v0", horizon=9)
        many = gymnasium.make_vec("bodyplan/Bittle-Command-v0", num_envs=3, horizon=9)
        for env in (single, many):
            env.reset(seed=3)
            roll_out(env, 3)
            other = copied(env)
            for one, two in zip(roll_out(env, 6), roll_out(other, 6), strict=True):
                assert data_equivalence(one, two, exact=True)
            assert data_equivalence(env.reset(), other.reset(), exact=True)
            for one, two in zip(roll_out(env, 3), roll_out(other, 3), strict=True):
                assert data_equivalence(one, two, exact=True)


class TestCommands:
    def test_random_ones_differ_at_each_reset_and_fill_their_range(self):
        env = gymnasium.make("bodyplan/Bittle-Command-v0")
        own = env.unwrapped.environment
        seen = [env.reset(seed=0)[0]] + [env.reset()[0] for _ in range(149)]
        commands = np.array(seen)[:, -7:-4]
        np.testing.assert_allclose(commands[-1], own.command[0], rtol=1e-6)
        assert np.unique(commands, axis=0).shape == (150, 3)
        assert (np.abs(commands) <= 1.0).all()
        assert (commands.min(axis=0) < -0.95).all()
        assert (commands.max(axis=0) > 0.95).all()

    @pytest.mark.parametrize("word", ["Forward", "Command"])
    def test_one_in_the_options_is_for_one_episode(self, word):
        env = gymnasium.make(f"bodyplan/UnitreeGo1-{word}-v0")
        observation, _ = env.reset(seed=1, options={"command": (0.5, 0, -0.25)})
        stepped, *_ = env.step(np.zeros(12, np.float32))
        assert observation[50:53].tolist() == stepped[50:53].tolist() == [0.5, 0.0, -0.25]
        assert env.unwrapped.environment.command.tolist() == [[0.5, 0.0, -0.25]]
        later = env.reset()[0][50:53].tolist()
        assert later == [1.0, 0.0, 0.0] if word == "Forward" else later != [0.5, 0.0, -0.25]

    def test_each_robot_may_have_its_own(self):
        envs = gymnasium.make_vec(GO1, num_envs=2)
        own = np.array([[0.5, 0.0, 0.0], [0.0, 0.25, -1.0]])
        np.testing.assert_array_equal(envs.reset(options={"command": own})[0][:, 50:53], own)
        both, _ = envs.reset(options={"command": "backward"})
        assert both[:, 50:53].tolist() == [[-1.0, 0.0, 0.0]] * 2

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"commands": (1, 0, 0)}, "no option 'commands'"),
            ({"command": (1, 0)}, "is no command"),
            ({"command": 1.0}, "is no command"),
            ({"command": np.zeros((3, 3))}, "3 commands"),
        ],
    )
    def test_wrong_ones_are_refused(self, options, message):
        with pytest.raises(BodyplanError, match=message):
            gymnasium.make(GO1).reset(options=options)
        with pytest.raises(BodyplanError, match=message):
            gymnasium.make_vec(GO1, num_envs=2).reset(options=options)


class TestActions:
    def test_the_space_is_the_bound_of_valid_datasets(self):
        for space in (
            gymnasium.make(GO1).action_space,
            gymnasium.make_vec(GO1, num_envs=2).single_action_space,
        ):
            assert space == gymnasium.spaces.Box(-20.0, 20.0, (12,), np.float32)

    @pytest.mark.parametrize(
        ("action", "message"),
        [
            (np.zeros(11), r"shape \(11,\)"),
            ([*[0.0] * 4, np.nan, *[0.0] * 7], "{}.*is nan"),
            ([*[0.0] * 4, -np.inf, *[0.0] * 7], "{}.*is -inf"),
            (["left"] * 12, "no array of numbers"),
            (["0.5"] * 12, "no array of numbers: it holds <U3"),
            (np.zeros(12, complex), "no array of numbers: it holds complex128"),
            (np.full(12, None), "no array of numbers: it holds None"),
            ([[0.0], [0.0, 1.0]], "no array of numbers"),
        ],
    )
    def test_impossible_ones_are_refused(self, load, action, message):
        env = gymnasium.make(GO1)
        env.reset(seed=0)
        with pytest.raises(BodyplanError, match=message.format(load("unitree_go1").joints[4])):
            env.step(action)

    def test_the_message_names_the_robot_among_many(self):
        envs = gymnasium.make_vec(GO1, num_envs=3)
        envs.reset(seed=0)
        actions = np.zeros((3, 12), np.float32)
        actions[2, 0] = np.nan
        with pytest.raises(BodyplanError, match="robot 2 of 3"):
            envs.step(actions)
        with pytest.raises(BodyplanError, match=r"shape \(2, 12\)"):
            envs.step(actions[:2])

    def test_checked_ones_are_copies_in_double_precision(self, load):
        action = np.full((2, 12), 0.1, np.float32)
        checked = check_action(load("unitree_go1"), 2, action)
        assert checked.dtype == np.float64
        assert (checked == action).all()
        assert not np.shares_memory(checked, check_action(load("unitree_go1"), 2, checked))


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_a_closed_environment_says_so(make):
    env = make(GO1)
    env.reset(seed=0)
    env.close()
    env.unwrapped.close()  # again
    for use in (lambda: env.unwrapped.step(np.zeros((1, 12))), env.unwrapped.reset):
        with pytest.raises(BodyplanError, match="closed; make another"):
            use()


class TestVectorEnvironment:
    @pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
    @pytest.mark.parametrize(
        ("name", "layout"),
        [
            ("UnitreeGo1-Command", "flat"),
            ("Cassie-Command", "dict"),
            ("UnitreeH1-Backward", "paper"),
        ],
    )
    def test_it_equals_single_environments_side_by_side(self, name, layout, mode):
        settings = {"num_envs": 4, "observation": layout, "horizon": 9}
        own = gymnasium.make_vec(f"bodyplan/{name}-v0", autoreset_mode=mode.value, **settings)
        sync = gymnasium.make_vec(
            f"bodyplan/{name}-v0",
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": mode},
            **settings,
        )
        assert own.metadata == sync.metadata
        for space in ("observation", "action"):
            for kind in (f"{space}_space", f"single_{space}_space"):
                assert getattr(own, kind) == getattr(sync, kind)
        assert data_equivalence(own.reset(seed=7), sync.reset(seed=7), exact=True)
        sync.envs[1].unwrapped.environment.simulator.qpos[0, 2] = 0.03  # one falls before the rest
        own.environment.simulator.qpos[1, 2] = 0.03
        steps = list(zip(roll_out(own, 20), roll_out(sync, 20), strict=True))
        for one, other in steps:
            assert data_equivalence(one, other, exact=True)
        assert sum(step[2].sum() for step, _ in steps) > 0
        assert sum(step[3].sum() for step, _ in steps) > 3

    @pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
    def test_a_seed_determines_everything_under_all_disturbances(self, mode):
        first, again = (
            gymnasium.make_vec(
                "bodyplan/UnitreeGo1-Command-v0",
                num_envs=3,
                autoreset_mode=mode,
                horizon=5,
                disturbances=TRAINING_DISTURBANCES,
                threads=threads,
            )
            for threads in (1, 2)
        )
        again.reset(seed=5)
        roll_out(again, 3, seed=9)
        starts = first.reset(seed=4), again.reset(seed=4)
        assert data_equivalence(*starts, exact=True)
        for one, two in zip(roll_out(first, 12), roll_out(again, 12), strict=True):
            assert data_equivalence(one, two, exact=True)

    def test_without_automatic_resets_the_caller_resets(self):
        envs = gymnasium.make_vec(GO1, num_envs=3, autoreset_mode="Disabled", horizon=5)
        envs.reset(seed=[1, None, 3])
        envs.unwrapped.environment.elapsed_steps[:2] = 3
        seen, _, _, truncated, _ = roll_out(envs, 2)[-1]
        assert truncated.tolist() == [True, True, False]
        with pytest.raises(BodyplanError, match=r"robots \[0, 1\] have ended"):
            roll_out(envs, 1)
        options = {"reset_mask": truncated}
        fresh, info = envs.reset(seed=[1, 2, 3], options=options)
        assert options == {"reset_mask": truncated}
        assert info == {}
        np.testing.assert_array_equal(fresh[2], seen[2])
        alone = gymnasium.make(GO1)
        for index, seed in ((0, 1), (1, 2)):
            np.testing.assert_array_equal(fresh[index], alone.reset(seed=seed)[0])
        assert roll_out(envs, 1)[0][3].tolist() == [False] * 3

    @pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
    @pytest.mark.parametrize("layout", ["flat", "dict"])
    def test_returned_arrays_may_be_changed(self, layout, mode):
        def rollout(careless):
            settings = {"observation": layout, "autoreset_mode": mode, "horizon": 4}
            envs = gymnasium.make_vec(GO1, num_envs=3, **settings)
            seen = []

            def keep(given):
                seen.append(copy.deepcopy(given))
                if careless:
                    overwrite(given)

            keep(envs.reset(seed=0))
            envs.environment.elapsed_steps[1] = 2
            for _ in range(6):
                keep(roll_out(envs, 1)[0])
                ended = seen[-1][2] | seen[-1][3]
                if mode == "Disabled" and ended.any():
                    keep(envs.reset(options={"reset_mask": ended}))
            return seen

        assert data_equivalence(rollout(careless=False), rollout(careless=True), exact=True)

    def test_gymnasiums_wrappers_and_name_of_the_horizon_work(self):
        settings = {"initial_state": "nominal", "max_episode_steps": 5}
        envs = RecordEpisodeStatistics(gymnasium.make_vec(GO1, num_envs=2, **settings))
        envs.reset(seed=0)
        steps = roll_out(envs, 5, scale=0.0)
        episode = steps[-1][4]["episode"]
        assert episode["l"].tolist() == [5, 5]
        np.testing.assert_allclose(episode["r"], sum(step[1] for step in steps), rtol=1e-6)
        assert (episode["r"] > 0.0).all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"seed": [1, 2]}, "2 seeds"),
            ({"options": {"reset_mask": [1, 0, 1]}}, "reset_mask has type int"),
            ({"options": {"reset_mask": [True]}}, r"reset_mask.*shape \(1,\)"),
        ],
    )
    def test_wrong_resets_are_refused(self, arguments, message):
        with pytest.raises(BodyplanError, match=message):
            gymnasium.make_vec(GO1, num_envs=3).reset(**arguments)

    def test_an_unknown_reset_mode_is_refused(self):
        with pytest.raises(BodyplanError, match="autoreset_mode.*Never"):
            gymnasium.make_vec(GO1, num_envs=3, autoreset_mode="Never")


class TestRendering:
    def test_an_image_shows_the_robot_in_its_pose(self):
        env = gymnasium.make(GO1, render_mode="rgb_array", render_size=(96, 72))
        env.reset(seed=0)
        own = env.unwrapped.environment
        own.simulator.qpos[0] = own.robot.nominal_qpos
        standing = env.render()
        assert standing.shape == (72, 96, 3)
        assert standing.dtype == np.uint8
        red, green, blue = standing.astype(int).transpose(2, 0, 1)
        feet, dark = red > green + blue, red + green + blue < 300
        assert 10 < feet.sum() < 500
        assert 100 < dark.sum() < 3000
        own.simulator.qpos[0, :2] += 12.0  # whole pairs of tiles
        np.testing.assert_allclose(env.render(), standing, atol=3)
        own.simulator.qpos[0, own.robot.qpos_index] += 0.5
        assert (np.abs(env.render().astype(int) - standing) > 30).sum() > 100

    def test_there_is_no_image_without_a_render_mode(self):
        single = gymnasium.make(GO1)
        single.reset(seed=0)
        assert single.unwrapped.render() is None
        assert gymnasium.make_vec(GO1, num_envs=2).render() is None

    def test_many_robots_have_an_image_each(self):
        envs = gymnasium.make_vec(GO1, num_envs=3, render_mode="rgb_array", render_size=SMALL)
        envs.reset(seed=0)
        images = envs.render()
        assert [picture.shape for picture in images] == [(24, 32, 3)] * 3
        single = gymnasium.make(GO1, render_mode="rgb_array", render_size=SMALL)
        single.reset(seed=2)
        np.testing.assert_array_equal(images[2], single.render())
        assert not np.array_equal(images[0], images[2])


@unbounded
@pytest.mark.filterwarnings(
    "ignore:We recommend you to use a symmetric and normalized Box action space:UserWarning"
)
def test_stable_baselines_trains_on_it():
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_checker import check_env as check
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)  # networks this small are fastest so
    check(gymnasium.make(GO1).unwrapped)
    envs = make_vec_env(GO1, n_envs=2, seed=0, env_kwargs={"horizon": 20})
    model = PPO("MlpPolicy", envs, n_steps=32, batch_size=64, seed=0, device="cpu")
    resting = np.zeros(57, np.float32)
    untrained = model.predict(resting, deterministic=True)[0]
    model.learn(128)
    assert model.num_timesteps == 128
    assert max(episode["l"] for episode in model.ep_info_buffer) == 20
    assert all(episode["r"] >= 0.0 for episode in model.ep_info_buffer)
    trained = model.predict(resting, deterministic=True)[0]
    assert trained.shape == (12,)
    assert not np.allclose(untrained, trained)


def test_a_single_environment_names_its_own_shape():
    environment = gymnasium.make(GO1).unwrapped
    environment.reset(seed=0)
    joints = environment.robot.num_joints
    for wrong in (np.zeros((1, joints)), np.zeros(joints + 1), 0.0, []):
        with pytest.raises(BodyplanError, match=rf"give \({joints},\)"):
            environment.step(wrong)
    environment.step(np.zeros(joints, np.int8).tolist())  # whatever can be numbers
