"""Sidecars, raw clients and hostile providers for the tests of `net`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tiermesh_sidecar.core.record import CallRecord
from tiermesh_sidecar.net.app import Sidecar, running_sidecar
from tiermesh_sidecar.net.documents import compile_paths
from tiermesh_sidecar.net.setting_values import Address
from tiermesh_sidecar.net.settings import Settings
from tiermesh_sidecar.telemetry.audit import AuditLog
from tiermesh_sidecar.telemetry.decisions import Decisions
from tiermesh_sidecar.telemetry.metrics import Metrics
from tiermesh_sidecar.telemetry.recorder import Recorder

ANY_PORT = Address(host="127.0.0.1", port=0)
CANARY = "sk-canary-7f3a9b"
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Hello there"}]}
MESSAGE = {**CHAT, "max_tokens": 64}


class Recording(Recorder):
    """Keeps what it records, for assertions."""

    def __init__(self, audit: AuditLog | None = None) -> None:
        super().__init__(metrics=Metrics(version="test"), decisions=Decisions(), audit=audit)
        self.calls: list[CallRecord] = []
        self._waiters: list[asyncio.Event] = []

    def record(self, call: CallRecord) -> None:
        super().record(call)
        self.calls.append(call)
        for waiter in self._waiters:
            waiter.set()

    async def wait_for(self, count: int) -> CallRecord:
        """The last record, as soon as there are `count`."""
        news = asyncio.Event()
        self._waiters.append(news)
        while len(self.calls) < count:
            news.clear()
            await news.wait()
        return self.calls[-1]


def tier(
    name: str,
    url: str,
    *,
    rank: int,
    model: str | None = None,
    provider: str = "OpenAI",
    credentials: dict[str, Any] | None = None,
    price: str = "1",
    **spec: Any,
) -> dict[str, Any]:
    backend = {
        "name": f"{name}-a",
        "provider": provider,
        "model": model or name,
        "target": {"url": url},
        "credentials": credentials or {"secretRef": {"name": "keys", "key": "api-key"}},
    }
    spec.setdefault("capabilities", ["Tools", "JSONSchema", "Vision", "Logprobs", "Reasoning"])
    spec.setdefault("price", {"inputPerMillionTokens": price, "outputPerMillionTokens": price})
    spec.setdefault("backends", [backend])
    return {
        "apiVersion": "tiermesh.dev/v1alpha1",
        "kind": "ModelTier",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"rank": rank, **spec},
    }


def policy(*tiers: str, **spec: Any) -> dict[str, Any]:
    spec.setdefault("default", {"route": {"pin": {"tier": tiers[0]}}})
    spec.setdefault("retry", {"maxAttempts": 3, "backoff": {"base": "1ms", "max": "2ms"}})
    return {
        "apiVersion": "tiermesh.dev/v1alpha1",
        "kind": "RoutingPolicy",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {"tiers": [{"name": name} for name in tiers], **spec},
    }


def secret(key: str = CANARY) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": "shop"},
        "stringData": {"api-key": key},
    }


def write_config(path: Path, *documents: dict[str, Any]) -> Path:
    """JSON is YAML; one file, replaced as a whole."""
    partial = path.with_suffix(".part")
    partial.write_text("\n---\n".join(json.dumps(document) for document in documents))
    partial.rename(path)
    return path


@asynccontextmanager
async def serving(
    tmp_path: Path, *documents: dict[str, Any], recorder: Recording | None = None, **settings: Any
) -> AsyncIterator[tuple[Sidecar, Recording]]:
    """A sidecar with these documents. They are compiled in this process, which has what that needs
    imported already; `test_reload` and `test_process` go through the compile process."""
    recorder = recorder or Recording()
    chosen = replace(
        Settings(listen=ANY_PORT, admin=ANY_PORT, health=ANY_PORT, audit="none", drain_s=1.0),
        **settings,
    )
    compiled = None
    if documents:
        path = write_config(tmp_path / "policy.yaml", *documents)
        chosen = replace(chosen, files=(path,))

        async def compile_here() -> Any:
            return compile_paths([path], chosen.namespace)

        compiled = asyncio.get_running_loop().create_task(compile_here())
    async with running_sidecar(chosen, compiled=compiled, recorder=recorder) as sidecar:
        yield sidecar, recorder


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    raw: bytes

    def header(self, name: str) -> str | None:
        wanted = name.lower().encode()
        found = [value for key, value in self.headers if key.lower() == wanted]
        assert len(found) < 2, f"{name} came {len(found)} times"
        return found[0].decode("latin-1") if found else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        return self.json()["error"]["code"]


def request_bytes(
    target: str,
    body: bytes | dict[str, Any] | None,
    headers: Sequence[tuple[bytes, bytes]] = (),
    method: str = "POST",
) -> bytes:
    if isinstance(body, dict):
        body = json.dumps(body).encode()
        if b"content-type" not in {name.lower() for name, _ in headers}:
            headers = [*headers, (b"Content-Type", b"application/json")]
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1"), b"Host: sidecar"]
    lines += [name + b": " + value for name, value in headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


async def ask(
    sidecar: Sidecar,
    body: bytes | dict[str, Any] | None = None,
    *,
    target: str = "/v1/chat/completions",
    headers: Sequence[tuple[bytes, bytes]] = (),
    method: str = "POST",
) -> Answer:
    """One request on its own connection, raw; the whole answer."""
    sent = request_bytes(target, CHAT if body is None else body, headers, method)
    if body is None and method != "POST":
        sent = request_bytes(target, None, headers, method)
    return await exchange(sidecar, sent, head_only=method == "HEAD")


async def exchange(sidecar: Sidecar, sent: bytes, *, head_only: bool = False) -> Answer:
    reader, writer = await connect(sidecar)
    try:
        writer.write(sent)
        return await read_answer(reader, head_only=head_only)
    finally:
        writer.close()


async def connect(sidecar: Sidecar) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sidecar.data.host, sidecar.data.port)


async def read_head(
    reader: asyncio.StreamReader,
) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...], bytes]:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw[:-4].split(b"\r\n")
    _, status, *reason = first.split(b" ", 2)
    pairs = tuple((n, v) for n, _, v in (line.partition(b": ") for line in lines))
    return int(status), b"".join(reason), pairs, raw


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> Answer:
    status, reason, headers, raw = await read_head(reader)
    fields = {name.lower(): value for name, value in headers}
    body = b""
    if head_only or status in (204, 304):
        pass
    elif fields.get(b"transfer-encoding") == b"chunked":
        async for chunk in chunks(reader):
            body += chunk
    elif b"content-length" in fields:
        body = await reader.readexactly(int(fields[b"content-length"]))
    else:
        body = await reader.read()
    return Answer(status, reason, headers, body, raw)


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The chunks of a body. Raises IncompleteReadError where it is cut off."""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunk = await reader.readexactly(size + 2)
        yield chunk[:-2]
    await reader.readexactly(2)


Script = Callable[["RawUpstream", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawUpstream:
    """A provider on a bare socket: what it got, byte for byte, and exactly the bytes it is told."""

    def __init__(self, script: Script | bytes) -> None:
        self._script = script
        self.url = ""
        self._server: asyncio.Server | None = None
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.closed = asyncio.Event()
        """The other side has closed a connection."""
        self.asked = asyncio.Event()

    async def __aenter__(self) -> RawUpstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await self._take_request(reader)
                self.asked.set()
                if isinstance(self._script, bytes):
                    writer.write(self._script)
                else:
                    await self._script(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()
        finally:
            writer.close()

    async def _take_request(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(length))


def json_answer(body: bytes | dict[str, Any], *headers: bytes, status: bytes = b"200 OK") -> bytes:
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", *headers]
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str, **fields: Any) -> bytes:
    value = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        **fields,
    }
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


async def eventually(holds: Callable[[], Awaitable[bool]], limit_s: float = 20.0) -> None:
    """Asks again and again: for what another process or a poll does. The limit only keeps a broken
    sidecar from hanging the run."""
    for _ in range(int(limit_s / 0.02)):
        if await holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"did not happen within {limit_s} s")
