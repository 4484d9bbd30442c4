"""Checks one document against its model: unknown fields, empty values, unions, duplicates, values.

The walk and pydantic see the whole document, so every problem is reported at once. What a value may
repeat is decided here: nothing below `credentials`, no credentials or query of an address, no
containers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tiermesh_spec.addresses import without_secrets
from tiermesh_spec.problems import HIDDEN, Finding, Path, closest
from tiermesh_spec.shape import FieldShape, ListOf, Shape, TypeShape, fields_of, has


def findings(shape: type[Shape], value: object, path: Path) -> list[Finding]:
    """Everything that is wrong with an object, as far as the object alone can tell."""
    if not isinstance(value, dict):
        return [_not_an_object(shape, value, path)]
    found = list(_walk(shape, value, path))
    reported = {finding.path for finding in found}
    try:
        shape.model_validate(value)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            finding = _translated(details, path)
            if finding.path not in reported and not _said_elsewhere(details):
                found.append(finding)
    return found


def _said_elsewhere(details: ErrorDetails) -> bool:
    """What the walk reports better, and the count that pydantic gets wrong when items are bad."""
    if details["type"] == "too_short":
        given = details["input"]
        return isinstance(given, list) and len(given) >= details["ctx"]["min_length"]
    return details["type"] in ("extra_forbidden", "invalid_key")


def repeatable(path: Path, value: object) -> object:
    """A value as a problem may show it."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if "credentials" in path or not isinstance(value, str):
        return HIDDEN if "credentials" in path else _container(value)
    return without_secrets(value)


def _container(value: object) -> str:
    if isinstance(value, list | tuple):
        return "a list"
    return "an object" if isinstance(value, dict) else type(value).__name__


def _walk(shape: type[Shape], value: Mapping[object, object], path: Path) -> Iterator[Finding]:
    known = fields_of(shape)
    for key, content in value.items():
        field = known.get(key) if isinstance(key, str) else None
        if field is None:
            yield _unknown(key, known, path)
        elif content is None:
            yield _empty(field, (*path, field.name))
        else:
            yield from _walk_type(field.type, content, (*path, field.name))
    yield from _broken_rules(shape, value, path)


def _broken_rules(
    shape: type[Shape], value: Mapping[object, object], path: Path
) -> Iterator[Finding]:
    texts = {key: content for key, content in value.items() if isinstance(key, str)}
    misspelt = not texts.keys() <= fields_of(shape).keys() or None in texts.values()
    for rule in shape.shape_rules:
        if misspelt and not rule.field:
            continue  # a union's variant is there, misspelt or without a value: that is reported
        if rule.holds is not None and not rule.holds(texts):
            at = (*path, rule.field) if rule.field and has(texts, rule.field) else path
            yield Finding(
                path=at,
                value=repeatable(at, texts.get(rule.field, "")) if rule.field else "",
                message=rule.message,
                fix=rule.fix,
            )


def _walk_type(kind: TypeShape, content: object, path: Path) -> Iterator[Finding]:
    if issubclass(kind.base, Shape) and isinstance(content, dict):
        yield from _walk(kind.base, content, path)
    elif kind.base is tuple and isinstance(content, list):
        assert kind.item is not None
        for index, item in enumerate(content):
            if item is None:
                yield _null((*path, index))
            else:
                yield from _walk_type(kind.item, item, (*path, index))
        yield from _repeated(kind, content, path)
    elif kind.base is dict and isinstance(content, dict):
        for key, item in content.items():
            if item is None:
                yield _null((*path, str(key)))


def _repeated(kind: TypeShape, items: list[object], path: Path) -> Iterator[Finding]:
    how = next((entry for entry in kind.metadata if isinstance(entry, ListOf)), None)
    if how is None or how.kind == "atomic":
        return
    seen: set[str] = set()
    for index, item in enumerate(items):
        value = item.get(how.key) if how.kind == "map" and isinstance(item, dict) else item
        at = (*path, index, how.key) if how.kind == "map" else (*path, index)
        if not isinstance(value, str):
            continue
        if value in seen:
            yield Finding(
                path=at,
                value=repeatable(at, value),
                message=f"is in {path[-1]} twice",
                fix=f"rename one of the two or remove it; each {how.key or 'item'} is unique",
            )
        seen.add(value)


