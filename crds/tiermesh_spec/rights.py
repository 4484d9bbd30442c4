"""Rights: constraints and entitlements. They hold for every attempt and are never relaxed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tiermesh_spec.matching import Match
from tiermesh_spec.shape import ListOf, Shape, at_least_one_of
from tiermesh_spec.texts import Expression, Name, Word

Words = Annotated[tuple[Word, ...], Field(min_length=1, max_length=16), ListOf("set")]


class Constraint(Shape):
    """Something that must hold for every tier that sees the call. All constraints whose `match` and
    `when` hold apply, to every call; one without either always applies."""

    shape_rules = (at_least_one_of("regions", "classifications", "retention", "neverBelow"),)

    name: Name
    """Unique name."""
    match: Match | None = None
    """Typed conditions on the call."""
    when: Expression | None = None
    """CEL expression over `request`, `caller` and `signal`; when it cannot be evaluated, the
    constraint applies."""
    regions: Words | None = None
    """The backend's `data.region` must be one of these."""
    classifications: Words | None = None
    """The backend's `data.classifications` must hold all of these."""
    retention: Words | None = None
    """The backend's `data.retention` must be one of these."""
    never_below: Name | None = None
    """Tiers of a lower rank than this one may not take the call."""


class GrantDefault(StrEnum):
    ALL = "All"
    NONE = "None"


class Grant(Shape):
    """Tiers that some callers may use. Grants see what `identity` says, never hints."""

    name: Name
    """Unique name."""
    match: Match | None = None
    """Typed conditions on the call."""
    when: Expression | None = None
    """CEL expression over `request`, `caller` and `signal`; when it cannot be evaluated, the grant
    gives nothing."""
    tiers: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8), ListOf("set")]
    """The policy's names of the tiers."""


class Entitlements(Shape):
    """Who may use which tiers: the union of the grants that hold."""

    default: GrantDefault = GrantDefault.ALL
    """When no grant holds: `All` tiers or `None`."""
    grants: Annotated[tuple[Grant, ...], Field(max_length=64), ListOf("map", "name")] = ()
    """The grants."""
