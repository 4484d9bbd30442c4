"""A collector that is away never hurts a call: what cannot be delivered is dropped and counted.

Needs no cluster: what is tested is its absence.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from live_sidecar import LiveSidecar, eventually, live_sidecar

HELLO: list[Any] = [{"role": "user", "content": "Say hello"}]
CALLS = 40
DROPPED = "tiermesh_telemetry_dropped_total"


@pytest.fixture
def refusing() -> Iterator[str]:
    """An address where nobody listens: it is bound, so that nobody can start to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where connections are taken and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def tracing(endpoint: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_BSP_MAX_QUEUE_SIZE": "16",
    }


async def call_often(sidecar: LiveSidecar) -> None:
    """Plain calls and streams, one after the other; raises where one of them fails."""
    async with openai.AsyncOpenAI(
        base_url=f"{sidecar.data}/v1", api_key="sk-of-the-app", max_retries=0
    ) as client:
        for number in range(CALLS):
            if number % 2:
                await client.chat.completions.create(model="auto", messages=HELLO)
                continue
            stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
            assert [chunk async for chunk in stream][-1].choices[0].finish_reason == "stop"


async def check_unhurt(sidecar: LiveSidecar) -> None:
    await call_often(sidecar)
    full, failed = (f'{DROPPED}{{kind="{k}"}}' for k in ("span_queue_full", "span_export_failed"))

    async def all_counted() -> bool:
        return await sidecar.metric(full) + await sidecar.metric(failed) == 2 * CALLS

    assert await sidecar.metric(full) > 0  # the queue is bounded
    assert await sidecar.metric("tiermesh_requests_total") == CALLS
    # Two spans a call: all of them are counted as lost, once each.
    await eventually(all_counted)
    lines = sidecar.audit.read_text().splitlines()
    assert len(lines) == CALLS
    assert await asyncio.wait_for(sidecar.stop(), 15) == 0


async def test_a_collector_that_refuses_connections_hurts_no_call(
    refusing: str, tmp_path: Path
) -> None:
    async with live_sidecar(tmp_path, tracing(refusing)) as sidecar:
        await check_unhurt(sidecar)


async def test_a_collector_that_never_answers_hurts_no_call(silent: str, tmp_path: Path) -> None:
    async with live_sidecar(tmp_path, tracing(silent)) as sidecar:
        await check_unhurt(sidecar)
