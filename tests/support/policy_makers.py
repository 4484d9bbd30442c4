"""Short ways to write policies, tiers and calls. Whatever a test does not name is harmless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tiermesh_sidecar.core.active import ActivePolicy, activate_policy
from tiermesh_sidecar.core.decide import decide
from tiermesh_sidecar.core.decision import Decision
from tiermesh_sidecar.core.features import Caller, Capability, Dialect, Endpoint, Features, Prompt
from tiermesh_sidecar.core.state import StateView
from tiermesh_spec.expressions import Checker, declared_names
from tiermesh_spec.snapshot import (
    AuditContent,
    Backend,
    Band,
    Constraint,
    Credentials,
    DataHandling,
    Entitlements,
    Expression,
    Fallback,
    FallbackOn,
    FallbackOrder,
    Grant,
    Heuristic,
    IdentitySource,
    Match,
    Mode,
    Models,
    OutlierDetection,
    Pin,
    Policy,
    Price,
    Provider,
    Retry,
    Route,
    Rule,
    Scope,
    Selector,
    Signal,
    Threshold,
    Tier,
    Timeouts,
    Weighted,
    WeightedTier,
    WhenAllEjected,
)

ATTRIBUTES = ("plan", "tenant", "team")
SIGNALS = ("complexity", "label")
HEALTHY = StateView()
ALWAYS = frozenset(FallbackOn)


def when(source: str) -> Expression:
    checked = Checker(declared_names(ATTRIBUTES, SIGNALS)).check(source)
    assert isinstance(checked, Expression), checked
    return checked


def backend(
    name: str = "b",
    *,
    model: str = "",
    provider: Provider = Provider.OPENAI,
    priority: int = 0,
    weight: int = 1,
    price: Price | None = None,
    region: str | None = None,
    classifications: tuple[str, ...] = (),
    retention: str | None = None,
) -> Backend:
    return Backend(
        name=name,
        provider=provider,
        model=model or f"{name}-model",
        url=f"http://{name}.example/v1",
        ca_bundle=None,
        credentials=Credentials(),
        priority=priority,
        weight=weight,
        price=price,
        data=DataHandling(region=region, classifications=classifications, retention=retention),
    )


def tier(
    name: str,
    rank: int,
    *backends: Backend,
    aliases: tuple[str, ...] = (),
    capabilities: Sequence[str] = (),
    context_window: int | None = None,
    max_output_tokens: int | None = None,
    when_all_ejected: WhenAllEjected = WhenAllEjected.TRY_ONE,
) -> Tier:
    return Tier(
        name=name,
        resource=f"models/{name}",
        rank=rank,
        aliases=aliases,
        capabilities=frozenset(capabilities),
        context_window=context_window,
        max_output_tokens=max_output_tokens,
        outlier_detection=OutlierDetection(
            consecutive_failures=5,
            eject_for_ms=30_000,
            max_eject_for_ms=300_000,
            when_all_ejected=when_all_ejected,
        ),
        backends=backends or (backend("b", model=f"{name}-model"),),
    )


SMALL, MEDIUM, LARGE = tier("small", 10), tier("medium", 20), tier("large", 30)
THREE = (SMALL, MEDIUM, LARGE)


def pin(name: str, *, fallback: bool = True) -> Route:
    return Route(pin=Pin(tier=name, fallback=fallback))


def weighted(**shares: int) -> Route:
    tiers = tuple(WeightedTier(tier=name, weight=weight) for name, weight in shares.items())
    return Route(weighted=Weighted(tiers=tiers))


def threshold(
    *bands: tuple[float | None, str], on_abstain: str | None = None, signal: str = "complexity"
) -> Route:
    named = tuple(Band(below=below, tier=name) for below, name in bands)
    return Route(threshold=Threshold(signal=signal, bands=named, on_abstain=on_abstain))


def rule(
    name: str, route: Route, *, match: Match | None = None, when: Expression | None = None
) -> Rule:
    return Rule(name=name, match=match, when=when, route=route)


def constraint(
    name: str = "eu",
    *,
    match: Match | None = None,
    when: Expression | None = None,
    regions: tuple[str, ...] = (),
    classifications: tuple[str, ...] = (),
    retention: tuple[str, ...] = (),
    never_below: str | None = None,
) -> Constraint:
    return Constraint(
        name=name,
        match=match,
        when=when,
        regions=regions,
        classifications=classifications,
        retention=retention,
        never_below=never_below,
    )


def grant(
    name: str, *tiers: str, match: Match | None = None, when: Expression | None = None
) -> Grant:
    return Grant(name=name, match=match, when=when, tiers=tiers)


def grants(*given: Grant, default_all: bool = True) -> Entitlements:
    return Entitlements(default_all=default_all, grants=given)


def fallback(
    order: FallbackOrder = FallbackOrder.UP,
    *tiers: str,
    on: frozenset[FallbackOn] = ALWAYS,
) -> Fallback:
    return Fallback(on=on, order=order, tiers=tiers)


UPWARD = fallback()


def policy(
    *rules: Rule,
    tiers: tuple[Tier, ...] = THREE,
    default: Route | None = None,
    models: Models | None = None,
    constraints: tuple[Constraint, ...] = (),
    entitlements: Entitlements | None = None,
    fallback: Fallback = UPWARD,
    identity: tuple[IdentitySource, ...] = (),
    mode: Mode = Mode.ENFORCE,
    max_attempts: int = 3,
    selector: Selector | None = None,
) -> Policy:
    return Policy(
        namespace="shop",
        name="checkout",
        generation="7",
        created="",
        scope=Scope.NAMESPACE,
        mode=mode,
        selector=selector,
        tiers=tiers,
        models=models or Models(route=("*",), direct=(), pass_through_tier=None),
        identity=identity,
        signals=(Signal(name="complexity", heuristic=Heuristic()),),
        constraints=constraints,
        entitlements=entitlements or grants(),
        rules=rules,
        default=default or pin(tiers[-1].name),
        timeouts=Timeouts(
            call_ms=120_000, attempt_ms=60_000, first_byte_ms=20_000, stream_idle_ms=30_000
        ),
        retry=Retry(max_attempts=max_attempts, backoff_base_ms=100, backoff_max_ms=5_000),
        fallback=fallback,
        audit_content=AuditContent.NONE,
    )


def models(*route: str, direct: tuple[str, ...] = (), pass_through: str | None = None) -> Models:
    return Models(route=route, direct=direct, pass_through_tier=pass_through)


def active(policy: Policy, **labels: str) -> ActivePolicy:
    return activate_policy(policy, labels)


def caller(
    hints: Mapping[str, str] | None = None, *, data_class: str = "", **asserted: str
) -> Caller:
    hinted = dict(hints or {})
    if data_class:
        hinted.setdefault("dataClass", data_class)
    return Caller(asserted=asserted, hinted=hinted, data_class_hint=data_class)


def features(
    text: str = "",
    *,
    model: str = "auto",
    endpoint: Endpoint = Endpoint.CHAT_COMPLETIONS,
    dialect: Dialect = Dialect.OPENAI,
    tokens: int = 10,
    max_tokens: int | None = None,
    needs: Sequence[Capability] = (),
    caller: Caller | None = None,
    stream: bool = False,
    turns: int = 1,
) -> Features:
    prompt = Prompt(texts=(text,) if text else (), last_user=text, turns=turns)
    return Features(
        endpoint=endpoint,
        dialect=dialect,
        model=model,
        stream=stream,
        tokens=tokens,
        max_tokens=max_tokens,
        needs=frozenset(needs),
        caller=caller,
        read_prompt=lambda: prompt,
    )


def decided(
    call: Features,
    policy: Policy,
    *,
    ejected: Sequence[str] = (),
    keyless: Sequence[str] = (),
    seed: int = 1,
    signals: Mapping[str, float | str | None] | None = None,
    deadline_ms: int | None = None,
) -> Decision:
    """Backends are named `tier/backend`."""
    view = StateView(
        ejected=frozenset(f"models/{name}" for name in ejected),
        keyless=frozenset(f"models/{name}" for name in keyless),
    )
    return decide(call, active(policy), view, 0.0, seed, signals=signals, deadline_ms=deadline_ms)


def steps(decision: Decision) -> list[str]:
    """`tier/backend` of each attempt that the plan allows."""
    assert decision.plan is not None, decision.refusal
    return [f"{step.tier.name}/{step.backend.name}" for step in decision.plan.steps]


def reasons(decision: Decision) -> dict[str, str]:
    """The primary reason of each candidate, then the others."""
    return {c.tier: " ".join((c.reason, *c.also)) for c in decision.candidates}


def code(decision: Decision) -> str:
    assert decision.refusal is not None, decision.plan
    return decision.refusal.code.value
