"""Documents that compile, for tests to change one thing in."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from tiermesh_spec import Document, Problem, Problems, Snapshot, compile_resources

Resource = dict[str, Any]
API = "tiermesh.dev/v1alpha1"


def backend(name: str = "one", **fields: object) -> Resource:
    return {
        "name": name,
        "provider": "OpenAI",
        "model": "model-1",
        "target": {"url": "http://one.models.svc:8000/v1"},
        **fields,
    }


def tier(name: str = "small", namespace: str = "shop", rank: int = 10, **spec: object) -> Resource:
    return {
        "apiVersion": API,
        "kind": "ModelTier",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"rank": rank, "backends": [backend()], **spec},
    }


def policy(name: str = "checkout", namespace: str = "shop", **spec: object) -> Resource:
    return {
        "apiVersion": API,
        "kind": "RoutingPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"tiers": [{"name": "small"}, {"name": "large"}], **spec},
    }


def two_tiers() -> list[Resource]:
    return [tier("small", rank=10), tier("large", rank=30)]


def documents(resources: Sequence[object]) -> list[Document]:
    return [Document("policy.yaml", index, r) for index, r in enumerate(resources, start=1)]


def compiled(*resources: object) -> Snapshot:
    result = compile_resources(documents(resources))
    assert isinstance(result, Snapshot), str(result)
    return result


def refused(*resources: object) -> tuple[Problem, ...]:
    result = compile_resources(documents(resources))
    assert isinstance(result, Problems), "it compiled"
    return result.items


def changed(resource: Resource, *path: str | int, to: object) -> Resource:
    """A copy with one value set (or removed: `to=...`)."""
    result = copy.deepcopy(resource)
    place: Any = result
    for part in path[:-1]:
        place = place.setdefault(part, {}) if isinstance(part, str) else place[part]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return result
