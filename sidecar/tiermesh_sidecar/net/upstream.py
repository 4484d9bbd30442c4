"""The one way to a provider: send these bytes, read the answer's bytes, or close.

`Upstream` is the interface; `AiohttpUpstream` the implementation on aiohttp's connection pool. It
writes the request's head itself, byte for byte as `wire` made it (aiohttp would re-encode header
values as UTF-8 and normalise the target), and leaves framing of the answer, pooling, TLS and name
lookups to aiohttp. It follows nothing, keeps no cookie, sets no timeout, and decides no retry: the
attempts machine does. Foreign errors become an `UpstreamError` with a `Failure` here and only here.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp import abc, payload
from aiohttp.connector import Connection
from yarl import URL

from tiermesh_sidecar.core.events import Failure

RawHeaders = Sequence[tuple[bytes, bytes]]

MAX_HEAD_LINE = 64 * 1024
"""Bytes of one header line, in either direction; aiohttp's own 8 KiB is less than some cookies."""
MAX_HEADERS = 512
KEEP_ALIVE_S = 15.0
DNS_CACHE_S = 30


class UpstreamError(Exception):
    """An attempt that gave no whole answer, and why."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    method: str
    url: str
    """Scheme, authority, path and query, sent as they are."""
    headers: RawHeaders
    """Without `Host` and `Content-Length`, which follow from `url` and `body`."""
    body: bytes | None
    """None: no body and no `Content-Length`."""
    ca_bundle: str | None = None
    """PEM, or None for the system's trust store."""


