from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiermesh_sidecar.core.record import CallRecord
from tiermesh_sidecar.telemetry.account import Account
from tiermesh_sidecar.telemetry.audit import open_audit
from tiermesh_sidecar.telemetry.decisions import Decisions
from tiermesh_sidecar.telemetry.metrics import Metrics
from tiermesh_sidecar.telemetry.recorder import Recorder, open_recorder


class Broken:
    """Fails at everything, as any part of telemetry may."""

    overflowed = 0
    failed = 0

    def record(self, call: CallRecord, sums: Account) -> None:
        raise RuntimeError("broken")

    def write(self, line: bytes) -> None:
        raise RuntimeError("broken")

    def close(self, timeout: float) -> None:
        """Nothing to close."""


class Kept(Broken):
    def __init__(self) -> None:
        self.calls: list[CallRecord] = []

    def record(self, call: CallRecord, sums: Account) -> None:
        self.calls.append(call)


def errors_in(recorder: Recorder) -> str:
    (line,) = (
        line
        for line in recorder.metrics.render().decode().splitlines()
        if 'kind="consumer_error"' in line
    )
    return line.rpartition(" ")[2]


def test_one_record_reaches_metrics_audit_and_ring(call: CallRecord, tmp_path: Path) -> None:
    recorder = open_recorder(audit=str(tmp_path / "audit.jsonl"), version="1", environ={})
    recorder.record(call)
    recorder.close()
    line = json.loads((tmp_path / "audit.jsonl").read_text())
    kept = recorder.decisions.find(call.id)
    assert kept is not None
    assert json.loads(kept) == line
    assert line["id"] == call.id
    assert 'tiermesh_tokens_total{tier="small",direction="input"} 1000' in (
        recorder.metrics.render().decode()
    )
    assert errors_in(recorder) == "0"


def test_whole_prompts_go_to_the_audit_log_and_not_to_the_page(
    call: CallRecord, tmp_path: Path
) -> None:
    recorder = open_recorder(audit=str(tmp_path / "audit.jsonl"), version="1", environ={})
    recorder.record(replace(call, content="the prompt"))
    recorder.close()
    assert json.loads((tmp_path / "audit.jsonl").read_text())["content"] == "the prompt"
    kept = recorder.decisions.find(call.id)
    assert kept is not None
    assert b"prompt" not in kept


def test_a_consumer_that_fails_harms_neither_the_call_nor_the_others(
    call: CallRecord, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(
        metrics=Metrics(version="1"),
        decisions=Decisions(),
        export=Broken(),  # type: ignore[arg-type]
    )
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            recorder.record(call)
    assert errors_in(recorder) == "3"
    assert len(caplog.records) == 1
    assert recorder.decisions.find(call.id) is not None


class Sick:
    """A consumer that raises this, whichever of its methods is called."""

    overflowed = 0
    failed = 0

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.took = 0

    def _take(self, *_: object) -> None:
        self.took += 1
        if self._error is not None:
            raise self._error

    record = write = add = _take


ILLS = st.sampled_from(
    [None, OSError("disk full"), MemoryError(), RecursionError(), KeyError("x"), BufferError()]
)


@given(metrics=ILLS, spans=ILLS, audit=ILLS, ring=ILLS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_telemetry_does_the_call_hears_nothing_of_it(
    call: CallRecord,
    metrics: Exception | None,
    spans: Exception | None,
    audit: Exception | None,
    ring: Exception | None,
) -> None:
    parts = {name: Sick(ill) for name, ill in (("spans", spans), ("audit", audit), ("ring", ring))}
    recorder = Recorder(
        metrics=Metrics(version="1"),
        decisions=parts["ring"],  # type: ignore[arg-type]
        audit=parts["audit"],  # type: ignore[arg-type]
        export=parts["spans"],  # type: ignore[arg-type]
    )
    counting = Sick(metrics)
    recorder.metrics.record = counting.record  # type: ignore[method-assign]
    logging.disable(logging.CRITICAL)
    try:
        recorder.record(call)
    finally:
        logging.disable(logging.NOTSET)
    assert (counting.took, parts["spans"].took, parts["audit"].took) == (1, 1, 1)
    lost = sum(ill is not None for ill in (metrics, spans, audit or ring))
    assert errors_in(recorder) == str(lost)


def test_a_record_that_makes_no_sense_is_counted_and_not_raised(call: CallRecord) -> None:
    recorder = open_recorder(audit="none", version="1", environ={})
    recorder.record(replace(call, attempts=None))  # type: ignore[arg-type]
    recorder.record(replace(call, trace=None, at=float("nan")))  # type: ignore[arg-type]
    assert errors_in(recorder) == "2"


def test_only_sampled_calls_become_spans(call: CallRecord) -> None:
    export = Kept()
    recorder = Recorder(
        metrics=Metrics(version="1"),
        decisions=Decisions(),
        export=export,  # type: ignore[arg-type]
    )
    unsampled = replace(call, trace=replace(call.trace, sampled=False))
    recorder.record(unsampled)
    recorder.record(call)
    assert export.calls == [call]


def test_without_an_exporter_nothing_is_sampled_that_the_caller_did_not_sample() -> None:
    recorder = open_recorder(
        audit="none", version="1", environ={"OTEL_TRACES_SAMPLER": "always_on"}
    )
    assert not recorder.should_sample(None, "f" * 32)
    assert recorder.should_sample(True, "f" * 32)


def test_with_an_exporter_the_named_sampler_decides() -> None:
    recorder = open_recorder(
        audit="none",
        version="1",
        environ={
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.5",
        },
    )
    assert not recorder.should_sample(None, "f" * 32)
    assert recorder.should_sample(None, "0" * 31 + "1")
    recorder.close()


def test_what_the_audit_log_lost_is_seen_in_the_metrics(call: CallRecord) -> None:
    audit = open_audit("stdout")
    assert audit is not None
    recorder = Recorder(metrics=Metrics(version="1"), decisions=Decisions(), audit=audit)
    recorder.close()
    recorder.record(call)
    assert b'kind="audit_queue_full"} 1' in recorder.metrics.render()
