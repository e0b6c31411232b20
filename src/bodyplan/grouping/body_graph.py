"""The body of a robot as a graph: torso, actuated joints and feet along the kinematic chain."""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.robot import Robot

Edges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class BodyGraph:
    """A body: node 0 is the torso, then come the actuated joints, then the feet, in task order."""

    nodes: tuple[str, ...]
    edges: Edges
    """Undirected and of unit length, each as (node nearer the torso, node farther from it)."""
    joints: Float[np.ndarray, "J 23"]
    """Descriptors of the actuated joints."""
    feet: Float[np.ndarray, "F 10"]
    """Descriptors of the feet."""

    def path_lengths(self) -> Float[np.ndarray, "nodes nodes"]:
        """Number of edges on the path between any two nodes."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import shortest_path

        rows, columns = np.array(self.edges, int).reshape(-1, 2).T
        size = len(self.nodes)
        adjacency = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
        return shortest_path(adjacency.tocsr(), directed=False, unweighted=True)


def body_graph(robot: Robot) -> BodyGraph:
    """The graph of a robot, with edges read from its compiled model."""
    joints, feet, _ = robot.descriptor
    joint_ids = [robot.model.joint(name).id for name in robot.joints]
    return BodyGraph(
        nodes=("torso", *robot.joints, *(foot.name for foot in robot.feet)),
        edges=kinematic_edges(robot.model, joint_ids, robot.foot_bodies),
        joints=joints.astype(np.float64),
        feet=feet.astype(np.float64),
    )


def kinematic_edges(
    model: mujoco.MjModel, joint_ids: Sequence[int], foot_bodies: Sequence[int]
) -> Edges:
    """Edges along the kinematic chain.

    The parent of a joint is the nearest actuated joint above it, or the torso. The parent of a
    foot is the last actuated joint above its body, or the torso. Joints without an actuator are
    skipped. Several joints of one body form a chain in the model's order, as MuJoCo applies them.

    Args:
        model: the compiled robot.
        joint_ids: model ids of the actuated joints, in task order.
        foot_bodies: model id of the body that carries each foot.
    """
    node_of = {int(joint): index + 1 for index, joint in enumerate(joint_ids)}
    parent = model.body_parentid

    def last_joint(body: int, before: int | None = None) -> int:
        """Node of the last actuated joint at or above `body`, without `before` and later ones."""
        while body:
            first = int(model.body_jntadr[body])
            joints = range(first, first + int(model.body_jntnum[body])) if first >= 0 else range(0)
            actuated = [j for j in joints if j in node_of and (before is None or j < before)]
            if actuated:
                return node_of[actuated[-1]]
            body = int(parent[body])
        return 0

    joint_parents = [last_joint(int(model.jnt_bodyid[j]), before=int(j)) for j in joint_ids]
    foot_parents = [last_joint(int(body)) for body in foot_bodies]
    return tuple((above, index + 1) for index, above in enumerate(joint_parents + foot_parents))
