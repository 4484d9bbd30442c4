"""What every provider checks before it looks at a request's fields: media type, JSON, one key.

A repeated top-level key is refused here although the real APIs take the last one: a proxy that
sends such a body onwards has let two readers see two requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tiermesh_sidecar.demo.providers.reply import Call, Rejected


def read_object(call: Call, *, not_json: str, wrong_type: str) -> dict[str, Any]:
    """The body as an object. `not_json` and `wrong_type` are the provider's own messages."""
    media = call.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if media != "application/json":
        text = wrong_type.replace("{type}", media)
        raise Rejected(400, text, code="unsupported_content_type")
    try:
        body = json.loads(call.body, object_pairs_hook=_Pairs, parse_constant=_no_constant)
        if not isinstance(body, _Pairs):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise Rejected(400, not_json) from None
    names = [name for name, _ in body]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Rejected(400, f"Duplicate key in the request's body: '{repeated[0]}'.")
    return {name: _plain(value) for name, value in body}


class _Pairs(list[tuple[str, Any]]):
    """An object's members before they become a dict, so that repeated names are still visible."""


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {name: _plain(inner) for name, inner in value}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True)
class PromptCache:
    """Remembers prompts in order of arrival, so that a repeated one is billed as cached."""

    seen: dict[str, None]
    most: int = 512

    def hit(self, prefix: str) -> bool:
        """Whether the prefix came before; it is remembered from now on."""
        known = prefix in self.seen
        self.seen[prefix] = None
        while len(self.seen) > self.most:
            del self.seen[next(iter(self.seen))]
        return known


def text_parts(content: object) -> Iterator[str]:
    """The words in a message's content, whichever of the dialects' forms it has."""
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            if isinstance(part.get("text"), str):
                yield part["text"]
            yield from text_parts(part.get("content"))


def image_count(content: object) -> int:
    parts = content if isinstance(content, list) else ()
    return sum(1 for p in parts if isinstance(p, dict) and p.get("type") in ("image_url", "image"))
