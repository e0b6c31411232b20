"""How alike two bodies are: a graph for each robot, and a distance between graphs.

A robot becomes a graph of its torso, actuated joints and feet, joined along the kinematic chain and
described by what the policy's descriptors say of each part. The Fused Gromov-Wasserstein distance
then asks how cheaply one body can be laid over another, paying for parts that look different and
for parts that stand in different places of the tree (Abe et al., arXiv 2602.18025, section 4;
Vayer et al., arXiv 1805.09114). Learned or dynamic quantities play no role. docs/method.md tells
what the paper leaves open, and what was chosen.
"""

from bodyplan.grouping.body_graph import BodyGraph, body_graph
from bodyplan.grouping.body_metric import BodyMetric
from bodyplan.grouping.distance_matrix import distance_matrix
from bodyplan.grouping.fused_gromov_wasserstein import fused_gromov_wasserstein
from bodyplan.grouping.landmark_distances import estimated_distances

__all__ = [
    "BodyGraph",
    "BodyMetric",
    "body_graph",
    "distance_matrix",
    "estimated_distances",
    "fused_gromov_wasserstein",
]
