"""The contract of tiermesh: the two resource kinds, their compiled `Snapshot`, and what joins them.

Names are resolved on first use: a sidecar that only reads `tiermesh_spec.snapshot` must not load
pydantic or the CEL library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiermesh_spec.compiler import compile_resources
    from tiermesh_spec.conditions import ConditionType, Reason
    from tiermesh_spec.documents import Document
    from tiermesh_spec.expressions import Program
    from tiermesh_spec.model_tier import ModelTier
    from tiermesh_spec.problems import Problem, Problems
    from tiermesh_spec.routing_policy import RoutingPolicy
    from tiermesh_spec.snapshot import Snapshot

    compile = compile_resources  # noqa: A001 - the contract's name; never star-imported

__all__ = [
    "ConditionType",
    "Document",
    "ModelTier",
    "Problem",
    "Problems",
    "Program",
    "Reason",
    "RoutingPolicy",
    "Snapshot",
    "compile",
    "compile_resources",
]


def __getattr__(name: str) -> object:
    homes = {
        "ConditionType": "conditions",
        "Document": "documents",
        "ModelTier": "model_tier",
        "Problem": "problems",
        "Problems": "problems",
        "Program": "expressions",
        "Reason": "conditions",
        "RoutingPolicy": "routing_policy",
        "Snapshot": "snapshot",
        "compile": "compiler",
        "compile_resources": "compiler",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    attribute = "compile_resources" if name == "compile" else name
    return getattr(import_module(f"{__name__}.{homes[name]}"), attribute)
