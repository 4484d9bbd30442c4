"""Puts a reply on the socket: with its delays, and broken in the way that a fault says.

The only file of the fakes that touches a transport; it knows nothing of dialects.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping

from aiohttp import web

from tiermesh_sidecar.demo.providers.faults import Fault, FaultKind, Schedule
from tiermesh_sidecar.demo.providers.received import Ending, Received
from tiermesh_sidecar.demo.providers.reply import Headers, Reply, StreamReply

_PAGE = b"<html><head><title>Bad gateway</title></head><body>upstream hiccup</body></html>"
_GARBAGE = b'{"id": "chatcmpl-1", "choices": [{"index": 0, "mess'
_CUT_HERE = (FaultKind.RESET_MID_BODY, FaultKind.FIN_MID_BODY)


class Player:
    """Plays one reply. After `play` nothing more may be written."""

    def __init__(self, request: web.BaseRequest, received: Received, schedule: Schedule) -> None:
        self._request = request
        self._received = received
        self._schedule = schedule

    async def play(
        self, reply: Reply | StreamReply, fault: Fault | None, stream_error: bytes
    ) -> web.StreamResponse:
        """Sends the reply; `stream_error` is the dialect's event for STREAM_ERROR."""
        if fault is not None and fault.kind in (
            FaultKind.RESET_BEFORE_HEAD,
            FaultKind.CLOSE_BEFORE_HEAD,
        ):
            return self._break(reset=fault.kind is FaultKind.RESET_BEFORE_HEAD)
        await asyncio.sleep(self._head_delay(reply, fault))
        if fault is not None and fault.kind in _REPLACED:
            reply, fault = _REPLACED[fault.kind](reply), None
        if isinstance(reply, Reply):
            return await self._plain(reply, fault)
        return await self._stream(reply, fault, stream_error)

    def _head_delay(self, reply: Reply | StreamReply, fault: Fault | None) -> float:
        slow = fault.seconds if fault is not None and fault.kind is FaultKind.SLOW_HEAD else 0.0
        return slow + self._schedule.delay(reply.tokens if isinstance(reply, Reply) else 0)

    async def _plain(self, reply: Reply, fault: Fault | None) -> web.StreamResponse:
        kind = fault.kind if fault is not None else None
        headers, body = reply.headers, reply.body
        if kind is FaultKind.GZIP:
            headers, body = (*headers, ("content-encoding", "gzip")), gzip.compress(body, mtime=0)
        if kind is FaultKind.CLOSE_DELIMITED:
            return await self._close_delimited(reply.status, headers, [body])
        response = self._response(reply.status, headers)
        response.content_length = len(body)
        half = len(body) // 2
        await response.prepare(self._request)
        if kind in _CUT_HERE:
            await self._write(response.write, body[:half])
            return self._break(reset=kind is FaultKind.RESET_MID_BODY)
        if fault is not None and kind is FaultKind.STALL:
            await self._write(response.write, body[:half])
            await asyncio.sleep(fault.seconds)
            body = body[half:]
        await self._write(response.write, body)
        return await self._end(response)

    async def _stream(
        self, reply: StreamReply, fault: Fault | None, stream_error: bytes
    ) -> web.StreamResponse:
        kind = fault.kind if fault is not None else None
        events = list(_harmed(reply, fault, stream_error))
        headers = reply.headers
        if kind is FaultKind.GZIP:
            headers, events = (*headers, ("content-encoding", "gzip")), list(_zipped(events))
        if kind in (FaultKind.CLOSE_DELIMITED, FaultKind.CLOSE_DELIMITED_NO_END):
            return await self._close_delimited(200, headers, events)
        response = self._response(200, headers)
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        before = events if fault is None else events[: fault.after]
        await self._paced(response.write, before)
        if kind in _CUT_HERE:
            return self._break(reset=kind is FaultKind.RESET_MID_BODY)
        if fault is not None and kind is FaultKind.STALL:
            await asyncio.sleep(fault.seconds)
        await self._paced(response.write, events[len(before) :])
        return await self._end(response)

    async def _close_delimited(
        self, status: int, headers: Headers, parts: list[bytes]
    ) -> web.StreamResponse:
        """HTTP/1.0's framing, which aiohttp does not write on a 1.1 connection."""
        transport = self._request.transport
        assert transport is not None
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        transport.write(f"HTTP/1.1 {status} OK\r\n{lines}Connection: close\r\n\r\n".encode())
        self._received.status = status

        async def write(data: bytes) -> None:
            transport.write(data)

        await self._paced(write, parts)
        transport.close()
        self._received.finish(Ending.ANSWERED)
        return _Unsent()

    async def _paced(self, write: Callable[[bytes], Awaitable[None]], events: list[bytes]) -> None:
        size = self._schedule.behaviours.chunk_bytes
        if size is not None:
            whole = b"".join(events)
            events = [whole[at : at + size] for at in range(0, len(whole), size)]
        for event in events:
            pause = self._schedule.delay(1, head=False)
            if pause:
                await asyncio.sleep(pause)
            await self._write(write, event)
            if size is not None:
                await asyncio.sleep(0)  # a write of its own, as far as the kernel allows

    async def _write(self, write: Callable[[bytes], Awaitable[None]], data: bytes) -> None:
        await write(data)
        self._received.sent += len(data)

    def _response(self, status: int, headers: Headers) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        for name, value in headers:
            response.headers.add(name, value)
        self._received.status = status
        return response

    async def _end(self, response: web.StreamResponse) -> web.StreamResponse:
        await response.write_eof()
        self._received.finish(Ending.ANSWERED)
        return response

    def _break(self, *, reset: bool) -> web.StreamResponse:
        """Closes the connection: with FIN, or with RST by a linger of zero."""
        transport = self._request.transport
        assert transport is not None
        if reset:
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        self._received.finish(Ending.FAULTED)
        return _Unsent()


class _Unsent(web.StreamResponse):
    """Tells aiohttp that nothing is left to send: the connection is closed already."""

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def _page(reply: Reply | StreamReply) -> Reply:
    return Reply(headers=(("content-type", "text/html; charset=utf-8"),), body=_PAGE)


def _empty(reply: Reply | StreamReply) -> Reply:
    return Reply(headers=reply.headers)


def _garbage(reply: Reply | StreamReply) -> Reply | StreamReply:
    if isinstance(reply, Reply):
        return Reply(headers=reply.headers, body=_GARBAGE)
    events = (reply.events[0], b"data: " + _GARBAGE + b"\n\n", *reply.events[1:])
    return StreamReply(events=events, headers=reply.headers, closing=reply.closing)


_REPLACED: Mapping[FaultKind, Callable[[Reply | StreamReply], Reply | StreamReply]] = {
    FaultKind.NOT_JSON: _page,
    FaultKind.EMPTY: _empty,
    FaultKind.GARBAGE: _garbage,
}


def _harmed(reply: StreamReply, fault: Fault | None, stream_error: bytes) -> Iterator[bytes]:
    if fault is not None and fault.kind is FaultKind.STREAM_ERROR:
        yield from reply.events[: fault.after]
        yield stream_error
    elif fault is not None and fault.kind is FaultKind.NO_END:
        yield from reply.events[: len(reply.events) - reply.closing]
    elif fault is not None and fault.kind is FaultKind.CLOSE_DELIMITED_NO_END:
        yield from reply.events[: fault.after]
    else:
        yield from reply.events


def _zipped(events: list[bytes]) -> Iterator[bytes]:
    """Each event flushed, so that a reader can unpack it at once."""
    packer = zlib.compressobj(wbits=31)
    for event in events:
        yield packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
