"""Batches of many robots, build by build, and means over them.

All robots of a build share one axis, robots of different builds are in arrays of their own. Every
robot has as many transitions in a batch, however much was logged of it. Where a build is padded,
masks say which joints and feet a robot has.

A batch may be split over several devices (`jax.shard_map`). Losses are written with `batch_mean`,
which is then the mean over all devices. Gradients of parameters need no such care: `shard_map`
knows what differs from device to device and adds it up.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from bodyplan.envs.walking_task import Observation
from bodyplan.learn.data.builds import Stratum
from bodyplan.robots.descriptors import RobotDescriptor

Places = Sequence[int] | Int[Array, "..."]
"""Some robots; or some, or one, that only the compiled program knows."""

AXIS = "devices"
"""The mesh axis that batches are split over."""


class Bodies(NamedTuple):
    """The bodies of a build's r robots: one for each, or a table of K bodies with `ids`."""

    joints: Float[Array, "bodies J 23"]
    feet: Float[Array, "bodies F 10"]
    context: Float[Array, "bodies 7"]
    ids: Int[Array, "r B"] | None = None
    """Each sample's body in the table, where a robot's samples are of several bodies."""
    joint_mask: Float[Array, "r J"] | None = None
    """1 for a robot's joints, 0 for padding; None where there is none."""
    foot_mask: Float[Array, "r F"] | None = None
    """The same for feet."""

    @classmethod
    def of(cls, body: RobotDescriptor, samples: int) -> "Bodies":
        """One robot's: one body for all its samples, or on a leading axis one for each."""
        joints, feet, context = map(jnp.asarray, body)
        if context.ndim == 1:
            return cls(joints[None], feet[None], context[None])
        return cls(joints, feet, context, jnp.arange(samples)[None])

    def of_samples(self, values: Float[Array, "bodies ..."]) -> Float[Array, "r _ ..."]:
        """What was computed of each body, on an axis of samples: of 1 where all are of one."""
        return values[:, None] if self.ids is None else _pick(values, self.ids)

    def take(self, robots: Places) -> "Bodies":
        """Those of some of the robots."""
        table = (self.joints, self.feet, self.context)
        rest = jax.tree.map(lambda array: _take(array, robots), self[3:])
        if self.ids is None:
            table = jax.tree.map(lambda array: _take(array, robots), table)
        return Bodies._make((*table, *rest))


class BuildBatch(NamedTuple):
    """The part of a batch that is of one build's r robots, B transitions each."""

    observation: Observation
    """`[r, B, J, 3]`, `[r, B, F, 2]` and `[r, B, 13]`."""
    action: Float[Array, "r B J"]
    reward: Float[Array, "r B"]
    next_observation: Observation
    terminated: Float[Array, "r B"]
    """1 where there is no future. Truncated steps count as 0: values bootstrap through them."""
    bodies: Bodies
    next_bodies: Bodies
    """Those of the next observations: a body may change in between."""

    def take(self, robots: Places) -> "BuildBatch":
        """The part of some of the robots."""
        arrays = jax.tree.map(lambda array: _take(array, robots), self[:5])
        bodies = self.bodies.take(robots), self.next_bodies.take(robots)
        return BuildBatch._make((*arrays, *bodies))


class RobotBatch(NamedTuple):
    """One robot's part of a batch, without padding."""

    observation: Observation
    action: Float[Array, "B J"]
    reward: Float[Array, "B"]
    next_observation: Observation
    terminated: Float[Array, "B"]
    body: RobotDescriptor
    """The robot's one body, or that of each sample on a leading axis."""
    next_body: RobotDescriptor


