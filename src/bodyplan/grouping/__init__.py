"""How similar the bodies of robots are, and groups of robots with similar bodies.

A robot becomes a graph of its torso, actuated joints and feet. Edges follow the kinematic chain,
and each node carries the descriptor that the policy reads. The Fused Gromov-Wasserstein distance
compares two such graphs by the features of their nodes and by their structure (Abe et al., arXiv
2602.18025, section 4; Vayer et al., arXiv 1805.09114). Learned or dynamic quantities play no role.
docs/method.md says what the paper leaves open, and what was chosen.
"""

from bodyplan.grouping.body_graph import BodyGraph, body_graph
from bodyplan.grouping.body_metric import BodyMetric
from bodyplan.grouping.distance_matrix import distance_matrix
from bodyplan.grouping.fused_gromov_wasserstein import fused_gromov_wasserstein
from bodyplan.grouping.landmark_distances import landmark_distances

__all__ = [
    "BodyGraph",
    "BodyMetric",
    "body_graph",
    "distance_matrix",
    "fused_gromov_wasserstein",
    "landmark_distances",
]
