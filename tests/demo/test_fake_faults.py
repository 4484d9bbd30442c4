"""Every way in which a fake fails looks on the wire as it does in the world."""

import asyncio
import gzip
import json
import signal
import subprocess
import sys
import urllib.request

import aiohttp
import pytest
from yarl import URL

from tiermesh_sidecar.demo.providers import (
    Behaviours,
    Chance,
    Ending,
    FakeProvider,
    Fault,
    FaultKind,
    Reply,
    StreamReply,
    broken,
    rate_limited,
    slow_head,
    stall,
    status,
)

KEY = "sk-fake-0123456789abcdef"
ASK = {"model": "chatty", "messages": [{"role": "user", "content": "hi"}]}
AUTH = {"authorization": f"Bearer {KEY}"}
BODIES = [ASK, {**ASK, "stream": True}]


def url(fake: FakeProvider) -> str:
    return f"{fake.url}/v1/chat/completions"


async def whole(fake: FakeProvider, body: dict[str, object]) -> bytes:
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(url(fake), json=body, headers=AUTH) as answer,
    ):
        assert answer.status == 200
        return await answer.read()


async def raw(fake: FakeProvider, body: dict[str, object]) -> bytes:
    """All bytes of the connection until its end, no client library in between."""
    data = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{fake.port}\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
        "Connection: close\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    writer.write(head.encode() + data)
    try:
        return await reader.read(-1)
    finally:
        writer.close()


async def test_a_scripted_status_comes_once_in_the_dialects_shape(fake: FakeProvider) -> None:
    fake.enqueue(rate_limited(retry_after="7", retry_after_ms="50"), None)
    async with aiohttp.ClientSession(headers=AUTH) as session:
        async with session.post(url(fake), json=ASK) as answer:
            assert answer.status == 429
            assert answer.headers["retry-after"] == "7"
            assert answer.headers["retry-after-ms"] == "50"
            assert (await answer.json())["error"]["code"] == "rate_limit_exceeded"
        async with session.post(url(fake), json=ASK) as answer:
            assert answer.status == 200
    assert fake.queued == 0


async def test_a_rejected_call_uses_up_no_fault(fake: FakeProvider) -> None:
    fake.enqueue(status(503))
    async with (
        aiohttp.ClientSession(headers=AUTH) as session,
        session.post(url(fake), json={**ASK, "model": "auto"}) as answer,
    ):
        assert answer.status == 404
    assert fake.queued == 1


async def test_an_outage_lasts_until_it_is_lifted(fake: FakeProvider) -> None:
    async with aiohttp.ClientSession(headers=AUTH) as session:
        for outage, expected in ((status(503), 503), (status(503), 503), (None, 200)):
            fake.outage = outage
            async with session.post(url(fake), json=ASK) as answer:
                assert answer.status == expected


@pytest.mark.parametrize("body", BODIES, ids=["plain", "stream"])
@pytest.mark.parametrize("kind", [FaultKind.RESET_BEFORE_HEAD, FaultKind.CLOSE_BEFORE_HEAD])
async def test_no_head_comes(fake: FakeProvider, kind: FaultKind, body: dict[str, object]) -> None:
    fake.enqueue(broken(kind))
    if kind is FaultKind.RESET_BEFORE_HEAD:
        with pytest.raises(ConnectionResetError):
            await raw(fake, body)
    else:
        assert await raw(fake, body) == b""
    assert fake.received[-1].ending is Ending.FAULTED
    assert fake.received[-1].status is None


@pytest.mark.parametrize("body", BODIES, ids=["plain", "stream"])
@pytest.mark.parametrize("kind", [FaultKind.RESET_MID_BODY, FaultKind.FIN_MID_BODY])
async def test_a_body_is_cut(fake: FakeProvider, kind: FaultKind, body: dict[str, object]) -> None:
    fake.enqueue(broken(kind, after=2))
    async with (
        aiohttp.ClientSession(headers=AUTH) as session,
        session.post(url(fake), json=body) as answer,
    ):
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    assert fake.received[-1].sent > 0


async def test_a_cut_stream_has_sent_whole_events_only(fake: FakeProvider) -> None:
    fake.enqueue(broken(FaultKind.FIN_MID_BODY, after=2))
    received = await raw(fake, BODIES[1])
    assert received.count(b"data: ") == 2
    assert not received.endswith(b"0\r\n\r\n")


