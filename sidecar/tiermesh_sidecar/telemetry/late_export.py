"""The export of spans, opened behind the back of the first calls.

Importing OpenTelemetry takes a fifth of a cold start and no answer needs it. A thread of its own
opens the export when the sidecar serves; sampled calls that end meanwhile wait here for it. Nothing
here imports OpenTelemetry.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tiermesh_sidecar.core.record import CallRecord
from tiermesh_sidecar.telemetry.account import Account

if TYPE_CHECKING:
    from tiermesh_sidecar.telemetry.export import SpanExport

_log = logging.getLogger(__name__)

CAPACITY = 512
"""Calls that wait; opening takes a fifth of a second."""


class LateExport:
    """`record` from one thread only. `open_export` runs in another and returns None where the
    export cannot start, which it logs."""

    def __init__(self, open_export: Callable[[], SpanExport | None]) -> None:
        self._open_export = open_export
        self._lock = threading.Lock()
        self._early: deque[tuple[CallRecord, Account]] = deque()
        self._export: SpanExport | None = None
        self._thread = threading.Thread(target=self._open, name="open export", daemon=True)
        self._started = False
        self._overflowed = 0
        self.refused = False
        """It cannot start: nothing will ever be exported."""

    @property
    def overflowed(self) -> int:
        """Spans dropped because the queue was full; before it was there, a call counts as one."""
        return self._overflowed + (self._export.overflowed if self._export else 0)

    @property
    def failed(self) -> int:
        """Spans that the collector did not take."""
        return self._export.failed if self._export else 0

    def start(self) -> None:
        """Begin to open the export. Idempotent."""
        if not self._started:
            self._started = True
            self._thread.start()

    def record(self, call: CallRecord, sums: Account) -> None:
        if self._export is None and self._waits(call, sums):
            self.start()
        elif self._export is not None:
            self._export.record(call, sums)

    def close(self, timeout: float) -> None:
        """Send what is queued, for at most `timeout` seconds."""
        began = time.monotonic()
        if self._started:
            self._thread.join(timeout)
        if self._export is not None:
            self._export.close(max(0.0, timeout - (time.monotonic() - began)))

    def _waits(self, call: CallRecord, sums: Account) -> bool:
        with self._lock:
            if self._export is not None:
                return False
            if self.refused:
                return True
            if len(self._early) < CAPACITY:
                self._early.append((call, sums))
            else:
                self._overflowed += 1
            return True

    def _open(self) -> None:
        try:
            export = self._open_export()
        except Exception:
            _log.exception("telemetry: no traces, the export could not be opened")
            export = None
        while True:
            with self._lock:
                if export is None or not self._early:
                    # From here on the recording thread is the only one that uses it.
                    self._export, self.refused = export, export is None
                    self._early.clear()
                    return
                early = self._early.popleft()
            try:
                export.record(*early)
            except Exception:
                _log.exception("telemetry: spans of an early call failed")
