"""Reads a provider's event stream while it is relayed: usage, end, errors; hides what we added.

Per chunk no JSON is parsed unless a byte search finds something that matters. Events are relayed
byte for byte; only a field or event that our own usage option caused is taken out.
"""

from __future__ import annotations

import re

from tiermesh_sidecar.core.features import Dialect, Endpoint
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.wire.answer import finish_reasons, read_json, text
from tiermesh_sidecar.wire.body import members
from tiermesh_sidecar.wire.prompt import BYTES_PER_TOKEN
from tiermesh_sidecar.wire.sse import EventSplitter, data_spans, event_type, events
from tiermesh_sidecar.wire.usage import anthropic_usage, openai_usage

_OPENING_EVENTS = 4
"""How many data events are parsed in search of the answer's id and model: the first, unless it is
one of Azure's without an id."""


_USUAL = b',"usage":null'
_USUAL_REST = re.compile(rb'(?:,"[a-z_]*+":"[^"\\]*+")?\}')
"""Where OpenAI puts the field: last, or before its `obfuscation`. Read backwards from the closing
brace there is one way to take these tokens, so the field is a member of the outermost object."""


class StreamReader:
    """One attempt's stream. Pure: bytes in, bytes out, facts on the side."""

    __slots__ = (
        "_anthropic",
        "_bytes",
        "_events",
        "_finish_reasons",
        "_hide",
        "_opening",
        "_smallest",
        "_splitter",
        "_started_usage",
        "error",
        "finished",
        "response_id",
        "response_model",
        "usage",
    )

    def __init__(self, dialect: Dialect, endpoint: Endpoint, hide_usage: bool) -> None:
        self._anthropic = dialect is Dialect.ANTHROPIC
        self._hide = hide_usage and endpoint in (Endpoint.CHAT_COMPLETIONS, Endpoint.COMPLETIONS)
        self._splitter = EventSplitter()
        self._opening = _OPENING_EVENTS
        self._bytes = 0
        self._events = 0
        self._smallest = 0
        self._started_usage: dict[str, object] = {}
        self._finish_reasons: list[str] = []
        self.error: str | None = None
        """What the provider's in-stream error says, or why the stream is unreadable; never ""."""
        self.finished = False
        """`[DONE]`, `message_stop` or a finish reason was seen."""
        self.usage: Usage | None = None
        """What the provider counted, once it has counted the output."""
        self.response_id: str | None = None
        self.response_model: str | None = None

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        return tuple(self._finish_reasons)

    @property
    def output_chars(self) -> int:
        """About how much content has come, in bytes: all data but each event's envelope, which is
        taken to be as long as the shortest event."""
        return max(0, self._bytes - self._events * self._smallest)

    def estimated_usage(self, input_tokens: int) -> Usage:
        """The provider's count; without one (an abandoned or broken stream) an estimate.

        Output: one token for each event, as providers send them, or the content's length, where
        that is more. Input: what Anthropic's first event said, else `input_tokens`.
        """
        if self.usage is not None:
            return self.usage
        output = max(self._events, self.output_chars // BYTES_PER_TOKEN)
        begun = anthropic_usage(self._started_usage)
        if begun is None:
            return Usage(input=input_tokens, output=output, estimated=True)
        return Usage(
            input=begun.input,
            output=max(output, begun.output),
            cached_input=begun.cached_input,
            cache_write=begun.cache_write,
            estimated=True,
        )

    def feed(self, chunk: bytes) -> bytes:
        """The whole events to relay now, b"" while none is complete or where all are hidden."""
        block = self._splitter.feed(chunk)
        if block:
            return self._read(block)
        if self._splitter.overflow and self.error is None:
            self.error = "an event is longer than this proxy reads"
        return b""

    def end(self) -> bytes:
        """The rest, once the transfer has ended whole: the last event may lack its empty line.

        After a failure do not call this: the partial tail is dropped (law 4).
        """
        tail, self._splitter = self._splitter.tail, EventSplitter()
        return self._read(tail) if tail else b""

    def _read(self, block: bytes) -> bytes:
        self._measure(block)
        if not self._opening and not self._matters(block):
            return block
        kept = [self._event(event) for event in events(block)]
        return b"".join(kept) if self._hide else block

    def _measure(self, block: bytes) -> None:
        number = block.count(b"\ndata:") + block.startswith(b"data:")
        if not number:
            return
        size = len(block) // number
        if not self._events or size < self._smallest:
            self._smallest = size
        self._events += number
        self._bytes += len(block)

    def _matters(self, block: bytes) -> bool:
        """Whether any event of a block needs parsing. Finds too much rather than too little."""
        if b'"error"' in block or b"event: error" in block or b"event:error" in block:
            return True
        if self._anthropic:
            return b'"usage"' in block or b"message_stop" in block
        if b"[DONE]" in block or _says(block, b'"finish_reason"'):
            return True
        return b'"usage"' in block if self._hide else _says(block, b'"usage"')

    def _event(self, event: bytes) -> bytes:
        if not self._opening and not self._matters(event):
            return event
        spans = data_spans(event)
        data = b"\n".join(event[start:end] for start, end in spans)
        if data == b"[DONE]":
            self.finished = True
            return event
        value = read_json(data) if data else None
        if event_type(event) == b"error":
            self._note_error(value if isinstance(value, dict) else {})
        if not isinstance(value, dict):
            return event
        if self._anthropic:
            self._anthropic_event(value)
            return event
        self._openai_event(value)
        if self._hide and "usage" in value:
            return _without_usage(event, spans, data, value)
        return event

    def _openai_event(self, value: dict[str, object]) -> None:
        self._note_opening(value)
        usage = openai_usage(value.get("usage"))
        if usage is not None:
            self.usage = usage
        reasons = finish_reasons(value)
        if reasons:
            self.finished = True
            self._finish_reasons += reasons
        if value.get("error") or value.get("object") == "error":
            self._note_error(value)

    def _anthropic_event(self, value: dict[str, object]) -> None:
        kind = value.get("type")
        if kind == "message_start" and isinstance(message := value.get("message"), dict):
            self._note_opening(message)
            self._merge_usage(message.get("usage"))
        elif kind == "message_delta":
            self._merge_usage(value.get("usage"))
            if "usage" in value:
                self.usage = anthropic_usage(self._started_usage)
            delta = value.get("delta")
            stop = text(delta.get("stop_reason")) if isinstance(delta, dict) else None
            if stop is not None:
                self.finished = True
                self._finish_reasons.append(stop)
        elif kind == "message_stop":
            self.finished = True
        elif kind == "error":
            self._note_error(value)

    def _merge_usage(self, usage: object) -> None:
        # Counts are cumulative: what message_delta says replaces what message_start said.
        if isinstance(usage, dict):
            self._started_usage.update((k, v) for k, v in usage.items() if v is not None)

    def _note_opening(self, value: dict[str, object]) -> None:
        if not self._opening:
            return
        self._opening -= 1
        self.response_id = text(value.get("id"))
        self.response_model = text(value.get("model"))
        if self.response_id is not None:
            self._opening = 0

    def _note_error(self, value: dict[str, object]) -> None:
        if self.error is not None:
            return
        error = value.get("error")
        message = error.get("message") if isinstance(error, dict) else error
        self.error = text(message) or text(value.get("message")) or "the provider reported an error"


def _says(block: bytes, name: bytes) -> bool:
    """Whether the name stands anywhere with a value other than null."""
    position = block.find(name)
    while position >= 0:
        position += len(name)
        if not block.startswith((b":null", b": null"), position):
            return True
        position = block.find(name, position)
    return False


def _without_usage(
    event: bytes, spans: list[tuple[int, int]], data: bytes, value: dict[str, object]
) -> bytes:
    """The event as it would be had nobody asked for usage: gone, or without that one field."""
    if value["usage"] is not None and not value.get("choices"):
        return b""
    start, end = _usage_cut(data)
    return _cut(event, spans, start, end)


def _usage_cut(data: bytes) -> tuple[int, int]:
    """The range of the `usage` member with the comma that its absence makes superfluous.

    `data` is a valid JSON object that has one.
    """
    usual = data.rfind(_USUAL)
    if usual >= 0 and _USUAL_REST.fullmatch(data, usual + len(_USUAL)):
        return usual, usual + len(_USUAL)
    found = members(data)
    index = max(i for i, member in enumerate(found) if member.key == "usage")
    if index > 0:
        return found[index - 1].end, found[index].end
    if len(found) > 1:
        return found[0].key_start, found[1].key_start
    return found[0].key_start, found[0].end


def _cut(event: bytes, spans: list[tuple[int, int]], start: int, end: int) -> bytes:
    """The event without the data bytes from `start` to `end`, offsets into all data lines joined
    by line feeds."""
    offset = sum(line_end - line_start + 1 for line_start, line_end in spans)
    for line_start, line_end in reversed(spans):
        offset -= line_end - line_start + 1
        first = max(start - offset, 0)
        last = min(end - offset, line_end - line_start)
        if first < last:
            event = event[: line_start + first] + event[line_start + last :]
    return event
