"""Rules of a policy that span its fields, for the API server: what is named must be declared.

For files, `references` checks the same with the closest known names; the API server can only say
that a name is unknown, but says so at `kubectl apply`.
"""

from __future__ import annotations

from tiermesh_spec.shape import ShapeRule, has

_TIERS = "self.tiers.exists(t, t.name == {name})"


def _among_tiers(name: str) -> str:
    return _TIERS.format(name=name)


def _route(route: str) -> str:
    pin = f"!has({route}.pin) || {_among_tiers(f'{route}.pin.tier')}"
    weighted = f"!has({route}.weighted) || {route}.weighted.tiers.all(w, {_among_tiers('w.tier')})"
    bands = f"{route}.threshold.bands.all(b, {_among_tiers('b.tier')})"
    on_abstain = (
        f"(!has({route}.threshold.onAbstain) || {_among_tiers(f'{route}.threshold.onAbstain')})"
    )
    threshold = f"!has({route}.threshold) || ({bands} && {on_abstain})"
    return f"({pin}) && ({weighted}) && ({threshold})"


def _signal(route: str) -> str:
    return f"!has({route}.threshold) || self.signals.exists(s, s.name == {route}.threshold.signal)"


def _declared(cel: str, what: str) -> ShapeRule:
    return ShapeRule(cel=cel, message=what, fix="correct the name or add the tier")


POLICY_RULES = (
    ShapeRule(
        cel="self.scope != 'Cluster' || !has(self.selector)",
        message="`scope: Cluster` is for all pods of all namespaces and excludes `selector`",
        fix="remove `selector`, or use `scope: Namespace`",
        holds=lambda spec: spec.get("scope") != "Cluster" or not has(spec, "selector"),
        field="selector",
    ),
    _declared(
        f"self.rules.all(r, {_route('r.route')})", "a rule's route must name tiers of `spec.tiers`"
    ),
    _declared(
        f"!has(self.default) || ({_route('self.default.route')})",
        "the default route must name tiers of `spec.tiers`",
    ),
    _declared(
        f"self.constraints.all(c, !has(c.neverBelow) || {_among_tiers('c.neverBelow')})",
        "a constraint's `neverBelow` must be one of `spec.tiers`",
    ),
    _declared(
        f"self.entitlements.grants.all(g, g.tiers.all(n, {_among_tiers('n')}))",
        "a grant must name tiers of `spec.tiers`",
    ),
    _declared(
        f"!has(self.fallback.tiers) || self.fallback.tiers.all(n, {_among_tiers('n')})",
        "`fallback.tiers` must be among `spec.tiers`",
    ),
    _declared(
        "!has(self.models.passThroughTier) || " + _among_tiers("self.models.passThroughTier"),
        "`models.passThroughTier` must be one of `spec.tiers`",
    ),
    ShapeRule(
        cel=f"self.rules.all(r, {_signal('r.route')})"
        f" && (!has(self.default) || {_signal('self.default.route')})",
        message="a threshold must name one of `spec.signals`",
        fix="correct the name or add the signal",
    ),
)
