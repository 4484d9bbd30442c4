"""Over a real socket: what a collector gets, decoded from its bytes."""

from __future__ import annotations

import gzip
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from tiermesh_sidecar.core.features import Dialect, Endpoint, Features
from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord
from tiermesh_sidecar.telemetry.account import account
from tiermesh_sidecar.telemetry.export import SpanExport
from tiermesh_sidecar.telemetry.spans import SCHEMA_URL, finished_spans

Make = Callable[..., AttemptOutcome]


class Collector:
    """An OTLP receiver on loopback that answers as told."""

    def __init__(self) -> None:
        self.requests: queue.Queue[tuple[str, dict[str, str], bytes]] = queue.Queue()
        self.status = 200
        self.go = threading.Event()
        self.go.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                collector.requests.put((self.path, headers, body))
                collector.go.wait(30)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def received(self) -> ResourceSpans:
        path, headers, body = self.requests.get(timeout=10)
        assert path == "/v1/traces"
        assert headers["content-type"] == "application/x-protobuf"
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        (spans,) = ExportTraceServiceRequest.FromString(body).resource_spans
        return spans

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield collector
    collector.close()


@pytest.fixture
def open_export(collector: Collector) -> Iterator[Callable[..., SpanExport]]:
    opened: list[SpanExport] = []

    def opening(**environ: str) -> SpanExport:
        export = SpanExport(environ, version="1.2.3")
        opened.append(export)
        return export

    yield opening
    collector.go.set()
    for export in opened:
        export.close(5.0)


def record(export: SpanExport, call: CallRecord) -> None:
    export.record(call, account(call))


def plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(plain(item) for item in value.array_value.values)
    return getattr(value, kind) if kind else None


def attributes_of(span: Span) -> dict[str, object]:
    return {pair.key: plain(pair.value) for pair in span.attributes}


def test_a_collector_gets_the_tree_of_the_call_under_the_callers_span(
    collector: Collector, open_export: Callable[..., SpanExport], fallen_back: CallRecord
) -> None:
    export = open_export()
    record(export, fallen_back)
    export.flush()
    (scope,) = collector.received().scope_spans
    assert (scope.scope.name, scope.scope.version) == ("tiermesh", "1.2.3")
    assert scope.schema_url == SCHEMA_URL
    route, first, second = scope.spans
    assert {span.trace_id.hex() for span in scope.spans} == {fallen_back.trace.trace_id}
    assert route.parent_span_id.hex() == "00f067aa0ba902b7"
    assert route.span_id.hex() == "b7ad6b7169203331"
    assert [s.parent_span_id for s in (first, second)] == [route.span_id] * 2
    assert [s.span_id.hex() for s in (first, second)] == ["0" * 15 + "1", "0" * 15 + "2"]
    assert route.kind == Span.SpanKind.SPAN_KIND_SERVER
    assert {s.kind for s in (first, second)} == {Span.SpanKind.SPAN_KIND_CLIENT}
    assert [span.name for span in scope.spans] == [
        "tiermesh.route",
        "chat vendor/small-model",
        "chat vendor/large-model",
    ]
    assert first.status.code == Status.StatusCode.STATUS_CODE_ERROR
    assert first.status.message == "503"
    assert second.status.code == route.status.code == Status.StatusCode.STATUS_CODE_UNSET
    assert {span.trace_state for span in scope.spans} == {"vendor=value"}


def test_every_attribute_arrives_with_its_value_and_type(
    collector: Collector, open_export: Callable[..., SpanExport], call: CallRecord
) -> None:
    export = open_export()
    record(export, call)
    export.flush()
    (scope,) = collector.received().scope_spans
    expected = finished_spans(call, account(call))
    for sent, built in zip(scope.spans, expected, strict=True):
        arrived = attributes_of(sent)
        assert arrived == built.attributes
        assert {k: type(v) for k, v in arrived.items()} == {
            k: type(v) for k, v in built.attributes.items()
        }
        assert sent.start_time_unix_nano == built.start_ns
        assert sent.end_time_unix_nano == built.end_ns


