"""An application as its developers would write it: the official SDK, and OpenTelemetry spans of its
own, which it hands on by `traceparent`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    Tracer,
    TraceState,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

SERVICE = "checkout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A span of the application's, while it is open."""

    trace_id: str
    span_id: str
    headers: dict[str, str] = field(default_factory=dict)
    """What its HTTP client would send along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedApp:
    openai: openai.AsyncOpenAI
    _tracer: Tracer

    @contextmanager
    def step(self, name: str, *, came_from: SpanContext | None = None) -> Iterator[Step]:
        """A span; with `came_from` the child of a span of some other process."""
        context = set_span_in_context(NonRecordingSpan(came_from)) if came_from else None
        with self._tracer.start_as_current_span(name, context=context) as span:
            here = span.get_span_context()
            step = Step(
                trace_id=format_trace_id(here.trace_id), span_id=format_span_id(here.span_id)
            )
            inject(step.headers)
            yield step


@asynccontextmanager
async def traced_app(sidecar_url: str, otlp: str) -> AsyncIterator[TracedApp]:
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    provider.add_span_processor(
        SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{otlp}/v1/traces", timeout=10))
    )
    try:
        async with openai.AsyncOpenAI(
            base_url=f"{sidecar_url}/v1", api_key="sk-of-the-app", max_retries=0
        ) as client:
            yield TracedApp(openai=client, _tracer=provider.get_tracer("checkout-app"))
    finally:
        provider.shutdown()


def elsewhere(*, sampled: bool = True, state: str = "") -> SpanContext:
    """A span of another process, with a `tracestate` such as `vendor=opaque`."""
    identifiers = RandomIdGenerator()
    return SpanContext(
        trace_id=identifiers.generate_trace_id(),
        span_id=identifiers.generate_span_id(),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([state]) if state else None,
    )
