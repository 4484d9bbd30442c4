"""What is no HTTP gets our error, in a shape that an SDK reads, and never reaches a backend."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from net_kit import (
    CANARY,
    RawUpstream,
    ask,
    connect,
    json_answer,
    policy,
    read_answer,
    secret,
    serving,
    tier,
)

ANSWER = json_answer({"id": "a", "choices": [], "usage": {"prompt_tokens": 1}})
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: sidecar\r\n"
MALFORMED = {
    "not HTTP": b"HELLO\r\n\r\n",
    "TLS": bytes.fromhex("160301020001") + bytes(64),
    "unknown method": b"FOO /v1/models HTTP/1.1\r\nHost: sidecar\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "bad chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "folded header": HEAD + b"X-A: a\r\n  b\r\nContent-Length: 0\r\n\r\n",
    "zero byte": HEAD + b"Authorization: Bearer " + CANARY.encode() + b"\0\r\n\r\n",
    "long header": HEAD + b"Authorization: " + CANARY.encode() * 10_000 + b"\r\n\r\n",
    "many headers": HEAD + b"".join(b"X-%d: a\r\n" % i for i in range(2000)) + b"\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_http_is_our_error_and_the_connection_closes(
    sent: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            reader, writer = await connect(sidecar)
            writer.write(sent)
            answer = await read_answer(reader)
            assert await reader.read() == b""
            writer.close()
            assert (await ask(sidecar)).status == 200
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.header("Content-Type") == "application/json"
    assert CANARY.encode() not in answer.raw + answer.body
    assert upstream.connections == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_body_that_turns_out_malformed_is_the_callers_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            reader, writer = await connect(sidecar)
            writer.write(HEAD + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
            await reader.readuntil(b"100 Continue\r\n\r\n")  # its handler runs
            writer.write(b"3\r\nabc\r\nzz\r\n")
            answer = await read_answer(reader)
            assert await reader.read() == b""
            writer.close()
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert [call.status for call in recorder.calls] == [400]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not upstream.connections


async def test_a_bug_after_the_answer_closes_the_connection_without_a_second_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(call: object) -> None:
        raise ZeroDivisionError

    async with RawUpstream(ANSWER) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            monkeypatch.setattr(recorder, "record", broken)
            reader, writer = await connect(sidecar)
            writer.write(HEAD + b"Content-Length: 2\r\n\r\n[]")
            assert (await read_answer(reader)).code == "invalid_request"
            assert await reader.read() == b""
            writer.close()
