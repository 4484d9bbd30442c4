from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from tiermesh_sidecar.core.features import Dialect, Endpoint, Features
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord
from tiermesh_sidecar.telemetry.account import account
from tiermesh_sidecar.telemetry.audit import as_json, encode
from tiermesh_sidecar.telemetry.decisions import Decisions

Make = Callable[..., AttemptOutcome]


def add(decisions: Decisions, *calls: CallRecord) -> None:
    for call in calls:
        sums = account(call)
        decisions.add(call.id, encode(as_json(call, sums)), sums, call.duration_ms)


def listed(decisions: Decisions, **query: str) -> dict[str, list[dict[str, object]]]:
    reply = decisions.answer("/decisions", query, "application/json")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    return json.loads(reply.body)  # type: ignore[no-any-return]


def ids(decisions: Decisions, **query: str) -> list[object]:
    return [one["id"] for one in listed(decisions, **query)["decisions"]]


def test_a_decision_is_found_by_its_id_as_the_audit_record(call: CallRecord) -> None:
    decisions = Decisions()
    add(decisions, call)
    reply = decisions.answer(f"/decisions/{call.id}", {}, "text/html")
    assert json.loads(reply.body) == json.loads(encode(as_json(call)))


def test_an_unknown_id_is_404_and_says_where_to_look() -> None:
    reply = Decisions().answer("/decisions/unknown", {}, "application/json")
    assert reply.status == 404
    assert b"audit log" in reply.body


def test_the_list_tells_each_call_in_a_line(call: CallRecord, refused: CallRecord) -> None:
    decisions = Decisions()
    add(decisions, call, refused)
    newest, oldest = listed(decisions)["decisions"]
    assert newest["id"] == refused.id
    assert (newest["tier"], newest["reason"], newest["code"]) == (None, "Region", "not_permitted")
    assert (newest["saved"], newest["attempts"]) == (None, 0)
    assert (oldest["requestedModel"], oldest["model"]) == ("auto", "vendor/small-model")
    assert (oldest["cost"], oldest["topTierCost"], oldest["saved"]) == (
        "0.00018",
        "0.003",
        "0.00282",
    )
    assert (oldest["durationMs"], oldest["status"]) == (251.5, 200)


def test_the_list_is_newest_first_limited_and_filtered(
    call: CallRecord, fallen_back: CallRecord
) -> None:
    decisions = Decisions()
    for number in range(4):
        add(decisions, replace(call if number % 2 else fallen_back, id=str(number)))
    assert ids(decisions) == ["3", "2", "1", "0"]
    assert ids(decisions, limit="2") == ["3", "2"]
    assert ids(decisions, limit="0") == []
    assert ids(decisions, tier="large") == ["2", "0"]
    assert ids(decisions, tier="large", limit="1") == ["2"]
    assert ids(decisions, tier="none") == []


@pytest.mark.parametrize("limit", ["-1", "all", "", "1e9", "9" * 5000])
def test_a_limit_that_is_no_number_is_400(limit: str) -> None:
    assert Decisions().answer("/decisions", {"limit": limit}, "").status == 400


def test_only_the_last_are_kept_but_the_sums_go_on(call: CallRecord) -> None:
    decisions = Decisions(3)
    for number in range(10):
        add(decisions, replace(call, id=str(number)))
    assert ids(decisions) == ["9", "8", "7"]
    totals = decisions.totals()
    assert totals["calls"] == 10
    assert totals["cost"] == "0.0018"
    assert (totals["topTierCost"], totals["saved"]) == ("0.03", "0.0282")
    assert totals["savedPercent"] == 94.0


def test_large_records_push_out_older_ones(call: CallRecord) -> None:
    size = len(encode(as_json(call)))
    decisions = Decisions(100, max_bytes=3 * size)
    for number in range(10):
        add(decisions, replace(call, id=f"{number:026}"))
    assert len(ids(decisions)) == 3


def test_the_same_id_twice_is_kept_once(call: CallRecord) -> None:
    decisions = Decisions()
    add(decisions, call, replace(call, status=201))
    assert [one["status"] for one in listed(decisions)["decisions"]] == [201]


def test_totals_are_split_by_tier_and_refused_calls_have_none(
    call: CallRecord, refused: CallRecord, fallen_back: CallRecord, attempt: Make
) -> None:
    unpriced = replace(call, id="u", attempts=(attempt(1, "small", usage=Usage(), cost=None),))
    decisions = Decisions()
    add(decisions, call, refused, fallen_back, unpriced)
    totals = decisions.totals()
    by_tier = totals["byTier"]
    assert isinstance(by_tier, dict)
    assert {tier: sums["calls"] for tier, sums in by_tier.items()} == {
        "": 1,
        "small": 2,
        "large": 1,
    }
    assert totals["unpricedCalls"] == by_tier["small"]["unpricedCalls"] == 1
    assert Decimal(str(totals["cost"])) == Decimal("0.00018") + Decimal("0.0035")


def test_percentiles_are_of_calls_that_happened(call: CallRecord) -> None:
    decisions = Decisions()
    assert (decisions.totals()["p50Ms"], decisions.totals()["p95Ms"]) == (None, None)
    for number in range(1, 101):
        add(decisions, replace(call, id=str(number), duration_ms=float(number)))
    assert (decisions.totals()["p50Ms"], decisions.totals()["p95Ms"]) == (50.0, 95.0)


def test_a_record_of_hostile_text_is_listed(call: CallRecord) -> None:
    hostile = Features(
        endpoint=Endpoint.CHAT_COMPLETIONS, dialect=Dialect.OPENAI, model="\ud800<script>"
    )
    decisions = Decisions()
    add(decisions, replace(call, features=hostile))
    assert listed(decisions)["decisions"][0]["requestedModel"] == "\ud800<script>"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
def test_browsers_get_the_page_and_programs_json(accept: str, content_type: str) -> None:
    assert Decisions().answer("/decisions", {}, accept).headers["content-type"] == content_type
