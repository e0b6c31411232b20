"""The settings of a training run as its files store them."""

from dataclasses import fields

from bodyplan.experts.expert_config import (
    FILE_KEYS,
    ExpertConfig,
    default_ppo,
    stored_settings,
)
from bodyplan.experts.ppo import PPOConfig
from bodyplan.robots.task_config import ExpertSettings


def test_files_keep_the_keys_of_earlier_versions_in_their_order():
    settings = stored_settings(ExpertConfig("badger", ppo=PPOConfig(hidden_size=9)))
    assert list(settings) == [
        *("robot", "command", "steps", "episode_steps", "snapshots", "seed", "physics"),
        *("ramp_steps", "first_penalties", "guide", "final_std", "conditions"),
        *("log_replay", "ppo"),
    ]
    assert list(settings["ppo"]) == [
        *("num_envs", "rollout_steps", "epochs", "minibatches", "discount", "trace", "clip"),
        *("target_kl", "learning_rate", "critic_learning_rate", "spread_learning_rate"),
        *("max_gradient_norm", "hidden"),
    ]
    assert settings["ppo"]["hidden"] == 9
    names = {field.name for kind in (ExpertConfig, PPOConfig) for field in fields(kind)}
    assert names > FILE_KEYS.keys()


def test_settings_that_do_not_change_the_result_are_not_stored():
    one = ExpertConfig("badger", command="1,0,0", threads=1, checkpoint_every=3)
    other = ExpertConfig("badger", command="forward", threads=2)
    assert stored_settings(one) == stored_settings(other)


def test_robots_with_assistance_have_their_own_hyperparameters():
    assert default_ppo(ExpertSettings()) == PPOConfig()
    assert default_ppo(ExpertSettings(assisted=True)).discount == 0.97
