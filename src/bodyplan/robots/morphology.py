"""How alike two bodies are: a graph for each robot, and a distance between graphs.

A robot becomes a graph of its torso, actuated joints and feet, joined along the kinematic chain and
described by what the policy's descriptors say of each part. The Fused Gromov-Wasserstein distance
then asks how cheaply one body can be laid over another, paying for parts that look different and
for parts that stand in different places of the tree (Abe et al., arXiv 2602.18025, section 1.2 of
the method; Vayer et al., arXiv 1805.09114). Learned or dynamic quantities play no role.

What the paper leaves open is settled by agreement with the four distances published for the
official release: alpha = 0.5, both costs divided by their maxima over all robots, foot descriptors
padded with zeros, and a torso at zero (the average part) after standardisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import mujoco
import numpy as np
from jaxtyping import Float

from bodyplan.robots.robot import Robot

ALPHA = 0.5
"""Weight of structure against features: 0 compares parts only, 1 the tree only."""

Edges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class BodyGraph:
    """A body plan: node 0 is the torso, then the actuated joints, then the feet, in task order."""

    nodes: tuple[str, ...]
    edges: Edges
    """Undirected and of unit length, each as (nearer the torso, farther)."""
    features: Float[np.ndarray, "parts 23"]
    """Descriptors of every node but the torso, whose features are zero by definition."""

    def path_lengths(self) -> Float[np.ndarray, "nodes nodes"]:
        """Number of edges between any two nodes."""
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
        edges=chain_edges(robot.model, joint_ids, robot.foot_bodies),
        features=stack_descriptors(joints, feet),
    )


def stack_descriptors(
    joints: Float[np.ndarray, "J 23"], feet: Float[np.ndarray, "F 10"]
) -> Float[np.ndarray, "J+F 23"]:
    """Joint and foot descriptors as rows of one table, feet padded with zeros."""
    padding = joints.shape[1] - feet.shape[1]
    return np.vstack([joints, np.pad(feet, ((0, 0), (0, padding)))]).astype(np.float64)


def chain_edges(
    model: mujoco.MjModel, joint_ids: Sequence[int], foot_bodies: Sequence[int]
) -> Edges:
    """Edges along the kinematic chain.

    Each joint hangs on the nearest actuated joint above it, or on the torso; each foot on the last
    actuated joint above its body. Joints without a motor are passed over. Where one body has
    several joints, they form a chain in the model's order, which is how MuJoCo applies them.

    Args:
        model: the compiled robot.
        joint_ids: model ids of the actuated joints, in task order.
        foot_bodies: model id of the body that carries each foot.
    """
    node_of = {int(joint): index + 1 for index, joint in enumerate(joint_ids)}
    parent = model.body_parentid

    def last_joint(body: int, before: int | None = None) -> int:
        """Node of the last actuated joint at or above `body`, leaving out `before` and later."""
        while body:
            first = int(model.body_jntadr[body])
            own = range(first, first + int(model.body_jntnum[body])) if first >= 0 else range(0)
            held = [j for j in own if j in node_of and (before is None or j < before)]
            if held:
                return node_of[held[-1]]
            body = int(parent[body])
        return 0

    above_joints = [last_joint(int(model.jnt_bodyid[j]), before=int(j)) for j in joint_ids]
    above_feet = [last_joint(int(body)) for body in foot_bodies]
    return tuple((above, index + 1) for index, above in enumerate(above_joints + above_feet))


def standardise(
    tables: Sequence[Float[np.ndarray, "_ d"]],
) -> list[Float[np.ndarray, "_ k"]]:
    """Node features [nodes, k] of mean 0 and deviation 1 over the parts of all robots together.

    `tables` holds [parts, d] for each robot. Columns that never vary are dropped (k <= d). A zero
    row for the torso is put first, so it counts as the average part and has no say in the mean.
    """
    pooled = np.vstack(tables)
    deviation = pooled.std(axis=0)
    # A constant column can have a deviation of rounding error instead of zero.
    varies = deviation > 1e-9 * np.maximum(1.0, np.abs(pooled).max(axis=0))
    mean, deviation = pooled.mean(axis=0)[varies], deviation[varies]
    return [np.pad((table[:, varies] - mean) / deviation, ((1, 0), (0, 0))) for table in tables]


def distance_matrix(graphs: Sequence[BodyGraph], alpha: float = ALPHA) -> Float[np.ndarray, "R R"]:
    """Fused Gromov-Wasserstein distances between all pairs of bodies.

    Symmetric with a zero diagonal. Scaling is by maxima over the robots given, so a distance
    belongs to its set of robots: compare within a matrix, not between matrices.
    """
    from scipy.spatial.distance import cdist

    features = standardise([graph.features for graph in graphs])
    structure = [graph.path_lengths() for graph in graphs]
    pairs = list(combinations(range(len(graphs)), 2))
    costs = {(r, s): cdist(features[r], features[s]) for r, s in pairs}
    feature_scale = max((cost.max() for cost in costs.values()), default=0.0) or 1.0
    structure_scale = max((lengths.max() for lengths in structure), default=0.0) or 1.0
    distances = np.zeros((len(graphs), len(graphs)))
    for r, s in pairs:
        distances[r, s] = distances[s, r] = fused_gromov_wasserstein(
            costs[r, s] / feature_scale,
            structure[r] / structure_scale,
            structure[s] / structure_scale,
            alpha,
        )
    return distances


def fused_gromov_wasserstein(
    features: Float[np.ndarray, "n m"],
    first: Float[np.ndarray, "n n"],
    second: Float[np.ndarray, "m m"],
    alpha: float = ALPHA,
) -> float:
    """(1 - alpha) <T, features> + alpha sum (first - second)^2 T T, minimised over plans T.

    Nodes weigh the same. The solver finds a local minimum, so it starts from the same plan every
    time (the product of the node weights) and the mean of both directions is returned.
    """
    from ot.gromov import fused_gromov_wasserstein2

    def one_way(
        cost: Float[np.ndarray, "a b"],
        source: Float[np.ndarray, "a a"],
        target: Float[np.ndarray, "b b"],
    ) -> float:
        p, q = (np.full(size, 1.0 / size) for size in cost.shape)
        return float(
            fused_gromov_wasserstein2(
                cost,
                source,
                target,
                p,
                q,
                loss_fun="square_loss",
                symmetric=True,
                alpha=alpha,
                G0=np.outer(p, q),
            )
        )

    with np.errstate(divide="ignore", invalid="ignore"):  # POT's line search without structure
        both = one_way(features, first, second), one_way(features.T, second, first)
    return max(0.0, sum(both) / 2.0)
