"""Labels that do not overlap: the least moves that leave a gap between any two."""

import math
from collections.abc import Sequence


def space_labels(
    positions: Sequence[float], gap: float, low: float = -math.inf, high: float = math.inf
) -> list[float]:
    """Move labels until they are at least `gap` apart; they keep their order.

    Labels that would overlap become a block around their common mean. The block stays between `low`
    and `high` where it is short enough, and else begins at `low`.
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    blocks: list[list[int]] = []
    centres: list[float] = []

    def inside(block: list[int], centre: float) -> float:
        half = gap * (len(block) - 1) / 2.0
        return max(min(centre, high - half), low + half)

    for index in order:
        blocks.append([index])
        centres.append(inside([index], positions[index]))
        while (
            len(blocks) > 1
            and centres[-1] - centres[-2] < gap * (len(blocks[-1]) + len(blocks[-2])) / 2.0
        ):
            last, _ = blocks.pop(), centres.pop()
            blocks[-1] += last
            mean = sum(positions[i] for i in blocks[-1]) / len(blocks[-1])
            centres[-1] = inside(blocks[-1], mean)
    moved = list(positions)
    for block, centre in zip(blocks, centres, strict=True):
        for rank, index in enumerate(block):
            moved[index] = centre + gap * (rank - (len(block) - 1) / 2.0)
    return moved
