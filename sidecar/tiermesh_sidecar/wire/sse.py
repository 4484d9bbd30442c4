"""Server-sent events as bytes: where events end, and what data they carry.

https://html.spec.whatwg.org/multipage/server-sent-events.html: lines end with LF, CRLF or CR, and
an empty line ends an event. Nothing here may change a byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event. What is longer is no event stream that a caller could use."""

# Atomic, so that CRLF is never read as two line ends.
_EVENT_END = re.compile(rb"(?>\r\n?|\n)(?>\r\n?|\n)")
_LINE = re.compile(rb"([^\r\n]*+)(?>\r\n?|\n|\Z)")


class EventSplitter:
    """Gives back whole events; keeps the rest until its end has come.

    The concatenation of all that `feed` returned and `tail` is what was fed.
    """

    __slots__ = ("_limit", "_tail", "overflow")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._tail = bytearray()
        self._limit = limit
        self.overflow = False
        """An event was longer than the limit: it was dropped, and nothing is returned any more."""

    @property
    def tail(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._tail)

    def feed(self, chunk: bytes) -> bytes:
        """The whole events that are complete now, or b""."""
        if self.overflow:
            return b""
        tail = self._tail
        # Only the last bytes of the tail can be part of an end that this chunk completes.
        last = bytes(tail[-3:])
        cut = _last_end(last + chunk if last else chunk) - len(last)
        if cut < 0:
            self._keep(chunk)
            return b""
        whole = chunk if cut == len(chunk) else chunk[:cut]
        if last:
            whole = bytes(tail) + whole
            self._tail = bytearray()
        if cut < len(chunk):
            self._keep(chunk[cut:])
        return whole

    def _keep(self, chunk: bytes) -> None:
        if len(self._tail) + len(chunk) > self._limit:
            self.overflow = True
            self._tail = bytearray()
        else:
            self._tail += chunk


def _last_end(window: bytes) -> int:
    """One past the last event end in `window`, or -1.

    A CR that ends the window after LF is left alone, since the LF of its CRLF may still come;
    after another CR it is the end of an event whose lines end with CR.
    """
    end = window.rfind(b"\n\n")
    end = end + 2 if end >= 0 else -1
    if end == len(window) or b"\r" not in window:
        return end
    for pattern in (b"\n\r\n", b"\r\r\n", b"\r\r"):
        found = window.rfind(pattern)
        if found >= 0:
            end = max(end, found + len(pattern))
    found = window.rfind(b"\n\r", 0, len(window) - 1)
    return max(end, found + 2) if found >= 0 else end


def events(block: bytes) -> list[bytes]:
    """The events of a block, each with its end; what follows the last end comes as it is."""
    found = []
    position = 0
    for end in _ends(block):
        found.append(block[position:end])
        position = end
    if position < len(block):
        found.append(block[position:])
    return found


def _ends(block: bytes) -> Iterator[int]:
    if b"\r" in block:
        for match in _EVENT_END.finditer(block):
            yield match.end()
        return
    end = block.find(b"\n\n")
    while end >= 0:
        yield end + 2
        end = block.find(b"\n\n", end + 2)


def data_spans(event: bytes) -> list[tuple[int, int]]:
    """Where the values of an event's `data` lines stand."""
    if event.startswith(b"data: {") and b"\r" not in event:
        end = event.find(b"\n")
        if event.count(b"\n", end) == len(event) - end:  # the usual: one line, then its end
            return [(6, end)]
    spans = []
    position = 3 if event.startswith(b"\xef\xbb\xbf") else 0
    for match in _LINE.finditer(event, position):
        start, end = match.span(1)
        if event.startswith(b"data:", start):
            start += 5
            spans.append((start + 1 if event[start : start + 1] == b" " else start, end))
        elif event[start:end] == b"data":
            spans.append((end, end))
    return spans


def event_type(event: bytes) -> bytes:
    """The value of the last `event` line, or b""."""
    if b"event" not in event:
        return b""
    kind = b""
    position = 3 if event.startswith(b"\xef\xbb\xbf") else 0
    for match in _LINE.finditer(event, position):
        if match[1].startswith(b"event:"):
            kind = match[1][6:].removeprefix(b" ")
    return kind
