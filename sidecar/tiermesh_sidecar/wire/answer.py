"""A whole answer of a provider: is it what its type says, and what did it use.

Only looks. What is relayed is the provider's own bytes; nothing here may fail a call.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import orjson

from tiermesh_sidecar.core.features import Dialect, Endpoint
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.wire.body import load_lenient
from tiermesh_sidecar.wire.usage import anthropic_usage, openai_usage

_MAX_DECODED = 64 * 1024 * 1024
"""Bytes; a compressed answer that grows beyond is left undecoded."""
_LARGE = 1024 * 1024
"""Bytes of embeddings from which on only the edges are read: parsing millions of numbers to find
one would hold up every other call."""
_EDGE = 4096
_EDGE_USAGE = re.compile(rb'"usage"\s*+:\s*+(\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\})')
_EDGE_MODEL = re.compile(rb'"model"\s*+:\s*+("[^"\\]*+")')


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    readable: bool
    """Whether the body is a JSON object, as a success must be."""
    usage: Usage | None = None
    response_id: str | None = None
    response_model: str | None = None
    finish_reasons: tuple[str, ...] = ()


_UNREADABLE = Answer(readable=False)


def read_answer(dialect: Dialect, endpoint: Endpoint, body: bytes) -> Answer:
    """What a whole JSON answer says of itself. `body` is decoded (see `decode_body`)."""
    if endpoint is Endpoint.EMBEDDINGS and len(body) > _LARGE and _looks_whole(body):
        return _read_edges(body)
    value = read_json(body)
    if not isinstance(value, dict):
        return _UNREADABLE
    usage = value.get("usage")
    if dialect is Dialect.ANTHROPIC:
        stop = text(value.get("stop_reason"))
        reasons: tuple[str, ...] = (stop,) if stop is not None else ()
        counted = anthropic_usage(usage)
    else:
        reasons = finish_reasons(value)
        counted = openai_usage(usage)
    return Answer(
        readable=True,
        usage=counted,
        response_id=text(value.get("id")),
        response_model=text(value.get("model")),
        finish_reasons=reasons,
    )


def read_json(data: bytes) -> object:
    """The value, or None for what is no JSON (`null` too: nobody answers that)."""
    value: object
    try:
        value = orjson.loads(data)
    except ValueError:
        try:
            value = load_lenient(data)
        except (ValueError, RecursionError):
            return None
    return value


def finish_reasons(value: dict[str, object]) -> tuple[str, ...]:
    """The reasons of an OpenAI answer's or chunk's choices that have ended."""
    choices = value.get("choices")
    if not isinstance(choices, list):
        return ()
    reasons = (choice.get("finish_reason") for choice in choices if isinstance(choice, dict))
    return tuple(reason for reason in map(text, reasons) if reason is not None)


def text(value: object) -> str | None:
    """A string that telemetry can encode (a lone surrogate becomes `?`); None for none or ""."""
    if not isinstance(value, str) or not value:
        return None
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def decode_body(body: bytes, encoding: str) -> bytes | None:
    """The body without its `Content-Encoding`; None where that is unknown, broken or too large.

    For reading usage and for redaction only: the caller gets what the provider sent.
    """
    for coding in reversed([part.strip().lower() for part in encoding.split(",")]):
        if coding in ("", "identity"):
            continue
        if coding in ("gzip", "x-gzip"):
            decoded = _inflate(body, (16 + zlib.MAX_WBITS,))
        elif coding == "deflate":
            # Some servers send raw deflate under this name, against RFC 9110, 8.4.1.2.
            decoded = _inflate(body, (zlib.MAX_WBITS, -zlib.MAX_WBITS))
        else:
            return None
        if decoded is None:
            return None
        body = decoded
    return body


def _inflate(body: bytes, windows: tuple[int, ...]) -> bytes | None:
    for window in windows:
        try:
            return _inflate_members(body, window)
        except zlib.error:
            continue
    return None


def _inflate_members(body: bytes, window: int) -> bytes | None:
    pieces: list[bytes] = []
    room = _MAX_DECODED
    while body:
        decoder = zlib.decompressobj(window)
        piece = decoder.decompress(body, room + 1)
        room -= len(piece)
        if room < 0 or not decoder.eof:
            return None
        pieces.append(piece)
        body = decoder.unused_data if window > zlib.MAX_WBITS else b""
    return b"".join(pieces)


def _looks_whole(body: bytes) -> bool:
    """Embeddings hold no free text, so their braces are structure. Where this is in doubt the body
    is parsed after all."""
    ends = body[:64].lstrip().startswith(b"{") and body[-64:].rstrip().endswith(b"}")
    return ends and body.count(b"{") == body.count(b"}")


def _read_edges(body: bytes) -> Answer:
    edges = (body[-_EDGE:], body[:_EDGE])
    usage = next((m for m in map(_EDGE_USAGE.search, edges) if m), None)
    model = next((m for m in map(_EDGE_MODEL.search, edges) if m), None)
    return Answer(
        readable=True,
        usage=openai_usage(read_json(usage[1])) if usage else None,
        response_model=text(read_json(model[1])) if model else None,
    )