class Batch(NamedTuple):
    """B transitions of each of R robots; everything `[R, ...]` is in the order of the builds."""

    builds: tuple[BuildBatch, ...]
    weights: Float[Array, "R"]
    """Factor on each robot's losses, one on average."""
    robot_keys: UInt32[Array, "R"]
    """A number for each robot: its random numbers depend on no other robot."""
    aux: Any = ()
    """What the critic update leaves for the actor: arrays `[R, B]`, such as IQL's weights."""

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Of each build."""
        return tuple(build.observation for build in self.builds)

    @property
    def next_observations(self) -> tuple[Observation, ...]:
        """Of each build."""
        return tuple(build.next_observation for build in self.builds)

    @property
    def actions(self) -> tuple[Float[Array, "r B J"], ...]:
        """Of each build."""
        return tuple(build.action for build in self.builds)

    @property
    def bodies(self) -> tuple[Bodies, ...]:
        """Of each build's observations."""
        return tuple(build.bodies for build in self.builds)

    @property
    def next_bodies(self) -> tuple[Bodies, ...]:
        """Of each build's next observations."""
        return tuple(build.next_bodies for build in self.builds)

    @property
    def rewards(self) -> Float[Array, "R B"]:
        """Of all robots."""
        return jnp.concatenate([build.reward for build in self.builds])

    @property
    def not_done(self) -> Float[Array, "R B"]:
        """0 where the robot fell, else 1. Time limits count as 1: values bootstrap through them."""
        return 1.0 - jnp.concatenate([build.terminated for build in self.builds])

    @property
    def num_robots(self) -> int:
        """R."""
        return len(self.weights)

    def td_targets(self, gamma: float, next_values: Float[Array, "R B"]) -> Float[Array, "R B"]:
        """r + gamma V(s'), without the second term where the episode terminated."""
        return self.rewards + gamma * self.not_done * next_values

    def weighted(self, losses: Float[Array, "R"]) -> Float[Array, "R"]:
        """Robots' losses, each times the robot's weight."""
        return losses * self.weights

    def select(self, robots: Sequence[int]) -> "Batch":
        """The part of some of the robots, which are in ascending order."""
        builds, start = [], 0
        for build in self.builds:
            stop = start + len(build.reward)
            own = [robot - start for robot in robots if start <= robot < stop]
            if own:
                builds.append(build.take(own))
            start = stop
        rest = jax.tree.map(
            lambda array: _take(array, robots), (self.weights, self.robot_keys, self.aux)
        )
        return Batch(tuple(builds), *rest)

    def one_robot(self, build: int, robot: Int[Array, ""]) -> "Batch":
        """The part of one robot of a build; which one may be decided in the compiled program."""
        start = sum(len(own.reward) for own in self.builds[:build])
        rest = jax.tree.map(
            lambda array: _take(array, start + robot), (self.weights, self.robot_keys, self.aux)
        )
        return Batch((self.builds[build].take(robot),), *rest)

    def draw(self, strata: Sequence[Stratum], key: PRNGKeyArray) -> tuple["Batch", Int[Array, "N"]]:
        """The part of some robots drawn from each stratum, and their places.

        Their weights grow so that a mean over them is, on average, the mean over all robots.
        """
        number, drawn = sum(own.drawn for own in strata), []
        for at, own in enumerate(strata):
            order = jax.random.permutation(jax.random.fold_in(key, at), own.stop - own.start)
            drawn.append(own.start + jnp.sort(order[: own.drawn]))
        factors = [
            (own.stop - own.start) / own.drawn * number / self.num_robots
            for own in strata
            for _ in range(own.drawn)
        ]
        builds, start = [], 0
        for build in self.builds:
            stop = start + len(build.reward)
            chosen = [
                places
                for places, own in zip(drawn, strata, strict=True)
                if start <= own.start < stop
            ]
            builds.append(build.take(jnp.concatenate(chosen) - start))
            start = stop
        places = jnp.concatenate(drawn)
        weights = self.weights[places] * np.array(factors, np.float32)
        return Batch(tuple(builds), weights, self.robot_keys[places]), places

    def share(self, number: Int[Array, ""], count: int) -> "Batch":
        """An equal share of every robot's transitions, one of `count` that follow one another."""

        def part(array: Array) -> Array:
            length = array.shape[1] // count
            return jax.lax.dynamic_slice_in_dim(array, number * length, length, axis=1)

        def of_build(build: BuildBatch) -> BuildBatch:
            bodies = [
                own._replace(ids=jax.tree.map(part, own.ids))
                for own in (build.bodies, build.next_bodies)
            ]
            return BuildBatch._make((*jax.tree.map(part, build[:5]), *bodies))

        return self._replace(
            builds=tuple(map(of_build, self.builds)), aux=jax.tree.map(part, self.aux)
        )

    def robot(self, place: int) -> RobotBatch:
        """One robot's part, in its own shapes; not inside a compiled program."""
        (build,) = self.select([place]).builds
        joints = feet = slice(None)
        if build.bodies.joint_mask is not None:
            joints = slice(int(build.bodies.joint_mask.sum()))
        if build.bodies.foot_mask is not None:
            feet = slice(int(build.bodies.foot_mask.sum()))

        def own(observation: Observation) -> Observation:
            return Observation(
                observation.joints[0][:, joints],
                observation.feet[0][:, feet],
                observation.general[0],
            )

        def body(bodies: Bodies) -> RobotDescriptor:
            place = 0 if bodies.ids is None else bodies.ids[0]
            whole = [np.asarray(part)[place] for part in bodies[:3]]
            return RobotDescriptor(whole[0][..., joints, :], whole[1][..., feet, :], whole[2])

        return RobotBatch(
            own(build.observation),
            build.action[0][:, joints],
            build.reward[0],
            own(build.next_observation),
            build.terminated[0],
            body(build.bodies),
            body(build.next_bodies),
        )


