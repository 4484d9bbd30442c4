"""`docs/observability.md` explains everything that leaves the sidecar."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.core.record import CallRecord
from tiermesh_sidecar.telemetry.account import account
from tiermesh_sidecar.telemetry.audit import as_json
from tiermesh_sidecar.telemetry.metrics import Dropped, Metrics, ReloadResult
from tiermesh_sidecar.telemetry.otlp import SETTINGS
from tiermesh_sidecar.telemetry.spans import finished_spans

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"`([^`\s]+)`", PAGE))


def test_every_metric_and_its_kinds_have_a_row() -> None:
    names = {*Metrics(version="1").names, *Dropped, *ReloadResult}
    assert {str(name) for name in names} - NAMES == set()


def test_every_variable_that_has_an_effect_has_a_row() -> None:
    assert set(SETTINGS) - NAMES == set()


def test_every_span_attribute_has_a_row(call: CallRecord, fallen_back: CallRecord) -> None:
    whole = replace(
        call.attempts[0], usage=Usage(input=9, cached_input=3, cache_write=3, estimated=True)
    )
    names: set[str] = set()
    for one in (replace(call, attempts=(whole,)), fallen_back):
        for span in finished_spans(one, account(one)):
            names |= set(span.attributes)
    names = {re.sub(r"^tiermesh\.signal\..*", "tiermesh.signal.NAME", name) for name in names}
    assert names - NAMES == set()


def test_every_field_of_the_audit_record_has_a_row(call: CallRecord) -> None:
    record = as_json(replace(call, content="x", content_hash="x"))
    assert set(record) - NAMES == set()
    attempt = record["attempts"][0]  # type: ignore[index]
    for name in {*attempt, *attempt["usage"]}:
        assert re.search(rf"\b{name}\b", PAGE), name
