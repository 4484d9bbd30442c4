"""Tiers and backends as a sidecar runs them: resolved, defaulted, units converted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PICODOLLARS = 10**12
"""Money is an integer number of 10^-12 US dollars: "0.000001" per million tokens is 1 per token."""


class Provider(StrEnum):
    """The wire dialect that a backend speaks."""

    OPENAI = "OpenAI"
    ANTHROPIC = "Anthropic"


class WhenAllEjected(StrEnum):
    TRY_ONE = "TryOne"
    FAIL = "Fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Picodollars per token. A price that is not given for cached tokens is the input price."""

    input: int
    output: int
    cached_input: int
    cache_write: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataHandling:
    """Where a backend keeps data and what it may see. Absent (None, empty) fails every constraint
    on it."""

    region: str | None
    classifications: tuple[str, ...]
    retention: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKey:
    namespace: str
    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Exactly one: a secret's key, the app's own credentials passed through, or none at all."""

    secret: SecretKey | None = None
    pass_through: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    name: str
    provider: Provider
    model: str
    url: str
    """Scheme, authority and base path, without a trailing slash; what follows `/v1` of a call is
    appended."""
    ca_bundle: str | None
    """PEM text, or None for the system's trust store."""
    credentials: Credentials
    priority: int
    weight: int
    price: Price | None
    """None: not priced; its cost is reported as unknown."""
    data: DataHandling


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    consecutive_failures: int
    eject_for_ms: int
    max_eject_for_ms: int
    when_all_ejected: WhenAllEjected


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A candidate of one policy: a `ModelTier` under the short name that the policy gives it."""

    name: str
    """The policy's own short name: what headers, spans and rules say."""
    resource: str
    """`namespace/name` of the ModelTier: what breakers and metrics of two policies share."""
    rank: int
    aliases: tuple[str, ...]
    capabilities: frozenset[str]
    context_window: int | None
    max_output_tokens: int | None
    outlier_detection: OutlierDetection
    backends: tuple[Backend, ...]
