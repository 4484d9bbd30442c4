"""One trace says why: from the application's own span through the decision to each attempt, read
back from a real Jaeger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from jaeger_client import Jaeger, Span
from live_sidecar import LiveSidecar, live_sidecar
from traced_app import SERVICE, TracedApp, elsewhere, traced_app

from tiermesh_sidecar.demo.providers import FaultKind, Received, broken, stall, status

HELLO: list[Any] = [{"role": "user", "content": "Say hello"}]
ASKED = "gpt-4o"
ALL = ["small=Chosen", "medium=InPlan", "large=InPlan"]


@asynccontextmanager
async def running(jaeger: Jaeger, folder: Path) -> AsyncIterator[tuple[LiveSidecar, TracedApp]]:
    tracing = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=checkout-1",
    }
    async with live_sidecar(folder, tracing) as sidecar, traced_app(sidecar.data, jaeger.otlp) as a:
        yield sidecar, a


def asked_by(received: Received, attempt: Span, trace_id: str) -> bool:
    """The provider was told that this attempt is its parent."""
    return received.header("traceparent") == f"00-{trace_id}-{attempt.id}-01"


def picked(span: Span, *names: str) -> list[Any]:
    return [span.tags.get(name) for name in names]


async def test_a_call_is_one_trace_from_the_application_through_the_decision_to_the_attempt(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    async with running(jaeger, tmp_path) as (sidecar, app):
        with app.step("check out") as step:
            raw = await app.openai.chat.completions.with_raw_response.create(
                model=ASKED, messages=HELLO, max_tokens=50, extra_headers=step.headers
            )
        answer = raw.parse()
        own, route, attempt = await jaeger.trace(step.trace_id, spans=3)
        (received,) = sidecar.providers["small"].received
        record = await sidecar.record(raw.headers["x-tiermesh-decision"])

    assert [s.name for s in (own, route, attempt)] == [
        "check out",
        "tiermesh.route",
        "chat small-2025",
    ]
    assert [s.service for s in (own, route, attempt)] == [SERVICE, *["tiermesh-sidecar"] * 2]
    assert [s.parent_id for s in (own, route, attempt)] == [None, step.span_id, route.id]
    assert [s.kind for s in (own, route, attempt)] == ["internal", "server", "client"]
    assert own.start_us <= route.start_us <= attempt.start_us
    assert attempt.end_us <= route.end_us <= own.end_us
    assert [s.warnings for s in (own, route, attempt)] == [()] * 3
    assert not any(s.failed for s in (own, route, attempt))
    assert route.resource["k8s.pod.name"] == "checkout-1"
    assert asked_by(received, attempt, step.trace_id)

    assert answer.usage
    cost = (answer.usage.prompt_tokens * 1 + answer.usage.completion_tokens * 2) / 1e6
    assert cost == pytest.approx(float(raw.headers["x-tiermesh-cost"]))
    check_route(route, raw.headers, record, cost)
    check_attempt(attempt, received, answer, cost)


def check_route(route: Span, headers: Any, record: dict[str, Any], cost: float) -> None:
    for name in ("tier", "backend", "rule", "reason", "policy"):
        assert route.tags[f"tiermesh.{name}"] == headers[f"x-tiermesh-{name}"] == record[name]
    assert route.tags["tiermesh.decision.id"] == headers["x-tiermesh-decision"]
    assert route.tags["tiermesh.rule"] == "rest"
    assert route.strings("tiermesh.candidates") == ALL
    assert route.tags["tiermesh.signal.complexity"] == record["signals"]["complexity"]
    assert route.tags["tiermesh.cost"] == pytest.approx(cost)
    assert route.tags["tiermesh.cost.top_tier"] == pytest.approx(10 * cost)
    assert picked(route, "tiermesh.ending", "gen_ai.operation.name", "gen_ai.request.model") == [
        "answered",
        "chat",
        ASKED,
    ]
    assert picked(route, "http.request.method", "url.path", "http.response.status_code") == [
        "POST",
        "/v1/chat/completions",
        200,
    ]
    assert record["spanId"] == route.id
    assert route.tags["otel.scope.name"] == "tiermesh"
    # Usage stands on attempts alone: a sum over all spans counts it once.
    assert not [name for name in route.tags if name.startswith("gen_ai.usage")]


def check_attempt(attempt: Span, received: Received, answer: Any, cost: float) -> None:
    host, _, port = (received.header("host") or "").partition(":")
    assert picked(attempt, "server.address", "server.port") == [host, int(port)]
    assert picked(attempt, "tiermesh.attempt.number", "tiermesh.tier", "tiermesh.backend") == [
        1,
        "small",
        "small",
    ]
    assert picked(attempt, "gen_ai.operation.name", "gen_ai.provider.name") == ["chat", "openai"]
    assert picked(attempt, "gen_ai.request.model", "gen_ai.request.max_tokens") == [
        "small-2025",
        50,
    ]
    assert picked(attempt, "gen_ai.response.id", "gen_ai.response.model") == [
        answer.id,
        "small-2025",
    ]
    assert attempt.strings("gen_ai.response.finish_reasons") == [answer.choices[0].finish_reason]
    assert picked(attempt, "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens") == [
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    ]
    assert attempt.tags["tiermesh.cost"] == pytest.approx(cost)
    assert attempt.tags["http.response.status_code"] == 200


async def test_a_fallback_is_two_attempts_of_which_the_first_failed(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    async with running(jaeger, tmp_path) as (sidecar, app):
        sidecar.providers["small"].enqueue(status(503))
        with app.step("check out") as step:
            raw = await app.openai.chat.completions.with_raw_response.create(
                model=ASKED, messages=HELLO, extra_headers={**step.headers, "x-step": "classify"}
            )
        _, route, first, second = await jaeger.trace(step.trace_id, spans=4)
        (asked_first,) = sidecar.providers["small"].received
        (asked_second,) = sidecar.providers["medium"].received

    assert (raw.headers["x-tiermesh-tier"], raw.headers["x-tiermesh-attempts"]) == ("medium", "2")
    assert [s.parent_id for s in (first, second)] == [route.id] * 2
    assert [s.tags["tiermesh.attempt.number"] for s in (first, second)] == [1, 2]
    assert [s.name for s in (first, second)] == ["chat small-2025", "chat medium-2025"]
    assert [s.failed for s in (route, first, second)] == [False, True, False]
    assert picked(first, "http.response.status_code", "error.type") == [503, "503"]
    assert "tiermesh.cost" not in first.tags
    assert asked_by(asked_first, first, step.trace_id)
    assert asked_by(asked_second, second, step.trace_id)
    assert picked(route, "tiermesh.rule", "tiermesh.tier", "tiermesh.reason") == [
        "steps",
        "medium",
        "InPlan",
    ]
    assert route.tags["tiermesh.cost"] == second.tags["tiermesh.cost"]
    assert route.strings("tiermesh.candidates") == ALL


async def test_a_stream_has_its_usage_and_the_time_to_its_first_chunk(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    async with running(jaeger, tmp_path) as (_, app):
        with app.step("check out") as step:
            stream = await app.openai.chat.completions.create(
                model=ASKED, messages=HELLO, stream=True, extra_headers=step.headers
            )
            chunks = [chunk async for chunk in stream]
        _, route, attempt = await jaeger.trace(step.trace_id, spans=3)

    assert [chunk.usage for chunk in chunks if chunk.usage] == []  # the app did not ask for it
    assert attempt.tags["gen_ai.usage.output_tokens"] > 0
    assert "tiermesh.usage.estimated" not in attempt.tags
    first_chunk = attempt.tags["gen_ai.response.time_to_first_chunk"]
    assert 0 < first_chunk <= (attempt.end_us - attempt.start_us + 1) / 1e6
    assert [s.tags["gen_ai.request.stream"] for s in (route, attempt)] == [True, True]
    assert attempt.tags["gen_ai.response.id"] == chunks[0].id
    assert attempt.strings("gen_ai.response.finish_reasons") == ["stop"]
    assert route.tags["tiermesh.cost"] == attempt.tags["tiermesh.cost"] > 0


async def test_a_stream_that_breaks_is_an_error_of_the_attempt_and_of_the_route(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    async with running(jaeger, tmp_path) as (sidecar, app):
        sidecar.providers["small"].enqueue(broken(FaultKind.RESET_MID_BODY))
        with app.step("check out") as step:
            stream = await app.openai.chat.completions.create(
                model=ASKED, messages=HELLO, stream=True, extra_headers=step.headers
            )
            with pytest.raises(openai.APIError):
                [chunk async for chunk in stream]
        _, route, attempt = await jaeger.trace(step.trace_id, spans=3)

    assert [s.failed for s in (route, attempt)] == [True, True]
    assert picked(route, "tiermesh.ending", "http.response.status_code") == ["broken", 200]
    # What the caller was told, and what happened.
    assert [s.tags["error.type"] for s in (route, attempt)] == [
        "upstream_failed",
        "connection_reset",
    ]


async def test_a_caller_that_leaves_is_no_error(jaeger: Jaeger, tmp_path: Path) -> None:
    async with running(jaeger, tmp_path) as (sidecar, app):
        sidecar.providers["small"].enqueue(stall(60, after=2))
        with app.step("check out") as step:
            stream = await app.openai.chat.completions.create(
                model=ASKED, messages=HELLO, stream=True, extra_headers=step.headers
            )
            async for _ in stream:
                break
            await stream.close()
        _, route, attempt = await jaeger.trace(step.trace_id, spans=3)

    assert [s.failed for s in (route, attempt)] == [False, False]
    assert route.tags["tiermesh.ending"] == "client_gone"
    assert attempt.tags["error.type"] == "cancelled"


async def test_a_refused_call_is_an_error_without_attempts(jaeger: Jaeger, tmp_path: Path) -> None:
    async with running(jaeger, tmp_path) as (sidecar, app):
        with app.step("check out") as step, pytest.raises(openai.PermissionDeniedError) as refused:
            await app.openai.chat.completions.create(
                model="large", messages=HELLO, extra_headers={**step.headers, "x-plan": "free"}
            )
        _, route = await jaeger.trace(step.trace_id, spans=2)
        calls = sum(provider.count for provider in sidecar.providers.values())

    assert calls == 0
    assert refused.value.code == route.tags["error.type"] == "not_entitled"
    assert route.failed
    assert picked(route, "http.response.status_code", "tiermesh.ending") == [403, "refused"]
    assert "large=NotEntitled" in route.strings("tiermesh.candidates")
    assert "tiermesh.tier" not in route.tags


async def test_a_providers_own_error_is_the_routes_error(jaeger: Jaeger, tmp_path: Path) -> None:
    async with running(jaeger, tmp_path) as (_, app):
        with app.step("check out") as step, pytest.raises(openai.BadRequestError):
            await app.openai.chat.completions.create(
                model=ASKED, messages=HELLO, temperature=9, extra_headers=step.headers
            )
        _, route, attempt = await jaeger.trace(step.trace_id, spans=3)

    assert [s.failed for s in (route, attempt)] == [True, True]
    assert [s.tags["error.type"] for s in (route, attempt)] == ["400", "400"]


async def test_a_message_to_anthropic_is_a_chat_of_the_provider_anthropic(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    async with running(jaeger, tmp_path) as (sidecar, app):
        async with anthropic.AsyncAnthropic(
            base_url=sidecar.data, api_key="sk-of-the-app", max_retries=0
        ) as client:
            with app.step("check out") as step:
                answer = await client.messages.create(
                    model="auto", max_tokens=64, messages=HELLO, extra_headers=step.headers
                )
        _, route, attempt = await jaeger.trace(step.trace_id, spans=3)
        (received,) = sidecar.providers["large-messages"].received

    assert attempt.name == "chat large-messages-2025"
    assert picked(attempt, "gen_ai.provider.name", "gen_ai.response.id") == ["anthropic", answer.id]
    assert attempt.tags["gen_ai.usage.output_tokens"] == answer.usage.output_tokens
    assert asked_by(received, attempt, step.trace_id)
    assert route.strings("tiermesh.candidates") == [
        "small=Capability",
        "medium=Capability",
        "large=Chosen",
    ]


async def test_tracestate_goes_on_to_the_provider_and_into_the_spans(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    state = "vendor=opaque:1,other=2"
    async with running(jaeger, tmp_path) as (sidecar, app):
        with app.step("check out", came_from=elsewhere(state=state)) as step:
            await app.openai.chat.completions.create(
                model=ASKED, messages=HELLO, extra_headers=step.headers
            )
        spans = await jaeger.trace(step.trace_id, spans=3)
        (received,) = sidecar.providers["small"].received

    assert step.headers["tracestate"] == state
    assert received.header("tracestate") == state
    assert [span.tags["w3c.tracestate"] for span in spans] == [state] * 3


async def test_a_call_that_its_caller_does_not_sample_is_not_exported(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    async with running(jaeger, tmp_path) as (sidecar, app):
        with app.step("unsampled", came_from=elsewhere(sampled=False)) as unsampled:
            raw = await app.openai.chat.completions.with_raw_response.create(
                model=ASKED, messages=HELLO, extra_headers=unsampled.headers
            )
        record = await sidecar.record(raw.headers["x-tiermesh-decision"])
        # Spans leave in order: once a later call is there, this one is not on its way any more.
        with app.step("sampled") as sampled:
            await app.openai.chat.completions.create(
                model=ASKED, messages=HELLO, extra_headers=sampled.headers
            )
        await jaeger.trace(sampled.trace_id, spans=3)
        received = sidecar.providers["small"].received[0]
        assert await jaeger.spans_now(unsampled.trace_id) == []

    assert record["traceId"] == unsampled.trace_id
    parent = record["attempts"][0]["spanId"]
    assert received.header("traceparent") == f"00-{unsampled.trace_id}-{parent}-00"


async def test_a_call_without_a_trace_starts_one(jaeger: Jaeger, tmp_path: Path) -> None:
    async with running(jaeger, tmp_path) as (sidecar, app):
        raw = await app.openai.chat.completions.with_raw_response.create(
            model=ASKED, messages=HELLO
        )
        record = await sidecar.record(raw.headers["x-tiermesh-decision"])
        route, attempt = await jaeger.trace(record["traceId"], spans=2)
        (received,) = sidecar.providers["small"].received

    assert (route.parent_id, attempt.parent_id) == (None, route.id)
    assert asked_by(received, attempt, record["traceId"])


async def test_spans_that_still_wait_are_sent_before_the_sidecar_ends(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    never = {"OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    async with live_sidecar(tmp_path, never) as sidecar, traced_app(sidecar.data, jaeger.otlp) as a:
        with a.step("check out") as step:
            await a.openai.chat.completions.create(
                model=ASKED, messages=HELLO, extra_headers=step.headers
            )
        assert await sidecar.stop() == 0
        await jaeger.trace(step.trace_id, spans=3)


async def test_what_the_collector_was_sent_is_nowhere_the_prompt_or_a_key(
    jaeger: Jaeger, tmp_path: Path
) -> None:
    secret = "the launch code is 4711"
    async with running(jaeger, tmp_path) as (_, app):
        with app.step("check out") as step:
            await app.openai.chat.completions.create(
                model=ASKED,
                messages=[{"role": "user", "content": secret}],
                extra_headers=step.headers,
            )
        spans = await jaeger.trace(step.trace_id, spans=3)
    sent = [
        str(value) for span in spans for value in (*span.tags.values(), *span.resource.values())
    ]
    assert [text for text in sent if "4711" in text or "sk-of" in text] == []
