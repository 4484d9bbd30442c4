"""Server-sent events as the two providers write them."""

from __future__ import annotations

import json
from typing import Any

DONE = b"data: [DONE]\n\n"


def encode(value: object) -> bytes:
    """Compact JSON, the text unescaped, as both APIs send it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def data_event(value: object) -> bytes:
    """OpenAI: no event name."""
    return b"data: " + encode(value) + b"\n\n"


def named_event(value: dict[str, Any]) -> bytes:
    """Anthropic: the event's name is its type."""
    return f"event: {value['type']}\n".encode() + data_event(value)
