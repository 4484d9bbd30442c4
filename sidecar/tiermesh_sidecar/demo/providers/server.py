"""A fake model provider on a loopback socket: strict, scriptable, and it remembers what it got.

The only fakes of the project: tests, end-to-end tests, benchmarks and the demo all use these.

    async with FakeProvider(model="small", key="sk-demo") as provider:
        provider.enqueue(rate_limited(retry_after="1"))
        ...                                  # talk to provider.url
        assert provider.received[-1].json()["model"] == "small"
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from tiermesh_sidecar.demo.providers.anthropic import AnthropicProvider
from tiermesh_sidecar.demo.providers.faults import Behaviours, Fault, FaultKind, Schedule
from tiermesh_sidecar.demo.providers.openai import OpenAIProvider
from tiermesh_sidecar.demo.providers.player import Player
from tiermesh_sidecar.demo.providers.received import Ending, Received
from tiermesh_sidecar.demo.providers.reply import Call, Rejected, Reply, StreamReply

_LARGEST_BODY = 64 * 1024 * 1024
_ONCE = ("host", "content-length", "content-type", "authorization", "x-api-key")


class Dialect(StrEnum):
    OPENAI = "OpenAI"
    ANTHROPIC = "Anthropic"


class FakeProvider:
    """One provider: `async with` starts it on a free port and stops it.

    `model` is a name or several; `key` None asks for no credentials; `lenient` accepts unknown
    parameters; the last `remember` requests are kept; on another host than loopback any `Host` is
    answered.
    """

    def __init__(
        self,
        *,
        model: str | Sequence[str],
        key: str | None = "sk-demo",
        dialect: Dialect = Dialect.OPENAI,
        behaviours: Behaviours | None = None,
        embedding_models: Sequence[str] = (),
        lenient: bool = False,
        context_window: int = 128_000,
        remember: int = 1_000,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        models = (model,) if isinstance(model, str) else tuple(model)
        self._api: OpenAIProvider | AnthropicProvider
        if dialect is Dialect.OPENAI:
            self._api = OpenAIProvider(
                models=models,
                embedding_models=tuple(embedding_models),
                key=key,
                lenient=lenient,
                context_window=context_window,
            )
        else:
            self._api = AnthropicProvider(
                models=models, key=key, lenient=lenient, context_window=context_window
            )
        self.models = models
        self.key = key
        self.dialect = dialect
        self.received: deque[Received] = deque(maxlen=remember)
        """The last requests, oldest first."""
        self.leaked: deque[Received] = deque(maxlen=remember)
        """Those with a header that should have stayed in the pod."""
        self.count = 0
        """Requests since the start."""
        self._schedule = Schedule(behaviours=behaviours or Behaviours())
        self._canned: dict[tuple[str, str], Reply | StreamReply] = {}
        self._host, self._port = host, port
        self._arrived = asyncio.Condition()
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._server = web.Server(
            self._handle,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_field_size=64 * 1024,
            max_line_size=64 * 1024,
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it was started on a free one."""
        return self._port

    @property
    def url(self) -> str:
        """Without a path: what a `target.url` may be."""
        return f"http://{self._host}:{self._port}"

    @property
    def base_url(self) -> str:
        """What the provider's own SDK wants: OpenAI's ends in `/v1`."""
        return f"{self.url}/v1" if self.dialect is Dialect.OPENAI else self.url

    @property
    def behaviours(self) -> Behaviours:
        return self._schedule.behaviours

    @behaviours.setter
    def behaviours(self, value: Behaviours) -> None:
        """Takes effect with the next call and starts its seed anew."""
        self._schedule = Schedule(
            behaviours=value, outage=self._schedule.outage, queued=self._schedule.queued
        )

    @property
    def outage(self) -> Fault | None:
        """What every call meets while it is set, after what is queued."""
        return self._schedule.outage

    @outage.setter
    def outage(self, fault: Fault | None) -> None:
        self._schedule.outage = fault

    def enqueue(self, *steps: Fault | Reply | StreamReply | None) -> None:
        """Scripts the next calls, one step each: a fault, an exact reply, None for a usual answer.

        Calls that the provider rejects use up no step.
        """
        self._schedule.queued.extend(steps)

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._server.connections) if self._server is not None else 0

    @property
    def queued(self) -> int:
        """Scripted steps that no call has met yet."""
        return len(self._schedule.queued)

    def serve(self, method: str, path: str, reply: Reply | StreamReply) -> None:
        """Answers a path of its own (without the query), unchecked, always with this reply."""
        self._canned[method, path] = reply

    async def wait_for_calls(self, count: int) -> Received:
        """The last request, as soon as `count` of them have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.count >= count)
        return self.received[-1]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        received = await self._record(request, body)
        player = Player(request, received, self._schedule)
        try:
            reply, fault = self._answer(received)
            return await player.play(reply, fault, self._api.stream_error(_said(fault)))
        except (asyncio.CancelledError, ConnectionError):
            received.finish(Ending.CLIENT_GONE)
            raise

    async def _record(self, request: web.BaseRequest, body: bytes) -> Received:
        self.count += 1
        received = Received(
            number=self.count,
            at=asyncio.get_running_loop().time(),
            method=request.method,
            raw_path=request.raw_path,
            raw_headers=tuple(request.raw_headers),
            body=body,
        )
        self.received.append(received)
        if received.leaks(self.key):
            self.leaked.append(received)
        async with self._arrived:
            self._arrived.notify_all()
        return received

    def _answer(self, received: Received) -> tuple[Reply | StreamReply, Fault | None]:
        call = _call(received)
        try:
            canned = self._canned.get((call.method, call.path))
            reply = canned if canned is not None else self._checked(received, call)
            step = self._schedule.next()
            if isinstance(step, Fault):
                return self._faulted(step, reply, call), step
            return step or reply, None
        except Rejected as rejected:
            return self._api.rejection(rejected, call, self._api.identity_headers(call)), None

    def _checked(self, received: Received, call: Call) -> Reply | StreamReply:
        repeated = [name for name in _ONCE if len(received.values(name)) > 1]
        if repeated:
            raise Rejected(400, f"Header '{repeated[0]}' came more than once.")
        host, own = call.headers.get("host"), ("127.0.0.1", "localhost")
        if self._host in own and host not in [f"{name}:{self._port}" for name in own]:
            raise Rejected(421, f"Misdirected request: no host '{host}' here.")
        reply = self._api.answer(call)
        headers = (*reply.headers, *self._api.identity_headers(call))
        if isinstance(reply, Reply):
            return Reply(status=reply.status, headers=headers, body=reply.body, tokens=reply.tokens)
        return StreamReply(events=reply.events, headers=headers, closing=reply.closing)

    def _faulted(self, fault: Fault, reply: Reply | StreamReply, call: Call) -> Reply | StreamReply:
        if fault.kind is FaultKind.STATUS:
            rejected = self._api.fault(fault.status, fault.message)
            headers = (*fault.headers, *self._api.identity_headers(call))
            return self._api.rejection(rejected, call, headers)
        if fault.kind is FaultKind.KEY_ECHO:
            given = call.headers.get("authorization") or call.headers.get("x-api-key", "")
            words = f"Incorrect API key provided: {given.removeprefix('Bearer ')}."
            return self._api.rejection(self._api.fault(401, words), call)
        return reply


def _said(fault: Fault | None) -> str | None:
    return fault.message if fault is not None else None


def _call(received: Received) -> Call:
    return Call(
        method=received.method,
        path=received.raw_path.partition("?")[0],
        headers={n.decode("latin-1").lower(): v.decode("latin-1") for n, v in received.raw_headers},
        body=received.body,
        number=received.number,
        now=int(time.time()),
    )


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    return web.BaseRequest(
        message,
        payload,
        protocol,
        writer,
        task,
        asyncio.get_running_loop(),
        client_max_size=_LARGEST_BODY,
    )
