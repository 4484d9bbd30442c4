"""The snapshot itself, and which of its policies a pod runs."""

from __future__ import annotations

from dataclasses import dataclass

from tiermesh_spec.snapshot.policies import Policy, Scope

FORMAT_MAJOR = 1
"""Raised when an old sidecar could misread a new snapshot; unknown fields of the same major are
ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    format: int
    epoch: str
    """UTC time at which the writer's count of revisions began (RFC 3339)."""
    revision: int
    policies: tuple[Policy, ...]

    def policy_for(self, namespace: str, labels: dict[str, str]) -> Policy | None:
        """The one policy that a pod runs: by labels, then its namespace's, then a cluster default.

        On the same level the older wins, then the name. Policies do not merge.
        """
        best: tuple[tuple[int, str, str], Policy] | None = None
        for policy in self.policies:
            level = _attachment_level(policy, namespace, labels)
            if level is None:
                continue
            key = (level, policy.created, f"{policy.namespace}/{policy.name}")
            if best is None or key < best[0]:
                best = (key, policy)
        return best[1] if best else None


def _attachment_level(policy: Policy, namespace: str, labels: dict[str, str]) -> int | None:
    if policy.scope is Scope.CLUSTER:
        return 2
    if policy.namespace != namespace:
        return None
    if policy.selector is None:
        return 1
    return 0 if policy.selector.matches(labels) else None
