"""What the fake model says to a prompt: text, JSON that satisfies a schema, or a tool call.

One generator for both dialects; they only wrap its result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiermesh_sidecar.demo.providers.structured import satisfy
from tiermesh_sidecar.demo.providers.text import cut, names_tool, prose, seeded, token_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a request asks the model for, in no dialect."""

    model: str
    prompt: str
    """Every word of the conversation: the seed."""
    last_user: str
    """The last user message, "" where the last message is a tool's result."""
    tools: tuple[Tool, ...] = ()
    tool: str = "auto"
    """none | auto | required | =NAME"""
    schema: Mapping[str, Any] | None = None
    """An answer in JSON; an empty schema means any object."""
    limit: int | None = None
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    text: str = ""
    tool: Tool | None = None
    arguments: dict[str, Any] | None = None
    ended: str = "stop"
    """stop | length | stop_sequence | tool"""
    stop_sequence: str | None = None

    @property
    def tokens(self) -> int:
        return token_count(self.text) + (
            token_count(self.tool.name + json.dumps(self.arguments)) + 8 if self.tool else 0
        )


_ANY_OBJECT = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "confidence": {"type": "number", "maximum": 1}},
    "required": ["answer", "confidence"],
}


def say(wish: Wish, index: int = 0) -> Saying:
    """The answer to a wish; `index` tells the choices of one call apart."""
    rng = seeded(wish.model, wish.prompt, str(index))
    tool = _chosen_tool(wish)
    if tool is not None:
        return Saying(tool=tool, arguments=satisfy(tool.parameters, rng) or {}, ended="tool")
    if wish.schema is not None:
        full = json.dumps(satisfy(wish.schema or _ANY_OBJECT, rng), ensure_ascii=False)
    else:
        full = prose(rng)
    text, ended, met = cut(full, wish.limit, wish.stops)
    return Saying(text=text, ended=ended, stop_sequence=met)


def _chosen_tool(wish: Wish) -> Tool | None:
    if wish.tool.startswith("="):
        return next((t for t in wish.tools if t.name == wish.tool[1:]), None)
    if wish.tool == "none" or not wish.tools:
        return None
    asked = next((t for t in wish.tools if names_tool(wish.last_user, t.name)), None)
    return asked or (wish.tools[0] if wish.tool == "required" else None)
