"""What the calls added up to: counts, money, percentiles. Pure: results in, figures out."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_REMEMBERED = 8
_LATENCIES = 10_000
"""How many of the last latencies the percentiles look at: `--forever` has no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One call as its sender saw it, with what the sidecar's record says of it."""

    number: int
    kind: str
    prompt: str
    status: int
    """0 where no answer came."""
    latency_ms: float
    stream: bool = False
    code: str | None = None
    """The sidecar's own error code, where it answered instead of a model."""
    broken: bool = False
    """The stream ended with an error, or no answer came."""
    tier: str | None = None
    rule: str | None = None
    reason: str | None = None
    attempts: int = 0
    cost: Decimal | None = None
    """US dollars."""
    top_tier_cost: Decimal | None = None
    scored: bool = False
    """The complexity signal was asked."""
    score: float | None = None
    """What it said; None: it abstained."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """Tiers that may not take the call, with the reason."""

    @property
    def failed(self) -> bool:
        """Neither an answer nor a refusal by policy."""
        return self.broken or self.status == 0 or (self.status >= 400 and self.code is None)


@dataclass(slots=True, kw_only=True)
class Tally:
    """The running sums. `tiers` in order of rank, lowest first."""

    tiers: tuple[str, ...]
    calls: int = 0
    streams: int = 0
    by_tier: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    cost: Decimal = Decimal(0)
    top_tier_cost: Decimal = Decimal(0)
    """Of the calls whose cost is known."""
    fallbacks: int = 0
    extra_attempts: int = 0
    failed: int = 0
    last: deque[Result] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))

    def add(self, result: Result) -> None:
        self.calls += 1
        self.streams += result.stream
        self.last.append(result)
        self.extra_attempts += max(0, result.attempts - 1)
        self.fallbacks += result.reason == "InPlan"
        self.failed += result.failed
        if result.code is not None:
            self.refusals[result.code] += 1
        elif result.tier is not None:
            self.by_tier[result.tier] += 1
            self.latencies.append(result.latency_ms)
            self.by_rule[result.rule or "named by the caller"] += 1
        if result.cost is not None and result.top_tier_cost is not None:
            self.cost += result.cost
            self.top_tier_cost += result.top_tier_cost

    @property
    def saved(self) -> Decimal:
        return self.top_tier_cost - self.cost

    @property
    def saved_percent(self) -> float | None:
        if not self.top_tier_cost:
            return None
        return round(float(100 * self.saved / self.top_tier_cost), 1)

    @property
    def p50_ms(self) -> float | None:
        return percentile(self.latencies, 50)

    @property
    def p95_ms(self) -> float | None:
        return percentile(self.latencies, 95)

    def as_json(self, seconds: float) -> dict[str, Any]:
        """The summary for `--output json`; money as decimal strings in US dollars."""
        return {
            "calls": self.calls,
            "streams": self.streams,
            "tiers": {tier: self.by_tier[tier] for tier in self.tiers},
            "rules": dict(self.by_rule.most_common()),
            "cost": plain(self.cost),
            "topTierCost": plain(self.top_tier_cost),
            "saved": plain(self.saved),
            "savedPercent": self.saved_percent,
            "fallbacks": self.fallbacks,
            "extraAttempts": self.extra_attempts,
            "refusals": dict(sorted(self.refusals.items())),
            "failed": self.failed,
            "p50Ms": self.p50_ms,
            "p95Ms": self.p95_ms,
            "seconds": round(seconds, 1),
        }


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    if not values:
        return None
    rank = math.ceil(len(values) * percent / 100)
    return round(sorted(values)[rank - 1], 1)


def plain(dollars: Decimal) -> str:
    """Without exponent or trailing zeros."""
    text = f"{dollars:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
