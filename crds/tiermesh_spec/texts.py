"""The kinds of text that fields hold: one definition each for pydantic, CRD and documentation.

A plain pydantic pattern would tell a user which regular expression failed; these say what was
expected and how to write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic_core import PydanticCustomError, core_schema

from tiermesh_spec.addresses import MODEL_URL_PATTERN, bundle_fault, url_fault
from tiermesh_spec.quantities import DURATION_PATTERN, PRICE_PATTERN, SCORE_PATTERN, milliseconds

Fault = tuple[str, str]
"""What is wrong, and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Annotates a `str` field: bounded, and of one notation."""

    what: str
    """Completes "... is not": "a duration"."""
    fix: str
    pattern: str = ""
    """Must match whole; the part of the syntax that Python and RE2 share. "" allows anything."""
    longest: int
    shortest: int = 1
    check: Callable[[str], Fault | None] | None = None
    """What a pattern cannot say."""
    secret: bool = False
    """The value is never repeated."""
    cel: tuple[tuple[str, str], ...] = ()
    """Rules (expression over `self`, message) that the API server checks beside the pattern."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: object
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def validate(self, value: object) -> str:
        fault = self.fault(value)
        if fault is not None or not isinstance(value, str):
            message, fix = fault or ("", "")
            raise PydanticCustomError("text", "{message}", {"message": message, "fix": fix})
        return value

    def fault(self, value: object) -> Fault | None:
        if isinstance(value, bool | int | float):
            return f"is a {_kind(value)}, not text", f"put it in quotes; {self.fix}"
        if not isinstance(value, str):
            return f"is not text but {_kind(value)}", self.fix
        if len(value) < self.shortest:
            return "is empty", self.fix
        if len(value) > self.longest:
            return f"has {len(value)} characters", f"use at most {self.longest} characters"
        if _UNPRINTABLE.search(value):
            return "holds control characters", "remove them"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return f"is not {self.what}", self.fix
        return self.check(value) if self.check else None


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Also halves of surrogate pairs, which no encoding can carry."""


def _kind(value: object) -> str:
    names: dict[type, str] = {bool: "boolean", int: "number", float: "number"}
    names |= {list: "a list", dict: "an object", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")


def _lasts(value: str) -> Fault | None:
    length = milliseconds(value)
    if length == 0:
        return "is no time at all", "use at least 1ms"
    if length > 86_400_000:
        return "is longer than a day", "use at most 24h"
    return None


Duration = Annotated[
    str,
    Text(
        what="a duration",
        fix="write a number and a unit, for example 300ms, 2s, 5m or 1h30m",
        pattern=DURATION_PATTERN,
        longest=32,
        check=_lasts,
        cel=(
            (
                "duration(self) > duration('0s') && duration(self) <= duration('24h')",
                "must be at least 1ms and at most 24h",
            ),
        ),
    ),
]

Dollars = Annotated[
    str,
    Text(
        what="a price",
        fix='write dollars per million tokens as text with at most six decimals, such as "0.15"',
        pattern=PRICE_PATTERN,
        longest=13,
    ),
]

Score = Annotated[
    str,
    Text(
        what="a number from 0 to 1",
        fix='write it as text with at most six decimals, for example "0.35"',
        pattern=SCORE_PATTERN,
        longest=8,
    ),
]

_NAME_FIX = "use lower-case letters, digits and '-', starting and ending with a letter or digit"
_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def _not_auto(value: str) -> Fault | None:
    if value == "auto":
        return "is what callers send to be routed", "choose another name than auto"
    return None


def _not_default(value: str) -> Fault | None:
    if value == "default":
        return "is the name of the default route", "choose another name than default"
    return None


Name = Annotated[str, Text(what="a name", fix=_NAME_FIX, pattern=_NAME, longest=63)]

TierName = Annotated[
    str,
    Text(
        what="a name",
        fix=_NAME_FIX,
        pattern=_NAME,
        longest=63,
        check=_not_auto,
        cel=(("self != 'auto'", "auto is what callers send to be routed"),),
    ),
]

RuleName = Annotated[
    str,
    Text(
        what="a name",
        fix=_NAME_FIX,
        pattern=_NAME,
        longest=63,
        check=_not_default,
        cel=(("self != 'default'", "default is the name of the default route"),),
    ),
]

ResourceName = Annotated[
    str,
    Text(
        what="a resource name",
        fix="use lower-case letters, digits, '-' and '.'; letters or digits at both ends",
        pattern=r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        longest=253,
    ),
]

_WORDS = {"true", "false", "null", "in"}


def _readable(value: str) -> Fault | None:
    if value in _WORDS:
        return "is a word of the expression language", "choose another name"
    return None


Identifier = Annotated[
    str,
    Text(
        what="an identifier",
        fix="use letters, digits and '_', not starting with a digit: expressions read it by name",
        pattern=r"[a-zA-Z_][a-zA-Z0-9_]*",
        longest=63,
        check=_readable,
        cel=(
            (
                "!(self in ['true', 'false', 'null', 'in'])",
                "a word of the expression language cannot be a name",
            ),
        ),
    ),
]

ModelName = Annotated[
    str,
    Text(
        what="a model's name",
        fix="write it as the provider does: ASCII without spaces and '*'",
        pattern=r"[!-)+-~]+",
        longest=253,
    ),
]

Alias = Annotated[
    str,
    Text(
        what="a model's name",
        fix="use ASCII without spaces and '*'",
        pattern=r"[!-)+-~]+",
        longest=253,
        check=_not_auto,
        cel=(("self != 'auto'", "auto is what callers send to be routed"),),
    ),
]

ModelGlob = Annotated[
    str,
    Text(
        what="a model's name or glob",
        fix="use ASCII without spaces; '*' stands for any run of characters",
        pattern=r"[!-~]+",
        longest=253,
    ),
]

Word = Annotated[
    str,
    Text(
        what="a plain word",
        fix="use letters, digits, '.', '_' and '-', starting and ending with a letter or digit",
        pattern=r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?",
        longest=63,
    ),
]

Value = Annotated[
    str,
    Text(what="a value", fix="write the value as callers send it", longest=253),
]

Expression = Annotated[
    str,
    Text(
        what="an expression",
        fix="write a CEL expression that is true or false, for example \"caller.plan == 'free'\"",
        longest=1024,
    ),
]

_NOT_IDENTITY = [
    "accept",
    "accept-encoding",
    "anthropic-beta",
    "anthropic-version",
    "api-key",
    "authorization",
    "baggage",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
]


def _identifies(value: str) -> Fault | None:
    lowered = value.lower()
    if lowered.startswith("x-tiermesh-"):
        return (
            "is a hint, which callers set as they like",
            "use a header that your gateway or application sets, for example x-tenant-id",
        )
    if lowered in _NOT_IDENTITY:
        return (
            "carries the call itself or its credentials, and identity headers reach no backend",
            "use a header of your own, for example x-tenant-id",
        )
    return None


HeaderName = Annotated[
    str,
    Text(
        what="a header's name",
        fix="use letters, digits and '-', for example x-tenant-id",
        pattern=r"[A-Za-z0-9!#$%&'*+.^_`|~-]+",
        longest=128,
        check=_identifies,
        cel=(
            (
                "!self.lowerAscii().startsWith('x-tiermesh-')",
                "x-tiermesh- headers are hints, which callers set as they like",
            ),
            (
                f"!(self.lowerAscii() in {_NOT_IDENTITY!r})",
                "the header carries the call itself or its credentials",
            ),
        ),
    ),
]

LabelKey = Annotated[
    str,
    Text(
        what="a label's key",
        fix="use NAME or PREFIX/NAME, for example app or kubernetes.io/metadata.name",
        pattern=r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
        longest=317,
    ),
]

LabelValue = Annotated[
    str,
    Text(
        what="a label's value",
        fix="use at most 63 letters, digits, '-', '_' and '.'",
        pattern=r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?",
        longest=63,
        shortest=0,
    ),
]

SecretKeyName = Annotated[
    str,
    Text(
        what="a secret's key",
        fix="use letters, digits, '-', '_' and '.', for example api-key",
        pattern=r"[A-Za-z0-9._-]+",
        longest=253,
    ),
]

ModelUrl = Annotated[
    str,
    Text(
        what="an address",
        fix="write an absolute http or https address, for example http://small.models.svc:8000/v1",
        longest=2048,
        pattern="",
        check=url_fault,
        cel=((f"self.matches('^{MODEL_URL_PATTERN}$')", "must be an absolute http(s) address"),),
    ),
]

CaBundle = Annotated[
    str,
    Text(
        what="base64-encoded PEM",
        fix="write the PEM certificates as base64 on one line: `base64 -w0 ca.pem`",
        pattern=r"[A-Za-z0-9+/]+={0,2}",
        longest=65536,
        check=bundle_fault,
        secret=True,
    ),
]