async def test_a_stream_may_end_whole_without_its_end(fake: FakeProvider) -> None:
    usual = await whole(fake, BODIES[1])
    fake.enqueue(broken(FaultKind.NO_END))
    without = await whole(fake, BODIES[1])
    assert usual.endswith(b"data: [DONE]\n\n")
    assert b'"finish_reason":"stop"' in without
    assert b"[DONE]" not in without


async def test_an_error_comes_inside_a_stream(fake: FakeProvider) -> None:
    fake.enqueue(broken(FaultKind.STREAM_ERROR, after=1))
    events = (await whole(fake, BODIES[1])).split(b"\n\n")
    assert len(events) == 3
    assert json.loads(events[1].removeprefix(b"data: "))["error"]["type"] == "server_error"


async def test_the_first_event_may_be_an_error(fake: FakeProvider) -> None:
    fake.enqueue(broken(FaultKind.STREAM_ERROR, after=0))
    assert (await whole(fake, BODIES[1])).startswith(b'data: {"error"')


async def test_garbage_is_announced_as_json(fake: FakeProvider) -> None:
    fake.enqueue(broken(FaultKind.GARBAGE), broken(FaultKind.GARBAGE))
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(await whole(fake, ASK))
    second = (await whole(fake, BODIES[1])).split(b"\n\n")[1]
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(second.removeprefix(b"data: "))


@pytest.mark.parametrize("body", BODIES, ids=["plain", "stream"])
async def test_a_page_and_an_empty_answer_have_status_200(
    fake: FakeProvider, body: dict[str, object]
) -> None:
    fake.enqueue(broken(FaultKind.NOT_JSON), broken(FaultKind.EMPTY))
    assert (await whole(fake, body)).startswith(b"<html>")
    assert await whole(fake, body) == b""


@pytest.mark.parametrize("body", BODIES, ids=["plain", "stream"])
async def test_a_compressed_answer_unpacks(fake: FakeProvider, body: dict[str, object]) -> None:
    fake.enqueue(broken(FaultKind.GZIP))
    text = gzip.decompress(await whole(fake, body))
    assert text.startswith(b'data: {"id"' if "stream" in body else b'{"id"')


@pytest.mark.parametrize("body", BODIES, ids=["plain", "stream"])
async def test_a_closed_connection_may_delimit_a_complete_answer(
    fake: FakeProvider, body: dict[str, object]
) -> None:
    fake.enqueue(broken(FaultKind.CLOSE_DELIMITED))
    head, _, rest = (await raw(fake, body)).partition(b"\r\n\r\n")
    assert b"Content-Length" not in head
    assert b"chunked" not in head
    assert rest.endswith(b"[DONE]\n\n" if "stream" in body else b"}")


async def test_a_closed_connection_may_hide_a_cut(fake: FakeProvider) -> None:
    fake.enqueue(broken(FaultKind.CLOSE_DELIMITED_NO_END, after=2))
    rest = (await raw(fake, BODIES[1])).partition(b"\r\n\r\n")[2]
    assert rest.count(b"data: ") == 2


async def test_a_key_is_echoed(fake: FakeProvider) -> None:
    fake.enqueue(broken(FaultKind.KEY_ECHO))
    async with (
        aiohttp.ClientSession(headers=AUTH) as session,
        session.post(url(fake), json=ASK) as answer,
    ):
        assert answer.status == 401
        assert KEY in await answer.text()


async def test_a_stalled_stream_notices_that_its_reader_left(fake: FakeProvider) -> None:
    fake.enqueue(stall(3600, after=2))
    async with aiohttp.ClientSession(headers=AUTH) as session:
        answer = await session.post(url(fake), json=BODIES[1])
        assert (await answer.content.readuntil(b"\n\n")).startswith(b"data: ")
        answer.close()
    await asyncio.wait_for(fake.received[-1].done.wait(), 5)
    assert fake.received[-1].ending is Ending.CLIENT_GONE


async def test_a_slow_head_notices_that_its_reader_left(fake: FakeProvider) -> None:
    fake.enqueue(slow_head(3600))
    async with aiohttp.ClientSession(headers=AUTH) as session:
        call = asyncio.ensure_future(session.post(url(fake), json=ASK))
        received = await asyncio.wait_for(fake.wait_for_calls(1), 5)
        call.cancel()
        await asyncio.wait_for(received.done.wait(), 5)
    assert received.ending is Ending.CLIENT_GONE
    assert received.status is None


