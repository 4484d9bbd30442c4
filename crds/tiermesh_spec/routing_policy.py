"""`RoutingPolicy`: which calls it routes, over which candidate tiers, and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tiermesh_spec.matching import Match
from tiermesh_spec.metadata import LabelSelector
from tiermesh_spec.policy_rules import POLICY_RULES
from tiermesh_spec.rights import Constraint, Entitlements
from tiermesh_spec.routes import Route
from tiermesh_spec.shape import ListOf, Shape, exactly_one_of, no_longer_than, only_with
from tiermesh_spec.snapshot.policies import (
    AuditContent,
    FallbackOn,
    FallbackOrder,
    Mode,
    Scope,
)
from tiermesh_spec.texts import (
    Duration,
    Expression,
    HeaderName,
    Identifier,
    LabelKey,
    ModelGlob,
    Name,
    ResourceName,
    RuleName,
    TierName,
)


class TierRef(Shape):
    """A reference to a ModelTier."""

    name: ResourceName | None = None
    """The ModelTier's name; the candidate's own name when absent."""
    namespace: Name | None = None
    """The ModelTier's namespace; the policy's when absent. In another namespace the tier must allow
    it (`allowedNamespaces`)."""


class CandidateTier(Shape):
    """A tier that the policy may use."""

    name: TierName
    """The policy's own short name for the tier: rules, headers and spans say it."""
    ref: TierRef = Field(default_factory=TierRef)
    """The ModelTier: same name and same namespace unless said."""


class Models(Shape):
    """What the model's name in a call means."""

    route: Annotated[tuple[ModelGlob, ...], Field(max_length=64), ListOf("set")] = ("*",)
    """Names (`*` stands for any run of characters) whose calls are routed; `auto` always is."""
    direct: Annotated[tuple[ModelGlob, ...], Field(max_length=64), ListOf("set")] = ()
    """Names that go straight to the tier or backend with that name, alias or model."""
    pass_through_tier: Name | None = None
    """The tier that gets calls of `/v1` paths which are not routed; absent: they are a 404."""


class IdentitySource(Shape):
    """Where one attribute of the caller comes from."""

    shape_rules = (exactly_one_of("header", "podLabel"),)

    attribute: Identifier
    """Name of the attribute: `caller.NAME` in expressions. `task`, `step`, `agent`, `session`,
    `workflow`, `priority` and `dataClass` beat the hint of the same name."""
    header: HeaderName | None = None
    """A request header that a trusted gateway or the application sets; it reaches no backend."""
    pod_label: LabelKey | None = None
    """A label of the calling pod."""


class HeuristicSignal(Shape):
    """The built-in complexity score, from 0 (simple) to 1: length, questions, code, mathematics,
    enumerations, constraints and the depth of the conversation. It abstains on what it cannot
    read."""


class Signal(Shape):
    """A value computed from the request before the call, when something reads it."""

    shape_rules = (exactly_one_of("heuristic"),)

    name: Identifier
    """Unique name: `signal.NAME` in expressions."""
    heuristic: HeuristicSignal | None = None
    """The built-in complexity score."""


class Rule(Shape):
    """Where `match` and `when` hold, `route` says what happens. The first rule that holds decides;
    one without `match` and `when` always holds."""

    name: RuleName
    """Unique name: headers, spans and records show it."""
    match: Match | None = None
    """Typed conditions on the call; cheaper than `when`."""
    when: Expression | None = None
    """CEL expression over `request`, `caller` and `signal`, for example
    `caller.plan == "premium" && request.tokens > 200`; when it cannot be evaluated, the rule does
    not hold."""
    route: Route
    """What to do with the call."""


class DefaultRoute(Shape):
    """What happens when no rule holds."""

    route: Route
    """What to do with the call."""


class Timeouts(Shape):
    """How long things may take."""

    call: Duration = "120s"
    """The whole call; for a stream, up to its first event."""
    attempt: Duration = "60s"
    """One attempt; for a stream, up to its first event."""
    first_byte: Duration = "20s"
    """From sending an attempt to the head of its response."""
    stream_idle: Duration = "30s"
    """The longest silence within a stream."""


