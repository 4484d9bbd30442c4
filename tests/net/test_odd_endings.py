"""Answers that end, or begin, as HTTP or the stream's format would not have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from net_kit import (
    CHAT,
    DONE,
    STREAM_HEAD,
    RawUpstream,
    ask,
    chunk,
    event,
    json_answer,
    policy,
    secret,
    serving,
    tier,
)

from tiermesh_sidecar.core.outcome import Ending

STREAM = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
LAST = event("", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
CUT_AFTER_THE_END = {
    "chunks": (STREAM_HEAD + chunk(event("a") + LAST + DONE), event("a") + LAST + DONE),
    "chunks, half an event more": (
        STREAM_HEAD + chunk(event("a") + LAST + b"data: [DO"),
        event("a") + LAST,
    ),
    "length": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
        + event("a")
        + DONE,
        event("a") + DONE,
    ),
}


def _hangs_up(sent: bytes) -> RawUpstream:
    async def play(self: RawUpstream, reader: object, writer: object) -> None:
        writer.write(sent)  # type: ignore[attr-defined]
        raise ConnectionError

    return RawUpstream(play)


@pytest.mark.parametrize(
    ("sent", "relayed"), CUT_AFTER_THE_END.values(), ids=list(CUT_AFTER_THE_END)
)
async def test_a_stream_cut_off_after_its_last_event_is_complete(
    sent: bytes, relayed: bytes, tmp_path: Path
) -> None:
    async with _hangs_up(sent) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            answer = await ask(sidecar, STREAM)
            call = await recorder.wait_for(1)
    assert answer.body == relayed
    assert (call.ending, call.attempts[0].record.error) == (Ending.ANSWERED, None)


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"099 Odd"])
async def test_what_is_no_final_status_is_a_failed_attempt(status: bytes, tmp_path: Path) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    good = json_answer({"id": "a", "choices": []})
    async with _hangs_up(head) as bad, RawUpstream(good) as other:
        documents = (
            tier("small", bad.url, rank=1),
            tier("large", other.url, rank=2),
            policy("small", "large"),
            secret(),
        )
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert (answer.status, answer.header("x-tiermesh-tier")) == (200, "large")


async def test_half_a_head_is_not_shown_to_the_caller(tmp_path: Path) -> None:
    async with _hangs_up(b"HTTP/1.1 200 OK\r\nSet-Cookie: secret=1\r\nX-Half") as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            answer = await ask(sidecar)
    assert (answer.status, answer.code) == (502, "upstream_failed")
    assert b"secret=1" not in answer.body
