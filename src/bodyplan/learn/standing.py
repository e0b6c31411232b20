"""Standing up: the action that holds a robot in its nominal pose.

Under the nominal action motors sag as far as it takes to carry the weight: anymal_c's trunk comes
down from 0.55 to 0.31 m. A policy that begins there learns to walk crouched, which costs torque for
as long as it lives.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bodyplan.envs.environment import Environment
from bodyplan.learn import ppo
from bodyplan.robots.robot import Robot

_STEPS = 100
_GAIN = 0.1


def standing_action(robot: Robot) -> Float[np.ndarray, "J"]:
    """Found by integrating the joints' distance from the nominal pose for two seconds."""
    environment = Environment(robot, physics="fast", threads=1)
    action = np.zeros(robot.num_joints)
    for _ in range(_STEPS):
        environment.step(action[None])
        sag = robot.nominal - environment.qpos[0, robot.qpos_index]
        action = action + _GAIN * sag / robot.action_scale
    return action


def stood_up(learner: ppo.Learner, robot: Robot) -> ppo.Learner:
    """The fresh learner with a policy that begins from the standing action."""
    bias = jnp.asarray(standing_action(robot), jnp.float32)
    return eqx.tree_at(lambda own: own.actor.mlp.layers[-1].bias, learner, bias)