class UpstreamResponse(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> str: ...

    @property
    def headers(self) -> RawHeaders:
        """As received: order, case and bytes."""

    @property
    def framed(self) -> bool:
        """The answer says where it ends (a length or chunks), so a cut is seen as an error. False:
        it ends when the connection does."""

    async def read(self) -> bytes:
        """What has come of the body since, at least a byte; b"" at its end. Raises UpstreamError
        when it breaks off."""

    def close(self) -> None:
        """Give the connection back if the answer was read whole, else close it. Idempotent."""


class Upstream(Protocol):
    async def open(self, request: UpstreamRequest, sent: Callable[[], None]) -> UpstreamResponse:
        """Send the request, call `sent` when it is on its way, and wait for the answer's head.

        Raises UpstreamError. A cancelled wait closes the connection."""

    async def close(self) -> None: ...


class AiohttpUpstream:
    """`Upstream` on aiohttp's client. Make it inside a running event loop."""

    def __init__(self) -> None:
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # A limit would make a call wait as long as another's stream lasts.
                limit=0,
                ttl_dns_cache=DNS_CACHE_S,
                keepalive_timeout=KEEP_ALIVE_S,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(),
            request_class=_RawRequest,
            max_line_size=MAX_HEAD_LINE,
            max_field_size=MAX_HEAD_LINE,
            max_headers=MAX_HEADERS,
        )

    async def open(self, request: UpstreamRequest, sent: Callable[[], None]) -> UpstreamResponse:
        origin, target = _split(request.url)
        context: ssl.SSLContext | bool = True  # of no meaning without TLS
        if not origin.startswith("http:"):
            context = await self._context(request.ca_bundle)
        message = _RawMessage(_head(request, origin, target), request.body or b"", sent)
        try:
            response = await self._session.request(
                request.method,
                URL(origin, encoded=True),
                data=message,
                ssl=context,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _translated(error) from error
        if response.status < 200:
            # 101 although we never ask for another protocol, or a number that is no status.
            response.close()
            raise UpstreamError(Failure.UNREADABLE, f"{response.status} is no answer's status")
        return _AiohttpResponse(response)

    async def close(self) -> None:
        await self._session.close()

    async def _context(self, ca_bundle: str | None) -> ssl.SSLContext:
        context = self._contexts.get(ca_bundle)
        if context is None:
            try:
                # Reading the system's certificates takes too long for the event loop.
                context = await asyncio.to_thread(_tls_context, ca_bundle)
            except (ssl.SSLError, ValueError) as error:
                raise UpstreamError(Failure.TLS, f"caBundle: {error}") from error
            # Calls that came meanwhile made their own: one must stay, the pool compares them.
            context = self._contexts.setdefault(ca_bundle, context)
        return context


class _AiohttpResponse:
    __slots__ = ("_response",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def reason(self) -> str:
        return self._response.reason or ""

    @property
    def headers(self) -> RawHeaders:
        return self._response.raw_headers

    @property
    def framed(self) -> bool:
        headers = self._response.headers
        return "Content-Length" in headers or "Transfer-Encoding" in headers

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(Failure.RESET, _text(error)) from error

    def close(self) -> None:
        # A body that was read to its end has released the connection already; anything else must
        # not go back to the pool, and the provider should stop producing.
        self._response.close()


class _RawMessage(payload.Payload):
    """Head and body that go out as they are; carried where aiohttp expects a body."""

    def __init__(self, head: bytes, body: bytes, sent: Callable[[], None]) -> None:
        super().__init__(body)
        self._size = len(body)
        self.head = head
        self.content = body
        self.sent = sent

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.content.decode(encoding, errors)

    async def write(self, writer: abc.AbstractStreamWriter) -> None:
        await writer.write(self.content)


class _RawRequest(aiohttp.ClientRequest):
    """Replaces the head that aiohttp has prepared by the one that `wire` made.

    aiohttp buffers its head in `writer` until the first body byte is written there. Nothing is ever
    written there: head and body go to the connection's transport instead.
    """

    async def write_bytes(
        self,
        writer: abc.AbstractStreamWriter,
        conn: Connection,
        content_length: int | None = None,
    ) -> None:
        message = self.body
        transport = conn.transport
        if not isinstance(message, _RawMessage):
            raise TypeError("requests are built by AiohttpUpstream.open only")
        if transport is None or transport.is_closing():
            return  # the reader of the answer learns of the lost connection
        message.sent()
        if len(message.content) <= 16 * 1024:
            transport.write(message.head + message.content)
        else:
            transport.write(message.head)
            transport.write(message.content)
        try:
            await writer.drain()
        except OSError:
            return  # as above


def _tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Trusts `ca_bundle` alone, or the system's certificates where there is none."""
    context = ssl.create_default_context(cadata=ca_bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _split(url: str) -> tuple[str, str]:
    """`scheme://authority` and the rest, without interpreting either."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority}", f"{slash}{path}" or "/"


def _head(request: UpstreamRequest, origin: str, target: str) -> bytes:
    host = origin.partition("://")[2].rpartition("@")[2].encode("ascii", "surrogateescape")
    lines = [
        b"%b %b HTTP/1.1"
        % (request.method.encode("ascii"), target.encode("utf-8", "surrogateescape")),
        b"Host: " + host,
        *[b"%b: %b" % pair for pair in request.headers],
    ]
    if request.body is not None:
        lines.append(b"Content-Length: %d" % len(request.body))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _translated(error: Exception) -> UpstreamError:
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return UpstreamError(Failure.DNS, _text(error))
    if isinstance(
        error,
        aiohttp.ClientConnectorSSLError | aiohttp.ClientConnectorCertificateError | ssl.SSLError,
    ):
        return UpstreamError(Failure.TLS, _text(error))
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        return UpstreamError(Failure.CONNECT, _text(error))
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamError(Failure.UNREADABLE, "the answer is not HTTP")
    return UpstreamError(Failure.RESET, _text(error))


def _text(error: BaseException) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection closed early"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection closed before the answer's head was whole"
    if isinstance(error, aiohttp.ClientPayloadError):
        # aiohttp's own text names its classes, and this sentence may reach the caller.
        return "the connection closed before the answer was whole"
    return str(error) or type(error).__name__
