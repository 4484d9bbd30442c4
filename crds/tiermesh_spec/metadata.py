"""The frame of a resource: names, labels, and the label selectors that refer to them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tiermesh_spec.shape import ListOf, Shape, ShapeRule, has
from tiermesh_spec.texts import LabelKey, LabelValue, Name, ResourceName

GROUP = "tiermesh.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
DEFAULT_NAMESPACE = "default"


class ObjectMeta(Shape):
    """`metadata` of a resource. What only a cluster writes there is accepted and not read."""

    name: ResourceName
    """The resource's name."""
    namespace: Name = DEFAULT_NAMESPACE
    """The resource's namespace."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of the resource."""
    generation: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Counted by the API server; a file's resource has none and gets its content's hash."""
    creation_timestamp: (
        Annotated[str, Field(strict=True, max_length=64, pattern=r"^\d{4}-\d\d-\d\dT[0-9:.]+Z$")]
        | None
    ) = None
    """Written by the API server."""


UNREAD_METADATA = frozenset(
    {
        "annotations",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""Fields of every Kubernetes object that mean nothing here."""


class Operator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(Shape):
    """One condition on a label."""

    shape_rules = (
        ShapeRule(
            cel="(self.operator in ['In', 'NotIn']) == has(self.values)",
            message="`values` goes with `In` and `NotIn`, and only with them",
            fix="give `In` and `NotIn` values; leave them out of `Exists` and `DoesNotExist`",
            holds=lambda value: (value.get("operator") in ("In", "NotIn")) == has(value, "values"),
            field="values",
        ),
    )

    key: LabelKey
    """The label that is looked at."""
    operator: Operator
    """How the label relates to the values."""
    values: (
        Annotated[tuple[LabelValue, ...], Field(min_length=1, max_length=32), ListOf("atomic")]
        | None
    ) = None
    """The values, for `In` and `NotIn`."""


class LabelSelector(Shape):
    """A label selector as Kubernetes knows it: everything given must hold; empty selects all."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """Labels that must have exactly these values."""
    match_expressions: Annotated[
        tuple[LabelRequirement, ...], Field(max_length=32), ListOf("atomic")
    ] = ()
    """Further conditions on labels."""
