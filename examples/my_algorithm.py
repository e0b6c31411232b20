"""An algorithm outside the package: imitate what turned out better than expected.

V learns the value of the data's behaviour by TD(0). The actor imitates an action where its TD error
r + gamma V(s') - V(s) is positive, a binary form of critic regularised regression (Wang et al.
2020, arXiv 2006.15134). Offer the class to bodyplan in your package's pyproject.toml:

    [project.entry-points."bodyplan.algorithms"]
    positive_td = "my_algorithm:PositiveTD"

    bodyplan train --data data/sub70 --algorithm positive_td --positive-td.gamma 0.98 --out runs/td
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from bodyplan.learn.algorithms.algorithm import Algorithm, apply_gradients, log_likelihood_losses
from bodyplan.learn.data.batches import batch_mean
from bodyplan.learn.networks.architectures import architecture_of


@dataclass(frozen=True, kw_only=True)
class PositiveTD(Algorithm):
    """Hyperparameters; each field is an option and its docstring the help."""

    gamma: float = 0.99
    """Discount."""

    def init(self, rng, sizes):
        """The policy; and as critic V with its optimiser's state."""
        networks = architecture_of(sizes)
        policy, value = networks.policy(rng, sizes), networks.value(rng, sizes)
        return policy, (value, self.critic_optimiser().init(value))

    def critic_update(self, critic, actor, batch, key):
        """One TD(0) step of V; returns the actor's weights, 0 or 1 for each sample."""
        value, state = critic
        next_values = value.over_robots(batch.next_observations, batch.next_bodies)
        td_targets = batch.td_targets(self.gamma, next_values)

        def loss(value):
            errors = td_targets - value.over_robots(batch.observations, batch.bodies)
            losses = batch_mean(jnp.square(errors))
            return batch.weighted(losses).mean(), (losses, errors)

        gradient, (losses, errors) = jax.grad(loss, has_aux=True)(value)
        critic = apply_gradients(self.critic_optimiser(), value, gradient, state)
        weights = (errors > 0).astype(jnp.float32)
        metrics = {"critic/v_loss": losses, "actor/weight_mean": batch_mean(weights)}
        return critic, weights, metrics

    def actor_losses(self, actor, critic, batch, key):
        """-mean(w log pi(a|s)) of each robot."""
        return log_likelihood_losses(actor, batch, batch.aux, "mean")
