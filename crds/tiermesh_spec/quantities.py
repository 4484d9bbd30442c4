"""Quantities that YAML has no type for: durations and decimals, written as strings.

Floats are banned from the resources (Kubernetes API conventions): 0.1 would not come back as it was
written. Here are the notations and their exact conversions; no I/O, no rounding.
"""

from __future__ import annotations

import re
from decimal import Decimal

DURATION_PATTERN = r"([0-9]{1,5}(h|m|s|ms)){1,4}"
"""The notation of the Gateway API (GEP-2257): `300ms`, `2s`, `5m`, `1h30m`."""

PRICE_PATTERN = r"[0-9]{1,6}(\.[0-9]{1,6})?"
"""Dollars per million tokens; six decimals are one picodollar per token, the smallest unit."""

SCORE_PATTERN = r"0(\.[0-9]{1,6})?|1(\.0{1,6})?"
"""A number in [0, 1]."""

_PARTS = re.compile(r"([0-9]{1,5})(ms|h|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def milliseconds(duration: str) -> int:
    """`1h30m` -> 5400000. Raises ValueError for anything that is not a duration."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"not a duration: {duration!r}")
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in _PARTS.findall(duration))


def picodollars_per_token(dollars_per_million: str) -> int:
    """`"0.15"` (dollars per million tokens) -> 150000 picodollars per token, exactly.

    Raises ValueError for anything that is not such a price.
    """
    if not re.fullmatch(PRICE_PATTERN, dollars_per_million):
        raise ValueError(f"not a price: {dollars_per_million!r}")
    return int(Decimal(dollars_per_million) * 1_000_000)


def score(text: str) -> float:
    """`"0.35"` -> 0.35. Raises ValueError for anything outside [0, 1]."""
    if not re.fullmatch(SCORE_PATTERN, text):
        raise ValueError(f"not a number from 0 to 1: {text!r}")
    return float(text)