def _unknown(key: object, known: Mapping[str, FieldShape], path: Path) -> Finding:
    if isinstance(key, bool):
        words = "on, yes or true" if key else "off, no or false"
        return Finding(
            path=(*path, str(key).lower()),
            value=key,
            message="the field's name was read as a boolean",
            fix=f"put the name in quotes: YAML 1.1 reads a bare {words} as a boolean",
        )
    name = str(key)
    return Finding(
        path=(*path, name),
        value=name,  # never its content: a key that was put in the wrong place is still a key
        message=f"the field `{name}` is not supported by this version",
        fix=closest(name, known, what="known fields"),
    )


def _empty(field: FieldShape, path: Path) -> Finding:
    if issubclass(field.type.base, Shape) and not fields_of(field.type.base):
        return Finding(
            path=path, value=None, message="has no value", fix=f"write `{field.name}: {{}}`"
        )
    return _null(path)


def _null(path: Path) -> Finding:
    return Finding(
        path=path, value=None, message="has no value", fix="give it a value or remove the line"
    )


def _not_an_object(shape: type[Shape], value: object, path: Path) -> Finding:
    listed = ", ".join(f"`{name}`" for name in list(fields_of(shape))[:12])
    return Finding(
        path=path,
        value=repeatable(path, value),
        message="is not an object",
        fix=f"write an object with the fields {listed}" if listed else "write {}",
    )


def _translated(details: ErrorDetails, path: Path) -> Finding:
    location = tuple(part for part in details["loc"] if part != "[key]")
    at = (*path, *location)
    value = "" if details["type"] == "missing" else repeatable(at, details["input"])
    kind, context = details["type"], details.get("ctx", {})
    if kind == "text":
        message, fix = str(context["message"]), str(context["fix"])
    elif kind in _TRANSLATIONS:
        message, fix = _TRANSLATIONS[kind](context)
    elif kind == "missing":
        message, fix = f"`{location[-1]}` is missing", f"add `{location[-1]}`"
    elif kind == "enum":
        message, fix = _not_an_option(details["input"], str(context["expected"]))
    else:
        message, fix = details["msg"], "docs/policy-reference.md says what the field takes"
    return Finding(path=at, value=value, message=message, fix=fix)


def _not_an_option(value: object, expected: str) -> tuple[str, str]:
    options = [option.strip("' ") for option in expected.replace(" or ", ", ").split(",")]
    return f"is not one of {', '.join(options)}", closest(
        value if isinstance(value, str) else "", options, what="options"
    )


Context = Mapping[str, object]

_TRANSLATIONS: Mapping[str, Callable[[Context], tuple[str, str]]] = {
    "int_type": lambda _: ("is not a whole number", "write a whole number without quotes"),
    "int_from_float": lambda _: ("is not a whole number", "write a whole number without quotes"),
    "int_parsing_size": lambda _: ("is too large", "use a smaller number"),
    "bool_type": lambda _: ("is neither true nor false", "write true or false without quotes"),
    "tuple_type": lambda _: ("is not a list", "write a list, for example [a, b]"),
    "dict_type": lambda _: ("is not an object", "write an object, for example {app: checkout}"),
    "model_type": lambda _: ("is not an object", "write an object with named fields"),
    "model_attributes_type": lambda _: ("is not an object", "write an object with named fields"),
    "greater_than_equal": lambda c: ("is too small", f"use at least {c['ge']}"),
    "less_than_equal": lambda c: ("is too large", f"use at most {c['le']}"),
    "too_short": lambda c: (f"has {c['actual_length']} items", f"give at least {c['min_length']}"),
    "too_long": lambda c: (f"has {c['actual_length']} items", f"give at most {c['max_length']}"),
    "string_type": lambda _: ("is not text", "put it in quotes"),
}
