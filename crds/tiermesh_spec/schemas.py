"""From models to structural OpenAPI schemas, as the API server wants them: no references.

Bounds stand on everything: the API server estimates what validation rules cost from them.
"""

from __future__ import annotations

from enum import StrEnum

import annotated_types
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tiermesh_spec import descriptions
from tiermesh_spec.shape import FieldShape, ListOf, Shape, ShapeRule, TypeShape, fields_of
from tiermesh_spec.texts import Text

Schema = dict[str, object]


def object_schema(shape: type[Shape]) -> Schema:
    """The schema of an object and everything in it."""
    fields = fields_of(shape)
    described = descriptions.of_fields(shape)
    schema: Schema = {"type": "object", "description": descriptions.of_object(shape)}
    properties: dict[str, object] = {}
    for name, field in fields.items():
        properties[name] = _field_schema(field, described[field.attribute])
    if properties:
        schema["properties"] = properties
    required = [name for name, field in fields.items() if field.info.is_required()]
    if required:
        schema["required"] = required
    if shape.shape_rules:
        schema["x-kubernetes-validations"] = [_validation(rule) for rule in shape.shape_rules]
    return schema


def _validation(rule: ShapeRule) -> Schema:
    return {"rule": rule.cel, "message": f"{rule.message}: {rule.fix}"}


def _field_schema(field: FieldShape, description: str) -> Schema:
    schema = type_schema(field.type)
    schema["description"] = description
    default = default_of(field)
    if default is not None:
        schema["default"] = default
    return schema


def default_of(field: FieldShape) -> object:
    """The default as it is written, None for none. Objects are spelt out, because the API server
    checks their rules on the default as it stands."""
    if field.info.is_required() or field.info.default is None:
        return None
    value = field.info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return None
    return _written(value)


def _written(value: object) -> object:
    if isinstance(value, BaseModel):
        written = value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return _without_empty_lists(written)
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def _without_empty_lists(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {key: _without_empty_lists(item) for key, item in value.items() if item != []}


def type_schema(kind: TypeShape) -> Schema:
    """The schema of one type, without a description unless the type has one."""
    if issubclass(kind.base, Shape):
        return object_schema(kind.base)
    if issubclass(kind.base, StrEnum):
        return {"type": "string", "enum": [str(option) for option in kind.base]}
    if kind.base is str:
        return _text_schema(kind)
    if kind.base is bool:
        return {"type": "boolean"}
    if kind.base is int:
        return {"type": "integer", "format": "int64"} | _bounds(kind, "minimum", "maximum")
    if kind.base is tuple:
        return _list_schema(kind)
    assert kind.base is dict, kind
    assert kind.item is not None
    return {"type": "object", "additionalProperties": type_schema(kind.item)} | _bounds(
        kind, "minProperties", "maxProperties"
    )


def _text_schema(kind: TypeShape) -> Schema:
    text = next(entry for entry in kind.metadata if isinstance(entry, Text))
    schema: Schema = {"type": "string", "maxLength": text.longest}
    if text.shortest:
        schema["minLength"] = text.shortest
    if text.pattern:
        schema["pattern"] = f"^({text.pattern})$"
    if text.cel:
        schema["x-kubernetes-validations"] = [
            {"rule": rule, "message": message} for rule, message in text.cel
        ]
    return schema


def _list_schema(kind: TypeShape) -> Schema:
    assert kind.item is not None
    how = next(entry for entry in kind.metadata if isinstance(entry, ListOf))
    schema: Schema = {"type": "array", "items": type_schema(kind.item)}
    schema |= _bounds(kind, "minItems", "maxItems")
    schema["x-kubernetes-list-type"] = how.kind
    if how.key:
        schema["x-kubernetes-list-map-keys"] = [how.key]
    return schema


def _bounds(kind: TypeShape, low: str, high: str) -> Schema:
    bounds: Schema = {}
    for entry in kind.metadata:
        if isinstance(entry, annotated_types.Ge):
            bounds[low] = entry.ge
        elif isinstance(entry, annotated_types.Le):
            bounds[high] = entry.le
        elif isinstance(entry, annotated_types.MinLen):
            bounds[low] = entry.min_length
        elif isinstance(entry, annotated_types.MaxLen):
            bounds[high] = entry.max_length
    return bounds
