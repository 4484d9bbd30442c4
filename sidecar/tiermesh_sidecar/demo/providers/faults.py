"""The ways in which a provider fails, and when it does: queued, by chance, or for a while.

A fault only strikes a request that the provider would have answered: a proxy's bad request is
always visible as a 4xx.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from tiermesh_sidecar.demo.providers.reply import Headers, Reply, StreamReply


class FaultKind(StrEnum):
    """Those that say "stream" strike streams only; a plain answer goes out unharmed."""

    STATUS = "status"
    """An error answer in the dialect's shape."""
    KEY_ECHO = "key_echo"
    """A 401 that repeats the whole credential it was sent."""
    RESET_BEFORE_HEAD = "reset_before_head"
    CLOSE_BEFORE_HEAD = "close_before_head"
    """FIN instead of an answer, as an idle connection that is closed under a request."""
    RESET_MID_BODY = "reset_mid_body"
    FIN_MID_BODY = "fin_mid_body"
    """FIN before the length or the last chunk that was announced."""
    STALL = "stall"
    """Silence for `seconds` after `after` events (plain answers: half the body), then the rest."""
    SLOW_HEAD = "slow_head"
    GARBAGE = "garbage"
    """200 with the right content type and a body or an event that is no JSON."""
    NOT_JSON = "not_json"
    """200 with an HTML page."""
    EMPTY = "empty"
    """200 with no body."""
    GZIP = "gzip"
    """The answer compressed, whether asked for or not."""
    STREAM_ERROR = "stream_error"
    """An error event in the middle of a stream, which then ends whole."""
    NO_END = "no_end"
    """The stream's transfer ends whole, without the event that says it is over."""
    CLOSE_DELIMITED = "close_delimited"
    """The answer complete, ended by closing the connection: neither length nor chunks."""
    CLOSE_DELIMITED_NO_END = "close_delimited_no_end"
    """A stream ended by closing the connection after `after` events: cut or not, nobody can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    kind: FaultKind
    status: int = 500
    headers: Headers = ()
    message: str | None = None
    """None: the provider's usual words."""
    after: int = 3
    """Whole events that are sent before a stream fails."""
    seconds: float = 30.0
    """How long it stalls or waits with the head."""


def status(code: int, *, message: str | None = None, headers: Headers = ()) -> Fault:
    return Fault(kind=FaultKind.STATUS, status=code, message=message, headers=headers)


def rate_limited(*, retry_after: str | None = None, retry_after_ms: str | None = None) -> Fault:
    """A 429 with whichever of the two headers is given."""
    named = (("retry-after", retry_after), ("retry-after-ms", retry_after_ms))
    return status(429, headers=tuple((name, value) for name, value in named if value is not None))


def stall(seconds: float, *, after: int = 3) -> Fault:
    return Fault(kind=FaultKind.STALL, seconds=seconds, after=after)


def slow_head(seconds: float) -> Fault:
    return Fault(kind=FaultKind.SLOW_HEAD, seconds=seconds)


def broken(kind: FaultKind, *, after: int = 3) -> Fault:
    """A fault that needs no more than its kind and, for streams, its place."""
    return Fault(kind=kind, after=after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    probability: float
    """Of each call, in [0, 1]."""
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviours:
    """How a provider answers when all is well, and how often it does not. Times in seconds."""

    head_s: float = 0.0
    """From the request to the answer's head (a stream's first event)."""
    token_s: float = 0.0
    """Per output token."""
    jitter: float = 0.0
    """Each delay is stretched by a factor from 1 - jitter to 1 + jitter."""
    chances: tuple[Chance, ...] = ()
    seed: int = 0
    chunk_bytes: int | None = None
    """Streams are written in pieces of this size, whatever the events; None: event by event."""


@dataclass(slots=True, kw_only=True)
class Schedule:
    """Decides per call: what was queued comes first, then an outage, then chance."""

    behaviours: Behaviours
    outage: Fault | None = None
    """Strikes every call while it is set."""
    queued: deque[Fault | Reply | StreamReply | None] = field(default_factory=deque)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.behaviours.seed)

    def next(self) -> Fault | Reply | StreamReply | None:
        """What replaces or harms the next answer; None: nothing."""
        if self.queued:
            return self.queued.popleft()
        if self.outage is not None:
            return self.outage
        drawn = self._rng.random()
        for chance in self.behaviours.chances:
            drawn -= chance.probability
            if drawn < 0:
                return chance.fault
        return None

    def delay(self, tokens: int = 0, *, head: bool = True) -> float:
        """Seconds to wait before a head, or for some tokens."""
        base = (self.behaviours.head_s if head else 0.0) + tokens * self.behaviours.token_s
        if not base:
            return 0.0
        return base * (1 + self.behaviours.jitter * self._rng.uniform(-1, 1))
