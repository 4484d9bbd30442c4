"""Which operation a request names, from its method and raw target alone.

Names are compared after percent-decoding, so `/v1/%63hat/completions` cannot slip past a policy;
what is forwarded is the raw text. Nothing here may normalise a path that goes upstream: a path that
two parsers could read differently (dot segments, encoded slashes, `//`) is refused instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Dialect, Endpoint


class TargetKind(StrEnum):
    ROUTED = "routed"
    """Decided by content: the body is read."""
    MODELS = "models"
    """The list of models: answered here."""
    MODEL = "model"
    """One model by its id: answered here."""
    PASS_THROUGH = "pass_through"
    """Goes to the policy's `passThroughTier` as it came; without one it is a 404."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    endpoint: Endpoint
    dialect: Dialect
    suffix: str
    """What follows `/v1`, query included, byte for byte: appended to a backend's URL."""
    kind: TargetKind
    model: str | None = None
    """The id asked for, percent-decoded; only for `MODEL`."""


_ROUTED = {
    "/chat/completions": Endpoint.CHAT_COMPLETIONS,
    "/completions": Endpoint.COMPLETIONS,
    "/embeddings": Endpoint.EMBEDDINGS,
    "/messages": Endpoint.MESSAGES,
}
_NAMED = frozenset({*_ROUTED, "/responses", "/messages/count_tokens", "/models"})
"""The paths that are also served without `/v1`."""
_OPENAI_PATHS = ("/chat/completions", "/completions", "/embeddings", "/responses")
_SERVED = (
    "/v1/chat/completions, /v1/completions, /v1/embeddings, /v1/messages, /v1/models, and whatever "
    "else under /v1 the policy's models.passThroughTier serves"
)

_UNSAFE = re.compile(r"[\x00-\x20\x7f#]")
_AMBIGUOUS = re.compile(r"%2f|%5c|%00|\\|//", re.IGNORECASE)
_DOT_SEGMENT = re.compile(r"(?:\.|%2e){1,2}(?:;.*)?", re.IGNORECASE)
_ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)


def _dialect(stem: str, anthropic_version: bool) -> Dialect:
    if stem == "/messages" or stem.startswith("/messages/"):
        return Dialect.ANTHROPIC
    if not anthropic_version or stem.startswith(_OPENAI_PATHS):
        return Dialect.OPENAI
    return Dialect.ANTHROPIC


def dialect_of(raw_target: str, *, anthropic_version: bool = False) -> Dialect:
    """The dialect of an error answer to this request, also where `classify` refuses it."""
    path = unquote(_split(raw_target)[0])
    return _dialect(_after_version(path) or path, anthropic_version)


def classify(method: str, raw_target: str, *, anthropic_version: bool = False) -> Target | Refusal:
    """What a request asks for.

    `raw_target` is the request line's target as received. `anthropic_version` says whether the
    request carries an `anthropic-version` header: it decides where the path alone does not.
    """
    usual = _USUAL.get(raw_target) if method == "POST" else None
    if usual is not None:
        return usual
    path, query = _split(raw_target)
    problem = _problem(method, path, query)
    if problem is not None:
        return Refusal(code=ErrorCode.INVALID_REQUEST, message=problem)
    name = unquote(path)
    suffix = path
    versioned = _after_version(name)
    if versioned is not None:
        name = versioned
        suffix = _raw_after_version(path)
    stem = name.rstrip("/") or name
    unserved = versioned is None and stem not in _NAMED and not stem.startswith("/models/")
    if unserved or stem == "/feedback":
        return Refusal(
            code=ErrorCode.NOT_FOUND,
            message=f"There is nothing at {path!r}. Served are: {_SERVED}.",
        )
    return _target(method, stem, suffix + query, _dialect(stem, anthropic_version))


_USUAL = {
    prefix + stem: Target(
        endpoint=endpoint, dialect=_dialect(stem, False), suffix=stem, kind=TargetKind.ROUTED
    )
    for stem, endpoint in _ROUTED.items()
    for prefix in ("/v1", "")
}
"""What nearly every call asks for, so that it costs one look-up."""


def _target(method: str, stem: str, suffix: str, dialect: Dialect) -> Target:
    if method == "POST" and (endpoint := _ROUTED.get(stem)) is not None:
        return Target(endpoint=endpoint, dialect=dialect, suffix=suffix, kind=TargetKind.ROUTED)
    kind = TargetKind.PASS_THROUGH
    model = None
    if method in ("GET", "HEAD"):
        if stem == "/models":
            kind = TargetKind.MODELS
        elif stem.startswith("/models/"):
            kind, model = TargetKind.MODEL, stem.removeprefix("/models/")
    return Target(endpoint=Endpoint.OTHER, dialect=dialect, suffix=suffix, kind=kind, model=model)


def _split(raw_target: str) -> tuple[str, str]:
    """Path and query (with its `?`), without an absolute form's authority (RFC 9112, 3.2.2)."""
    if not raw_target.startswith("/"):
        absolute = _ABSOLUTE.match(raw_target)
        if absolute is not None:
            raw_target = raw_target[absolute.end() :]
    path, mark, query = raw_target.partition("?")
    return path, mark + query


def _after_version(name: str) -> str | None:
    if name.startswith("/v1/"):
        return name[3:]
    return "" if name == "/v1" else None


def _raw_after_version(path: str) -> str:
    """The raw path after its first segment, `/v1` in any spelling."""
    slash = path.find("/", 1)
    return path[slash:] if slash > 0 else ""


def _problem(method: str, path: str, query: str) -> str | None:
    if method in ("CONNECT", "TRACE"):
        return f"The method {method} is not served: use the method of the API's operation."
    if _UNSAFE.search(path) or _UNSAFE.search(query):
        return (
            "The request target has a space, a control character or a fragment: encode or drop it."
        )
    if _AMBIGUOUS.search(path):
        return (
            "The path has an encoded slash, a backslash, an encoded zero byte or an empty segment "
            "(//), which servers read differently: write each segment plainly."
        )
    if any(_DOT_SEGMENT.fullmatch(segment) for segment in path.split("/")):
        return (
            "The path has a dot segment (. or ..), plain or encoded: write the path it stands for."
        )
    return None
