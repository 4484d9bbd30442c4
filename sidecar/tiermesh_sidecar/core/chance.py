"""Chance as a function of a seed: the same call draws the same lot in every replay.

Each contestant's lot depends on the seed, its own name and its own weight only. So the shares are
those of the weights, and taking a contestant away never changes the order of the others.
"""

from __future__ import annotations

from math import inf, log
from zlib import crc32

_MASK = (1 << 64) - 1


def salt(name: str) -> int:
    """A name's contribution to its lots; computed once, when a policy is prepared."""
    return crc32(name.encode()) * 0x9E3779B97F4A7C15 & _MASK


def lot(seed: int, name_salt: int, weight: int) -> float:
    """The lower of two lots wins, with the odds of their weights; weight 0 draws infinity.

    An exponential variate by weight (Efraimidis and Spirakis, 2006) over splitmix64.
    """
    if weight <= 0:
        return inf
    mixed = (seed ^ name_salt) + 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    mixed ^= mixed >> 31
    return -log((mixed + 1) / (_MASK + 2)) / weight
