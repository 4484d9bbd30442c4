"""Anthropic's answers: the message object and the events of a streamed message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tiermesh_sidecar.demo.providers.generation import Saying
from tiermesh_sidecar.demo.providers.sse import named_event
from tiermesh_sidecar.demo.providers.text import digest, pieces, windows

_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool": "tool_use",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    input: int
    """Neither read from nor written to the cache."""
    output: int
    cache_read: int = 0
    cache_write: int = 0

    def as_json(self, output: int) -> dict[str, Any]:
        return {
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_write,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.cache_write,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": output,
            "service_tier": "standard",
        }


def message(id_: str, model: str, saying: Saying, usage: Usage) -> dict[str, Any]:
    return {
        **_envelope(id_, model, usage.as_json(usage.output)),
        "content": [_block(id_, saying)] if saying.text or saying.tool else [],
        "stop_reason": _STOP[saying.ended],
        "stop_sequence": saying.stop_sequence,
    }


def _envelope(id_: str, model: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _block(id_: str, saying: Saying) -> dict[str, Any]:
    if saying.tool is None:
        return {"type": "text", "text": saying.text}
    called = f"toolu_{digest(id_)}"
    return {
        "type": "tool_use",
        "id": called,
        "name": saying.tool.name,
        "input": saying.arguments,
    }


def message_events(id_: str, model: str, saying: Saying, usage: Usage) -> tuple[bytes, ...]:
    """Every event of a streamed message, one `ping` among them."""
    opening = _envelope(id_, model, usage.as_json(1))
    block = _block(id_, saying)
    empty = {**block, "text": ""} if saying.tool is None else {**block, "input": {}}
    total = usage.as_json(usage.output)
    del total["cache_creation"], total["service_tier"]
    ended = {"stop_reason": _STOP[saying.ended], "stop_sequence": saying.stop_sequence}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": opening},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": d} for d in _deltas(saying)),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": total},
        {"type": "message_stop"},
    ]
    return tuple(named_event(event) for event in events)


def _deltas(saying: Saying) -> Iterator[dict[str, Any]]:
    if saying.tool is None:
        for piece in pieces(saying.text):
            yield {"type": "text_delta", "text": piece}
        return
    yield {"type": "input_json_delta", "partial_json": ""}
    for part in windows(json.dumps(saying.arguments), 8):
        yield {"type": "input_json_delta", "partial_json": part}


def model_object(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2024-05-17T00:00:00Z",
    }
