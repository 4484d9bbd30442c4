from __future__ import annotations

import json
import logging
import threading
import tracemalloc
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.features import Caller, Dialect, Endpoint, Features
from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.core.record import CallRecord
from tiermesh_sidecar.core.replay import (
    features_as_json,
    features_from_json,
    view_as_json,
    view_from_json,
)
from tiermesh_sidecar.telemetry.audit import (
    AuditLog,
    as_json,
    encode,
    open_audit,
    timestamp,
)

CONTRACT = [
    "id", "at", "snapshot", "policy", "rule", "tier", "backend", "model", "stream", "candidates",
    "features", "signals", "view", "seed", "attempts", "usage", "cost", "topTierCost",
    "durationMs",
]  # fmt: skip
ATTEMPT = ["tier", "backend", "status", "error", "startedMs", "durationMs", "usage", "cost"]


class HeldSink:
    """A sink that takes nothing until it is let go, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.go = threading.Event()
        self.entered = threading.Event()
        self.fails = fails
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.entered.set()
        assert self.go.wait(30)
        if self.fails:
            raise OSError(28, "No space left on device")
        self.data += data

    def close(self) -> None:
        self.closed = True


def test_a_line_takes_the_memory_of_its_length(call: CallRecord) -> None:
    record = as_json(call)
    tracemalloc.start()
    try:
        line = encode(record)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(line) < kept < len(line) + 512


def test_the_record_has_the_shape_of_the_contract(call: CallRecord) -> None:
    record = as_json(call)
    assert [name for name in record if name in CONTRACT] == CONTRACT
    (attempt,) = record["attempts"]  # type: ignore[misc]
    assert [name for name in attempt if name in ATTEMPT] == ATTEMPT
    assert record["candidates"] == [
        {"tier": "small", "kept": True, "reason": "Chosen", "also": []},
        {"tier": "large", "kept": True, "reason": "InPlan", "also": ["NotInRoute"]},
    ]
    assert record["features"] == features_as_json(call.features)  # type: ignore[arg-type]
    assert record["view"] == view_as_json(call.view)
    assert record["signals"] == {"complexity": 0.25, "unsure": None}
    assert (record["policy"], record["rule"]) == ("shop/checkout@0a1b2c3d", "steps")
    assert (record["tier"], record["backend"]) == ("small", "small-a")
    assert (record["model"], record["stream"]) == ("vendor/small-model", True)
    assert (record["cost"], record["topTierCost"]) == ("0.00018", "0.003")
    assert (attempt["startedMs"], attempt["durationMs"]) == (1.0, 249.0)
    assert attempt["cost"] == "0.00018"
    assert record["traceId"] == call.trace.trace_id
    assert record["path"] == "/v1/chat/completions", "a query may carry a key"


def test_a_decision_can_be_made_again_from_the_line_alone(call: CallRecord) -> None:
    record = json.loads(encode(as_json(call)))
    assert call.features is not None
    assert features_as_json(features_from_json(record["features"])) == features_as_json(
        call.features
    )
    assert view_from_json(record["view"]) == call.view
    assert datetime.fromisoformat(record["at"]).timestamp() == call.at
    assert (record["seed"], record["signals"]) == (call.seed, {"complexity": 0.25, "unsure": None})


def test_a_refused_call_has_its_rejections_and_no_tier(refused: CallRecord) -> None:
    record = as_json(refused)
    assert (record["tier"], record["attempts"], record["usage"]) == (None, [], None)
    assert (record["code"], record["status"]) == ("not_permitted", 403)
    assert (record["cost"], record["topTierCost"]) == ("0", None)
    assert record["candidates"][0]["also"] == ["Capability"]  # type: ignore[index]


def test_a_call_that_was_never_decided_is_recorded_too(call: CallRecord) -> None:
    early = replace(
        call,
        policy=None,
        decision=None,
        features=None,
        attempts=(),
        ending=Ending.REFUSED,
        error_code="no_config",
    )
    record = json.loads(encode(as_json(early)))
    assert (record["policy"], record["features"], record["candidates"]) == (None, None, [])


@given(st.integers(0, 4_102_444_800_000_000))
def test_the_time_of_the_decision_survives_the_record_to_the_last_bit(microseconds: int) -> None:
    at = microseconds / 1_000_000
    text = timestamp(at)
    assert datetime.fromisoformat(text).timestamp() == at
    assert len(text) == len("2026-01-01T00:00:00.000000Z")


def test_content_is_there_only_when_the_policy_kept_it(call: CallRecord) -> None:
    assert {"content", "contentHash"} & set(as_json(call)) == set()
    record = as_json(replace(call, content_hash="ab" * 32, content='{"model": "auto"}'))
    assert (record["contentHash"], record["content"]) == ("ab" * 32, '{"model": "auto"}')


def test_hostile_content_is_one_line_of_valid_json(call: CallRecord) -> None:
    hostile = Features(
        endpoint=Endpoint.CHAT_COMPLETIONS,
        dialect=Dialect.OPENAI,
        model='\ud800"\n\r\u2028</script>\x00',
        max_tokens=10**40,
        caller=Caller(asserted={"tenant": "a\nb\udfff"}),
    )
    line = encode(as_json(replace(call, features=hostile, path="/v1/\n\ud800")))
    assert b"\n" not in line
    record = json.loads(line)
    assert record["features"]["model"] == hostile.model
    assert record["path"] == "/v1/\n\ud800"


def test_every_record_is_written_in_order_before_close_returns(tmp_path: Path) -> None:
    log = open_audit(str(tmp_path / "audit.jsonl"))
    assert log is not None
    lines = [b'{"n":%d}' % number for number in range(5000)]
    for line in lines:
        log.write(line)
    log.close()
    assert (tmp_path / "audit.jsonl").read_bytes().splitlines() == lines
    assert (log.overflowed, log.failed) == (0, 0)


def test_flush_waits_for_what_was_written(tmp_path: Path) -> None:
    log = open_audit(str(tmp_path / "audit.jsonl"))
    assert log is not None
    log.write(b"{}")
    assert log.flush()
    assert (tmp_path / "audit.jsonl").read_bytes() == b"{}\n"
    log.close()


def test_a_sink_that_hangs_costs_records_and_never_the_caller() -> None:
    sink = HeldSink()
    log = AuditLog(sink, max_lines=10)
    log.write(b"first")
    assert sink.entered.wait(10)
    for _ in range(25):
        log.write(b"more")
    assert log.overflowed == 15
    assert not log.flush(timeout=0.01)
    sink.go.set()
    log.close()
    assert sink.data == b"first\n" + b"more\n" * 10
    assert sink.closed


def test_the_queue_is_bounded_in_bytes_but_takes_one_record_of_any_size() -> None:
    sink = HeldSink()
    log = AuditLog(sink, max_bytes=100)
    log.write(b"x" * 1000)
    assert sink.entered.wait(10)
    log.write(b"y")
    assert log.overflowed == 1
    sink.go.set()
    assert log.flush()
    log.write(b"z")
    log.close()
    assert sink.data == b"x" * 1000 + b"\nz\n"


def test_a_full_disk_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = HeldSink(fails=True)
    sink.go.set()
    log = AuditLog(sink)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            log.write(b"line")
            assert log.flush()
    sink.fails = False
    log.write(b"line")
    log.close()
    assert log.failed == 3
    assert sink.data == b"line\n"
    assert len(caplog.records) == 1


def test_close_gives_up_on_a_sink_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    sink = HeldSink()
    log = AuditLog(sink)
    log.write(b"line")
    with caplog.at_level(logging.WARNING):
        log.close(timeout=0.01)
    assert "not written in time" in caplog.text
    log.write(b"late")
    assert log.overflowed == 1
    sink.go.set()
    log.close()


def test_none_means_no_audit_log() -> None:
    assert open_audit("none") is None


def test_standard_output_takes_lines(capfd: pytest.CaptureFixture[str]) -> None:
    log = open_audit("stdout")
    assert log is not None
    log.write(b'{"id":"1"}')
    log.close()
    assert capfd.readouterr().out == '{"id":"1"}\n'
