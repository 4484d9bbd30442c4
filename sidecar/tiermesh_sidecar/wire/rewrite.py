"""What a routed body becomes: another model's name, and the usage option, spliced into the bytes.

Every byte outside these two values goes upstream as it came (law 9).
"""

from __future__ import annotations

import orjson

from tiermesh_sidecar.core.features import Endpoint
from tiermesh_sidecar.wire.body import JsonObject, members

_ASK = b'"include_usage":true'


def rewrite(body: JsonObject, *, model: str, ask_usage: bool) -> bytes:
    """The bytes for a backend. `ask_usage`: as `must_ask_usage` said.

    A body that already says all this is returned as it is, escapes included.
    """
    edits: list[tuple[int, int, bytes]] = []
    if body.value.get("model") != model:
        start, end = body.spans["model"]
        edits.append((start, end, orjson.dumps(model)))
    if ask_usage:
        edits.append(_usage_edit(body))
    return _splice(body.raw, edits) if edits else body.raw


def must_ask_usage(body: JsonObject, endpoint: Endpoint) -> bool:
    """Whether a stream would end without usage, because the caller did not ask for it.

    True means: ask upstream, and hide from the caller what that adds. Values that no provider
    accepts are left for the provider to refuse.
    """
    if endpoint not in (Endpoint.CHAT_COMPLETIONS, Endpoint.COMPLETIONS):
        return False
    if body.value.get("stream") is not True:
        return False
    options = body.value.get("stream_options")
    if isinstance(options, dict):
        asked = options.get("include_usage")
        return asked is None or asked is False
    return options is None


def _usage_edit(body: JsonObject) -> tuple[int, int, bytes]:
    span = body.spans.get("stream_options")
    if span is None:
        last = max(end for _, end in body.spans.values())
        return last, last, b',"stream_options":{' + _ASK + b"}"
    start, end = span
    if not isinstance(body.value["stream_options"], dict):
        return start, end, b"{" + _ASK + b"}"
    inner = members(body.raw[start:end])
    # Parsers take the last of duplicate keys, so that one is changed.
    for member in reversed(inner):
        if member.key == "include_usage":
            return start + member.start, start + member.end, b"true"
    return start + 1, start + 1, _ASK + b"," if inner else _ASK


def _splice(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for start, end, replacement in sorted(edits):
        pieces += (raw[position:start], replacement)
        position = end
    pieces.append(raw[position:])
    return b"".join(pieces)
