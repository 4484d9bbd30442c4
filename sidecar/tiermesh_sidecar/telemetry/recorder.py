"""One call's record handed to everyone who keeps records: spans, metrics, the audit log, the ring.

It must never raise into a call nor wait for anything (law 10): each consumer is on its own, and
what one of them fails at is counted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial

from tiermesh_sidecar.core.record import CallRecord
from tiermesh_sidecar.telemetry.account import Account, account
from tiermesh_sidecar.telemetry.audit import AuditLog, as_json, encode, open_audit
from tiermesh_sidecar.telemetry.decisions import Decisions
from tiermesh_sidecar.telemetry.late_export import LateExport
from tiermesh_sidecar.telemetry.metrics import Dropped, Metrics
from tiermesh_sidecar.telemetry.otlp import export_wanted, open_export
from tiermesh_sidecar.telemetry.sampling import NOT_TRACING, Sampler, read_sampler

_log = logging.getLogger(__name__)


class Recorder:
    """`record` once per call, from the event loop's thread. `close` blocks: call it in a thread."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        decisions: Decisions,
        audit: AuditLog | None = None,
        export: LateExport | None = None,
        sampler: Sampler = NOT_TRACING,
    ) -> None:
        self.metrics = metrics
        self.decisions = decisions
        self.sampler = sampler
        self._audit = audit
        self._export = export
        self._failed: set[str] = set()
        self._watch_drops()

    def should_sample(self, parent_sampled: bool | None, trace_id: str) -> bool:
        """Whether to trace a call that begins now: the flag of its `traceparent` and record."""
        refused = self._export is not None and self._export.refused
        sampler = NOT_TRACING if refused else self.sampler
        return sampler.should_sample(parent_sampled, trace_id)

    def start_export(self) -> None:
        """Open the export, where one is wanted, in the background; the first span would too."""
        if self._export is not None:
            self._export.start()

    def record(self, call: CallRecord) -> None:
        """Count, trace, write and keep this call. Never raises, never blocks."""
        try:
            sums = account(call)
        except Exception:
            self._count("account")
            return
        self._try("metrics", self.metrics.record, call, sums)
        if self._export is not None and call.trace.sampled:
            self._try("spans", self._export.record, call, sums)
        self._try("audit", self._keep, call, sums)

    def close(self, timeout: float = 5.0) -> None:
        """Write and export what is queued, for at most this many seconds each; the rest is lost."""
        if self._audit is not None:
            self._audit.close(timeout)
        if self._export is not None:
            self._export.close(timeout)

    def _keep(self, call: CallRecord, sums: Account) -> None:
        record = as_json(call, sums)
        line = encode(record)
        if self._audit is not None:
            self._audit.write(line)
        if record.pop("content", None) is not None:
            # The ring lives in memory; whole prompts would fill it and show in a browser.
            line = encode(record)
        self.decisions.add(call.id, line, sums, call.duration_ms)

    def _try(
        self,
        consumer: str,
        act: Callable[[CallRecord, Account], None],
        call: CallRecord,
        sums: Account,
    ) -> None:
        try:
            act(call, sums)
        except Exception:
            self._count(consumer)

    def _count(self, consumer: str) -> None:
        self.metrics.dropped(Dropped.CONSUMER_ERROR)
        if consumer not in self._failed:
            self._failed.add(consumer)
            _log.exception("telemetry: %s failed; further failures are counted only", consumer)

    def _watch_drops(self) -> None:
        audit, export = self._audit, self._export
        if audit is not None:
            self.metrics.watch_dropped(Dropped.AUDIT_QUEUE_FULL, lambda: audit.overflowed)
            self.metrics.watch_dropped(Dropped.AUDIT_WRITE_FAILED, lambda: audit.failed)
        if export is not None:
            self.metrics.watch_dropped(Dropped.SPAN_QUEUE_FULL, lambda: export.overflowed)
            self.metrics.watch_dropped(Dropped.SPAN_EXPORT_FAILED, lambda: export.failed)


def open_recorder(
    *, audit: str, version: str, environ: Mapping[str, str] | None = None, kept: int = 500
) -> Recorder:
    """The sidecar's recorder. `audit` is `stdout`, `none` or a file's path; `kept` is how many
    decisions the page holds. Raises OSError where the audit file cannot be opened."""
    environ = os.environ if environ is None else environ
    export = None
    if export_wanted(environ):
        export = LateExport(partial(open_export, environ, version=version))
    return Recorder(
        metrics=Metrics(version=version),
        decisions=Decisions(kept),
        audit=open_audit(audit),
        export=export,
        sampler=read_sampler(environ) if export is not None else NOT_TRACING,
    )
