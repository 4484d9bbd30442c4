"""Compiles resources to a snapshot, or says everything that is wrong with them.

All or nothing: one bad document means no snapshot, because a sidecar that runs half a configuration
runs one that nobody wrote. Parsing text and reading files are the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tiermesh_spec.convert_policies import policy_of
from tiermesh_spec.convert_tiers import tier_of
from tiermesh_spec.documents import Document, Source, sort_documents
from tiermesh_spec.expressions import Checker
from tiermesh_spec.frames import frame_findings, metadata_of
from tiermesh_spec.model_tier import ModelTier
from tiermesh_spec.problems import Finding, Problem, Problems
from tiermesh_spec.references import (
    Node,
    bad_expressions,
    checker_of,
    undirected_names,
    unknown_signals,
    unknown_tiers,
    unresolvable_names,
)
from tiermesh_spec.routing_policy import RoutingPolicy
from tiermesh_spec.shape import Shape
from tiermesh_spec.snapshot import FORMAT_MAJOR, Policy, Snapshot
from tiermesh_spec.structure import findings
from tiermesh_spec.tier_refs import Resolved, TierIndex, index_tiers

_SHAPES: Mapping[str, type[Shape]] = {"ModelTier": ModelTier, "RoutingPolicy": RoutingPolicy}


def compile_resources(
    documents: Iterable[Document], *, epoch: str = "", revision: int = 0
) -> Snapshot | Problems:
    """The snapshot of all policies, or all problems of all documents.

    `epoch` and `revision` are the writer's (see `Snapshot`); files have neither.
    """
    given = list(documents)
    sources, problems = sort_documents(given)
    own = {id(source): list(_own_findings(source)) for source in sources}
    index = _index(sources, own)
    policies = [source for source in sources if source.kind == "RoutingPolicy"]
    candidates = {id(policy): _candidates(policy, index) for policy in policies}
    for source in sources:
        found = list(own[id(source)])
        if source.kind == "RoutingPolicy":
            found += _reference_findings(candidates[id(source)])
        problems += [source.problem(finding) for finding in _distinct(found)]
    if problems:
        return Problems(_in_order(problems, given))
    compiled = (_policy(policy, candidates[id(policy)]) for policy in policies)
    return Snapshot(
        format=FORMAT_MAJOR,
        epoch=epoch,
        revision=revision,
        # Sorted, so that equal content has an equal hash whatever file it came from.
        policies=tuple(sorted(compiled, key=lambda policy: (policy.namespace, policy.name))),
    )


def _own_findings(source: Source) -> Iterator[Finding]:
    yield from frame_findings(source)
    shape = _SHAPES.get(source.kind)
    if shape is not None:
        spec = {"spec": source.content["spec"]} if "spec" in source.content else {}
        yield from findings(shape, spec, ())


def _index(sources: list[Source], own: Mapping[int, list[Finding]]) -> TierIndex:
    valid = {
        (source.namespace, source.name): ModelTier.model_validate({"spec": source.content["spec"]})
        for source in sources
        if source.kind == "ModelTier" and not own[id(source)]
    }
    labels = {
        source.name: dict(metadata_of(source).labels)
        for source in sources
        if source.kind == "Namespace" and not own[id(source)]
    }
    return index_tiers(sources, valid, labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidates:
    """What a policy's names stand for."""

    spec: Node
    resolved: list[Resolved]
    unresolved: list[Finding]
    checker: Checker


def _candidates(policy: Source, index: TierIndex) -> _Candidates:
    spec = Node(policy.content).field("spec")
    resolved, unresolved = index.resolve(policy)
    return _Candidates(
        spec=spec, resolved=resolved, unresolved=unresolved, checker=checker_of(spec)
    )


def _reference_findings(candidates: _Candidates) -> Iterator[Finding]:
    spec, resolved = candidates.spec, candidates.resolved
    yield from candidates.unresolved
    yield from unknown_tiers(spec)
    yield from unknown_signals(spec)
    yield from bad_expressions(spec, candidates.checker)
    yield from unresolvable_names({r.name: r.tier.spec.aliases for r in resolved}, spec)
    if len(resolved) == len(list(spec.field("tiers").items())):
        yield from undirected_names(_bearing(resolved), spec)


def _bearing(resolved: list[Resolved]) -> set[str]:
    names: set[str] = set()
    for candidate in resolved:
        names |= {candidate.name, *candidate.tier.spec.aliases}
        for backend in candidate.tier.spec.backends:
            names |= {backend.name, backend.model}
    return names


def _distinct(found: list[Finding]) -> list[Finding]:
    seen: dict[tuple[object, str], Finding] = {}
    for finding in found:
        seen.setdefault((finding.path, finding.message), finding)
    return list(seen.values())


def _policy(source: Source, candidates: _Candidates) -> Policy:
    return policy_of(
        source,
        metadata_of(source),
        RoutingPolicy.model_validate({"spec": source.content["spec"]}).spec,
        [tier_of(candidate) for candidate in candidates.resolved],
        candidates.checker,
    )


def _in_order(problems: list[Problem], documents: list[Document]) -> tuple[Problem, ...]:
    place = {(d.file, d.index): position for position, d in enumerate(documents)}
    return tuple(sorted(problems, key=lambda p: place.get((p.file, p.document), 0)))
