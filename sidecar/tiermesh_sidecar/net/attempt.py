"""One attempt's answer as it arrives: what is held, what may be relayed, what it used.

The attempts machine decides; this keeps the bytes. It must not choose, retry, or write a reply.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from tiermesh_sidecar.core.decision import Step
from tiermesh_sidecar.core.features import Dialect, Endpoint
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.net.upstream import UpstreamResponse
from tiermesh_sidecar.wire.answer import Answer, decode_body, read_answer
from tiermesh_sidecar.wire.headers import header
from tiermesh_sidecar.wire.streams import StreamReader

MAX_COLLECTED = 8 * 1024 * 1024
"""Bytes of a passed-through answer that are kept to read its usage when it ends."""


class Body(Enum):
    """How an answer's body is treated."""

    STREAM = auto()
    """Server-sent events: relayed event by event."""
    WHOLE = auto()
    """Must be complete before any of it is relayed."""
    OPAQUE = auto()
    """Relayed as it comes."""


class Attempt:
    """Mutable; its own task and the runner change it, both on the event loop's thread."""

    def __init__(self, number: int, step: Step, span_id: str, started_ms: float) -> None:
        self.number = number
        self.step = step
        self.span_id = span_id
        self.started_ms = started_ms
        self.sent = False
        """The request went out, so the provider may bill it."""
        self.response: UpstreamResponse | None = None
        self.body = Body.OPAQUE
        self.encoding = ""
        self.reader: StreamReader | None = None
        self.held = bytearray()
        """What arrived and was not relayed; of a passed-through answer a copy, for its usage."""
        self.answer: Answer | None = None
        self.ended = False
        """The body arrived whole."""
        self.relaying = False
        self.idle_s: float | None = None
        """How long a stream that is being relayed may be silent."""
        self.closed = False
        self.first_chunk_ms: float | None = None
        self.task: asyncio.Task[None] | None = None

    def note_sent(self) -> None:
        self.sent = True

    def take_head(
        self,
        response: UpstreamResponse,
        dialect: Dialect,
        endpoint: Endpoint,
        *,
        routed: bool,
        hide_usage: bool,
    ) -> None:
        """Note the head and settle how the body is read. `routed`: its JSON must be readable."""
        self.response = response
        self.encoding = (header(response.headers, b"content-encoding") or b"").decode("latin-1")
        plain = self.encoding.strip().lower() in ("", "identity")
        good = 200 <= response.status < 300
        stream = good and is_event_stream(response)
        if stream and plain:
            self.body = Body.STREAM
            self.reader = StreamReader(dialect, endpoint, hide_usage=hide_usage)
        elif response.status >= 400 or (good and routed and not stream):
            self.body = Body.WHOLE

    def take(self, chunk: bytes) -> bytes:
        """What of this chunk may be relayed now; it is held unless the attempt is being relayed."""
        out = self.reader.feed(chunk) if self.reader else chunk
        if not self.relaying or self._collects():
            self.held += out
        return out

    def release(self) -> bytes:
        """Everything held, once."""
        out = bytes(self.held)
        if not self._collects():
            self.held.clear()
        return out

    def end(self, dialect: Dialect, endpoint: Endpoint) -> None:
        """The transfer ended whole: read what the answer says of itself."""
        self.ended = True
        if self.reader is not None or self.response is None or endpoint is Endpoint.OTHER:
            return
        if self.response.status >= 300:
            return
        body = decode_body(bytes(self.held), self.encoding)
        if body is None:
            return
        if is_event_stream(self.response):
            # Compressed although nobody asked for it: relayed as it came, and read for its usage.
            self.reader = StreamReader(dialect, endpoint, hide_usage=False)
            self.reader.feed(body)
            self.reader.end()
        else:
            self.answer = read_answer(dialect, endpoint, body)

    @property
    def readable(self) -> bool:
        """Whether a good whole answer is what its type says. A coding that we cannot undo (a
        provider that ignores `Accept-Encoding`) is the caller's to judge."""
        return self.answer is None or self.answer.readable

    def close(self) -> None:
        """Give up its connection. Idempotent; may be called from its own task."""
        self.closed = True
        if self.response is not None:
            self.response.close()
        task = self.task
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    @property
    def status(self) -> int | None:
        return self.response.status if self.response else None

    def usage(self, input_tokens: int) -> Usage | None:
        """What the provider said it used; where it did not but may have produced something, an
        estimate; None where it produced nothing that anybody would bill."""
        if self.reader is not None:
            return self.reader.estimated_usage(input_tokens)
        if self.answer is not None and self.answer.usage is not None:
            return self.answer.usage
        given_up = self.sent and not self.ended and (self.status is None or self.status < 300)
        return Usage(input=input_tokens, estimated=True) if given_up else None

    def _collects(self) -> bool:
        return self.body is Body.OPAQUE and len(self.held) < MAX_COLLECTED


def is_event_stream(response: UpstreamResponse) -> bool:
    kind = header(response.headers, b"content-type") or b""
    return kind.partition(b";")[0].strip().lower() == b"text/event-stream"
