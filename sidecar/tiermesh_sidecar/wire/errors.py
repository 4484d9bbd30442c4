"""Our own errors in the caller's dialect, as an answer or as the last event of a stream.

Types are those that the dialects' SDKs know; `code` is ours in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Dialect

STATUS: Mapping[ErrorCode, int] = MappingProxyType(
    {
        ErrorCode.INVALID_REQUEST: 400,
        ErrorCode.BODY_TOO_LARGE: 413,
        ErrorCode.MODEL_NOT_FOUND: 404,
        ErrorCode.NOT_ENTITLED: 403,
        ErrorCode.NOT_PERMITTED: 403,
        ErrorCode.CONTEXT_LENGTH_EXCEEDED: 400,
        ErrorCode.CAPABILITY_UNAVAILABLE: 400,
        ErrorCode.DEADLINE_EXCEEDED: 504,
        ErrorCode.UPSTREAM_FAILED: 502,
        ErrorCode.UPSTREAM_UNAVAILABLE: 503,
        ErrorCode.NO_CONFIG: 503,
        ErrorCode.NOT_FOUND: 404,
    }
)

_OPENAI_TYPES = MappingProxyType(
    {
        400: "invalid_request_error",
        403: "permission_error",
        404: "invalid_request_error",
        413: "invalid_request_error",
        502: "server_error",
        503: "server_error",
        504: "server_error",
    }
)
_ANTHROPIC_TYPES = MappingProxyType(
    {
        400: "invalid_request_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        502: "api_error",
        503: "overloaded_error",
        504: "timeout_error",
    }
)


def render(refusal: Refusal, dialect: Dialect) -> bytes:
    """The JSON body of an error answer; its status is `STATUS[refusal.code]`."""
    status = STATUS[refusal.code]
    if dialect is Dialect.ANTHROPIC:
        error = {
            "type": _ANTHROPIC_TYPES[status],
            "message": refusal.message,
            "code": refusal.code.value,
        }
        return _dumps({"type": "error", "error": error})
    return _dumps(
        {
            "error": {
                "message": refusal.message,
                "type": _OPENAI_TYPES[status],
                "code": refusal.code.value,
                "param": refusal.param,
            }
        }
    )


def stream_error(refusal: Refusal, dialect: Dialect) -> bytes:
    """The error as a whole event. It ends the stream: no terminator follows (law 4)."""
    prefix = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    return prefix + b"data: " + render(refusal, dialect) + b"\n\n"


def _dumps(value: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        # A message that quotes a lone surrogate of the request: escaped, it cannot be encoded.
        return orjson.dumps(_encodable(value))


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    return value