class Backoff(Shape):
    """Waiting before the same backend is tried again: random, doubling from `base` up to `max`."""

    shape_rules = (no_longer_than("base", "100ms", "max", "5s"),)

    base: Duration = "100ms"
    """The first wait's upper bound."""
    max: Duration = "5s"
    """The longest wait."""


class Retry(Shape):
    """How often a call is attempted."""

    max_attempts: Annotated[int, Field(strict=True, ge=1, le=10)] = 3
    """All attempts of a call together, fallback included."""
    backoff: Backoff = Field(default_factory=Backoff)
    """Waiting before the same backend is tried again."""


class Fallback(Shape):
    """When and where a call moves on to another tier."""

    shape_rules = (only_with("tiers", when="order", equals="Listed", default="Up"),)

    on: Annotated[tuple[FallbackOn, ...], Field(max_length=4), ListOf("set")] = tuple(FallbackOn)
    """What lets a call move on: `Timeout` (408 included), `RateLimited` (429), `ServerError` (5xx,
    a failed connection, an unreadable answer), `Unhealthy` (every backend is ejected). Write the
    field's name in quotes (`"on"`): kubectl reads a bare on as true."""
    order: FallbackOrder = FallbackOrder.UP
    """Which tiers follow: `Up` and `Down` in rank, `Nearest` rank first, `None`, or as `Listed`."""
    tiers: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8), ListOf("set")] | None = (
        None
    )
    """The tiers in order, for `Listed`."""


class Audit(Shape):
    """What the audit record of a call holds beside features, signals and the decision."""

    content: AuditContent = AuditContent.NONE
    """The request's content: `None`, its SHA-256 (`Hash`), or all of it (`Full`)."""


class RoutingPolicySpec(Shape):
    """Which calls are routed, over which candidate tiers, and how."""

    shape_rules = POLICY_RULES

    selector: LabelSelector | None = None
    """The pods that the policy is for, by label; absent or empty: every injected pod of the
    namespace. A policy with a selector beats one without."""
    scope: Scope = Scope.NAMESPACE
    """`Namespace`, or `Cluster`: the default of every namespace that has no policy of its own."""
    mode: Mode = Mode.ENFORCE
    """`Enforce` acts; `Observe` decides and records, and leaves calls as they are; `Baseline` sends
    every call to the highest rank; `Disabled` leaves calls as they are."""
    tiers: Annotated[
        tuple[CandidateTier, ...], Field(min_length=1, max_length=8), ListOf("map", "name")
    ]
    """The candidates. Their order does not matter: rank does."""
    models: Models = Field(default_factory=Models)
    """What the model's name in a call means."""
    identity: Annotated[
        tuple[IdentitySource, ...], Field(max_length=32), ListOf("map", "attribute")
    ] = ()
    """Where the caller's attributes come from."""
    signals: Annotated[tuple[Signal, ...], Field(max_length=16), ListOf("map", "name")] = ()
    """Values computed from a request, each only if something reads it."""
    constraints: Annotated[tuple[Constraint, ...], Field(max_length=32), ListOf("map", "name")] = ()
    """Rights that hold for every call and every attempt, whatever the route says."""
    entitlements: Entitlements = Field(default_factory=Entitlements)
    """Who may use which tiers."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=128), ListOf("map", "name")] = ()
    """The first that holds decides."""
    default: DefaultRoute | None = None
    """When no rule holds; absent: the highest rank."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    """How long things may take."""
    retry: Retry = Field(default_factory=Retry)
    """How often a call is attempted."""
    fallback: Fallback = Field(default_factory=Fallback)
    """When and where a call moves on to another tier."""
    audit: Audit = Field(default_factory=Audit)
    """What the audit record of a call holds."""


class RoutingPolicy(Shape):
    """Which calls of which pods are routed, over which candidate tiers, and how: constraints that
    always hold, rules of which the first that holds decides, and what happens when a backend
    fails."""

    spec: RoutingPolicySpec
    """Which calls are routed, over which candidate tiers, and how."""
