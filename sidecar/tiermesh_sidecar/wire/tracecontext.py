"""W3C trace context: `traceparent` in and out (https://www.w3.org/TR/trace-context/#traceparent-header).

`tracestate` is opaque here and never parsed.
"""

from __future__ import annotations

import re

_TRACEPARENT = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)


def parse_traceparent(value: bytes | None) -> tuple[str, str, bool] | None:
    """`(trace_id, parent_span_id, sampled)`, or None for what the specification calls invalid.

    A later version may append fields; version ff, upper case and ids of zeros are invalid.
    """
    match = _TRACEPARENT.fullmatch(value.strip(b" \t")) if value else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest is not None):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return trace_id.decode(), span_id.decode(), bool(int(flags, 16) & 1)


def format_traceparent(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """Version 00. `trace_id`: 32, `span_id`: 16 lower-case hex digits."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"
