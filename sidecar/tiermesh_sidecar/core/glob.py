"""Names with `*` for any run of characters: linear in the name's length, unlike a regex.

Nothing else is special. Model names contain brackets, dots and question marks; those are literal.
"""

from __future__ import annotations

from collections.abc import Iterable


def is_glob(pattern: str) -> bool:
    return "*" in pattern


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name fits the pattern, case and all."""
    if "*" not in pattern:
        return pattern == name
    first, *middle, last = pattern.split("*")
    if len(name) < len(first) + len(last):
        return False
    if not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        # The leftmost fit leaves the most room for the rest, so no backtracking is ever needed.
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def matches_any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
