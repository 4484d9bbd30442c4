"""Finding the ModelTiers that policies refer to, and who may use them.

A policy must not learn from a message whether a tier exists that it may not use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from tiermesh_spec.conditions import Reason
from tiermesh_spec.documents import Source
from tiermesh_spec.metadata import LabelSelector
from tiermesh_spec.model_tier import AllowedNamespaces, From, ModelTier
from tiermesh_spec.problems import Finding, closest
from tiermesh_spec.references import Node
from tiermesh_spec.selectors import selector_of

NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A candidate of a policy, and the tier behind it."""

    name: str
    """The policy's name of it."""
    source: Source
    tier: ModelTier


@dataclass(frozen=True, slots=True, kw_only=True)
class TierIndex:
    """All ModelTiers of the documents, by namespace and name."""

    sources: Mapping[tuple[str, str], Source]
    valid: Mapping[tuple[str, str], ModelTier]
    """Those without a problem of their own."""
    namespace_labels: Mapping[str, Mapping[str, str]]

    def resolve(self, policy: Source) -> tuple[list[Resolved], list[Finding]]:
        """The candidates that resolve, and what keeps the others from it. A tier with problems of
        its own is neither: those are reported where they are."""
        resolved: list[Resolved] = []
        findings: list[Finding] = []
        for entry in Node(policy.content).field("spec").field("tiers").items():
            name = entry.field("name").text
            target, at = _target(entry, policy.namespace)
            if name is None or target is None:
                continue
            source, tier = self.sources.get(target), self.valid.get(target)
            if source is None or not self._open_to(source, tier, policy.namespace):
                findings.append(self._refused(at, target, policy.namespace))
            elif tier is not None:
                resolved.append(Resolved(name, source, tier))
        return resolved, findings

    def _open_to(self, source: Source, tier: ModelTier | None, namespace: str) -> bool:
        if source.namespace == namespace:
            return True
        allowed = tier.spec.allowed_namespaces if tier else _allowed_as_written(source)
        if allowed.from_ is From.SELECTOR and allowed.selector is not None:
            return self._selects(allowed.selector, namespace)
        return allowed.from_ is From.ALL

    def _selects(self, selector: LabelSelector, namespace: str) -> bool:
        labels = {**self.namespace_labels.get(namespace, {}), NAME_LABEL: namespace}
        return selector_of(selector).matches(labels)

    def _refused(self, at: Node, target: tuple[str, str], namespace: str) -> Finding:
        wanted_namespace, name = target
        if wanted_namespace == namespace:
            own = [tier for space, tier in self.sources if space == namespace]
            return Finding(
                path=at.path,
                value=name,
                message=f"namespace {namespace} has no ModelTier {name}",
                fix=closest(name, own, what=f"ModelTiers of {namespace}"),
                reason=Reason.TIER_NOT_FOUND,
            )
        return Finding(
            path=at.path,
            value=f"{wanted_namespace}/{name}",
            message=f"no ModelTier {wanted_namespace}/{name} is open to namespace {namespace}",
            fix="correct the reference, or have the tier's owner open it with allowedNamespaces",
            reason=Reason.REF_NOT_PERMITTED,
        )


def _target(entry: Node, namespace: str) -> tuple[tuple[str, str] | None, Node]:
    """Which ModelTier a candidate means, and the place that says so."""
    ref = entry.field("ref")
    own_name = entry.field("name")
    name = ref.field("name") if ref.field("name").value is not None else own_name
    where = ref.field("namespace")
    if name.text is None or (where.value is not None and where.text is None):
        return None, entry
    return (where.text or namespace, name.text), ref if ref.value is not None else own_name


def _allowed_as_written(source: Source) -> AllowedNamespaces:
    """Whom a tier with other problems is open to; its own namespace where that cannot be told."""
    written = Node(source.content).field("spec").field("allowedNamespaces").value
    try:
        return AllowedNamespaces.model_validate(written if written is not None else {})
    except ValidationError:
        return AllowedNamespaces()


def index_tiers(
    sources: Sequence[Source],
    valid: Mapping[tuple[str, str], ModelTier],
    namespace_labels: Mapping[str, Mapping[str, str]],
) -> TierIndex:
    tiers = (source for source in sources if source.kind == "ModelTier")
    by_name: dict[tuple[str, str], Source] = {}
    for source in tiers:
        by_name.setdefault((source.namespace, source.name), source)
    return TierIndex(sources=by_name, valid=valid, namespace_labels=namespace_labels)
