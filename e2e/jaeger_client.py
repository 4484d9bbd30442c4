"""Reads traces back from a real Jaeger, by its query API (`/api/traces/{id}`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

PATIENCE_S = 30.0
"""A span goes through the sender's batch and the collector's queue before it can be found."""
_STEP_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    name: str
    service: str
    id: str
    parent_id: str | None
    start_us: int
    end_us: int
    tags: Mapping[str, Any]
    resource: Mapping[str, Any]
    warnings: tuple[str, ...]
    """What Jaeger found wrong, such as a parent that is not there."""

    @property
    def kind(self) -> object:
        return self.tags.get("span.kind")

    @property
    def failed(self) -> bool:
        return self.tags.get("otel.status_code") == "ERROR"

    def strings(self, name: str) -> list[str]:
        """An attribute that is a list: Jaeger keeps it as JSON."""
        values: list[str] = json.loads(self.tags[name])
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Jaeger:
    otlp: str
    """Where spans are sent: OTLP over HTTP, without `/v1/traces`."""
    query: str
    """Where they are read."""

    async def trace(self, trace_id: str, spans: int) -> list[Span]:
        """The spans of a trace by their start, as soon as there are `spans` of them."""
        found: list[Span] = []
        async with aiohttp.ClientSession() as session:
            for _ in range(int(PATIENCE_S / _STEP_S)):
                found = await self._find(session, trace_id)
                if len(found) >= spans:
                    break
                await asyncio.sleep(_STEP_S)
        names = [span.name for span in found]
        assert len(found) == spans, f"after {PATIENCE_S:g} s trace {trace_id} has {names}"
        return found

    async def spans_now(self, trace_id: str) -> list[Span]:
        async with aiohttp.ClientSession() as session:
            return await self._find(session, trace_id)

    async def _find(self, session: aiohttp.ClientSession, trace_id: str) -> list[Span]:
        async with session.get(f"{self.query}/api/traces/{trace_id}") as answer:
            if answer.status == 404:
                return []
            assert answer.status == 200, await answer.text()
            traces = (await answer.json())["data"]
        spans = [_span(span, trace["processes"]) for trace in traces for span in trace["spans"]]
        return sorted(spans, key=lambda span: (span.start_us, -span.end_us))


def _span(span: Mapping[str, Any], processes: Mapping[str, Any]) -> Span:
    parents = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
    assert len(parents) <= 1, parents
    process = processes[span["processID"]]
    return Span(
        name=span["operationName"],
        service=process["serviceName"],
        id=span["spanID"],
        parent_id=parents[0] if parents else None,
        start_us=span["startTime"],
        end_us=span["startTime"] + span["duration"],
        tags={tag["key"]: tag["value"] for tag in span["tags"]},
        resource={tag["key"]: tag["value"] for tag in process.get("tags") or ()},
        warnings=tuple(span.get("warnings") or ()),
    )
