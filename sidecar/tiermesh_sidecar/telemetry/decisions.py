"""The last calls, for whoever runs the pod: `/decisions`, `/decisions/{id}` and the page.

Pure: the admin server hands in path, query and Accept, and sends what comes back. Kept as encoded
records, because a `CallRecord` holds on to the request's body.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from tiermesh_sidecar.core.cost import dollars
from tiermesh_sidecar.telemetry.account import Account
from tiermesh_sidecar.telemetry.audit import encode

_MAX_BYTES = 8 * 1024 * 1024
_MAX_TIERS = 64
_DEFAULT_LIMIT = 100
_SUMMARY = (
    "id", "at", "policy", "rule", "tier", "backend", "model", "reason", "stream", "cost",
    "topTierCost", "durationMs", "overheadMs", "method", "path", "status", "code", "ending",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class _Kept:
    record: bytes
    tier: str | None
    saved: int | None
    duration_ms: float
    summary: bytes | None = None
    """Made when first listed: nobody may be looking."""


@dataclass(slots=True, kw_only=True)
class _Sums:
    calls: int = 0
    cost: int = 0
    unpriced: int = 0
    top_tier_cost: int = 0
    saved: int = 0

    def add(self, sums: Account) -> None:
        self.calls += 1
        if sums.cost is None:
            self.unpriced += 1
        else:
            self.cost += sums.cost
        if sums.saved is not None and sums.top_tier_cost is not None:
            self.top_tier_cost += sums.top_tier_cost
            self.saved += sums.saved

    def as_json(self) -> dict[str, object]:
        top = self.top_tier_cost
        return {
            "calls": self.calls,
            "cost": dollars(self.cost),
            "unpricedCalls": self.unpriced,
            "topTierCost": dollars(top),
            "saved": dollars(self.saved),
            "savedPercent": round(100 * self.saved / top, 1) if top else None,
        }


class Decisions:
    """The last `kept` records, fewer where they are large, and the sums since the start."""

    def __init__(self, kept: int = 500, *, max_bytes: int = _MAX_BYTES) -> None:
        self._max_entries = kept
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, _Kept] = OrderedDict()
        self._durations: deque[float] = deque(maxlen=kept)
        self._all = _Sums()
        self._by_tier: dict[str, _Sums] = {}

    def add(self, call_id: str, record: bytes, sums: Account, duration_ms: float) -> None:
        """Keep the encoded audit record of a call that ended."""
        self._forget(call_id)
        self._entries[call_id] = _Kept(
            record=record, tier=sums.tier, saved=sums.saved, duration_ms=duration_ms
        )
        self._bytes += len(record)
        while self._entries and (
            len(self._entries) > self._max_entries or self._bytes > self._max_bytes
        ):
            self._forget(next(iter(self._entries)))
        self._durations.append(duration_ms)
        self._all.add(sums)
        tier = sums.tier or ""
        if tier not in self._by_tier and len(self._by_tier) >= _MAX_TIERS:
            # Short names come from policies; only years of reloads could bring so many.
            tier = ""
        self._by_tier.setdefault(tier, _Sums()).add(sums)

    def find(self, call_id: str) -> bytes | None:
        """The record as JSON; None where it is unknown or no longer kept."""
        entry = self._entries.get(call_id)
        return entry.record if entry is not None else None

    def listing(self, *, limit: int = _DEFAULT_LIMIT, tier: str | None = None) -> bytes:
        """`{"decisions": [...], "totals": {...}}`, newest first."""
        summaries: list[bytes] = []
        for entry in reversed(self._entries.values()):
            if len(summaries) >= limit:
                break
            if tier is None or entry.tier == tier:
                summaries.append(_summary(entry))
        totals = orjson.dumps(self.totals())
        return b'{"decisions":[' + b",".join(summaries) + b'],"totals":' + totals + b"}"

    def totals(self) -> dict[str, object]:
        """Sums since the start; the percentiles are of the last `kept` calls."""
        durations = sorted(self._durations)
        return {
            **self._all.as_json(),
            "byTier": {tier: sums.as_json() for tier, sums in sorted(self._by_tier.items())},
            "p50Ms": _percentile(durations, 50),
            "p95Ms": _percentile(durations, 95),
        }

    def answer(self, path: str, query: Mapping[str, str], accept: str) -> Reply:
        """What the admin server sends for GET `/decisions` and `/decisions/{id}`."""
        call_id = path.removeprefix("/decisions").strip("/")
        if call_id:
            record = self.find(call_id)
            return _json(200, record) if record is not None else _json(404, _GONE)
        if "text/html" in accept.lower():
            return page()
        limit = query.get("limit", str(_DEFAULT_LIMIT))
        if not re.fullmatch("[0-9]{1,6}", limit):
            return _json(400, b'{"error":"limit is a number of decisions, for example 100"}')
        return _json(200, self.listing(limit=int(limit), tier=query.get("tier")))

    def _forget(self, call_id: str) -> None:
        entry = self._entries.pop(call_id, None)
        if entry is not None:
            self._bytes -= len(entry.record)


_GONE = b'{"error":"no such decision: only the last ones are kept, the audit log has them all"}'


@cache
def page() -> Reply:
    """The page in one file. Its policy lets nothing run or load but what stands in that file."""
    body = (Path(__file__).parent / "page" / "decisions.html").read_bytes()
    policy = (
        f"default-src 'none'; script-src {_source(body, b'script')}; "
        f"style-src {_source(body, b'style')}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        **_ALWAYS,
    }
    return Reply(status=200, headers=headers, body=body)


_ALWAYS = {"x-content-type-options": "nosniff", "cache-control": "no-store", "vary": "accept"}


def _source(body: bytes, element: bytes) -> str:
    """The hash source of the page's one inline element of this name
    (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    (content,) = re.findall(rb"<%s>(.*?)</%s>" % (element, element), body, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"


def _json(status: int, body: bytes) -> Reply:
    return Reply(status=status, headers={"content-type": "application/json", **_ALWAYS}, body=body)


def _summary(entry: _Kept) -> bytes:
    if entry.summary is None:
        # The standard library's reader: it takes whatever `encode` had to take.
        record = json.loads(entry.record)
        features = record["features"] or {}
        entry.summary = encode(
            {
                **{name: record[name] for name in _SUMMARY},
                "requestedModel": features.get("model"),
                "saved": dollars(entry.saved) if entry.saved is not None else None,
                "attempts": len(record["attempts"]),
            }
        )
    return entry.summary


def _percentile(ascending: list[float], percent: int) -> float | None:
    """The nearest-rank percentile."""
    if not ascending:
        return None
    rank = -(-len(ascending) * percent // 100)
    return round(ascending[rank - 1], 3)
