"""What the shell tells the attempts machine. Attempts are numbered from 1, in the order sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Failure(StrEnum):
    """Why an attempt gave no usable answer; the value of `error.type` on its span and record."""

    CONNECT = "connection_failed"
    TLS = "tls_failed"
    DNS = "dns_failed"
    RESET = "connection_reset"
    TIMEOUT = "timeout"
    UNREADABLE = "unreadable_answer"
    """The answer is not what its type says: a 200 that is no JSON, a stream cut before its end."""
    STREAM_ERROR = "stream_error"
    """The provider reported an error inside its stream."""
    DEADLINE = "deadline_exceeded"
    """The call's own deadline passed during the attempt. Never sent by the shell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadReceived:
    """The answer's status and headers are here."""

    attempt: int
    status: int
    stream: bool
    """True for `text/event-stream`."""
    whole: bool = False
    """True where the answer must be complete and readable before it may be relayed (a routed call's
    JSON); False for paths that are passed through, which are relayed as they come."""
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkReceived:
    """The first whole event of a stream, or of a pass-through answer the first bytes, is here."""

    attempt: int
    failed: bool = False
    """The event reports an error instead of a beginning."""
    detail: str = ""
    """What that error says; it reaches the caller when nothing better does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEnded:
    """The answer's transfer ended whole."""

    attempt: int
    readable: bool = True
    """False: it is not what its content type says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """The attempt is over without a whole answer; its connection is closed."""

    attempt: int
    failure: Failure
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """The time of the last `Wait` has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGone:
    """The caller closed its connection."""


Event = HeadReceived | ChunkReceived | AnswerEnded | AttemptFailed | DeadlinePassed | ClientGone
