"""From valid RoutingPolicies to a snapshot's policies: resolved, defaulted, units converted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from tiermesh_spec import matching, rights, routes, routing_policy
from tiermesh_spec.documents import Source
from tiermesh_spec.expressions import Checker, Fault
from tiermesh_spec.metadata import ObjectMeta
from tiermesh_spec.quantities import milliseconds, score
from tiermesh_spec.selectors import selector_of
from tiermesh_spec.snapshot.policies import (
    Band,
    Constraint,
    Entitlements,
    Expression,
    Fallback,
    Grant,
    Heuristic,
    IdentitySource,
    Match,
    Models,
    Pin,
    Policy,
    Retry,
    Route,
    Rule,
    Selector,
    Signal,
    Threshold,
    Timeouts,
    Weighted,
    WeightedTier,
)
from tiermesh_spec.snapshot.tiers import Tier


def policy_of(
    source: Source,
    metadata: ObjectMeta,
    spec: routing_policy.RoutingPolicySpec,
    tiers: Sequence[Tier],
    checker: Checker,
) -> Policy:
    """`tiers`: the resolved candidates, in the policy's order."""
    return Policy(
        namespace=metadata.namespace,
        name=metadata.name,
        generation=_generation(source, metadata),
        created=metadata.creation_timestamp or "",
        scope=spec.scope,
        mode=spec.mode,
        selector=_selector(spec),
        tiers=tuple(tiers),
        models=Models(
            route=spec.models.route,
            direct=spec.models.direct,
            pass_through_tier=spec.models.pass_through_tier,
        ),
        identity=tuple(_identity(source) for source in spec.identity),
        signals=tuple(Signal(name=s.name, heuristic=Heuristic()) for s in spec.signals),
        constraints=tuple(_constraint(c, checker) for c in spec.constraints),
        entitlements=Entitlements(
            default_all=spec.entitlements.default is rights.GrantDefault.ALL,
            grants=tuple(_grant(g, checker) for g in spec.entitlements.grants),
        ),
        rules=tuple(_rule(r, checker) for r in spec.rules),
        default=_route(spec.default.route) if spec.default else _highest(tiers),
        timeouts=_timeouts(spec.timeouts),
        retry=_retry(spec.retry),
        fallback=Fallback(
            on=frozenset(spec.fallback.on),
            order=spec.fallback.order,
            tiers=spec.fallback.tiers or (),
        ),
        audit_content=spec.audit.content,
    )


def _generation(source: Source, metadata: ObjectMeta) -> str:
    """The API server's count; for a file the first 8 hex digits of its content's hash."""
    if metadata.generation is not None:
        return str(metadata.generation)
    content = {key: value for key, value in source.content.items() if key != "status"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def _selector(spec: routing_policy.RoutingPolicySpec) -> Selector | None:
    """None also for an empty selector: it selects every pod, so it must not beat a policy that is
    for every pod."""
    selector = spec.selector
    if selector is None or not (selector.match_labels or selector.match_expressions):
        return None
    return selector_of(selector)


def _identity(source: routing_policy.IdentitySource) -> IdentitySource:
    header = source.header.lower() if source.header is not None else None
    return IdentitySource(attribute=source.attribute, header=header, pod_label=source.pod_label)


def _constraint(constraint: rights.Constraint, checker: Checker) -> Constraint:
    return Constraint(
        name=constraint.name,
        match=_match(constraint.match),
        when=_expression(constraint.when, checker),
        regions=constraint.regions or (),
        classifications=constraint.classifications or (),
        retention=constraint.retention or (),
        never_below=constraint.never_below,
    )


def _grant(grant: rights.Grant, checker: Checker) -> Grant:
    return Grant(
        name=grant.name,
        match=_match(grant.match),
        when=_expression(grant.when, checker),
        tiers=grant.tiers,
    )


def _rule(rule: routing_policy.Rule, checker: Checker) -> Rule:
    return Rule(
        name=rule.name,
        match=_match(rule.match),
        when=_expression(rule.when, checker),
        route=_route(rule.route),
    )


def _match(match: matching.Match | None) -> Match | None:
    if match is None or not match.model_fields_set:
        return None
    return Match(
        steps=match.steps or (),
        tasks=match.tasks or (),
        agents=match.agents or (),
        workflows=match.workflows or (),
        priorities=match.priorities or (),
        models=match.models or (),
        endpoints=tuple(str(endpoint) for endpoint in match.endpoints or ()),
        wants_json=match.wants_json,
        wants_tools=match.wants_tools,
        has_images=match.has_images,
        stream=match.stream,
    )


def _expression(source: str | None, checker: Checker) -> Expression | None:
    if source is None:
        return None
    checked = checker.check(source)
    assert not isinstance(checked, Fault), checked
    return checked


def _route(route: routes.Route) -> Route:
    if route.pin is not None:
        inherits = route.pin.fallback is routes.PinFallback.INHERIT
        return Route(pin=Pin(tier=route.pin.tier, fallback=inherits))
    if route.weighted is not None:
        shares = (WeightedTier(tier=t.tier, weight=t.weight) for t in route.weighted.tiers)
        return Route(weighted=Weighted(tiers=tuple(shares)))
    assert route.threshold is not None
    return Route(threshold=_threshold(route.threshold))


def _threshold(threshold: routes.Threshold) -> Threshold:
    return Threshold(
        signal=threshold.signal,
        bands=tuple(
            Band(below=score(band.below) if band.below is not None else None, tier=band.tier)
            for band in threshold.bands
        ),
        on_abstain=threshold.on_abstain,
    )


def _highest(tiers: Sequence[Tier]) -> Route:
    """Of equal ranks the first by name, as everywhere."""
    return Route(pin=Pin(tier=min(tiers, key=lambda tier: (-tier.rank, tier.name)).name))


def _timeouts(timeouts: routing_policy.Timeouts) -> Timeouts:
    return Timeouts(
        call_ms=milliseconds(timeouts.call),
        attempt_ms=milliseconds(timeouts.attempt),
        first_byte_ms=milliseconds(timeouts.first_byte),
        stream_idle_ms=milliseconds(timeouts.stream_idle),
    )


def _retry(retry: routing_policy.Retry) -> Retry:
    return Retry(
        max_attempts=retry.max_attempts,
        backoff_base_ms=milliseconds(retry.backoff.base),
        backoff_max_ms=milliseconds(retry.backoff.max),
    )
