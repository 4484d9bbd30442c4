"""Random identifiers: of calls, traces and spans, and the seeds of decisions.

Unique, not secret: nothing is protected by them.
"""

from __future__ import annotations

import random


class Identifiers:
    def __init__(self) -> None:
        self._random = random.Random()

    def call(self) -> str:
        """16 hex digits."""
        return f"{self._random.getrandbits(64):016x}"

    def trace(self) -> str:
        """32 hex digits, not all zero."""
        return f"{self._random.getrandbits(128) or 1:032x}"

    def span(self) -> str:
        """16 hex digits, not all zero."""
        return f"{self._random.getrandbits(64) or 1:016x}"

    def seed(self) -> int:
        return self._random.getrandbits(53)
