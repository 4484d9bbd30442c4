"""Law 9 over real sockets: what tiermesh does not understand it forwards unchanged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from net_kit import (
    CANARY,
    DONE,
    STREAM_HEAD,
    RawUpstream,
    ask,
    chunk,
    event,
    exchange,
    json_answer,
    policy,
    secret,
    serving,
    tier,
)

ANSWER = json_answer({"id": "a", "choices": [], "usage": {"prompt_tokens": 1}})


async def test_header_bytes_order_case_and_duplicates_reach_the_backend(tmp_path: Path) -> None:
    odd = (
        (b"X-Zebra", b"1"),
        (b"x-aPPle", b"caf\xc3\xa9"),
        (b"X-Latin", b"caf\xe9 \xff"),
        (b"x-apple", b"two"),
        (b"User-Agent", b"odd/1.0 (x; y)"),
        (b"Content-Type", b"application/json; Charset=UTF-8"),
    )
    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar, headers=odd)
    assert answer.status == 200
    lines = upstream.heads[0].split(b"\r\n")
    sent = [name + b": " + value for name, value in odd]
    assert [line for line in lines if line in sent] == sent


async def test_the_head_names_the_backend_and_holds_nothing_twice(tmp_path: Path) -> None:
    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            await ask(sidecar, headers=[(b"Accept-Encoding", b"gzip"), (b"Accept", b"*/*")])
    first, *lines = upstream.heads[0].rstrip(b"\r\n").split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines]
    assert first == b"POST /v1/chat/completions HTTP/1.1"
    assert len(names) == len(set(names))
    assert f"Host: {upstream.url.removeprefix('http://')}".encode() in lines
    assert b"Accept-Encoding: identity" in lines
    assert f"Authorization: Bearer {CANARY}".encode() in lines


async def test_only_the_models_bytes_change_in_the_body(tmp_path: Path) -> None:
    body = (
        b'{ "messages" : [{"role":"user","content":"\\u0041 \xf0\x9f\x98\x80 \\ud83d"}],\r\n'
        b'  "model":"auto", "temperature": 1.0e-07, "seed": 123456789012345678901234567890,'
        b' "unknown": {"b":1,"a":[ ]} }'
    )
    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            await ask(sidecar, body)
    assert upstream.bodies[0] == body.replace(b'"auto"', b'"small"')


async def test_the_answers_head_and_body_reach_the_caller_as_they_were(tmp_path: Path) -> None:
    body = b'{"id":"x",  "n": 1.10, "choices":[]}\n'
    odd = (b"X-Zebra: 1", b"x-aPPle: caf\xe9", b"Set-Cookie: a=1", b"Set-Cookie: b=2")
    raw = json_answer(body, *odd, status=b"200 Fine by me")
    async with RawUpstream(raw) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert answer.body == body
    assert answer.reason == b"Fine by me"
    lines = answer.raw.split(b"\r\n")
    assert [line for line in lines if line in odd] == list(odd)
    assert not [line for line in lines if line.lower().startswith((b"server:", b"date:"))]


async def test_an_upstreams_own_tiermesh_headers_do_not_reach_the_caller(tmp_path: Path) -> None:
    raw = json_answer({"choices": []}, b"x-tiermesh-tier: forged", b"X-Tiermesh-Cost: 0")
    async with RawUpstream(raw) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert answer.header("x-tiermesh-tier") == "small"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_streams_are_relayed_byte_for_byte_however_they_are_cut(
    tmp_path: Path, size: int
) -> None:
    stream = (
        b": comment\r\n\r\n"
        + event("caf\u00e9").replace(b"\n\n", b"\r\n\r\n")
        + b"event: odd\ndata: not json\nid: 7\n\n"
        + b'data: {"choices":[{"delta":{"content":"\\ud83d"},"finish_reason":"stop"}]}\n\n'
        + DONE
    )

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD)
        for at in range(0, len(stream), size):
            writer.write(chunk(stream[at : at + size]))
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")

    async with RawUpstream(play) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar, {**_CHAT, "stream": True})
    assert answer.body == stream


_CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}


async def test_the_target_goes_on_as_it_was_written(tmp_path: Path) -> None:
    raw = json_answer(b"{}")
    async with RawUpstream(raw) as upstream:
        documents = (
            tier("small", f"{upstream.url}/base/v1", rank=1),
            policy("small", models={"passThroughTier": "small"}),
            secret(),
        )
        async with serving(tmp_path, *documents) as (sidecar, _):
            await ask(sidecar, target="/v1/files/%7Eodd%20name?b=%2F&a=+&a=1", method="GET")
    assert upstream.heads[0].startswith(
        b"GET /base/v1/files/%7Eodd%20name?b=%2F&a=+&a=1 HTTP/1.1\r\n"
    )
    assert b"content-length" not in upstream.heads[0].lower()


async def test_a_body_without_a_model_is_not_touched_when_passed_through(tmp_path: Path) -> None:
    body = b"--x\r\nbinary \x00\xff\r\n--x--"
    async with RawUpstream(json_answer(b'{"ok": 1}')) as upstream:
        documents = (
            tier("small", upstream.url, rank=1),
            policy("small", models={"passThroughTier": "small"}),
            secret(),
        )
        headers = [(b"Content-Type", b"multipart/form-data; boundary=x")]
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar, body, target="/v1/files", headers=headers)
    assert (answer.status, answer.body) == (200, b'{"ok": 1}')
    assert upstream.bodies[0] == body


async def test_hints_identity_and_the_apps_credentials_stay_in_the_pod(tmp_path: Path) -> None:
    private = (
        (b"Authorization", b"Bearer app-key"),
        (b"x-api-key", b"app-key"),
        (b"X-Tiermesh-Task", b"t"),
        (b"X-Tenant-Id", b"acme"),
        (b"Baggage", b"user=1"),
    )
    async with RawUpstream(ANSWER) as upstream:
        documents = (
            tier("small", upstream.url, rank=1),
            policy("small", identity=[{"attribute": "tenant", "header": "x-tenant-id"}]),
            secret(),
        )
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            await ask(sidecar, headers=private)
    head = upstream.heads[0].lower()
    for word in (b"app-key", b"x-tiermesh", b"x-tenant-id", b"baggage"):
        assert word not in head
    features = recorder.calls[0].features
    assert features is not None
    assert features.caller.asserted == {"tenant": "acme"}


async def test_a_chunked_request_is_sent_on_with_its_length(tmp_path: Path) -> None:
    body = json.dumps(_CHAT).encode()
    sent = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunk(body[:9])
        + chunk(body[9:])
        + b"0\r\n\r\n"
    )
    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await exchange(sidecar, sent)
    assert answer.status == 200
    assert json.loads(upstream.bodies[0])["model"] == "small"
    assert b"transfer-encoding" not in upstream.heads[0].lower()


async def test_a_large_body_goes_through_whole(tmp_path: Path) -> None:
    text = "long " * 600_000
    chat = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar, chat)
    assert answer.status == 200
    assert json.loads(upstream.bodies[0])["messages"][0]["content"] == text


async def test_an_informational_answer_is_not_taken_for_the_answer(tmp_path: Path) -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ANSWER
    async with RawUpstream(raw) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert answer.status == 200


async def test_expect_100_continue_is_answered_here(tmp_path: Path) -> None:
    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            reader, writer = await asyncio.open_connection(sidecar.data.host, sidecar.data.port)
            body = json.dumps(_CHAT).encode()
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body)
            )
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
    assert b"expect" not in upstream.heads[0].lower()


async def test_an_http_1_0_caller_gets_a_stream_that_ends_with_the_connection(
    tmp_path: Path,
) -> None:
    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(event("a")) + chunk(DONE) + b"0\r\n\r\n")

    body = json.dumps({**_CHAT, "stream": True}).encode()
    async with RawUpstream(play) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await exchange(
                sidecar,
                b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body),
            )
    assert answer.header("transfer-encoding") is None
    assert answer.body == event("a") + DONE


async def test_a_connection_serves_many_calls_and_the_backends_is_reused(tmp_path: Path) -> None:
    from net_kit import CHAT, connect, read_answer, request_bytes

    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            reader, writer = await connect(sidecar)
            for _ in range(5):
                writer.write(request_bytes("/v1/chat/completions", CHAT))
                assert (await read_answer(reader)).status == 200
            writer.close()
    assert upstream.connections == 1
