"""The field-by-field checks of OpenAI's API, with its own messages, types and codes.

One function per kind of value; what belongs to one endpoint stands in `openai_checks`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tiermesh_sidecar.demo.providers.reply import Rejected

Body = Mapping[str, Any]


def kind(value: object) -> str:
    """A JSON value's type as OpenAI's messages name it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def invalid_type(param: str, expected: str, value: object) -> Rejected:
    return Rejected(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {kind(value)} instead.",
        param=param,
        code="invalid_type",
    )


def invalid_value(param: str, value: object, supported: Collection[str]) -> Rejected:
    names = ", ".join(f"'{name}'" for name in supported)
    return Rejected(
        400,
        f"Invalid value: '{value}'. Supported values are: {names}.",
        param=param,
        code="invalid_value",
    )


def missing(param: str) -> Rejected:
    return Rejected(
        400,
        f"Missing required parameter: '{param}'.",
        param=param,
        code="missing_required_parameter",
    )


def known_only(body: Body, known: Collection[str]) -> None:
    unknown = [name for name in body if name not in known]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        names = ", ".join(unknown)
        raise Rejected(400, f"Unrecognized request argument{plural} supplied: {names}")


def text(body: Body, name: str, at: str = "") -> str:
    """A required string."""
    if name not in body:
        raise missing(at + name)
    value = body[name]
    if not isinstance(value, str):
        raise invalid_type(at + name, "a string", value)
    return value


def optional_text(body: Body, name: str) -> None:
    if body.get(name) is not None:
        text(body, name)


def boolean(body: Body, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid_type(name, "a boolean", value)
    return bool(value)


def one_of(body: Body, name: str, supported: Collection[str]) -> None:
    value = body.get(name)
    if value is None:
        return
    if not isinstance(value, str):
        raise invalid_type(name, "a string", value)
    if value not in supported:
        raise invalid_value(name, value, supported)


def integer(body: Body, name: str, low: int, high: int | None = None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_type(name, "an integer", value)
    _bounded(name, value, low, high, "integer")
    return value


def decimal(body: Body, name: str, low: float, high: float) -> None:
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid_type(name, "a decimal", value)
    _bounded(name, value, low, high, "decimal")


def _bounded(name: str, value: float, low: float, high: float | None, word: str) -> None:
    if value < low:
        raise Rejected(
            400,
            f"Invalid '{name}': {word} below minimum value. "
            f"Expected a value >= {low}, but got {value} instead.",
            param=name,
            code=f"{word}_below_min_value",
        )
    if high is not None and value > high:
        raise Rejected(
            400,
            f"Invalid '{name}': {word} above maximum value. "
            f"Expected a value <= {high}, but got {value} instead.",
            param=name,
            code=f"{word}_above_max_value",
        )


def array(body: Body, name: str, *, least: int = 0, most: int | None = None) -> list[Any] | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise invalid_type(name, "an array of objects", value)
    if not value and least:
        raise Rejected(
            400,
            f"Invalid '{name}': empty array. Expected an array with minimum length {least}, "
            "but got an empty array instead.",
            param=name,
            code="empty_array",
        )
    if most is not None and len(value) > most:
        raise Rejected(
            400,
            f"Invalid '{name}': array too long. Expected an array with maximum length {most}, "
            f"but got an array with length {len(value)} instead.",
            param=name,
            code="array_above_max_length",
        )
    return value


def obj(value: object, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid_type(param, "an object", value)
    return value


def stops(body: Body) -> tuple[str, ...]:
    """`stop`: a string or up to four."""
    value = body.get("stop")
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    found = array(body, "stop", most=4) or []
    for number, stop in enumerate(found):
        if not isinstance(stop, str):
            raise invalid_type(f"stop[{number}]", "a string", stop)
    return tuple(found)


def sampling(body: Body) -> None:
    """What chat completions and completions share."""
    decimal(body, "temperature", 0, 2)
    decimal(body, "top_p", 0, 1)
    decimal(body, "presence_penalty", -2, 2)
    decimal(body, "frequency_penalty", -2, 2)
    integer(body, "n", 1, 128)
    integer(body, "seed", -(2**63), 2**63 - 1)
    integer(body, "max_tokens", 1)
    stops(body)
    optional_text(body, "user")
    if body.get("logit_bias") is not None:
        obj(body["logit_bias"], "logit_bias")
    _stream(body)


def _stream(body: Body) -> None:
    streaming = boolean(body, "stream")
    options = body.get("stream_options")
    if options is None:
        return
    if not streaming:
        raise Rejected(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    obj(options, "stream_options")
    for name, value in options.items():
        if name not in ("include_usage", "include_obfuscation"):
            raise Rejected(
                400,
                f"Unknown parameter: 'stream_options.{name}'.",
                param=f"stream_options.{name}",
                code="unknown_parameter",
            )
        if not isinstance(value, bool):
            raise invalid_type(f"stream_options.{name}", "a boolean", value)
