"""What `/metrics` says. Every label value comes from the configuration or an enumeration, never
from a caller: a tenant or a model name as a label would be theirs to multiply.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from tiermesh_sidecar.core.cost import dollars
from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord
from tiermesh_sidecar.telemetry.account import Account
from tiermesh_sidecar.telemetry.exposition import Counter, Gauge, Histogram, Metric, render

_SECONDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0,
)  # fmt: skip
_OVERHEAD_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5,
)  # fmt: skip


class Dropped(StrEnum):
    """What telemetry lost, as `kind` of tiermesh_telemetry_dropped_total."""

    SPAN_QUEUE_FULL = "span_queue_full"
    SPAN_EXPORT_FAILED = "span_export_failed"
    AUDIT_QUEUE_FULL = "audit_queue_full"
    AUDIT_WRITE_FAILED = "audit_write_failed"
    CONSUMER_ERROR = "consumer_error"


class ReloadResult(StrEnum):
    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class Metrics:
    """Touched by the event loop's thread alone."""

    def __init__(self, *, version: str) -> None:
        self._in_flight: Callable[[], int] = lambda: 0
        self._config: tuple[str, ...] | None = None
        self._saved = 0
        self._dropped = dict.fromkeys(Dropped, 0)
        self._watched: dict[Dropped, Callable[[], int]] = {}
        self._define_calls()
        self._define_money()
        self._define_process(version)
        for result in ReloadResult:
            self._reloads.add((result.value,), 0)

    def record(self, call: CallRecord, sums: Account) -> None:
        decision = call.decision
        policy = f"{call.policy.namespace}/{call.policy.name}" if call.policy else ""
        rule = decision.rule or "" if decision else ""
        stream = "true" if call.features is not None and call.features.stream else "false"
        tier, backend = sums.tier or "", sums.backend or ""
        self._requests.add((policy, rule, tier, backend, _code(call.status), stream))
        self._duration.observe((tier, stream), call.duration_ms / 1000)
        if call.attempts:
            self._overhead.observe((), call.overhead_ms / 1000)
        if call.ending is Ending.REFUSED and call.error_code is not None:
            self._refusals.add((call.error_code,))
        if decision is not None:
            for candidate in decision.candidates:
                self._candidates.add((candidate.tier, str(candidate.reason)))
        for attempt in call.attempts:
            self._record_attempt(attempt)
        self._record_saving(sums)

    def watch_in_flight(self, read: Callable[[], int]) -> None:
        """`read` returns the number of calls that are being served."""
        self._in_flight = read

    def watch_dropped(self, kind: Dropped, read: Callable[[], int]) -> None:
        """`read` returns how many were lost so far; it adds to what `dropped` counted."""
        self._watched[kind] = read

    def dropped(self, kind: Dropped) -> None:
        self._dropped[kind] += 1

    def config_running(self, *, snapshot: str, policy: str, revision: int) -> None:
        """The snapshot (its hash) and policy (its label, "" for none) that now run."""
        self._config = (snapshot[:12], policy, str(revision))

    def reloaded(self, result: ReloadResult) -> None:
        self._reloads.add((result.value,))

    def render(self) -> bytes:
        """The body of `/metrics`; its content type is `exposition.CONTENT_TYPE`."""
        return render(self._all)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(metric.name for metric in self._all)

    def _record_attempt(self, attempt: AttemptOutcome) -> None:
        tier = attempt.record.tier
        outcome = attempt.record.error or "ok"
        self._attempts.add((tier, attempt.record.backend, outcome))
        if attempt.first_chunk_ms is not None:
            self._first_chunk.observe((tier,), attempt.first_chunk_ms / 1000)
        usage = attempt.usage
        if usage is not None:
            self._tokens.add((tier, "input"), usage.input)
            self._tokens.add((tier, "output"), usage.output)
            if usage.cached_input:
                self._tokens.add((tier, "cached_input"), usage.cached_input)
            if usage.cache_write:
                self._tokens.add((tier, "cache_write"), usage.cache_write)
        if attempt.cost is not None:
            self._cost.add((tier,), attempt.cost)
        elif usage is not None or attempt.record.error is None:
            self._unpriced.add((tier,))

    def _record_saving(self, sums: Account) -> None:
        saved = sums.saved
        if saved is not None and sums.top_tier_cost is not None:
            self._top_tier_cost.add((), sums.top_tier_cost)
            self._saved += saved

    def _define_calls(self) -> None:
        self._requests = Counter(
            "tiermesh_requests_total",
            "Calls ended, by what decided and served them; code is what the caller got.",
            ("policy", "rule", "tier", "backend", "code", "stream"),
        )
        self._attempts = Counter(
            "tiermesh_attempts_total",
            "Attempts at backends; outcome is ok, a failure, http_STATUS or cancelled.",
            ("tier", "backend", "outcome"),
        )
        self._duration = Histogram(
            "tiermesh_request_duration_seconds",
            "From the request's arrival to the answer's last byte.",
            _SECONDS,
            ("tier", "stream"),
        )
        self._first_chunk = Histogram(
            "tiermesh_time_to_first_chunk_seconds",
            "From the start of an attempt to the first byte of its body.",
            _SECONDS,
            ("tier",),
        )
        self._overhead = Histogram(
            "tiermesh_decision_overhead_seconds",
            "From the request's last byte read to the first byte sent upstream.",
            _OVERHEAD_SECONDS,
        )
        self._candidates = Counter(
            "tiermesh_candidates_total",
            "Candidate tiers of all decisions by their primary reason.",
            ("tier", "reason"),
        )
        self._refusals = Counter(
            "tiermesh_refusals_total", "Calls answered with an error of our own.", ("code",)
        )

    def _define_money(self) -> None:
        self._tokens = Counter(
            "tiermesh_tokens_total",
            "Tokens used; input includes cached_input and cache_write.",
            ("tier", "direction"),
        )
        self._cost = Counter(
            "tiermesh_cost_dollars_total", "What attempts cost.", ("tier",), show=dollars
        )
        self._unpriced = Counter(
            "tiermesh_unpriced_attempts_total",
            "Answers whose cost is unknown: no price, or no usage reported.",
            ("tier",),
        )
        self._top_tier_cost = Counter(
            "tiermesh_cost_top_tier_dollars_total",
            "What the top tier would have cost, over the calls whose both costs are known.",
            show=dollars,
        )
        self._savings = Gauge(
            "tiermesh_saved_dollars",
            "Top-tier cost less cost, over the same calls; fallbacks can make it fall.",
            lambda: [((), dollars(self._saved))],
        )

    def _define_process(self, version: str) -> None:
        self._reloads = Counter(
            "tiermesh_config_reloads_total",
            "Configurations seen, by what became of them.",
            ("result",),
        )
        started = repr(round(time.time(), 3))
        self._all: tuple[Metric, ...] = (
            self._requests,
            Gauge(
                "tiermesh_requests_in_flight",
                "Calls being served.",
                lambda: [((), str(self._in_flight()))],
            ),
            self._duration,
            self._first_chunk,
            self._overhead,
            self._attempts,
            self._candidates,
            self._refusals,
            self._tokens,
            self._cost,
            self._unpriced,
            self._top_tier_cost,
            self._savings,
            Gauge(
                "tiermesh_config_info",
                "1 for the configuration that runs.",
                lambda: [(self._config, "1")] if self._config is not None else [],
                ("snapshot", "policy", "revision"),
            ),
            self._reloads,
            Gauge(
                "tiermesh_telemetry_dropped_total",
                "Spans and audit records that were lost, and errors inside telemetry.",
                lambda: [((kind.value,), str(self._lost(kind))) for kind in Dropped],
                ("kind",),
                kind="counter",
            ),
            Gauge("tiermesh_build_info", "1.", lambda: [((version,), "1")], ("version",)),
            Gauge("process_resident_memory_bytes", "Resident memory.", _resident_memory),
            Gauge(
                "process_cpu_seconds_total",
                "User and system CPU time.",
                lambda: [((), repr(time.process_time()))],
                kind="counter",
            ),
            Gauge("process_start_time_seconds", "Unix time of the start.", lambda: [((), started)]),
        )

    def _lost(self, kind: Dropped) -> int:
        watched = self._watched.get(kind)
        return self._dropped[kind] + (watched() if watched is not None else 0)


def _code(status: int) -> str:
    return str(status) if 100 <= status <= 599 else "other"


def _resident_memory() -> list[tuple[tuple[str, ...], str]]:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return []
    return [((), str(pages * os.sysconf("SC_PAGE_SIZE")))]
