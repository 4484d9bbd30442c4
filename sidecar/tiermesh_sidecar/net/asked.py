"""A request as a decision may see it: from its head and bytes to `Features`.

Shared by the data plane and `tiermesh explain`, so that both understand a request alike. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermesh_sidecar.core.active import ActivePolicy
from tiermesh_sidecar.core.decision import Refusal
from tiermesh_sidecar.core.features import Features
from tiermesh_sidecar.wire.body import JsonObject, parse_object
from tiermesh_sidecar.wire.headers import RawHeaders, read_caller
from tiermesh_sidecar.wire.paths import Target, TargetKind
from tiermesh_sidecar.wire.request import read_features


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was understood."""

    target: Target
    features: Features
    body: JsonObject | None
    """None where the path is not routed by content."""
    deadline_ms: int | None
    """The caller's own; None: none asked."""


def understand(
    target: Target, headers: RawHeaders, body: bytes, active: ActivePolicy
) -> Asked | Refusal:
    who = read_caller(headers, active.policy.identity, active.pod_attributes)
    if isinstance(who, Refusal):
        return who
    caller, deadline_ms = who
    if target.kind is not TargetKind.ROUTED:
        bare = Features(endpoint=target.endpoint, dialect=target.dialect, caller=caller)
        return Asked(target=target, features=bare, body=None, deadline_ms=deadline_ms)
    parsed = parse_object(body)
    if isinstance(parsed, Refusal):
        return parsed
    features = read_features(target, parsed, caller)
    if isinstance(features, Refusal):
        return features
    return Asked(target=target, features=features, body=parsed, deadline_ms=deadline_ms)