def normal(key: PRNGKeyArray, batch: Batch) -> tuple[Float[Array, "r B J"], ...]:
    """Standard normal noise for every action, build by build.

    A number depends on the robot, the joint and the sample alone: neither on other robots nor on
    padding, and not on how the batch is split over devices.
    """
    noises, start = [], 0
    for build in batch.builds:
        robots, samples, joints = build.action.shape

        def draw(
            robot: UInt32[Array, ""], joint: Int[Array, ""], samples: int = samples
        ) -> Float[Array, "B"]:
            own = jax.random.fold_in(jax.random.fold_in(key, robot), joint)
            return local_part(jax.random.normal(own, (samples * _count(),)))

        over_joints = jax.vmap(draw, in_axes=(None, 0))
        own = batch.robot_keys[start : start + robots]
        drawn = jax.vmap(over_joints, in_axes=(0, None))(own, jnp.arange(joints))
        noises.append(drawn.swapaxes(1, 2))
        start += robots
    return tuple(noises)


def batch_mean(values: Float[Array, "..."], axis: int | None = -1) -> Array:
    """Mean over an axis (or all) that holds equal parts of the batch on each device."""
    mean = values.mean(axis)
    return jax.lax.pmean(mean, AXIS) if _count() > 1 else mean


def batch_std(values: Float[Array, "..."]) -> Array:
    """Standard deviation over the last axis, which holds the batch."""
    centred = values - batch_mean(values)[..., None]
    return jnp.sqrt(batch_mean(jnp.square(centred)))


def local_part(whole: Array) -> Array:
    """What of a batch, known to all devices, is this device's; the batch is the first axis."""
    if _count() == 1:
        return whole
    length = len(whole) // _count()
    return jax.lax.dynamic_slice_in_dim(whole, jax.lax.axis_index(AXIS) * length, length)


def varying(array: Array) -> Array:
    """The same, as what may differ from device to device.

    `shard_map` adds gradients up where such an array is made of one that all devices share. It does
    so by itself but in front of a `jax.custom_vjp`.
    """
    if _count() == 1:
        return array
    return array + jax.lax.pcast(jnp.zeros((), array.dtype), AXIS, to="varying")


def _take(array: Array, places: Places) -> Array:
    """Entries of the first axis; a slice where they are consecutive."""
    if not isinstance(places, Sequence):
        if places.ndim:
            return array[places]
        return jax.lax.dynamic_slice_in_dim(array, places, 1)
    first, last = places[0], places[-1]
    if last - first + 1 == len(places):
        return array[first : last + 1]
    return array[np.array(places)]


def _pick(values: Float[Array, "rows ..."], ids: Int[Array, "r B"]) -> Float[Array, "r B ..."]:
    return values.at[ids].get(mode="promise_in_bounds")


def _count() -> int:
    """Devices that the batch is split over."""
    try:
        return jax.lax.axis_size(AXIS)
    except NameError:  # not inside a mesh
        return 1
