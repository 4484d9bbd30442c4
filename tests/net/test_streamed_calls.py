"""Streams: the commit, what is hidden, how they end, and who is told when they break."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from net_kit import (
    CANARY,
    CHAT,
    DONE,
    MESSAGE,
    STREAM_HEAD,
    RawUpstream,
    ask,
    chunk,
    chunks,
    connect,
    event,
    policy,
    read_head,
    request_bytes,
    secret,
    serving,
    tier,
)

from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.demo.providers.faults import Behaviours, FaultKind, broken, stall
from tiermesh_sidecar.demo.providers.server import Dialect, FakeProvider

STREAM = {**CHAT, "stream": True}
MESSAGE_STREAM = {**MESSAGE, "stream": True}


def _documents(url: str, *, anthropic: bool = False, **spec: Any) -> tuple[dict[str, Any], ...]:
    provider = "Anthropic" if anthropic else "OpenAI"
    return tier("small", url, rank=1, provider=provider), policy("small", **spec), secret()


async def test_usage_is_asked_for_counted_and_hidden(tmp_path: Path) -> None:
    async with (
        FakeProvider(model="small", key=CANARY) as provider,
        serving(tmp_path, *_documents(provider.url)) as (sidecar, recorder),
    ):
        answer = await ask(sidecar, STREAM)
        asked = provider.received[-1].json()
        plain = await ask(sidecar, {**STREAM, "stream_options": {"include_usage": True}})
    assert asked["stream_options"] == {"include_usage": True}
    assert b'"usage"' not in answer.body
    assert answer.body.endswith(DONE)
    assert b'"usage"' in plain.body
    usage = recorder.calls[0].attempts[0].usage
    assert usage is not None
    assert usage.output > 0
    assert not usage.estimated
    assert answer.header("x-tiermesh-cost") is None
    assert recorder.calls[0].attempts[0].cost is not None


async def test_anthropic_streams_are_relayed_and_counted(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY, dialect=Dialect.ANTHROPIC) as provider:
        documents = _documents(provider.url, anthropic=True)
        headers = [(b"anthropic-version", b"2023-06-01")]
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar, MESSAGE_STREAM, target="/v1/messages", headers=headers)
    assert b"event: message_stop" in answer.body
    assert recorder.calls[0].ending is Ending.ANSWERED
    usage = recorder.calls[0].attempts[0].usage
    assert usage is not None
    assert not usage.estimated


@pytest.mark.parametrize("anthropic", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.RESET_MID_BODY,
        FaultKind.FIN_MID_BODY,
        FaultKind.CLOSE_DELIMITED_NO_END,
    ],
)
async def test_a_stream_that_breaks_ends_with_an_error_event_and_no_terminator(
    tmp_path: Path, anthropic: bool, kind: FaultKind
) -> None:
    dialect = Dialect.ANTHROPIC if anthropic else Dialect.OPENAI
    async with FakeProvider(model="small", key=CANARY, dialect=dialect) as provider:
        provider.enqueue(broken(kind))
        documents = _documents(provider.url, anthropic=anthropic)
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            if anthropic:
                headers = [(b"anthropic-version", b"2023-06-01")]
                answer = await ask(sidecar, MESSAGE_STREAM, target="/v1/messages", headers=headers)
            else:
                answer = await ask(sidecar, STREAM)
    last = answer.body.rstrip(b"\n").split(b"\n\n")[-1]
    assert (b"event: error\n" in last) == anthropic
    error = json.loads(last.partition(b"data: ")[2])
    assert error["error"]["code"] == "upstream_failed"
    assert b"[DONE]" not in answer.body
    assert b"message_stop" not in answer.body
    call = recorder.calls[0]
    assert (call.ending, call.status, call.error_code) == (Ending.BROKEN, 200, "upstream_failed")
    usage = call.attempts[0].usage
    assert usage is not None
    assert usage.estimated
    assert provider.count == 1


async def test_the_partial_tail_of_a_broken_stream_is_dropped(tmp_path: Path) -> None:
    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(event("whole") + b'data: {"half": "tr'))
        await writer.drain()
        writer.close()

    async with (
        RawUpstream(play) as upstream,
        serving(tmp_path, *_documents(upstream.url)) as (sidecar, _),
    ):
        answer = await ask(sidecar, STREAM)
    assert answer.body.startswith(event("whole") + b'data: {"error"')
    assert b"half" not in answer.body


async def test_a_providers_own_error_event_is_relayed_once_and_is_a_failure(
    tmp_path: Path,
) -> None:
    pace = Behaviours(token_s=0.01)  # so that the error does not come with the first event
    async with FakeProvider(model="small", key=CANARY, behaviours=pace) as provider:
        provider.enqueue(broken(FaultKind.STREAM_ERROR))
        async with serving(tmp_path, *_documents(provider.url)) as (sidecar, recorder):
            answer = await ask(sidecar, STREAM)
    assert answer.body.count(b'"error"') == 1
    assert b"[DONE]" not in answer.body
    call = recorder.calls[0]
    assert call.ending is Ending.BROKEN
    assert call.attempts[0].record.error == "stream_error"


async def test_an_error_as_the_first_event_is_retried(tmp_path: Path) -> None:
    plays = [
        STREAM_HEAD + chunk(b'data: {"error": {"message": "overloaded"}}\n\n') + b"0\r\n\r\n",
        STREAM_HEAD + chunk(event("ok") + DONE) + b"0\r\n\r\n",
    ]

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(plays[len(self.heads) - 1])

    async with (
        RawUpstream(play) as upstream,
        serving(tmp_path, *_documents(upstream.url)) as (sidecar, recorder),
    ):
        answer = await ask(sidecar, STREAM)
    assert answer.body == event("ok") + DONE
    assert answer.header("x-tiermesh-attempts") == "2"
    assert recorder.calls[0].attempts[0].record.error == "stream_error"


async def test_a_key_in_an_error_event_is_redacted(tmp_path: Path) -> None:
    told = f'data: {{"error": {{"message": "bad {CANARY}"}}}}\n\n'.encode()

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(event("a")))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(chunk(told) + b"0\r\n\r\n")

    async with (
        RawUpstream(play) as upstream,
        serving(tmp_path, *_documents(upstream.url)) as (sidecar, _),
    ):
        answer = await ask(sidecar, STREAM)
    assert CANARY.encode() not in answer.body
    assert b"bad [redacted]" in answer.body


async def test_a_silent_stream_is_given_up(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        provider.enqueue(stall(30))
        documents = _documents(provider.url, timeouts={"streamIdle": "80ms"})
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar, STREAM)
            await provider.received[-1].done.wait()
    assert b'"upstream_failed"' in answer.body
    assert recorder.calls[0].attempts[0].record.error == "timeout"


async def test_a_relayed_stream_may_last_longer_than_the_calls_deadline(tmp_path: Path) -> None:
    async with FakeProvider(model="small", key=CANARY) as provider:
        provider.enqueue(stall(0.3, after=1))
        documents = _documents(
            provider.url, timeouts={"call": "150ms", "attempt": "150ms", "firstByte": "150ms"}
        )
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar, STREAM)
    assert answer.body.endswith(DONE)
    assert recorder.calls[0].duration_ms > 250


@pytest.mark.parametrize("framing", ["chunked", "close"])
async def test_how_a_stream_without_a_terminator_ended_decides(
    tmp_path: Path, framing: str
) -> None:
    kind = FaultKind.NO_END if framing == "chunked" else FaultKind.CLOSE_DELIMITED
    async with FakeProvider(model="small", key=CANARY) as provider:
        provider.enqueue(broken(kind))
        async with serving(tmp_path, *_documents(provider.url)) as (sidecar, recorder):
            await ask(sidecar, STREAM)
    assert recorder.calls[0].ending is Ending.ANSWERED


async def test_the_first_event_is_relayed_before_the_second_exists(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(event("one")))
        await go_on.wait()
        writer.write(chunk(DONE) + b"0\r\n\r\n")

    async with (
        RawUpstream(play) as upstream,
        serving(tmp_path, *_documents(upstream.url)) as (sidecar, _),
    ):
        reader, writer = await connect(sidecar)
        writer.write(request_bytes("/v1/chat/completions", STREAM))
        await read_head(reader)
        parts = chunks(reader)
        assert await anext(parts) == event("one")
        go_on.set()
        assert [part async for part in parts] == [DONE]
        writer.close()


async def test_a_caller_that_leaves_mid_stream_stops_the_provider_and_is_billed(
    tmp_path: Path,
) -> None:
    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD)
        for _ in range(5):
            writer.write(chunk(event("word")))
        await reader.read()  # until the sidecar closes
        raise ConnectionError

    async with (
        RawUpstream(play) as upstream,
        serving(tmp_path, *_documents(upstream.url)) as (sidecar, recorder),
    ):
        reader, writer = await connect(sidecar)
        writer.write(request_bytes("/v1/chat/completions", STREAM))
        await read_head(reader)
        writer.close()
        await asyncio.wait_for(upstream.closed.wait(), 5)
        call = await recorder.wait_for(1)
    assert (call.ending, call.status) == (Ending.CLIENT_GONE, 200)
    usage = call.attempts[0].usage
    assert usage is not None
    assert usage.estimated
    assert usage.output >= 5
    assert call.attempts[0].cost


async def test_a_caller_that_does_not_read_slows_the_provider_down(tmp_path: Path) -> None:
    sent = 0

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal sent
        writer.write(STREAM_HEAD)
        big = chunk(event("x" * 60_000))
        while sent < 100_000_000:
            writer.write(big)
            sent += len(big)
            await writer.drain()

    async with (
        RawUpstream(play) as upstream,
        serving(tmp_path, *_documents(upstream.url, timeouts={"streamIdle": "100ms"})) as (
            sidecar,
            recorder,
        ),
    ):
        reader, writer = await connect(sidecar)
        writer.write(request_bytes("/v1/chat/completions", STREAM))
        await read_head(reader)
        await asyncio.sleep(0.5)
        before = sent
        await asyncio.sleep(0.2)
        assert sent == before < 50_000_000
        assert recorder.calls == []  # a slow caller is not a silent provider
        writer.transport.abort()
        assert (await recorder.wait_for(1)).ending is Ending.CLIENT_GONE


async def test_a_pass_through_answer_that_breaks_is_cut_off(tmp_path: Path) -> None:
    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
        await writer.drain()
        writer.close()

    async with RawUpstream(play) as upstream:
        documents = _documents(upstream.url, models={"passThroughTier": "small"})
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await ask(sidecar, target="/v1/files/1/content", method="GET")
            call = await recorder.wait_for(1)
    assert (call.ending, call.status) == (Ending.BROKEN, 200)
