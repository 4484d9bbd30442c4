"""`tiermesh sidecar` as a process: signals, memory, and where keys must not be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from net_kit import (
    CANARY,
    CHAT,
    STREAM_HEAD,
    RawUpstream,
    chunk,
    event,
    eventually,
    policy,
    read_answer,
    read_head,
    request_bytes,
    secret,
    tier,
    write_config,
)

from tiermesh_sidecar.demo.providers.faults import FaultKind, broken
from tiermesh_sidecar.demo.providers.server import FakeProvider

IDLE_RSS_MB = 64


class Process:
    def __init__(self, process: asyncio.subprocess.Process, ports: dict[str, int]) -> None:
        self.process = process
        self.ports = ports

    async def get(self, which: str, path: str) -> Any:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[which])
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = await read_answer(reader)
        writer.close()
        return answer

    async def is_draining(self) -> bool:
        return bool((await self.get("health", "/readyz")).status == 503)

    async def has_refused(self) -> bool:
        return (await self.get("admin", "/config")).json()["lastRefused"] is not None

    async def is_ready(self) -> bool:
        try:
            return bool((await self.get("health", "/readyz")).status == 200)
        except OSError:
            assert self.process.returncode is None, "it ended instead"
            return False

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.ports["data"])


def _free_ports() -> dict[str, int]:
    import socket

    sockets = {name: socket.socket() for name in ("data", "admin", "health")}
    for held in sockets.values():
        held.bind(("127.0.0.1", 0))
    ports = {name: held.getsockname()[1] for name, held in sockets.items()}
    for held in sockets.values():
        held.close()
    return ports


@asynccontextmanager
async def _process(path: Path, *flags: str, **environment: str) -> AsyncIterator[Process]:
    ports = _free_ports()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tiermesh_sidecar",
        "sidecar",
        "-f",
        str(path),
        *(f"--listen=127.0.0.1:{ports['data']}", f"--admin=127.0.0.1:{ports['admin']}"),
        f"--health=127.0.0.1:{ports['health']}",
        *flags,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    running = Process(process, ports)
    try:
        await eventually(running.is_ready)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_sigterm_lets_a_stream_finish_and_exits_0(tmp_path: Path) -> None:
    finish = asyncio.Event()

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(event("one")))
        await finish.wait()
        writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async with RawUpstream(play) as upstream:
        path = write_config(
            tmp_path / "p.yaml", tier("small", upstream.url, rank=1), policy("small"), secret()
        )
        async with _process(path, "--drain", "30") as sidecar:
            reader, writer = await sidecar.connect()
            writer.write(request_bytes("/v1/chat/completions", {**CHAT, "stream": True}))
            await read_head(reader)
            sidecar.process.send_signal(signal.SIGTERM)
            await eventually(sidecar.is_draining)
            with pytest.raises(OSError):  # noqa: PT011 - which one is the system's affair
                await sidecar.connect()
            finish.set()
            rest = await reader.read()
            writer.close()
            out, _ = await sidecar.process.communicate()
    assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert sidecar.process.returncode == 0
    assert json.loads(out.splitlines()[-1])["status"] == 200  # the audit log was flushed


async def test_after_the_drain_a_stream_ends_with_an_error_event(tmp_path: Path) -> None:
    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(event("one")))
        await reader.read()

    async with RawUpstream(play) as upstream:
        path = write_config(
            tmp_path / "p.yaml", tier("small", upstream.url, rank=1), policy("small"), secret()
        )
        async with _process(path, "--drain", "0") as sidecar:
            reader, writer = await sidecar.connect()
            writer.write(request_bytes("/v1/chat/completions", {**CHAT, "stream": True}))
            await read_head(reader)
            sidecar.process.send_signal(signal.SIGTERM)
            rest = await reader.read()
            writer.close()
            out, _ = await sidecar.process.communicate()
    assert b'"upstream_unavailable"' in rest
    assert b"[DONE]" not in rest
    assert sidecar.process.returncode == 0
    assert json.loads(out.splitlines()[-1])["ending"] == "broken"


async def test_a_second_signal_exits_at_once(tmp_path: Path) -> None:
    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read()

    async with RawUpstream(play) as upstream:
        path = write_config(
            tmp_path / "p.yaml", tier("small", upstream.url, rank=1), policy("small"), secret()
        )
        async with _process(path, "--drain", "60") as sidecar:
            _, writer = await sidecar.connect()
            writer.write(request_bytes("/v1/chat/completions", CHAT))
            await upstream.asked.wait()
            sidecar.process.send_signal(signal.SIGTERM)
            await eventually(sidecar.is_draining)
            sidecar.process.send_signal(signal.SIGTERM)
            await sidecar.process.communicate()
            writer.close()
    assert sidecar.process.returncode == 128 + signal.SIGTERM


def _memory(pid: int) -> tuple[int, str]:
    """Resident KiB, and the names of the libraries that are loaded."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]), Path(f"/proc/{pid}/maps").read_text()


