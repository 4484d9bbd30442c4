"""What happened to a call: the attempts, what they used and cost. Telemetry consumes these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """How a call ended, seen from the caller."""

    ANSWERED = "answered"
    """A provider's answer reached the caller whole (its own error answers included)."""
    REFUSED = "refused"
    """We answered with an error of our own."""
    BROKEN = "broken"
    """The stream failed after the commit."""
    CLIENT_GONE = "client_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one attempt. `input` includes cached and cache-writing tokens, as the OpenTelemetry
    GenAI conventions count them."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    cache_write: int = 0
    estimated: bool = False
    """Counted by us because the provider did not say (an abandoned or broken stream)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt as the machine saw it. Times are milliseconds since the call began.

    `error` says what became of the attempt, `status` what the provider said: a stream that broke
    has status 200 and `connection_reset`.
    """

    attempt: int
    tier: str
    backend: str
    started_ms: float
    ended_ms: float
    status: int | None
    """The HTTP status, None when no head arrived."""
    error: str | None
    """A `Failure` value, `http_STATUS` for a provider's error answer, or `cancelled`; None on
    success."""
