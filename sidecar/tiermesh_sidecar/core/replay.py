"""What a decision read, as plain JSON values and back: decisions can be repeated without prompts.

An audit record holds these beside the signals' values, `now` and the seed. Nothing here carries
content: of a prompt only the signals remain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from tiermesh_sidecar.core.features import Caller, Capability, Dialect, Endpoint, Features
from tiermesh_sidecar.core.state import StateView

Json = Mapping[str, object]

_T = TypeVar("_T")


def features_as_json(features: Features) -> dict[str, object]:
    """Everything but the prompt. An output limit that the caller did not set is null."""
    caller = features.caller
    return {
        "endpoint": features.endpoint.value,
        "dialect": features.dialect.value,
        "model": features.model,
        "stream": features.stream,
        "tokens": features.tokens,
        "maxTokens": features.max_tokens,
        "wantsJSON": features.wants_json,
        "wantsTools": features.wants_tools,
        "hasImages": features.has_images,
        "needs": sorted(need.value for need in features.needs),
        "caller": {
            "asserted": dict(caller.asserted),
            "hinted": dict(caller.hinted),
            "dataClassHint": caller.data_class_hint,
        },
    }


def features_from_json(data: Json) -> Features:
    """The features that `features_as_json` wrote, without a prompt.

    Raises ValueError, naming the field, where the record is damaged.
    """
    caller = _mapping(data, "caller")
    limit = data.get("maxTokens")
    return Features(
        endpoint=Endpoint(_read(data, "endpoint", str)),
        dialect=Dialect(_read(data, "dialect", str)),
        model=_read(data, "model", str),
        stream=_read(data, "stream", bool),
        tokens=_read(data, "tokens", int),
        max_tokens=None if limit is None else _read(data, "maxTokens", int),
        wants_json=_read(data, "wantsJSON", bool),
        wants_tools=_read(data, "wantsTools", bool),
        has_images=_read(data, "hasImages", bool),
        needs=frozenset(Capability(need) for need in _strings(data, "needs")),
        caller=Caller(
            asserted=_attributes(caller, "asserted"),
            hinted=_attributes(caller, "hinted"),
            data_class_hint=_read(caller, "dataClassHint", str),
        ),
    )


def view_as_json(view: StateView) -> dict[str, object]:
    return {"ejected": sorted(view.ejected), "keyless": sorted(view.keyless)}


def view_from_json(data: Json) -> StateView:
    """Raises ValueError, naming the field, where the record is damaged."""
    return StateView(
        ejected=frozenset(_strings(data, "ejected")), keyless=frozenset(_strings(data, "keyless"))
    )


def _read(data: Json, name: str, kind: type[_T]) -> _T:
    value = data.get(name)
    # In Python True is an int; in a record it is not a count.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is not of type {kind.__name__}: {value!r}")
    return value


def _mapping(data: Json, name: str) -> dict[str, object]:
    found: dict[str, object] = _read(data, name, dict)
    return found


def _strings(data: Json, name: str) -> list[str]:
    values: list[object] = _read(data, name, list)
    return [_read({name: value}, name, str) for value in values]


def _attributes(data: Json, name: str) -> dict[str, str]:
    return {key: _read({key: value}, key, str) for key, value in _mapping(data, name).items()}
