"""Providers that fail before the commit: retry, fallback, deadlines, and our own errors."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from net_kit import (
    CANARY,
    CHAT,
    DONE,
    STREAM_HEAD,
    RawUpstream,
    ask,
    chunk,
    connect,
    event,
    json_answer,
    policy,
    read_answer,
    request_bytes,
    secret,
    serving,
    tier,
)

from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.demo.providers.faults import (
    FaultKind,
    broken,
    rate_limited,
    slow_head,
    status,
)
from tiermesh_sidecar.demo.providers.server import FakeProvider

REFUSED_PORT = "http://127.0.0.1:1"
GOOD = json_answer({"id": "a", "choices": []})


async def _two_tiers(first: str, second: str, **spec: Any) -> tuple[dict[str, Any], ...]:
    return (
        tier("small", first, rank=1),
        tier("large", second, rank=2),
        policy("small", "large", **spec),
        secret(),
    )


@pytest.mark.parametrize(
    "fault",
    [
        status(500),
        status(503),
        rate_limited(retry_after_ms="1"),
        broken(FaultKind.RESET_BEFORE_HEAD),
        broken(FaultKind.CLOSE_BEFORE_HEAD),
        broken(FaultKind.RESET_MID_BODY),
        broken(FaultKind.FIN_MID_BODY),
        broken(FaultKind.GARBAGE),
        broken(FaultKind.NOT_JSON),
        broken(FaultKind.EMPTY),
    ],
    ids=lambda fault: f"{fault.kind.value}-{fault.status}",
)
async def test_a_failing_tier_is_followed_by_the_next(tmp_path: Path, fault: Any) -> None:
    async with (
        FakeProvider(model="small", key=CANARY) as bad,
        FakeProvider(model="large", key=CANARY) as good,
    ):
        bad.enqueue(fault)
        documents = await _two_tiers(bad.url, good.url)
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    assert answer.status == 200
    assert answer.header("x-tiermesh-tier") == "large"
    assert answer.header("x-tiermesh-reason") == "InPlan"
    assert answer.header("x-tiermesh-attempts") == "2"
    first, second = recorder.calls[0].attempts
    assert first.record.error is not None
    assert second.record.error is None


async def test_a_refused_connection_is_followed_by_the_next(tmp_path: Path) -> None:
    async with FakeProvider(model="large", key=CANARY) as good:
        documents = await _two_tiers(REFUSED_PORT, good.url)
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    assert answer.status == 200
    assert recorder.calls[0].attempts[0].record.error == "connection_failed"
    assert recorder.calls[0].attempts[0].usage is None


async def test_one_backend_is_asked_again(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        provider.enqueue(status(500), status(500))
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert answer.status == 200
    assert answer.header("x-tiermesh-attempts") == "3"
    assert provider.count == 3


async def test_the_last_providers_answer_stands_when_all_fail(tmp_path: Path) -> None:
    body = b'{"error": {"message": "down", "type": "server_error"}}'
    async with RawUpstream(json_answer(body, status=b"503 Gone")) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    assert (answer.status, answer.reason, answer.body) == (503, b"Gone", body)
    assert len(upstream.heads) == 3
    assert recorder.calls[0].ending is Ending.ANSWERED


async def test_nothing_but_broken_connections_is_our_own_502(tmp_path: Path) -> None:
    documents = tier("small", REFUSED_PORT, rank=1), policy("small"), secret()
    async with serving(tmp_path, *documents) as (sidecar, recorder):
        answer = await ask(sidecar)
    assert (answer.status, answer.code) == (502, "upstream_failed")
    assert "small/small-a" in answer.json()["error"]["message"]
    assert answer.header("x-tiermesh-attempts") == "3"
    assert recorder.calls[0].ending is Ending.REFUSED


async def test_a_name_that_does_not_resolve_is_a_dns_failure(tmp_path: Path) -> None:
    documents = tier("small", "http://nowhere.invalid", rank=1), policy("small"), secret()
    async with serving(tmp_path, *documents) as (sidecar, recorder):
        answer = await ask(sidecar)
    assert answer.status == 502
    assert recorder.calls[0].attempts[0].record.error == "dns_failed"


async def test_plain_http_where_tls_was_expected_is_a_tls_failure(tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        documents = tier("small", url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    assert answer.status == 502
    assert recorder.calls[0].attempts[0].record.error == "tls_failed"


async def test_an_answer_that_is_not_http_is_unreadable(tmp_path: Path) -> None:
    async with RawUpstream(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    assert (answer.status, answer.code) == (502, "upstream_failed")
    assert recorder.calls[0].attempts[0].record.error == "unreadable_answer"


async def test_a_slow_head_times_out_and_falls_back(tmp_path: Path) -> None:
    async with (
        FakeProvider(model="small", key=CANARY) as slow,
        FakeProvider(model="large", key=CANARY) as good,
    ):
        slow.enqueue(slow_head(30))
        documents = await _two_tiers(slow.url, good.url, timeouts={"firstByte": "60ms"})
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
            assert answer.header("x-tiermesh-tier") == "large"
            await slow.received[-1].done.wait()  # its connection was closed
    first = recorder.calls[0].attempts[0]
    assert first.record.error == "timeout"
    assert first.usage is not None
    assert first.usage.estimated


async def test_the_callers_deadline_ends_the_call(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as slow:
        slow.outage = slow_head(30)
        documents = tier("small", slow.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar, headers=[(b"x-tiermesh-deadline-ms", b"80")])
    assert (answer.status, answer.code) == (504, "deadline_exceeded")
    assert 75 <= recorder.calls[0].duration_ms < 2000


async def test_a_gzip_answer_that_nobody_asked_for_is_relayed_and_counted(tmp_path: Path) -> None:
    plain = json.dumps({"id": "z", "usage": {"prompt_tokens": 2, "completion_tokens": 5}}).encode()
    packed = gzip.compress(plain)
    async with RawUpstream(json_answer(packed, b"Content-Encoding: gzip")) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar)
    assert answer.body == packed
    usage = recorder.calls[0].attempts[0].usage
    assert usage is not None
    assert usage.output == 5


async def test_a_gzip_stream_that_nobody_asked_for_is_relayed_whole_and_counted(
    tmp_path: Path,
) -> None:
    usage = {"prompt_tokens": 2, "completion_tokens": 5}
    packed = gzip.compress(event("one") + event("", choices=[], usage=usage) + DONE)
    head = STREAM_HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n"
    async with RawUpstream(head + chunk(packed) + b"0\r\n\r\n") as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar, {**CHAT, "stream": True})
    assert answer.body == packed
    attempt = recorder.calls[0].attempts[0]
    assert recorder.calls[0].ending is Ending.ANSWERED
    assert attempt.usage is not None
    assert (attempt.usage.output, attempt.usage.estimated) == (5, False)


async def test_a_key_in_an_error_answer_is_redacted(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key="another") as provider:
        provider.enqueue(broken(FaultKind.KEY_ECHO))
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert answer.status == 401
    assert CANARY.encode() not in answer.raw + answer.body


@pytest.mark.parametrize("packed", [False, True])
async def test_a_key_in_a_compressed_error_is_redacted_too(tmp_path: Path, packed: bool) -> None:
    body = f'{{"error": {{"message": "bad key {CANARY}"}}}}'.encode()
    headers = [b"X-Echo: " + CANARY.encode()]
    if packed:
        headers.append(b"Content-Encoding: gzip")
    raw = json_answer(gzip.compress(body) if packed else body, *headers, status=b"401 No")
    async with RawUpstream(raw) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert answer.json()["error"]["message"] == "bad key [redacted]"
    assert CANARY.encode() not in answer.raw
    assert answer.header("content-encoding") is None


async def test_a_backend_without_its_key_is_never_asked(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        documents = tier("small", provider.url, rank=1), policy("small")
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert (answer.status, answer.code) == (503, "upstream_unavailable")
    assert provider.count == 0


async def test_a_backend_that_keeps_failing_is_ejected(tmp_path: Path) -> None:
    async with (
        FakeProvider(model="small", key=CANARY) as bad,
        FakeProvider(model="large", key=CANARY) as good,
    ):
        bad.outage = status(500)
        documents = (
            tier("small", bad.url, rank=1, outlierDetection={"consecutiveFailures": 2}),
            *(await _two_tiers(bad.url, good.url))[1:],
        )
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            for _ in range(4):
                answer = await ask(sidecar)
                assert answer.header("x-tiermesh-tier") == "large"
    assert bad.count == 2
    decision = recorder.calls[-1].decision
    assert decision is not None
    assert decision.candidates[0].reason.value == "Unhealthy"


async def test_a_caller_that_leaves_while_waiting_stops_the_provider(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        provider.outage = slow_head(30)
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            _, writer = await connect(sidecar)
            writer.write(request_bytes("/v1/chat/completions", CHAT))
            received = await provider.wait_for_calls(1)
            writer.close()
            await asyncio.wait_for(received.done.wait(), 5)
            call = await recorder.wait_for(1)
            assert sidecar.plane.in_flight == 0
    assert (call.ending, call.status) == (Ending.CLIENT_GONE, 499)
    assert call.attempts[0].record.error == "cancelled"
    usage = call.attempts[0].usage
    assert usage is not None
    assert usage.estimated


async def test_a_pooled_connection_that_the_provider_closed_is_not_an_error(
    tmp_path: Path,
) -> None:
    closing = json_answer({"choices": []})

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(closing)
        await writer.drain()
        writer.close()  # although it promised to stay

    async with RawUpstream(play) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            reader, writer = await connect(sidecar)
            for _ in range(10):
                writer.write(request_bytes("/v1/chat/completions", CHAT))
                assert (await read_answer(reader)).status == 200
            writer.close()