async def test_an_idle_sidecar_is_small_and_loads_nothing_of_the_compiler(tmp_path: Path) -> None:
    path = write_config(
        tmp_path / "p.yaml",
        tier("small", "http://127.0.0.1:1", rank=1),
        tier("large", "http://127.0.0.1:1", rank=2),
        policy(
            "small",
            "large",
            identity=[{"attribute": "plan", "header": "x-plan"}],
            rules=[
                {
                    "name": "premium",
                    "when": 'caller.plan == "premium"',
                    "route": {"pin": {"tier": "large"}},
                }
            ],
        ),
        secret(),
    )
    tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    async with _process(path, **tracing) as sidecar:
        rss_kib, maps = _memory(sidecar.process.pid)
    assert rss_kib < IDLE_RSS_MB * 1024
    assert "pydantic_core" not in maps
    assert "_yaml" not in maps


async def test_a_key_is_nowhere_but_in_the_request_to_its_backend(tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    async with FakeProvider(model="small", key=CANARY) as provider:
        provider.enqueue(None, broken(FaultKind.KEY_ECHO))
        path = write_config(
            tmp_path / "p.yaml",
            tier("small", provider.url, rank=1),
            policy("small", audit={"content": "Full"}),
            secret(),
        )
        async with _process(path, "--audit", str(audit), "--log-level", "debug") as sidecar:
            seen = []
            for _ in range(3):
                reader, writer = await sidecar.connect()
                writer.write(request_bytes("/v1/chat/completions", CHAT))
                answer = await read_answer(reader)
                seen += [answer.raw, answer.body]
                writer.close()
            call_id = answer.header("x-tiermesh-decision")
            for which, page in (
                ("health", "/metrics"),
                ("admin", "/config"),
                ("admin", "/decisions"),
                ("admin", f"/decisions/{call_id}"),
            ):
                found = await sidecar.get(which, page)
                assert found.status == 200
                seen += [found.raw, found.body]
            # A refused file is quoted in problems and in the log: not its key.
            write_config(path, tier("small", "no url", rank=1), policy("small"), secret())
            await eventually(sidecar.has_refused)
            refused = await sidecar.get("admin", "/config")
            seen.append(refused.body)
            proc = Path(f"/proc/{sidecar.process.pid}")
            seen += [(proc / "cmdline").read_bytes(), (proc / "environ").read_bytes()]
            sidecar.process.send_signal(signal.SIGTERM)
            seen += await sidecar.process.communicate()
    assert provider.count == 3
    assert provider.received[0].header("authorization") == f"Bearer {CANARY}"
    seen.append(audit.read_bytes())
    assert [part for part in seen if CANARY.encode() in part] == []


async def test_a_taken_address_is_told_in_one_line(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tiermesh_sidecar", "sidecar", f"--listen=127.0.0.1:{port}"),
        *("--admin=127.0.0.1:0", "--health=127.0.0.1:0"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    server.close()
    assert process.returncode == 1
    assert str(port).encode() in errors
    assert b"Traceback" not in errors
