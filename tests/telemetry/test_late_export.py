"""The export that opens while calls come in."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tiermesh_sidecar.core.record import CallRecord
from tiermesh_sidecar.telemetry.account import Account, account
from tiermesh_sidecar.telemetry.decisions import Decisions
from tiermesh_sidecar.telemetry.late_export import CAPACITY, LateExport
from tiermesh_sidecar.telemetry.metrics import Metrics
from tiermesh_sidecar.telemetry.recorder import Recorder
from tiermesh_sidecar.telemetry.sampling import Sampler


class Kept:
    overflowed = 0
    failed = 0

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.closed = False

    def record(self, call: CallRecord, sums: Account) -> None:
        if call.id == "ill":
            raise RuntimeError("broken")
        self.ids.append(call.id)

    def close(self, timeout: float) -> None:
        self.closed = True


class Slow:
    """Opens when told."""

    def __init__(self, export: Kept | None) -> None:
        self.go = threading.Event()
        self.opened = 0
        self._export = export

    def __call__(self) -> Kept | None:
        self.opened += 1
        assert self.go.wait(10)
        return self._export


def late(slow: Slow) -> LateExport:
    return LateExport(slow)  # type: ignore[arg-type]


def record(export: LateExport, call: CallRecord, *ids: str) -> None:
    for one in ids:
        changed = replace(call, id=one)
        export.record(changed, account(changed))


def test_calls_that_end_before_it_is_open_are_exported_in_their_order(call: CallRecord) -> None:
    kept = Kept()
    slow = Slow(kept)
    export = late(slow)
    record(export, call, "1", "2")
    assert kept.ids == []
    slow.go.set()
    export.close(10.0)
    record(export, call, "3")
    assert (kept.ids, kept.closed, slow.opened) == (["1", "2", "3"], True, 1)


def test_an_early_call_that_cannot_be_exported_costs_itself_alone(call: CallRecord) -> None:
    kept = Kept()
    slow = Slow(kept)
    export = late(slow)
    record(export, call, "1", "ill", "2")
    slow.go.set()
    export.close(10.0)
    assert kept.ids == ["1", "2"]


def test_more_calls_than_may_wait_are_counted_as_dropped(call: CallRecord) -> None:
    kept = Kept()
    slow = Slow(kept)
    export = late(slow)
    record(export, call, *["1"] * (CAPACITY + 3))
    slow.go.set()
    export.close(10.0)
    assert (len(kept.ids), export.overflowed) == (CAPACITY, 3)


@pytest.mark.parametrize("early", [(), ("1",)])
def test_an_export_that_cannot_start_ends_sampling(call: CallRecord, early: tuple[str]) -> None:
    slow = Slow(None)
    export = late(slow)
    recorder = Recorder(
        metrics=Metrics(version="1"),
        decisions=Decisions(),
        export=export,
        sampler=Sampler(parent_based=True, bound=1 << 64),
    )
    record(export, call, *early)
    recorder.start_export()
    assert recorder.should_sample(None, "f" * 32)
    slow.go.set()
    recorder.close()
    record(export, call, "2")
    assert not recorder.should_sample(None, "f" * 32)
    assert (export.overflowed, export.failed) == (0, 0)


def test_what_was_never_started_has_nothing_to_close() -> None:
    slow = Slow(Kept())
    late(slow).close(10.0)
    assert slow.opened == 0


def test_an_opening_that_fails_unforeseen_ends_sampling_too() -> None:
    def broken() -> None:
        raise RuntimeError("no such library")

    export = LateExport(broken)  # type: ignore[arg-type]
    export.start()
    export.close(5)
    assert export.refused
