"""A request's JSON object: its value, and where in the bytes each top-level member stands.

The value is what the decision reads; the spans are what lets a few bytes be replaced while all
others go upstream as they came (law 9). Nothing here may re-serialise a body.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from tiermesh_sidecar.core.decision import ErrorCode, Refusal


class Member(NamedTuple):
    """One `"key": value` of an object, as byte offsets. A tuple, since events make many of them."""

    key: str
    key_start: int
    start: int
    """Where the value begins."""
    end: int
    """One past the value's last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonObject:
    raw: bytes
    value: dict[str, object]
    """Numbers beyond 64 bits are floats here; the raw bytes keep them."""
    spans: dict[str, tuple[int, int]]
    """The byte range of each top-level member's value."""


# These read bytes whose escaped quotes were masked, so a string ends at the next quote. Everything
# is possessive: the JSON is known to be valid, and nothing is ever tried twice.
_STRING = rb'"[^"]*+"'
_FILL = rb'[^\[\]{}"]*+'
_REGEX_DEPTH = 8
"""Values nested deeper than this are measured by counting brackets, one by one."""


def _nested(depth: int) -> bytes:
    inner = _STRING if depth == 1 else rb"(?:" + _STRING + rb"|" + _nested(depth - 1) + rb")"
    return rb"[\[{]" + _FILL + rb"(?:" + inner + _FILL + rb")*+[\]}]"


_KEY = rb"[,\s]*+(" + _STRING + rb")\s*+:\s*+"
_KEY_ONLY = re.compile(_KEY)
_MEMBER = re.compile(_KEY + rb"(" + _STRING + rb"|" + _nested(_REGEX_DEPTH) + rb'|[^\s,\[\]{}"]++)')
_TOKEN = re.compile(_STRING + rb"|[\[\]{}]")


def parse_object(raw: bytes) -> JsonObject | Refusal:
    """The body as an object, or a refusal (400) that says where it is not valid JSON.

    Whatever RFC 8259 allows is accepted, lone surrogates and numbers of any size included.
    """
    value: object
    try:
        value = orjson.loads(raw)
    except ValueError:
        value = _lenient(raw)
        if isinstance(value, Refusal):
            return value
    if not isinstance(value, dict):
        return _refuse(f"The body is a JSON {_kind(value)}, not an object: send {{...}}.")
    spans = _compact_spans(raw, value)
    if spans is None:
        spans = {}
        for member in members(raw):
            if member.key in spans:
                return _refuse(
                    f"The key {member.key!r} stands twice in the body, which parsers read "
                    "differently: send it once.",
                    param=member.key,
                )
            spans[member.key] = (member.start, member.end)
    return JsonObject(raw=raw, value=value, spans=spans)


def members(raw: bytes) -> list[Member]:
    """The members of an object, in order. `raw` is valid JSON and begins with the object."""
    masked = raw
    if b"\\" in raw:
        # Of equal length: first pairs of backslashes, then the quotes that one still escapes.
        masked = raw.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    found: list[Member] = []
    position = raw.index(b"{") + 1
    while True:
        match = _MEMBER.match(masked, position)
        if match is not None:
            key_start, key_end = match.span(1)
            start, position = match.span(2)
        else:
            head = _KEY_ONLY.match(masked, position)
            if head is None:
                return found
            key_start, key_end = head.span(1)
            start = head.end()
            position = _closing(masked, start)
        found.append(Member(_key(raw[key_start:key_end]), key_start, start, position))


def _compact_spans(raw: bytes, value: dict[str, object]) -> dict[str, tuple[int, int]] | None:
    """The spans of a body that is written just as orjson would write it (JavaScript's and newer
    Python SDKs do): its members' lengths add up, and no key can stand twice. None: it is not."""
    try:
        if orjson.dumps(value) != raw:
            return None
    except TypeError:  # a lone surrogate
        return None
    spans: dict[str, tuple[int, int]] = {}
    position = 1
    for key, item in value.items():
        start = position + len(orjson.dumps(key)) + 1
        end = start + len(orjson.dumps(item))
        spans[key] = (start, end)
        position = end + 1
    return spans


def _closing(masked: bytes, start: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(masked, start):
        character = masked[token.start()]
        if character in b"[{":
            depth += 1
        elif character in b"]}":
            depth -= 1
            if depth == 0:
                return token.end()
    raise ValueError("unbalanced JSON")


def _key(quoted: bytes) -> str:
    if b"\\" in quoted:
        return str(json.loads(quoted))
    return quoted[1:-1].decode()


def _lenient(raw: bytes) -> object | Refusal:
    """What orjson refuses though JSON allows it (lone surrogates, numbers that overflow a double),
    read by the standard library, which also finds the position of real errors."""
    try:
        return load_lenient(raw)
    except UnicodeDecodeError as error:
        return _refuse(f"The body is not UTF-8 at byte {error.start}: send UTF-8 encoded JSON.")
    except RecursionError:
        return _refuse("The body nests too deeply to be read: flatten it.")
    except json.JSONDecodeError as error:
        if error.msg.startswith("Unexpected UTF-8 BOM"):
            return _refuse("The body begins with a byte order mark: send JSON without it.")
        return _refuse(
            f"The body is not valid JSON: {error.msg} at line {error.lineno} column {error.colno}."
        )
    except ValueError as error:
        return _refuse(f"The body is not valid JSON: {error}.")


def load_lenient(raw: bytes) -> object:
    """Any value that RFC 8259 allows. Raises ValueError or RecursionError."""
    return json.loads(raw.decode(), parse_constant=_no_constant, parse_int=_integer)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _integer(digits: str) -> int | float:
    # int() refuses more than 4,300 digits, and what long ones cost grows with their square.
    return int(digits) if len(digits) < 20 else float(digits)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", str: "string", list: "array"}
    return names.get(type(value), "number")


def _refuse(message: str, *, param: str | None = None) -> Refusal:
    return Refusal(code=ErrorCode.INVALID_REQUEST, message=message, param=param)
