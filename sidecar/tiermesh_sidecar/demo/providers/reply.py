"""What a fake provider says: answers, streams and rejections as values, before timing and faults.

The dialects build these; only the player turns them into bytes on a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]

JSON: Headers = (("content-type", "application/json"),)
EVENT_STREAM: Headers = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer."""

    status: int = 200
    headers: Headers = JSON
    body: bytes = b""
    tokens: int = 0
    """Output tokens: a model needs time for each, also where the answer comes in one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReply:
    """Server-sent events, one `bytes` per whole event."""

    events: tuple[bytes, ...]
    headers: Headers = EVENT_STREAM
    closing: int = 1
    """How many events at the end only say that the stream is over (`[DONE]`, `message_stop`)."""


class Rejected(Exception):  # noqa: N818 - it is the provider's verdict, not a bug
    """The provider refuses a request; each dialect writes it in its own shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - the field's name in both dialects
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as a dialect sees it, with what the server adds to tell calls apart."""

    method: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    """Lower-case names; the last value of a repeated header."""
    body: bytes
    number: int
    """Calls of this provider are counted from 1: ids differ between calls, texts do not."""
    now: int
    """Unix time in seconds, for `created`."""
