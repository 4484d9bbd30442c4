"""The audit record: one JSON line per call, from which the decision can be made again without the
prompt. The same value answers `/decisions/{id}`.

Writing is another thread's work, behind a bounded queue: a full disk or a closed pipe costs
records, which are counted, never calls.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from datetime import UTC, datetime

import orjson

from tiermesh_sidecar.core.cost import dollars
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord
from tiermesh_sidecar.core.replay import features_as_json, view_as_json
from tiermesh_sidecar.telemetry.account import Account, account
from tiermesh_sidecar.telemetry.sinks import FileSink, Sink, StdoutSink

_LINES = 10_000
_BYTES = 16 * 1024 * 1024
"""What may wait for the writer: records are some 2 KB each, unless they carry content."""
_BATCH_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


def as_json(call: CallRecord, sums: Account | None = None) -> dict[str, object]:
    """The record of one call; `docs/observability.md` explains its fields.

    Money is decimal strings in US dollars, None where unknown. `sums` is `account(call)`, where the
    caller has it already.
    """
    sums = sums if sums is not None else account(call)
    decision, features = call.decision, call.features
    policy = decision.policy if decision else call.policy.label if call.policy else None
    record: dict[str, object] = {
        "id": call.id,
        "at": timestamp(call.at),
        "snapshot": call.snapshot,
        "policy": policy,
        "rule": decision.rule if decision else None,
        "tier": sums.tier,
        "backend": sums.backend,
        "model": sums.model,
        "reason": str(sums.reason) if sums.reason else None,
        "stream": features.stream if features else False,
        "candidates": [c.as_json() for c in decision.candidates] if decision else [],
        "features": features_as_json(features) if features else None,
        "signals": dict(decision.signals) if decision else {},
        "view": view_as_json(call.view),
        "seed": call.seed,
        "attempts": [_attempt(a) for a in call.attempts],
        "usage": _usage(sums.usage),
        "cost": money(sums.cost),
        "topTierCost": money(sums.top_tier_cost),
        "durationMs": _milliseconds(call.duration_ms),
        "overheadMs": _milliseconds(call.overhead_ms),
        "method": call.method,
        "path": call.path.partition("?")[0],
        "status": call.status,
        "code": call.error_code,
        "ending": str(call.ending),
        "traceId": call.trace.trace_id,
        "spanId": call.trace.span_id,
    }
    if call.content_hash is not None:
        record["contentHash"] = call.content_hash
    if call.content is not None:
        record["content"] = call.content
    return record


def encode(record: dict[str, object]) -> bytes:
    """One line of JSON, without its end.

    JSON's text and numbers go further than orjson's: lone surrogates and integers beyond 64 bits,
    as a hostile caller sends them, take the slow way.
    """
    try:
        # A copy: orjson's own bytes keep the buffer that they were written into, which is several
        # times their length, and these wait in queues and in the ring.
        return bytes(memoryview(orjson.dumps(record)))
    except TypeError:
        return json.dumps(record, separators=(",", ":")).encode()


def timestamp(at: float) -> str:
    """RFC 3339, UTC: exact where `at` is whole microseconds, as the shell makes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def money(picodollars: int | None) -> str | None:
    return dollars(picodollars) if picodollars is not None else None


def _attempt(attempt: AttemptOutcome) -> dict[str, object]:
    record, first_chunk = attempt.record, attempt.first_chunk_ms
    return {
        "tier": record.tier,
        "backend": record.backend,
        "status": record.status,
        "error": record.error,
        "startedMs": _milliseconds(record.started_ms),
        "durationMs": _milliseconds(record.ended_ms - record.started_ms),
        "usage": _usage(attempt.usage),
        "cost": money(attempt.cost),
        "model": attempt.model,
        "responseId": attempt.response_id,
        "responseModel": attempt.response_model,
        "finishReasons": list(attempt.finish_reasons),
        "firstChunkMs": None if first_chunk is None else _milliseconds(first_chunk),
        "spanId": attempt.span_id,
    }


def _milliseconds(value: float) -> float:
    """To the microsecond; `round` would cost several times that for the same."""
    return int(value * 1000 + 0.5) / 1000


def _usage(usage: Usage | None) -> dict[str, object] | None:
    if usage is None:
        return None
    return {
        "input": usage.input,
        "output": usage.output,
        "cachedInput": usage.cached_input,
        "cacheWrite": usage.cache_write,
        "estimated": usage.estimated,
    }


class AuditLog:
    """Lines for a sink, written by one thread of its own. `write` from one thread only."""

    def __init__(self, sink: Sink, *, max_lines: int = _LINES, max_bytes: int = _BYTES) -> None:
        self._sink = sink
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._bytes_in = 0
        self._bytes_out = 0
        self._closed = False
        self.overflowed = 0
        """Records dropped because the queue was full."""
        self.failed = 0
        """Records that the sink did not take."""
        self._writer = threading.Thread(target=self._run, name="audit", daemon=True)
        self._writer.start()

    def write(self, line: bytes) -> None:
        """Queue one record; dropped and counted where the queue is full. Never waits."""
        waiting = self._bytes_in - self._bytes_out
        if (
            self._closed
            or self._queue.qsize() >= self._max_lines
            or (waiting and waiting + len(line) > self._max_bytes)
        ):
            self.overflowed += 1
            return
        self._bytes_in += len(line)
        self._queue.put(line)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued, for at most `timeout` seconds."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join(timeout)
        if self._writer.is_alive():
            _log.warning("audit: %d records were not written in time", self._queue.qsize())

    def flush(self, timeout: float = 5.0) -> bool:
        """Whether the queue ran empty within `timeout` seconds."""
        until = time.monotonic() + timeout
        while self._bytes_out < self._bytes_in:
            if time.monotonic() > until:
                return False
            time.sleep(0.001)
        return True

    def _run(self) -> None:
        open_ended = True
        while open_ended:
            lines, open_ended = self._batch()
            size = sum(map(len, lines))
            if lines:
                self._put(lines)
            self._bytes_out += size
        self._sink.close()

    def _batch(self) -> tuple[list[bytes], bool]:
        """At least one line (it waits for it), or none at the end; whether more may come."""
        lines: list[bytes] = []
        size = 0
        line = self._queue.get()
        while line is not None:
            lines.append(line)
            size += len(line)
            if size >= _BATCH_BYTES:
                return lines, True
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                return lines, True
        return lines, False

    def _put(self, lines: list[bytes]) -> None:
        try:
            self._sink.write(b"\n".join(lines) + b"\n")
        except OSError as error:
            if not self.failed:
                _log.warning("audit: cannot write (%s); lost records are counted only", error)
            self.failed += len(lines)


def open_audit(target: str) -> AuditLog | None:
    """`none`, `stdout`, or a file's path. Raises OSError where the file cannot be opened."""
    if target == "none":
        return None
    return AuditLog(StdoutSink() if target == "stdout" else FileSink(target))
