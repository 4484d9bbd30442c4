"""Policies as a sidecar runs them: every reference resolved, every default filled in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tiermesh_spec.snapshot.tiers import Tier


class Mode(StrEnum):
    """What a policy does with the calls that it covers."""

    ENFORCE = "Enforce"
    OBSERVE = "Observe"
    BASELINE = "Baseline"
    DISABLED = "Disabled"


class Scope(StrEnum):
    NAMESPACE = "Namespace"
    CLUSTER = "Cluster"


class FallbackOrder(StrEnum):
    UP = "Up"
    DOWN = "Down"
    NEAREST = "Nearest"
    NONE = "None"
    LISTED = "Listed"


class FallbackOn(StrEnum):
    """What lets a call move on to another backend or tier."""

    TIMEOUT = "Timeout"
    RATE_LIMITED = "RateLimited"
    SERVER_ERROR = "ServerError"
    UNHEALTHY = "Unhealthy"


class AuditContent(StrEnum):
    NONE = "None"
    HASH = "Hash"
    FULL = "Full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A CEL expression that passed the type check, and the qualified names that it reads."""

    source: str
    names: tuple[str, ...]
    """For example `("caller.plan", "request.tokens")`, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Typed conditions that all hold. None or empty: not asked."""

    steps: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Globs over the model name as the caller sent it."""
    endpoints: tuple[str, ...] = ()
    wants_json: bool | None = None
    wants_tools: bool | None = None
    has_images: bool | None = None
    stream: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    tier: str
    fallback: bool = True
    """False is `fallback: None`: this tier or an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedTier:
    tier: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    tiers: tuple[WeightedTier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """`score < below` (None: the rest) -> tier."""

    below: float | None
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    signal: str
    bands: tuple[Band, ...]
    on_abstain: str | None
    """None: the highest-ranked tier that is eligible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Exactly one field is set."""

    pin: Pin | None = None
    weighted: Weighted | None = None
    threshold: Threshold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    match: Match | None
    when: Expression | None
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    name: str
    match: Match | None
    when: Expression | None
    regions: tuple[str, ...]
    """A backend's region is among these. Empty: not asked."""
    classifications: tuple[str, ...]
    """A backend is cleared for all of these."""
    retention: tuple[str, ...]
    never_below: str | None
    """A tier's short name: lower ranks fall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    name: str
    match: Match | None
    when: Expression | None
    tiers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlements:
    default_all: bool
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySource:
    """Exactly one of header (lower case) and pod_label is set."""

    attribute: str
    header: str | None = None
    pod_label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heuristic:
    """The built-in complexity score; it has no settings yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    name: str
    heuristic: Heuristic | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    route: tuple[str, ...]
    direct: tuple[str, ...]
    pass_through_tier: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    call_ms: int
    attempt_ms: int
    first_byte_ms: int
    stream_idle_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    max_attempts: int
    backoff_base_ms: int
    backoff_max_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    on: frozenset[FallbackOn]
    order: FallbackOrder
    tiers: tuple[str, ...]
    """Only for `Listed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorRequirement:
    key: str
    operator: str
    """In | NotIn | Exists | DoesNotExist"""
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    match_labels: tuple[tuple[str, str], ...]
    match_expressions: tuple[SelectorRequirement, ...]

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether a pod with these labels is selected (Kubernetes' label selector semantics)."""
        if any(labels.get(key) != value for key, value in self.match_labels):
            return False
        return all(_requirement_holds(r, labels) for r in self.match_expressions)


def _requirement_holds(requirement: SelectorRequirement, labels: dict[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case _:
            return value is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    namespace: str
    name: str
    generation: str
    """`metadata.generation`, or for a file the first 8 hex digits of its content's hash."""
    created: str
    """`metadata.creationTimestamp` (RFC 3339) or "": older wins a conflict on the same level."""
    scope: Scope
    mode: Mode
    selector: Selector | None
    tiers: tuple[Tier, ...]
    models: Models
    identity: tuple[IdentitySource, ...]
    signals: tuple[Signal, ...]
    constraints: tuple[Constraint, ...]
    entitlements: Entitlements
    rules: tuple[Rule, ...]
    default: Route
    timeouts: Timeouts
    retry: Retry
    fallback: Fallback
    audit_content: AuditContent

    @property
    def label(self) -> str:
        """`namespace/name@generation`: the value of `x-tiermesh-policy`."""
        return f"{self.namespace}/{self.name}@{self.generation}"
