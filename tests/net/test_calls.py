"""Whole calls against strict fake providers: decided, sent, answered, recorded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from net_kit import (
    CANARY,
    CHAT,
    MESSAGE,
    RawUpstream,
    ask,
    connect,
    json_answer,
    policy,
    read_answer,
    request_bytes,
    secret,
    serving,
    tier,
)

from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.demo.providers.server import Dialect, FakeProvider
from tiermesh_sidecar.net.runner import Runner
from tiermesh_sidecar.telemetry.audit import as_json


async def test_a_call_is_decided_sent_and_explained_in_headers(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    assert answer.status == 200
    assert answer.json()["model"] == "small"
    call = recorder.calls[0]
    assert answer.header("x-tiermesh-decision") == call.id
    assert call.decision is not None
    assert answer.header("x-tiermesh-policy") == call.decision.policy
    for name, value in {
        "rule": "default",
        "tier": "small",
        "backend": "small-a",
        "model": "small",
        "reason": "Chosen",
        "attempts": "1",
    }.items():
        assert answer.header(f"x-tiermesh-{name}") == value
    usage = answer.json()["usage"]
    tokens = usage["prompt_tokens"] + usage["completion_tokens"]
    assert call.attempts[0].cost == tokens * 1_000_000
    assert answer.header("x-tiermesh-cost") == f"{tokens / 1e6:f}".rstrip("0")
    assert provider.leaked == provider.leaked.__class__()


async def test_the_record_tells_usage_ending_and_overhead(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    call = recorder.calls[0]
    attempt = call.attempts[0]
    assert (call.ending, call.status, call.error_code) == (Ending.ANSWERED, 200, None)
    assert attempt.usage is not None
    assert attempt.usage.input == answer.json()["usage"]["prompt_tokens"]
    assert not attempt.usage.estimated
    assert attempt.response_id == answer.json()["id"]
    assert attempt.finish_reasons == ("stop",)
    assert 0 < call.overhead_ms <= call.duration_ms
    assert (attempt.server_address, attempt.server_port) == ("127.0.0.1", provider.port)


async def test_the_trace_of_the_caller_goes_on_with_the_attempt_as_parent(tmp_path: Path) -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with FakeProvider(model="small", key=CANARY) as provider:
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            states = [(b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
            await ask(sidecar, headers=[*states, (b"traceparent", trace)])
        received = provider.received[-1]
    call = recorder.calls[0]
    assert call.trace.parent_span_id == "b7ad6b7169203331"
    parent = received.header("traceparent")
    assert parent is not None
    _, trace_id, span_id, _ = parent.split("-")
    assert trace_id == call.trace.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert span_id == call.attempts[0].span_id
    assert received.header("tracestate") == "a=1,b=2"


async def test_anthropic_messages_go_to_an_anthropic_backend(tmp_path: Path) -> None:
    async with FakeProvider(model="claude", key=CANARY, dialect=Dialect.ANTHROPIC) as provider:
        documents = (
            tier("claude", provider.url, rank=1, provider="Anthropic"),
            policy("claude"),
            secret(),
        )
        headers = [(b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"app")]
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar, MESSAGE, target="/v1/messages", headers=headers)
    assert (answer.status, answer.json()["type"]) == (200, "message")
    assert provider.received[-1].header("x-api-key") == CANARY
    assert recorder.calls[0].attempts[0].usage is not None


async def test_unversioned_twins_are_served_the_same(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar, target="/chat/completions")
        assert provider.received[-1].raw_path == "/v1/chat/completions"
    assert answer.status == 200


async def test_a_providers_error_reaches_the_caller_as_it_came(tmp_path: Path) -> None:
    body = b'{"error": {"message": "too hot", "type": "invalid_request_error"}}'
    raw = json_answer(body, b"x-request-id: r1", status=b"422 Odd")
    async with RawUpstream(raw) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    assert (answer.status, answer.reason, answer.body) == (422, b"Odd", body)
    assert answer.header("x-request-id") == "r1"
    assert len(upstream.heads) == 1
    assert recorder.calls[0].ending is Ending.ANSWERED


async def test_a_redirect_is_relayed_and_not_followed(tmp_path: Path) -> None:
    raw = b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with RawUpstream(raw) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert (answer.status, answer.header("location")) == (307, "http://127.0.0.1:1/")


@pytest.mark.parametrize(
    ("target", "dialect"), [("/v1/chat/completions", "openai"), ("/v1/messages", "anthropic")]
)
@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (b"{", "invalid_request", 400),
        (b"[]", "invalid_request", 400),
        (b'{"model":"a","model":"b","messages":[]}', "invalid_request", 400),
        (json.dumps({**MESSAGE, "pad": "x" * 3000}).encode(), "body_too_large", 413),
    ],
)
async def test_bad_bodies_are_refused_in_the_callers_dialect(
    tmp_path: Path, target: str, dialect: str, body: bytes, code: str, status: int
) -> None:
    documents = tier("small", "http://127.0.0.1:1", rank=1), policy("small"), secret()
    async with serving(tmp_path, *documents, max_body=2000) as (sidecar, recorder):
        answer = await ask(sidecar, body, target=target)
    assert (answer.status, answer.code) == (status, code)
    assert ("type" in answer.json()) == (dialect == "anthropic")
    call = recorder.calls[0]
    assert (call.ending, call.error_code, call.attempts) == (Ending.REFUSED, code, ())


async def test_a_chunked_body_that_grows_too_large_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, max_body=1000) as (sidecar, _):
        reader, writer = await connect(sidecar)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"7d0\r\n"
            + b"x" * 2000
            + b"\r\n"
        )
        answer = await read_answer(reader)
        writer.close()
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert answer.header("connection") == "close"


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/", 404, "not_found"),
        ("/v2/chat/completions", 404, "not_found"),
        ("/v1/../admin", 400, "invalid_request"),
        ("/v1/a%2fb", 400, "invalid_request"),
        ("/v1/feedback", 404, "not_found"),
        ("/v1/files", 404, None),
    ],
)
async def test_paths_that_are_not_served(
    tmp_path: Path, target: str, status: int, code: str | None
) -> None:
    documents = tier("small", "http://127.0.0.1:1", rank=1), policy("small"), secret()
    async with serving(tmp_path, *documents) as (sidecar, _):
        answer = await ask(sidecar, target=target)
    assert answer.status == status
    assert code is None or answer.code == code


async def test_an_unknown_model_is_404_and_names_what_there_is(tmp_path: Path) -> None:
    documents = (
        tier("small", "http://127.0.0.1:1", rank=1),
        policy("small", models={"route": ["auto"]}),
        secret(),
    )
    async with serving(tmp_path, *documents) as (sidecar, recorder):
        answer = await ask(sidecar, {**CHAT, "model": "gpt-9"})
    assert (answer.status, answer.code) == (404, "model_not_found")
    assert answer.header("x-tiermesh-decision") == recorder.calls[0].id
    assert answer.header("x-tiermesh-tier") is None


async def test_the_model_list_names_what_may_be_asked_for(tmp_path: Path) -> None:
    documents = (
        tier("small", "http://127.0.0.1:1", rank=1, aliases=["fast"]),
        tier("large", "http://127.0.0.1:1", rank=2),
        policy(
            "small",
            "large",
            identity=[{"attribute": "plan", "header": "x-plan"}],
            entitlements={
                "default": "All",
                "grants": [{"name": "free", "when": 'caller.plan == "free"', "tiers": ["small"]}],
            },
        ),
        secret(),
    )
    async with serving(tmp_path, *documents) as (sidecar, _):
        everyone = await ask(sidecar, target="/v1/models", method="GET")
        free = await ask(sidecar, target="/v1/models", method="GET", headers=[(b"x-plan", b"free")])
        one = await ask(sidecar, target="/v1/models/fast", method="GET")
        none = await ask(sidecar, target="/models/nope", method="GET")
        head = await ask(sidecar, target="/v1/models", method="HEAD")
    assert [m["id"] for m in everyone.json()["data"]] == ["auto", "small", "fast", "large"]
    assert [m["id"] for m in free.json()["data"]] == ["auto", "small", "fast"]
    assert one.json()["id"] == "fast"
    assert (none.status, none.code) == (404, "model_not_found")
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == everyone.header("content-length")


async def test_a_rights_refusal_tells_the_first_rejection(tmp_path: Path) -> None:
    documents = (
        tier("small", "http://127.0.0.1:1", rank=1),
        policy("small", entitlements={"default": "None"}),
        secret(),
    )
    async with serving(tmp_path, *documents) as (sidecar, _):
        answer = await ask(sidecar)
    assert (answer.status, answer.code) == (403, "not_entitled")
    assert answer.header("x-tiermesh-reason") == "NotEntitled"


async def test_a_refusal_tells_its_own_rejection_and_not_what_the_pin_left_out(
    tmp_path: Path,
) -> None:
    documents = (
        tier("small", "http://127.0.0.1:1", rank=1),
        tier("large", "http://127.0.0.1:1", rank=2),
        policy(
            "small",
            "large",
            entitlements={"default": "None", "grants": [{"name": "all", "tiers": ["small"]}]},
        ),
        secret(),
    )
    async with serving(tmp_path, *documents) as (sidecar, recorder):
        answer = await ask(sidecar, {**CHAT, "model": "large"})
        record = as_json(await recorder.wait_for(1))
    assert (answer.status, answer.code) == (403, "not_entitled")
    assert answer.header("x-tiermesh-reason") == record["reason"] == "NotEntitled"


async def test_without_any_configuration_every_call_is_503(tmp_path: Path) -> None:
    async with serving(tmp_path) as (sidecar, recorder):
        answer = await ask(sidecar)
        other = await ask(sidecar, MESSAGE, target="/v1/messages")
    assert (answer.status, answer.code) == (503, "no_config")
    assert other.json()["error"]["code"] == "no_config"
    assert [call.error_code for call in recorder.calls] == ["no_config", "no_config"]


async def test_a_disabled_policy_relays_to_the_original_address_untouched(tmp_path: Path) -> None:
    async with RawUpstream(json_answer(b'{ "as": "it is" }')) as upstream:
        documents = (
            tier("small", "http://127.0.0.1:1", rank=1),
            policy("small", mode="Disabled"),
            secret(),
        )
        headers = [
            (b"Authorization", b"Bearer app-key"),
            (b"Accept-Encoding", b"br"),
            (b"traceparent", b"odd"),
            (b"x-tiermesh-task", b"hint"),
        ]
        async with serving(tmp_path, *documents, original_openai_url=f"{upstream.url}/v1") as (
            sidecar,
            recorder,
        ):
            answer = await ask(sidecar, headers=headers)
    assert (answer.status, answer.body) == (200, b'{ "as": "it is" }')
    assert answer.header("x-tiermesh-tier") is None
    assert json.loads(upstream.bodies[0]) == CHAT
    head = upstream.heads[0]
    assert b"Authorization: Bearer app-key\r\nAccept-Encoding: br\r\ntraceparent: odd" in head
    assert CANARY.encode() not in head
    assert b"x-tiermesh" not in head.lower()
    assert recorder.calls[0].decision is None


async def test_observe_decides_and_records_but_relays(tmp_path: Path) -> None:
    answer_body = {"id": "o1", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    async with RawUpstream(json_answer(answer_body)) as upstream:
        documents = (
            tier("small", "http://127.0.0.1:1", rank=1),
            policy("small", mode="Observe"),
            secret(),
        )
        async with serving(tmp_path, *documents, original_openai_url=f"{upstream.url}/v1") as (
            sidecar,
            recorder,
        ):
            answer = await ask(sidecar)
    assert answer.json() == answer_body
    call = recorder.calls[0]
    assert call.decision is not None
    assert call.decision.tier == "small"
    assert call.attempts[0].usage is not None
    assert call.attempts[0].usage.output == 4
    assert answer.header("x-tiermesh-tier") is None


async def test_a_pod_that_no_policy_selects_is_relayed(tmp_path: Path) -> None:
    async with RawUpstream(json_answer(b"{}")) as upstream:
        documents = (
            tier("small", "http://127.0.0.1:1", rank=1),
            policy("small", selector={"matchLabels": {"app": "other"}}),
            secret(),
        )
        async with serving(tmp_path, *documents, original_openai_url=f"{upstream.url}/v1") as (
            sidecar,
            _,
        ):
            answer = await ask(sidecar, target="/v1/files/1", method="DELETE", body=b"")
    assert answer.status == 200
    assert upstream.heads[0].startswith(b"DELETE /v1/files/1 HTTP/1.1\r\n")


async def test_baseline_serves_the_highest_rank(tmp_path: Path) -> None:
    async with FakeProvider(model=["small", "large"], key=CANARY) as provider:
        documents = (
            tier("small", provider.url, rank=1),
            tier("large", provider.url, rank=2),
            policy("small", "large", mode="Baseline"),
            secret(),
        )
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert answer.header("x-tiermesh-tier") == "large"
    assert answer.header("x-tiermesh-rule") is None


async def test_a_head_request_is_passed_through_without_a_body(tmp_path: Path) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\nX-A: 1\r\n\r\n"
    async with RawUpstream(raw) as upstream:
        documents = (
            tier("small", upstream.url, rank=1),
            policy("small", models={"passThroughTier": "small"}),
            secret(),
        )
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar, target="/v1/files/1", method="HEAD")
    assert (answer.status, answer.header("content-length"), answer.body) == (200, "77", b"")


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            reader, writer = await connect(sidecar)
            writer.write(request_bytes("/v1/chat/completions", CHAT))
            writer.write(request_bytes("/v1/models", None, method="GET"))
            first, second = await read_answer(reader), await read_answer(reader)
            writer.close()
    assert first.json()["object"] == "chat.completion"
    assert second.json()["object"] == "list"


async def test_a_backend_that_asks_for_no_credentials_gets_none(tmp_path: Path) -> None:
    async with RawUpstream(json_answer({"choices": []})) as upstream:
        documents = tier("small", upstream.url, rank=1, credentials={"none": {}}), policy("small")
        async with serving(tmp_path, *documents) as (sidecar, _):
            await ask(sidecar, headers=[(b"Authorization", b"Bearer app-key")])
    assert b"authorization" not in upstream.heads[0].lower()


async def test_pass_through_credentials_are_the_apps_own(tmp_path: Path) -> None:
    async with RawUpstream(json_answer({"choices": []})) as upstream:
        documents = (
            tier("small", upstream.url, rank=1, credentials={"passThrough": {}}),
            policy("small"),
        )
        async with serving(tmp_path, *documents) as (sidecar, _):
            await ask(sidecar, headers=[(b"Authorization", b"Bearer app-key")])
    assert b"Authorization: Bearer app-key\r\n" in upstream.heads[0]


@pytest.mark.parametrize("started", [False, True])
async def test_a_bug_of_ours_still_answers_the_caller_and_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    def fail(self: object, *_: object) -> None:
        raise RuntimeError("boom")

    name = "_take_end" if started else "_take_head"
    monkeypatch.setattr(Runner, name, fail)
    async with FakeProvider(model="small", key=CANARY) as provider:
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            if started:
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await ask(sidecar, {**CHAT, "stream": True})
            else:
                answer = await ask(sidecar)
                assert (answer.status, answer.code) == (502, "upstream_failed")
                assert answer.header("x-tiermesh-decision") == recorder.calls[0].id
            call = await recorder.wait_for(1)
            assert sidecar.plane.in_flight == 0
    assert call.error_code == "upstream_failed"
