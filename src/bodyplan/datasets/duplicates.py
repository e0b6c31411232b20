"""Copies: robots, or datasets, that hold the same steps under two names.

Files that are equal to the byte are found by their checksums. This finds the rest: episodes in
another order, joints in another order, steps dropped at an end. Each stretch of eight consecutive
values of a signal that does not depend on the order of joints is hashed, and the stretches whose
hash is divisible by sixteen are kept; which ones does not depend on where they lie, so that two
sets with data in common keep the same ones. Stretches that repeat a value prove nothing and are
left out: rewards are zero wherever a robot lies.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt64

from bodyplan.datasets.episodes import Episodes

FINGERPRINT_STEPS = 8
"""Consecutive steps in a stretch."""
TOLERATED = 0.01
"""Share of stretches in common that is no fault: from the nominal pose some begin alike."""
_KEPT = 16  # one stretch in so many
_CHUNK = 65_536
_FACTORS = np.random.default_rng(8).integers(2**63, size=FINGERPRINT_STEPS, dtype=np.uint64) * 2 + 1
_MIX = np.uint64(0x9E3779B97F4A7C15)

Fingerprints = Mapping[str, UInt64[np.ndarray, "_"]]
"""Hashes of the kept stretches, by the file they are of; sorted, each once."""


def fingerprints(episodes: Episodes) -> Fingerprints:
    """What a robot's data are recognised by: its rewards, and how fast its trunk moves ahead."""
    signals = {"rewards.npy": episodes.rewards, "general.npy": episodes.general[:, 0]}
    return {file: _stretches(signal) for file, signal in signals.items()}


def duplicate_steps(folders: Mapping[Path, Episodes]) -> list[str]:
    """Every pair of robots that share data, one sentence each; `folders` is where each one lies."""
    known = {folder: fingerprints(episodes) for folder, episodes in folders.items()}
    return [
        f"{second / file} and that of {first} share {share:.0%} of the smaller one's data; "
        "rebuild one of them, with another seed if they are meant to differ."
        for (first, one), (second, other) in combinations(known.items(), 2)
        for file, share in _shared(one, other)
    ]


def _shared(one: Fingerprints, other: Fingerprints) -> Iterator[tuple[str, float]]:
    """The file that shows most of what two have in common, if it is more than tolerated."""
    shares = {}
    for file, hashes in one.items():
        smaller = min(len(hashes), len(other[file]))
        common = np.intersect1d(hashes, other[file], assume_unique=True)
        shares[file] = len(common) / max(smaller, 1)
    file = max(shares, key=lambda name: shares[name])
    if shares[file] > TOLERATED:
        yield file, shares[file]


def _stretches(signal: Float[np.ndarray, "_"]) -> UInt64[np.ndarray, "_"]:
    kept = [np.empty(0, np.uint64)]
    for start in range(0, len(signal) - FINGERPRINT_STEPS + 1, _CHUNK):
        values = np.ascontiguousarray(
            signal[start : start + _CHUNK + FINGERPRINT_STEPS - 1], np.float32
        )
        windows = np.lib.stride_tricks.sliding_window_view(
            values.view(np.uint32), FINGERPRINT_STEPS
        )
        hashes = np.zeros(len(windows), np.uint64)
        for column, factor in zip(windows.T, _FACTORS, strict=True):
            hashes += column * factor
        hashes = (hashes ^ (hashes >> np.uint64(32))) * _MIX
        chosen = np.flatnonzero((hashes >> np.uint64(40)) % np.uint64(_KEPT) == 0)
        telling = (np.diff(np.sort(windows[chosen], axis=1), axis=1) != 0).all(axis=1)
        kept.append(hashes[chosen[telling]])
    return np.unique(np.concatenate(kept))
