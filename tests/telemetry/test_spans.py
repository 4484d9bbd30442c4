from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tiermesh_sidecar.core.features import Dialect, Endpoint, Features
from tiermesh_sidecar.core.outcome import Ending, Usage
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord
from tiermesh_sidecar.telemetry.account import account
from tiermesh_sidecar.telemetry.spans import FinishedSpan, finished_spans

Make = Callable[..., AttemptOutcome]


def spans_of(call: CallRecord) -> tuple[FinishedSpan, ...]:
    return finished_spans(call, account(call))


def test_the_route_span_tells_the_whole_decision(call: CallRecord) -> None:
    route = spans_of(call)[0]
    assert (route.name, route.server) == ("tiermesh.route", True)
    assert (route.span_id, route.parent_id) == ("b7ad6b7169203331", "00f067aa0ba902b7")
    assert route.attributes == {
        "tiermesh.decision.id": call.id,
        "tiermesh.policy": "shop/checkout@0a1b2c3d",
        "tiermesh.rule": "steps",
        "tiermesh.tier": "small",
        "tiermesh.backend": "small-a",
        "tiermesh.reason": "Chosen",
        "tiermesh.candidates": ("small=Chosen", "large=InPlan"),
        "tiermesh.signal.complexity": 0.25,
        "tiermesh.cost": 0.00018,
        "tiermesh.cost.top_tier": 0.003,
        "tiermesh.ending": "answered",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "auto",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 256,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
    }
    assert route.error is None


def test_the_attempt_span_follows_the_genai_conventions(call: CallRecord) -> None:
    attempt = spans_of(call)[1]
    assert (attempt.name, attempt.server) == ("chat vendor/small-model", False)
    assert attempt.parent_id == call.trace.span_id
    assert attempt.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "vendor/small-model",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 256,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "small-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.12,
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 400,
        "server.address": "small.models.svc",
        "server.port": 8000,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "tiermesh.attempt.number": 1,
        "tiermesh.tier": "small",
        "tiermesh.backend": "small-a",
        "tiermesh.cost": 0.00018,
    }


def test_times_are_the_calls_time_plus_the_offsets_to_the_nanosecond(call: CallRecord) -> None:
    route, attempt = spans_of(call)
    assert route.start_ns == 1_732_300_000_123_456_000
    assert route.end_ns - route.start_ns == 251_500_000
    assert attempt.start_ns - route.start_ns == 1_000_000
    assert attempt.end_ns - attempt.start_ns == 249_000_000


def test_a_fallback_shows_both_attempts_and_only_the_first_as_failed(
    fallen_back: CallRecord,
) -> None:
    route, first, second = spans_of(fallen_back)
    assert (route.error, first.error, second.error) == (None, "503", None)
    assert first.attributes["error.type"] == "503"
    assert first.attributes["http.response.status_code"] == 503
    assert [s.attributes["tiermesh.attempt.number"] for s in (first, second)] == [1, 2]
    assert (route.attributes["tiermesh.tier"], route.attributes["tiermesh.reason"]) == (
        "large",
        "InPlan",
    )
    assert "tiermesh.cost" not in first.attributes


def test_a_failure_after_the_commit_is_an_error_of_the_attempt_and_of_the_route(
    call: CallRecord, attempt: Make
) -> None:
    cut = attempt(1, "small", error="connection_reset", usage=Usage(output=3, estimated=True))
    route, span = spans_of(replace(call, ending=Ending.BROKEN, attempts=(cut,)))
    assert (route.error, span.error) == ("connection_reset", "connection_reset")
    assert route.attributes["error.type"] == "connection_reset"
    assert route.attributes["http.response.status_code"] == 200
    assert span.attributes["tiermesh.usage.estimated"] is True


def test_a_refused_call_is_an_error_with_our_code_and_the_rejections(refused: CallRecord) -> None:
    (route,) = spans_of(refused)
    assert (route.error, route.attributes["error.type"]) == ("not_permitted", "not_permitted")
    assert route.attributes["tiermesh.candidates"] == ("small=Region", "large=Retention")
    assert route.attributes["tiermesh.reason"] == "Region"
    assert "tiermesh.tier" not in route.attributes
    assert route.attributes["http.response.status_code"] == 403


def test_a_providers_error_that_reaches_the_caller_is_an_error(
    call: CallRecord, attempt: Make
) -> None:
    sent = attempt(1, "small", status=400, error="http_400")
    route, span = spans_of(replace(call, status=400, attempts=(sent,)))
    assert (route.error, span.error) == ("400", "400")


def test_a_caller_that_left_is_no_error_of_anyone(call: CallRecord, attempt: Make) -> None:
    left = attempt(1, "small", status=None, error="cancelled")
    route, span = spans_of(replace(call, status=499, ending=Ending.CLIENT_GONE, attempts=(left,)))
    assert (route.error, span.error) == (None, None)
    assert span.attributes["error.type"] == "cancelled"
    assert "http.response.status_code" not in route.attributes
    assert route.attributes["tiermesh.ending"] == "client_gone"


def test_a_call_refused_before_it_was_read_still_has_its_span(call: CallRecord) -> None:
    early = replace(
        call,
        policy=None,
        decision=None,
        features=None,
        attempts=(),
        status=503,
        ending=Ending.REFUSED,
        error_code="no_config",
    )
    (route,) = spans_of(early)
    assert route.error == "no_config"
    assert not [name for name in route.attributes if name.startswith("gen_ai.")]


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (Endpoint.CHAT_COMPLETIONS, "chat vendor/small-model"),
        (Endpoint.MESSAGES, "chat vendor/small-model"),
        (Endpoint.COMPLETIONS, "text_completion vendor/small-model"),
        (Endpoint.EMBEDDINGS, "embeddings vendor/small-model"),
        (Endpoint.OTHER, "POST"),
    ],
)
def test_attempts_are_named_by_operation_and_model(
    call: CallRecord, endpoint: Endpoint, name: str
) -> None:
    other = replace(call, features=Features(endpoint=endpoint, dialect=Dialect.OPENAI))
    assert spans_of(other)[1].name == name


def test_hostile_text_is_cut_and_made_encodable(call: CallRecord, attempt: Make) -> None:
    hostile = Features(
        endpoint=Endpoint.CHAT_COMPLETIONS,
        dialect=Dialect.OPENAI,
        model="\ud800" + "é" * 5000,
        max_tokens=10**30,
    )
    sent = attempt(1, "small", response_id="\udfff", finish_reasons=("x" * 999,) * 99)
    for span in spans_of(replace(call, features=hostile, attempts=(sent,))):
        assert span.attributes["gen_ai.request.max_tokens"] == 2**63 - 1
        for value in (span.name, *span.attributes.values()):
            for text in value if isinstance(value, tuple) else (value,):
                assert not isinstance(text, str) or len(text.encode("utf-8")) <= 1024


def test_no_query_header_or_prompt_is_ever_an_attribute(call: CallRecord) -> None:
    assert "secret" not in repr(spans_of(replace(call, content="a secret prompt")))
