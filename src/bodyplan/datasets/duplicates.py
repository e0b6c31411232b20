"""Duplicates: finds robots or datasets that contain the same steps under two names.

Files with equal bytes are found by their checksums. This module finds the rest: episodes or joints
in another order, steps dropped at an end. It compares windows of eight consecutive values of two
signals that do not depend on the order of joints. Each window is hashed, and the hashes divisible
by sixteen are kept. Which ones are kept does not depend on their positions, so two sets with common
data keep the same hashes. Windows that repeat a value are left out, because they prove nothing:
rewards are zero wherever a robot lies on the floor.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt64

from bodyplan.datasets.episodes import Episodes

WINDOW_STEPS = 8
"""Consecutive steps in a window."""
MAX_COMMON_SHARE = 0.01
"""Share of common windows that is no fault; episodes from the nominal pose may begin alike."""
_WINDOWS_PER_KEPT_HASH = 16
_WINDOWS_AT_ONCE = 65_536
_HASH_FACTORS = np.random.default_rng(8).integers(2**63, size=WINDOW_STEPS, dtype=np.uint64) * 2 + 1
_HASH_MIXER = np.uint64(0x9E3779B97F4A7C15)

Fingerprints = Mapping[str, UInt64[np.ndarray, "_"]]
"""Kept hashes by the name of the file; sorted and without duplicates."""


def fingerprints(episodes: Episodes) -> Fingerprints:
    """Hashes that identify a robot's data, of its rewards and of its forward velocity."""
    signals = {"rewards.npy": episodes.rewards, "general.npy": episodes.general[:, 0]}
    return {file: _window_hashes(signal) for file, signal in signals.items()}


def duplicate_steps(folders: Mapping[Path, Episodes]) -> list[str]:
    """Pairs of robots that share data, one sentence each.

    Args:
        folders: each robot's episodes by the folder that contains them; of one dataset or several.
    """
    known = {folder: fingerprints(episodes) for folder, episodes in folders.items()}
    return [
        f"{second / file} and that of {first} share {share:.0%} of the smaller one's data; "
        "rebuild one of them, with another seed if they are meant to differ."
        for (first, one), (second, other) in combinations(known.items(), 2)
        for file, share in _shared(one, other)
    ]


def _shared(one: Fingerprints, other: Fingerprints) -> Iterator[tuple[str, float]]:
    """The file with the largest common share, if that share is a fault."""
    shares = {}
    for file, hashes in one.items():
        smaller = min(len(hashes), len(other[file]))
        common = np.intersect1d(hashes, other[file], assume_unique=True)
        shares[file] = len(common) / max(smaller, 1)
    file = max(shares, key=lambda name: shares[name])
    if shares[file] > MAX_COMMON_SHARE:
        yield file, shares[file]


def _window_hashes(signal: Float[np.ndarray, "_"]) -> UInt64[np.ndarray, "_"]:
    kept = [np.empty(0, np.uint64)]
    for start in range(0, len(signal) - WINDOW_STEPS + 1, _WINDOWS_AT_ONCE):
        values = np.ascontiguousarray(
            signal[start : start + _WINDOWS_AT_ONCE + WINDOW_STEPS - 1], np.float32
        )
        windows = np.lib.stride_tricks.sliding_window_view(values.view(np.uint32), WINDOW_STEPS)
        hashes = np.zeros(len(windows), np.uint64)
        for column, factor in zip(windows.T, _HASH_FACTORS, strict=True):
            hashes += column * factor
        hashes = (hashes ^ (hashes >> np.uint64(32))) * _HASH_MIXER
        chosen = np.flatnonzero((hashes >> np.uint64(40)) % np.uint64(_WINDOWS_PER_KEPT_HASH) == 0)
        distinct = (np.diff(np.sort(windows[chosen], axis=1), axis=1) != 0).all(axis=1)
        kept.append(hashes[chosen[distinct]])
    return np.unique(np.concatenate(kept))
