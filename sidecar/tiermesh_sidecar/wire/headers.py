"""Which headers cross the sidecar, in which direction, and who they say is calling.

Headers are raw pairs: what is not named here keeps its order, case, duplicates and bytes (law 9).
The app's credentials and the caller's identity never leave the pod (laws 8 and 9).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Caller
from tiermesh_spec.snapshot import IdentitySource, Provider

RawHeaders = Sequence[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, 7.6.1."""
_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key"})
_NOT_UPSTREAM = _HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"accept-encoding",
    b"expect",  # answered here: the body is whole before it is sent on
    b"traceparent",
    b"tracestate",
    b"baggage",
}
_NOT_RELAYED = _HOP_BY_HOP | {b"host", b"content-length", b"expect"}
_NOT_TO_CALLER = _HOP_BY_HOP | {b"content-length"}
_OWN_PREFIX = b"x-tiermesh-"

_HINTS = (
    ("task", b"x-tiermesh-task"),
    ("priority", b"x-tiermesh-priority"),
    ("dataClass", b"x-tiermesh-data-class"),
    ("session", b"x-tiermesh-session"),
    ("workflow", b"x-tiermesh-workflow"),
    ("step", b"x-tiermesh-step"),
    ("agent", b"x-tiermesh-agent"),
)
_DEADLINE = b"x-tiermesh-deadline-ms"
_MAX_VALUE = 256
"""Characters kept of an attribute's value."""


def upstream_headers(
    raw: RawHeaders,
    *,
    provider: Provider,
    key: str | None,
    pass_through: bool,
    identity_headers: frozenset[str],
    traceparent: str,
    tracestate: str,
) -> list[tuple[bytes, bytes]]:
    """The caller's headers as a backend may see them, with its key and trace context.

    `Host`, `Content-Length` and `Accept-Encoding` are the transport's to set. `identity_headers`
    are lower case. Raises ValueError for a key that cannot stand in a header.
    """
    dropped = {name.encode("latin-1", "replace") for name in identity_headers}
    dropped |= _connection_names(raw)
    if not pass_through:
        dropped |= _CREDENTIALS
    kept = _without(raw, _NOT_UPSTREAM, dropped)
    if key is not None and not pass_through:
        kept.append(_credential(provider, key))
    if traceparent:
        kept.append((b"traceparent", traceparent.encode("latin-1")))
        if tracestate:
            kept.append((b"tracestate", tracestate.encode("latin-1")))
    return kept


def relayed_headers(raw: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The caller's headers where no policy acts: credentials, trace context and identity stay."""
    return _without(raw, _NOT_RELAYED, _connection_names(raw))


def caller_headers(raw: RawHeaders) -> list[tuple[bytes, bytes]]:
    """A backend's answer headers as the caller may see them; the framing is the server's to set."""
    return _without(raw, _NOT_TO_CALLER, _connection_names(raw))


def read_caller(
    raw: RawHeaders, identity: Sequence[IdentitySource], pod_attributes: Mapping[str, str]
) -> tuple[Caller, int | None] | Refusal:
    """Who calls, and the caller's deadline in milliseconds (None: none asked).

    Of a header that stands more than once the first counts. An empty value is an unset one.
    Refuses a deadline that is not a positive integer: ignoring it would widen it silently.
    """
    first: dict[bytes, bytes] = {}
    for name, value in raw:
        first.setdefault(name.lower(), value)
    asserted = {name: value for name, value in pod_attributes.items() if value}
    for source in identity:
        if source.header is not None:
            value_text = _text(first.get(source.header.encode("latin-1", "replace")))
            if value_text:
                asserted[source.attribute] = value_text
    hints = {name: _text(first.get(header)) for name, header in _HINTS if header in first}
    deadline = _deadline(_text(first.get(_DEADLINE)))
    if isinstance(deadline, Refusal):
        return deadline
    caller = Caller(
        asserted=asserted,
        hinted={name: v for name, v in hints.items() if v and name not in asserted},
        data_class_hint=hints.get("dataClass", ""),
    )
    return caller, deadline


def header(raw: RawHeaders, name: bytes) -> bytes | None:
    """The first value of a header; `name` in lower case."""
    return next((value for key, value in raw if key.lower() == name), None)


def joined(raw: RawHeaders, name: bytes) -> bytes:
    """All values of a list-valued header as one (RFC 9110, 5.3); `name` in lower case."""
    return b",".join(value for key, value in raw if value and key.lower() == name)


def speaks_anthropic(raw: RawHeaders) -> bool:
    """Whether the caller is an Anthropic client, where the path alone does not say."""
    return header(raw, b"anthropic-version") is not None


def check_key(key: str) -> None:
    """Raises ValueError, which does not quote the key, where it cannot stand in a header."""
    if not key.isascii() or not key.isprintable() or key != key.strip() or not key:
        raise ValueError(
            "the key is empty, or has a line break, a control character, a character outside "
            "ASCII, or a space at an end"
        )


def _credential(provider: Provider, key: str) -> tuple[bytes, bytes]:
    check_key(key)
    if provider is Provider.ANTHROPIC:
        return b"x-api-key", key.encode("ascii")
    return b"Authorization", b"Bearer " + key.encode("ascii")


def _without(
    raw: RawHeaders, dropped: frozenset[bytes], also: Set[bytes]
) -> list[tuple[bytes, bytes]]:
    kept = []
    for pair in raw:
        name = pair[0].lower()
        if name in dropped or name in also or name.startswith(_OWN_PREFIX):
            continue
        kept.append(pair)
    return kept


def _connection_names(raw: RawHeaders) -> frozenset[bytes]:
    """The headers that `Connection` declares to be of this hop only."""
    names: set[bytes] = set()
    for name, value in raw:
        if len(name) == 10 and name.lower() == b"connection":
            names.update(token.strip(b" \t").lower() for token in value.split(b","))
    return frozenset(names)


def _text(value: bytes | None) -> str:
    if value is None:
        return ""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text.strip()[:_MAX_VALUE]


def _deadline(value: str) -> int | Refusal | None:
    if not value:
        return None
    if value.isascii() and value.isdigit() and len(value) <= 15 and int(value) > 0:
        return int(value)
    return Refusal(
        code=ErrorCode.INVALID_REQUEST,
        message=(
            f"The header x-tiermesh-deadline-ms is {value!r}: send a positive whole number of "
            "milliseconds, or leave it out."
        ),
        param="x-tiermesh-deadline-ms",
    )
