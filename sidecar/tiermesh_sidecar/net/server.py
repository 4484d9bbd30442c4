"""The data plane's framing on aiohttp's low-level server: bytes to `Call`, `Reply` to bytes.

aiohttp parses requests, owns connections and keep-alive; the answer's head and chunks are written
here, because its response classes re-encode header values and add `Server` and `Date`. No routing,
no decompression, no normalised path. It must not know what a call means.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from aiohttp import web
from aiohttp.http import HttpVersion11

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.net.call import Call, RawHeaders
from tiermesh_sidecar.net.dataplane import DataPlane
from tiermesh_sidecar.net.exchange import announces_body
from tiermesh_sidecar.net.protocol import DataServer, malformed
from tiermesh_sidecar.net.upstream import MAX_HEAD_LINE, MAX_HEADERS
from tiermesh_sidecar.wire.headers import header

KEEP_ALIVE_S = 75.0
"""Longer than the connection pools of the usual SDKs keep an idle connection, so that they close
first and never write into one that we are closing."""
_BODILESS = frozenset({204, 304})


def data_server(plane: DataPlane, max_body: int) -> web.Server:
    """aiohttp's protocol factory for the data plane. Make it inside a running event loop."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await _handle(request, plane, max_body)

    return DataServer(
        handle,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=KEEP_ALIVE_S,
        max_line_size=MAX_HEAD_LINE,
        max_field_size=MAX_HEAD_LINE,
        max_headers=MAX_HEADERS,
        lingering_time=1.0,
    )


async def _handle(request: web.BaseRequest, plane: DataPlane, max_body: int) -> web.StreamResponse:
    reply = AiohttpReply(request)
    body, problem = await _read_body(request, max_body)
    call = Call(
        method=request.method,
        target=request.raw_path,
        headers=request.raw_headers,
        body=body,
        has_body=announces_body(request.raw_headers),
        reply=reply,
        began=time.monotonic(),
    )
    if problem is not None:
        reply.close_after()
        plane.refuse(call, problem)
    else:
        await plane.serve(call)
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        # The caller has gone; the call was recorded on the way here.
        raise asyncio.CancelledError
    await reply.drain()
    return _Written(reply)


async def _read_body(request: web.BaseRequest, max_body: int) -> tuple[bytes, Refusal | None]:
    """The whole body, or why it cannot be taken."""
    length = request.content_length
    if length is not None and length > max_body:
        return b"", _too_large(max_body)
    expected = header(request.raw_headers, b"expect")
    if expected is not None and expected.lower() == b"100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await request.content.readany():
            size += len(piece)
            if size > max_body:
                return b"", _too_large(max_body)
            pieces.append(piece)
    except web.RequestPayloadError as error:
        return b"", malformed(str(error))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), None


def _too_large(max_body: int) -> Refusal:
    return Refusal(
        code=ErrorCode.BODY_TOO_LARGE,
        message=f"The body is larger than {max_body} bytes, the sidecar's limit: send less, or "
        "start the sidecar with a larger --max-body.",
    )


class AiohttpReply:
    """`Reply` that writes HTTP/1.1 itself, through aiohttp's connection."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._keep_alive = request.keep_alive
        self._chunked = False
        self._head = b""
        self._silent = request.method == "HEAD"
        self._left: int | None = None
        """Bytes that the announced length still asks for."""
        self._finished = False
        self.started = False

    @property
    def keep_alive(self) -> bool:
        return self._keep_alive

    def close_after(self) -> None:
        """Close the connection after this answer."""
        self._keep_alive = False

    def start(self, status: int, reason: bytes, headers: RawHeaders, *, length: int | None) -> None:
        modern = self._request.version >= HttpVersion11
        bodiless = status in _BODILESS
        self._silent = self._silent or bodiless
        self._left = length
        lines = [
            b"HTTP/1.1 %d %b" % (status, reason or _phrase(status)),
            *[b"%b: %b" % pair for pair in headers],
        ]
        if length is not None:
            if not bodiless:
                lines.append(b"Content-Length: %d" % length)
        elif not self._silent:
            self._chunked = modern
            if modern:
                lines.append(b"Transfer-Encoding: chunked")
            else:
                self._keep_alive = False  # HTTP/1.0: the body ends with the connection
        if not self._keep_alive:
            lines.append(b"Connection: close")
        elif not modern:
            lines.append(b"Connection: keep-alive")
        self.started = True
        self._head = b"\r\n".join(lines) + b"\r\n\r\n"

    def write(self, data: bytes) -> None:
        if not data or self._silent or self._finished:
            self._send(b"")
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._left is not None:
            # More than was announced would be read as the next answer.
            data = data[: self._left]
            self._left -= len(data)
        self._send(data)

    def finish(self) -> None:
        if self._finished or not self.started:
            return
        if self._left and not self._silent:
            self.abort()
            return
        self._finished = True
        self._send(b"0\r\n\r\n" if self._chunked else b"")

    def abort(self) -> None:
        self._finished = True
        self._keep_alive = False
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    async def drain(self) -> None:
        await self._request.writer.drain()

    def _send(self, data: bytes) -> None:
        """The head waits for the first of the body, so that both go out in one packet."""
        if self._head:
            data, self._head = self._head + data, b""
        transport = self._request.transport
        if data and transport is not None and not transport.is_closing():
            transport.write(data)


class _Written(web.StreamResponse):
    """Tells aiohttp that the answer is on its way already."""

    def __init__(self, reply: AiohttpReply) -> None:
        super().__init__()
        self._reply = reply

    @property
    def keep_alive(self) -> bool:
        return self._reply.keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
