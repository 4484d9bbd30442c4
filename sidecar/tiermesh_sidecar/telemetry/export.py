"""Finished spans on their way out: built once per call, queued, sent in batches by the
OpenTelemetry SDK's own processor and OTLP exporter.

The only module that imports OpenTelemetry; `otlp.open_export` loads it when export is on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tiermesh_sidecar.core.record import CallRecord, TraceContext
from tiermesh_sidecar.telemetry.account import Account
from tiermesh_sidecar.telemetry.spans import SCHEMA_URL, SCOPE, FinishedSpan, finished_spans

_DEFAULT_SERVICE_NAME = "tiermesh-sidecar"
_NEEDS_REQUESTS = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)

_log = logging.getLogger(__name__)


class SpanExport:
    """`record` from one thread only. Raises ValueError or OSError for settings that cannot work."""

    def __init__(self, environ: Mapping[str, str], *, version: str) -> None:
        self._resource = _resource(environ, version)
        self._scope = InstrumentationScope(SCOPE, version, SCHEMA_URL)
        self._capacity = _positive(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        self._sent = _Counting(_exporter(environ))
        self._processor = BatchSpanProcessor(
            self._sent,
            max_queue_size=self._capacity,
            max_export_batch_size=min(
                self._capacity, _positive(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
            ),
            schedule_delay_millis=_positive(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000),
        )
        self._queued = 0
        self.overflowed = 0
        """Spans dropped because the queue was full."""

    @property
    def failed(self) -> int:
        """Spans that the collector did not take."""
        return self._sent.failed

    def record(self, call: CallRecord, sums: Account) -> None:
        """Queue a sampled call's spans: all of them or, where they do not fit, none."""
        spans = finished_spans(call, sums)
        if self._queued - self._sent.taken + len(spans) > self._capacity:
            self.overflowed += len(spans)
            return
        state = TraceState.from_header([call.trace.state]) if call.trace.state else None
        for span in spans:
            self._processor.on_end(self._readable(span, call.trace, state))
        self._queued += len(spans)

    def flush(self) -> None:
        """Send what is queued; blocks until it is sent or given up."""
        self._processor.force_flush()

    def close(self, timeout: float) -> None:
        """Send what is queued, for at most `timeout` seconds."""
        # The SDK's own shutdown may take 30 s with a collector that does not answer.
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(timeout)
        if closing.is_alive():
            _log.warning("the collector did not take the last spans within %g s", timeout)

    def _readable(
        self, span: FinishedSpan, trace: TraceContext, state: TraceState | None
    ) -> ReadableSpan:
        trace_id = int(trace.trace_id, 16)
        parent = None
        if span.parent_id is not None:
            parent = SpanContext(trace_id, int(span.parent_id, 16), span.server, _SAMPLED)
        return ReadableSpan(
            name=span.name,
            context=SpanContext(trace_id, int(span.span_id, 16), False, _SAMPLED, state),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            kind=SpanKind.SERVER if span.server else SpanKind.CLIENT,
            status=Status(StatusCode.ERROR, span.error) if span.error is not None else _UNSET,
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )


class _Counting(SpanExporter):
    """Knows how many spans left the queue and how many of them were lost, which the SDK keeps for
    itself."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        try:
            result = self._exporter.export(spans)
        except Exception:
            self.failed += len(spans)
            raise
        if result is not SpanExportResult.SUCCESS:
            self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _resource(environ: Mapping[str, str], version: str) -> Resource:
    attributes = {SERVICE_VERSION: version}
    named = environ.get("OTEL_SERVICE_NAME") or any(
        item.partition("=")[0].strip() == SERVICE_NAME
        for item in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    )
    if not named:
        attributes[SERVICE_NAME] = _DEFAULT_SERVICE_NAME
    return Resource.create(attributes)


def _exporter(environ: Mapping[str, str]) -> OTLPSpanExporter:
    if any(environ.get(name) or environ.get(name.lower()) for name in _NEEDS_REQUESTS):
        return OTLPSpanExporter()
    try:
        from opentelemetry.exporter.http.transport._urllib3 import Urllib3HTTPTransport

        # urllib3 alone instead of requests on top of it: 4 MB less, and without what requests adds
        # (proxies, certificates by variable) the same. The keyword is not public: without it, the
        # exporter's own transport does.
        return OTLPSpanExporter(_transport=Urllib3HTTPTransport())
    except (ImportError, TypeError):
        return OTLPSpanExporter()


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if text:
        _log.warning("%s: %r is no positive number, using %d", name, text, default)
    return default
