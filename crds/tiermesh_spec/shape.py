"""What all objects of the resources share: strict fields, and rules that span fields.

A rule is written once, with its CEL form for the API server and its Python form for files. Rules
run over the raw object, so that one broken field does not hide what is wrong with the next.
The docstring under a field is its description in the CRD and in the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from tiermesh_spec.quantities import milliseconds

Object = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeRule:
    cel: str
    message: str
    fix: str
    holds: Callable[[Object], bool] | None = None
    """None: `compile()` checks it elsewhere, with a better message."""
    field: str = ""
    """Where the problem is reported; "" is the object itself."""


class Shape(BaseModel):
    """An object of a resource: no unknown field, no change after it was read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, defer_build=True, strict=False
    )
    shape_rules: ClassVar[tuple[ShapeRule, ...]] = ()


@dataclass(frozen=True, slots=True)
class ListOf:
    """How a list is merged and what makes its items distinct (`x-kubernetes-list-type`)."""

    kind: Literal["atomic", "set", "map"]
    key: str = ""


Flag = Annotated[bool, Field(strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeShape:
    """A field's type, taken apart: what the CRD, the documentation and the checks all read."""

    base: type
    metadata: tuple[object, ...] = ()
    item: TypeShape | None = None
    """Of a list or a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldShape:
    attribute: str
    name: str
    """As users write it."""
    type: TypeShape
    info: FieldInfo


@cache
def fields_of(shape: type[Shape]) -> dict[str, FieldShape]:
    """The fields of an object by the name that users write, in the order of the model."""
    return {
        info.alias or attribute: FieldShape(
            attribute=attribute,
            name=info.alias or attribute,
            type=_taken_apart(info.annotation, tuple(info.metadata)),
            info=info,
        )
        for attribute, info in shape.model_fields.items()
    }


def _taken_apart(annotation: object, metadata: tuple[object, ...] = ()) -> TypeShape:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _taken_apart(arguments[0], (*_flat(arguments[1:]), *metadata))
    if origin in (Union, UnionType):
        return _taken_apart(next(a for a in arguments if a is not NoneType), metadata)
    if origin is tuple:
        return TypeShape(base=tuple, metadata=metadata, item=_taken_apart(arguments[0]))
    if origin is dict:
        return TypeShape(base=dict, metadata=metadata, item=_taken_apart(arguments[1]))
    assert isinstance(annotation, type), annotation
    return TypeShape(base=annotation, metadata=metadata)


def _flat(metadata: tuple[object, ...]) -> tuple[object, ...]:
    flat: list[object] = []
    for entry in metadata:
        flat += entry.metadata if isinstance(entry, FieldInfo) else [entry]
    return tuple(flat)


def has(value: Object, field: str) -> bool:
    return value.get(field) is not None


def exactly_one_of(*names: str) -> ShapeRule:
    """A union: the field that is set says which variant it is."""
    flags = ", ".join(f"has(self.{name})" for name in names)
    listed = _listed(names)
    return ShapeRule(
        cel=f"[{flags}].filter(is_set, is_set).size() == 1",
        message=f"exactly one of {listed} must be set"
        if len(names) > 1
        else f"{listed} must be set",
        fix=f"set one of {listed} and no other" if len(names) > 1 else f"add {listed}",
        holds=lambda value: sum(has(value, name) for name in names) == 1,
    )


def at_least_one_of(*names: str) -> ShapeRule:
    listed = _listed(names)
    return ShapeRule(
        cel=" || ".join(f"has(self.{name})" for name in names),
        message=f"at least one of {listed} must be set",
        fix=f"add one of {listed}",
        holds=lambda value: any(has(value, name) for name in names),
    )


def only_with(field: str, *, when: str, equals: str, default: str) -> ShapeRule:
    """`field` is set exactly when the field `when` says `equals`."""
    return ShapeRule(
        cel=f"has(self.{field}) == (self.{when} == '{equals}')",
        message=f"`{field}` goes with `{when}: {equals}`, and only with it",
        fix=f"set `{when}: {equals}` and `{field}`, or neither",
        holds=lambda value: has(value, field) == (value.get(when, default) == equals),
        field=field,
    )


def no_longer_than(field: str, default: str, limit: str, limit_default: str) -> ShapeRule:
    """One duration is at most another."""

    def holds(value: Object) -> bool:
        try:
            low = milliseconds(str(value.get(field, default)))
            high = milliseconds(str(value.get(limit, limit_default)))
        except ValueError:
            return True  # a value of its own that is reported where it stands
        return low <= high

    return ShapeRule(
        cel=f"duration(self.{field}) <= duration(self.{limit})",
        message=f"`{field}` must not be longer than `{limit}`",
        fix=f"raise `{limit}` or lower `{field}`",
        holds=holds,
        field=field,
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
