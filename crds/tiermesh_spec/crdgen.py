"""The two CustomResourceDefinitions, from the models; `crds/generate.py` writes them to files."""

from __future__ import annotations

from dataclasses import dataclass

from tiermesh_spec import descriptions
from tiermesh_spec.conditions import MEANING, ConditionType
from tiermesh_spec.metadata import GROUP, VERSION
from tiermesh_spec.model_tier import ModelTier
from tiermesh_spec.routing_policy import RoutingPolicy
from tiermesh_spec.schemas import Schema, object_schema
from tiermesh_spec.shape import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One of our kinds, and how `kubectl` shows it."""

    shape: type[Shape]
    plural: str
    short: str
    columns: tuple[tuple[str, str, str], ...]
    """Name, type and JSON path of what `kubectl get` prints beside the conditions."""
    conditions: tuple[ConditionType, ...]

    @property
    def name(self) -> str:
        return self.shape.__name__


KINDS = (
    Kind(
        shape=ModelTier,
        plural="modeltiers",
        short="mtier",
        columns=(("Rank", "integer", ".spec.rank"),),
        conditions=(ConditionType.ACCEPTED,),
    ),
    Kind(
        shape=RoutingPolicy,
        plural="routingpolicies",
        short="rpol",
        columns=(("Mode", "string", ".spec.mode"),),
        conditions=tuple(ConditionType),
    ),
)


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind, as a value that any YAML or JSON writer can print."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "tiermesh"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["tiermesh"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": _columns(kind),
                    "schema": {"openAPIV3Schema": _resource_schema(kind)},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def _columns(kind: Kind) -> list[Schema]:
    columns: list[Schema] = [
        {"name": name, "type": type_, "jsonPath": path} for name, type_, path in kind.columns
    ]
    for condition in kind.conditions:
        path = f'.status.conditions[?(@.type=="{condition}")].status'
        columns.append({"name": str(condition), "type": "string", "jsonPath": path})
    columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    return columns


def _resource_schema(kind: Kind) -> Schema:
    resource = object_schema(kind.shape)
    properties = resource["properties"]
    assert isinstance(properties, dict)
    return {
        "type": "object",
        "description": descriptions.of_object(kind.shape),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{kind.name}."},
            "metadata": {"type": "object"},
            "spec": properties["spec"],
            "status": _status(kind),
        },
    }


def _status(kind: Kind) -> Schema:
    meanings = " ".join(f"{condition}: {MEANING[condition]}" for condition in kind.conditions)
    return {
        "type": "object",
        "description": "What tiermesh says about the resource.",
        "properties": {
            "conditions": {
                "type": "array",
                "description": meanings,
                "maxItems": 8,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": _condition(),
            }
        },
    }


def _condition() -> Schema:
    return {
        "type": "object",
        "description": "One condition, as Kubernetes' API conventions define it.",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": {
                "type": "string",
                "description": "What the condition speaks of.",
                "maxLength": 316,
            },
            "status": {
                "type": "string",
                "description": "Whether it holds.",
                "enum": ["True", "False", "Unknown"],
            },
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "description": "The generation of the resource that the condition speaks of.",
            },
            "lastTransitionTime": {
                "type": "string",
                "format": "date-time",
                "description": "When the status last changed.",
            },
            "reason": {
                "type": "string",
                "description": "Why, as one of a fixed list of words.",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "message": {
                "type": "string",
                "description": "Why, for people.",
                "maxLength": 32768,
            },
        },
    }
