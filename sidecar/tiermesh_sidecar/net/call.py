"""One call as a framing of the server yields it, and the reply that goes back through it.

The rest of `net` knows these and nothing of aiohttp's server, so that a faster framing can stand
beside it behind the same conformance tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

RawHeaders = Sequence[tuple[bytes, bytes]]


class Reply(Protocol):
    """The answer on its way to the caller. Writing never waits; `drain` does. Once the caller has
    gone, writing does nothing."""

    @property
    def started(self) -> bool:
        """There is a head, so no other answer can be given."""

    def start(
        self,
        status: int,
        reason: bytes,
        headers: RawHeaders,
        *,
        length: int | None,
    ) -> None:
        """Begin; the head goes out with the first `write`, even an empty one, or with `finish`.

        `headers` hold no framing. `length` None: it is not known, the body goes out in chunks.
        Answers without a body by definition (HEAD, 204, 304) get none.
        """

    def write(self, data: bytes) -> None:
        """Add to the body."""

    def finish(self) -> None:
        """The body is whole. Idempotent."""

    def abort(self) -> None:
        """Close the connection, so that the caller sees that the answer is not whole."""

    async def drain(self) -> None:
        """Wait until the caller has read enough. Raises ConnectionError when it has gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    method: str
    target: str
    """The request line's target, as received."""
    headers: RawHeaders
    body: bytes
    has_body: bool
    """The request announced a body, even an empty one."""
    reply: Reply
    began: float
    """`time.monotonic()` when the request's last byte was read: the call's zero. Not the event
    loop's time, which uvloop keeps in whole milliseconds."""