def test_a_failure_after_the_commit_marks_attempt_and_route(
    collector: Collector,
    open_export: Callable[..., SpanExport],
    call: CallRecord,
    attempt: Make,
) -> None:
    export = open_export()
    cut = attempt(1, "small", error="connection_reset")
    record(export, replace(call, ending=Ending.BROKEN, attempts=(cut,)))
    export.flush()
    (scope,) = collector.received().scope_spans
    assert [span.status.code for span in scope.spans] == [Status.StatusCode.STATUS_CODE_ERROR] * 2


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "tiermesh-sidecar"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs,k8s.pod.name=p"}, "theirs"),
    ],
)
def test_the_resource_is_named_by_the_standard_variables(
    collector: Collector,
    open_export: Callable[..., SpanExport],
    call: CallRecord,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    name: str,
) -> None:
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    export = open_export(**variables)
    record(export, call)
    export.flush()
    resource = {p.key: plain(p.value) for p in collector.received().resource.attributes}
    assert resource["service.name"] == name
    assert resource["service.version"] == "1.2.3"
    assert ("k8s.pod.name" in resource) is ("OTEL_RESOURCE_ATTRIBUTES" in variables)


def test_headers_and_compression_follow_the_standard_variables(
    collector: Collector,
    open_export: Callable[..., SpanExport],
    call: CallRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=mesh")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    export = open_export()
    record(export, call)
    export.flush()
    path, headers, body = collector.requests.get(timeout=10)
    assert (path, headers["x-team"], headers["content-encoding"]) == ("/v1/traces", "mesh", "gzip")
    assert ExportTraceServiceRequest.FromString(gzip.decompress(body)).resource_spans


def test_close_sends_what_is_queued(
    collector: Collector, open_export: Callable[..., SpanExport], call: CallRecord
) -> None:
    export = open_export()
    record(export, call)
    export.close(10.0)
    assert len(collector.received().scope_spans[0].spans) == 2
    assert (export.overflowed, export.failed) == (0, 0)


def test_a_collector_that_hangs_costs_whole_traces_and_never_the_caller(
    collector: Collector, open_export: Callable[..., SpanExport], call: CallRecord
) -> None:
    collector.go.clear()
    export = open_export(OTEL_BSP_MAX_QUEUE_SIZE="5", OTEL_BSP_SCHEDULE_DELAY="60000")
    for _ in range(4):
        record(export, call)
    assert export.overflowed == 4
    collector.go.set()
    export.flush()
    assert len(collector.received().scope_spans[0].spans) == 4
    record(export, call)
    assert export.overflowed == 4


def test_close_does_not_wait_for_a_collector_that_hangs(
    collector: Collector,
    open_export: Callable[..., SpanExport],
    call: CallRecord,
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector.go.clear()
    export = open_export()
    record(export, call)
    with caplog.at_level(logging.WARNING):
        export.close(0.05)
    assert "did not take" in caplog.text


def test_spans_that_the_collector_refuses_are_counted(
    collector: Collector, open_export: Callable[..., SpanExport], call: CallRecord
) -> None:
    collector.status = 400
    export = open_export()
    record(export, call)
    export.flush()
    assert export.failed == 2


def test_hostile_text_does_not_cost_the_other_spans_of_the_batch(
    collector: Collector, open_export: Callable[..., SpanExport], call: CallRecord, attempt: Make
) -> None:
    hostile = Features(
        endpoint=Endpoint.CHAT_COMPLETIONS,
        dialect=Dialect.OPENAI,
        model="\ud800",
        max_tokens=10**30,
    )
    sent = attempt(1, "small", response_id="\udfff", response_model="\x00")
    export = open_export()
    record(export, replace(call, features=hostile, attempts=(sent,)))
    record(export, call)
    export.flush()
    (scope,) = collector.received().scope_spans
    assert len(scope.spans) == 4
    assert attributes_of(scope.spans[0])["gen_ai.request.model"] == "?"


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_queue_size_that_is_none_is_said_and_the_default_used(
    open_export: Callable[..., SpanExport], caplog: pytest.LogCaptureFixture, text: str
) -> None:
    with caplog.at_level(logging.WARNING):
        open_export(OTEL_BSP_MAX_QUEUE_SIZE=text)
    assert "OTEL_BSP_MAX_QUEUE_SIZE" in caplog.text


def test_behind_a_proxy_the_exporters_own_transport_is_used(
    collector: Collector,
    open_export: Callable[..., SpanExport],
    call: CallRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9"}
    monkeypatch.setenv("HTTP_PROXY", proxy["HTTP_PROXY"])
    export = open_export(**proxy)
    record(export, call)
    export.flush()
    assert len(collector.received().scope_spans[0].spans) == 2