async def test_chance_is_seeded() -> None:
    async def statuses(seed: int) -> list[int]:
        chances = (Chance(probability=0.5, fault=status(503)),)
        async with (
            FakeProvider(
                model="chatty", key=None, behaviours=Behaviours(chances=chances, seed=seed)
            ) as fake,
            aiohttp.ClientSession() as session,
        ):
            found = []
            for _ in range(20):
                async with session.post(url(fake), json=ASK) as answer:
                    found.append(answer.status)
            return found

    first = await statuses(1)
    assert first == await statuses(1)
    assert first != await statuses(2)
    assert set(first) == {200, 503}


async def test_a_stream_may_come_in_any_pieces(fake: FakeProvider) -> None:
    usual = await whole(fake, BODIES[1])
    fake.behaviours = Behaviours(chunk_bytes=7)
    pieces = await whole(fake, BODIES[1])
    assert len(pieces) == len(usual)
    received = (await raw(fake, BODIES[1])).partition(b"\r\n\r\n")[2]
    assert received.startswith(b"7\r\ndata: {\r\n")


async def test_exact_replies_are_sent_as_they_are(fake: FakeProvider) -> None:
    odd = b'{"a" : 1.0e2,"a\\u0062":"\\ud83d\\ude00" }\r\n'
    fake.enqueue(Reply(body=odd), StreamReply(events=(b"data: 1\r\n\r\n", b": x\n\n")))
    assert await whole(fake, ASK) == odd
    assert await whole(fake, ASK) == b"data: 1\r\n\r\n: x\n\n"
    audio = Reply(status=201, headers=(("content-type", "audio/mpeg"),), body=b"\x00\xff")
    fake.serve("POST", "/v1/audio/speech", audio)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{fake.url}/v1/audio/speech?x=1", data=b"y") as answer,
    ):
        assert (answer.status, await answer.read()) == (201, b"\x00\xff")


async def test_requests_are_recorded_byte_for_byte(fake: FakeProvider) -> None:
    body = json.dumps(ASK, indent=1).encode()
    headers = {**AUTH, "Content-Type": "application/json", "X-ODD-Case": "a, b"}
    async with aiohttp.ClientSession() as session:
        target = URL(f"{url(fake)}?a=%2F&b", encoded=True)
        async with session.post(target, data=body, headers=headers) as answer:
            await answer.read()
    received = fake.received[-1]
    assert received.body == body
    assert received.raw_path == "/v1/chat/completions?a=%2F&b"
    assert (b"X-ODD-Case", b"a, b") in received.raw_headers
    assert received.header("x-odd-case") == "a, b"
    assert (received.ending, received.status) == (Ending.ANSWERED, 200)


@pytest.mark.parametrize(
    "header",
    ["x-tiermesh-task", "X-Tiermesh-Data-Class", "baggage", "x-api-key", "cookie"],
)
async def test_headers_that_should_have_stayed_are_found(fake: FakeProvider, header: str) -> None:
    await whole(fake, ASK)
    assert not fake.leaked
    async with (
        aiohttp.ClientSession(headers={**AUTH, header: "x"}) as session,
        session.post(url(fake), json=ASK) as answer,
    ):
        await answer.read()
    assert fake.leaked[-1].leaks(KEY) == [header.lower()]


async def test_delays_are_as_asked_and_as_the_output_is_long(fake: FakeProvider) -> None:
    fake.behaviours = Behaviours(head_s=0.05, token_s=0.0005)
    start = asyncio.get_running_loop().time()
    answer = json.loads(await whole(fake, ASK))
    expected = 0.05 + 0.0005 * answer["usage"]["completion_tokens"]
    assert asyncio.get_running_loop().time() - start >= expected * 0.98


def test_a_fault_says_what_it_is() -> None:
    assert stall(2, after=1) == Fault(kind=FaultKind.STALL, seconds=2, after=1)
    assert rate_limited().headers == ()


def test_a_provider_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "tiermesh_sidecar.demo.providers", "--model", "alone"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}/v1/models", timeout=10) as answer:
            assert json.load(answer)["data"][0]["id"] == "alone"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
