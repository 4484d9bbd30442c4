"""A value that satisfies a simple JSON schema: what a model with structured outputs would return.

Covers what OpenAI's structured outputs and tools allow (types, enum, const, bounds, formats,
anyOf, $ref into $defs); it is no validator and no general schema solver.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]

_FORMATS = {
    "date-time": "2024-05-17T09:30:00Z",
    "date": "2024-05-17",
    "time": "09:30:00Z",
    "duration": "P1D",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "uri": "https://example.com/a",
    "uuid": "3f2b8c1e-7d4a-4e9b-9a51-0c6f2d8e4b17",
}
_WORDS = ("north", "amber", "seven", "ledger", "café", "quiet", "marble", "delta")
_DEEPEST = 12


def satisfy(schema: Schema, rng: random.Random) -> Any:
    """A value for `schema`, the same for the same generator state."""
    return _value(schema, schema, rng, 0)


def _value(schema: Schema, root: Schema, rng: random.Random, depth: int) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return rng.choice(list(schema["enum"]))
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        # The last choice ends a recursion: schemas write the empty case (null, a leaf) there.
        chosen = choices[-1] if depth > _DEEPEST else choices[0]
        return _value(chosen, root, rng, depth + 1)
    build = _BUILDERS.get(_kind(schema))
    return build(schema, root, rng, depth) if build else None


def _resolved(schema: Schema, root: Schema) -> Schema:
    merged = dict(schema)
    while isinstance(reference := merged.pop("$ref", None), str):
        target: Any = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = target[step] if step else target
        merged = {**target, **merged}
    for part in merged.pop("allOf", ()):
        merged = _merged(merged, _resolved(part, root))
    return merged


def _merged(a: Schema, b: Schema) -> dict[str, Any]:
    both = {**a, **b}
    both["properties"] = {**a.get("properties", {}), **b.get("properties", {})}
    both["required"] = [*a.get("required", ()), *b.get("required", ())]
    return both


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "string"


def _object(schema: Schema, root: Schema, rng: random.Random, depth: int) -> dict[str, Any]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    required = set(schema.get("required", ()))
    wanted = [n for n in properties if n in required or depth <= _DEEPEST // 2]
    made = {name: _value(properties[name], root, rng, depth + 1) for name in wanted}
    return made | {name: "amber" for name in sorted(required - set(properties))}


def _array(schema: Schema, root: Schema, rng: random.Random, depth: int) -> list[Any]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", 3)
    count = least if depth > _DEEPEST // 2 else max(least, min(most, rng.randint(1, 3)))
    return [_value(schema.get("items", {}), root, rng, depth + 1) for _ in range(count)]


def _string(schema: Schema, root: Schema, rng: random.Random, depth: int) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = f"{rng.choice(_WORDS)} {rng.choice(_WORDS)}"
    text = text.ljust(schema.get("minLength", 0), "x")
    return text[: schema.get("maxLength", len(text))]


def _integer(schema: Schema, root: Schema, rng: random.Random, depth: int) -> int:
    low, high = _bounds(schema, 1)
    step = schema.get("multipleOf", 1)
    first = -(-low // step) * step
    return int(first + step * rng.randint(0, max(0, int((high - first) // step))))


def _number(schema: Schema, root: Schema, rng: random.Random, depth: int) -> float:
    low, high = _bounds(schema, 0.01)
    if "multipleOf" in schema:
        return float(_integer(schema, root, rng, depth))
    return min(high, max(low, round(rng.uniform(low, high), 2)))


def _bounds(schema: Schema, gap: float) -> tuple[float, float]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + gap
    if high is None and "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - gap
    if low is None:
        low = 0 if high is None else min(0, high)
    return low, max(low, low + 100 if high is None else high)


def _boolean(schema: Schema, root: Schema, rng: random.Random, depth: int) -> bool:
    return rng.random() < 0.5


_BUILDERS: Mapping[str, Callable[[Schema, Schema, random.Random, int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}
