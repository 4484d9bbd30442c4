"""Puts lines on standard output: drawn in place on a terminal, line by line elsewhere.

No decision about content is made here.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import Protocol, TextIO

from tiermesh_sidecar.demo.summary import Result, Tally
from tiermesh_sidecar.demo.view import live, plain_line, table

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Screen(Protocol):
    def say(self, lines: Iterable[str]) -> None:
        """Lines that stay."""

    def show(self, tally: Tally, result: Result | None, note: str) -> None:
        """The state after a call, or at any time."""

    def summarise(self, tally: Tally, seconds: float) -> None:
        """What it all came to."""

    def restore(self) -> None:
        """Leaves the terminal as it was, however the demo ended."""


class Terminal:
    """Redraws one block in place."""

    def __init__(self, out: TextIO, *, total: int | None, colour: bool) -> None:
        self._out = out
        self._total = total
        self._colour = colour
        self._drawn = 0

    def say(self, lines: Iterable[str]) -> None:
        self._out.write("".join(f"{line}\n" for line in lines))
        self._out.flush()

    def show(self, tally: Tally, result: Result | None, note: str) -> None:
        width = shutil.get_terminal_size().columns
        lines = live(tally, total=self._total, note=note, width=width, colour=self._colour)
        self._out.write(_HIDE_CURSOR if not self._drawn else f"\x1b[{self._drawn}F\x1b[J")
        self._drawn = len(lines)
        self.say(lines)

    def summarise(self, tally: Tally, seconds: float) -> None:
        self.say(table(tally, seconds=seconds, colour=self._colour))

    def restore(self) -> None:
        self._out.write(_SHOW_CURSOR)
        self._out.flush()


class Lines:
    """One line a call, for pipes and logs."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._note = ""

    def say(self, lines: Iterable[str]) -> None:
        self._out.write("".join(f"{line}\n" for line in lines))
        self._out.flush()

    def show(self, tally: Tally, result: Result | None, note: str) -> None:
        if note and note != self._note:
            self.say([note])
        self._note = note
        if result is not None:
            self.say([plain_line(result)])

    def summarise(self, tally: Tally, seconds: float) -> None:
        self.say(table(tally, seconds=seconds, colour=False))

    def restore(self) -> None:
        return None


class Silent:
    """Nothing until the end: `--output json`."""

    def say(self, lines: Iterable[str]) -> None:
        return None

    def show(self, tally: Tally, result: Result | None, note: str) -> None:
        return None

    def summarise(self, tally: Tally, seconds: float) -> None:
        return None

    def restore(self) -> None:
        return None


def open_screen(*, total: int | None, colour: bool) -> Screen:
    out = sys.stdout
    if out.isatty():
        return Terminal(out, total=total, colour=colour)
    return Lines(out)
