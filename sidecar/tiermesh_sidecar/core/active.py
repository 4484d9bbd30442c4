"""The policy that a sidecar runs, prepared so that a decision only looks things up.

Built once when a snapshot is taken over, never changed. All that costs time is done here: CEL is
compiled, rules are indexed, names and orders of tiers are resolved. This module decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tiermesh_sidecar.core import constraints, entitlement, names
from tiermesh_sidecar.core.candidates import TierFacts, by_rank, fallbacks, replacements
from tiermesh_sidecar.core.features import Features
from tiermesh_sidecar.core.matching import Condition, RuleIndex, compile_expression
from tiermesh_sidecar.core.question import Question
from tiermesh_sidecar.core.signals import computed
from tiermesh_sidecar.core.strategies import strategy_for
from tiermesh_spec.snapshot import FallbackOn, Policy, Route, Snapshot, WhenAllEjected

DEFAULT_RULE = "default"
"""What decisions of the default route name as their rule; no rule may have this name."""


class ActivePolicy:
    """Raises ValueError where the policy names a tier that it has not, or holds an expression that
    does not compile: only a snapshot that no `compile` made can cause either."""

    __slots__ = (
        "constraints",
        "default",
        "entitlements",
        "fallbacks",
        "identity_headers",
        "label",
        "names",
        "pod_attributes",
        "policy",
        "ranked",
        "replacements",
        "routes",
        "rules",
        "signals",
        "steering",
        "tiers",
        "tiers_by_name",
    )

    def __init__(self, policy: Policy, labels: Mapping[str, str]) -> None:
        _check_references(policy)
        self.policy = policy
        self.label = policy.label
        self.identity_headers = frozenset(s.header for s in policy.identity if s.header is not None)
        """Lower case; they identify callers to us and reach no backend."""
        self.pod_attributes: dict[str, str] = {
            source.attribute: labels[source.pod_label]
            for source in policy.identity
            if source.pod_label is not None and source.pod_label in labels
        }
        """What `identity` takes from the pod's labels: the same for every call."""
        self._prepare_tiers()
        self._prepare_rules()

    def tiers_for(self, features: Features) -> frozenset[str]:
        """Short names of the tiers that this caller is entitled to, as `/v1/models` lists them."""
        allowed = entitlement.entitled(self.entitlements, Question(features, self.signals, None))
        return frozenset(facts.name for facts in self.tiers if allowed.allows(facts.name))

    def _prepare_tiers(self) -> None:
        policy = self.policy
        try_one = WhenAllEjected.TRY_ONE
        self.tiers = tuple(
            TierFacts(tier, try_one=tier.outlier_detection.when_all_ejected is try_one)
            for tier in policy.tiers
        )
        """In the policy's order."""
        self.tiers_by_name: Mapping[str, TierFacts] = {facts.name: facts for facts in self.tiers}
        self.ranked = by_rank(self.tiers)
        self.replacements = {t.name: replacements(t, self.ranked) for t in self.tiers}
        self.fallbacks = {t.name: fallbacks(t, self.ranked, policy.fallback) for t in self.tiers}
        self.names = names.prepare(policy.models, self.ranked)
        self.steering = FallbackOn.UNHEALTHY in policy.fallback.on
        """Whether another tier may take the place of one whose backends are all ejected."""

    def _prepare_rules(self) -> None:
        policy, compile_when = self.policy, compile_expression
        ranks = {tier.name: tier.rank for tier in policy.tiers}
        self.signals = computed(policy.signals)
        self.constraints = constraints.prepare(policy.constraints, ranks, compile_when)
        self.entitlements = entitlement.prepare(policy.entitlements, compile_when)
        self.rules = RuleIndex(
            [(rule.match, Condition(rule.match, rule.when, compile_when)) for rule in policy.rules]
        )
        self.routes = tuple((rule.name, strategy_for(rule.route)) for rule in policy.rules)
        """By the position that `rules` finds."""
        self.default = (DEFAULT_RULE, strategy_for(policy.default))


def activate(snapshot: Snapshot, namespace: str, labels: Mapping[str, str]) -> ActivePolicy | None:
    """The policy that a pod of this namespace with these labels runs; None: none selects it."""
    policy = snapshot.policy_for(namespace, dict(labels))
    return activate_policy(policy, labels) if policy is not None else None


def activate_policy(policy: Policy, labels: Mapping[str, str]) -> ActivePolicy:
    return ActivePolicy(policy, labels)


def _check_references(policy: Policy) -> None:
    known = {tier.name for tier in policy.tiers}
    missing = sorted({name for name in _references(policy) if name not in known})
    if missing or not known:
        raise ValueError(
            f"policy {policy.label} names tiers that are not among its candidates:"
            f" {', '.join(missing) or 'it has none'}"
        )


def _references(policy: Policy) -> Iterator[str]:
    for route in (*(rule.route for rule in policy.rules), policy.default):
        yield from _route_references(route)
    for grant in policy.entitlements.grants:
        yield from grant.tiers
    yield from policy.fallback.tiers
    yield from (c.never_below for c in policy.constraints if c.never_below is not None)
    if policy.models.pass_through_tier is not None:
        yield policy.models.pass_through_tier


def _route_references(route: Route) -> Iterator[str]:
    if route.pin is not None:
        yield route.pin.tier
    if route.weighted is not None:
        yield from (share.tier for share in route.weighted.tiers)
    if route.threshold is not None:
        yield from (band.tier for band in route.threshold.bands)
        if route.threshold.on_abstain is not None:
            yield route.threshold.on_abstain
