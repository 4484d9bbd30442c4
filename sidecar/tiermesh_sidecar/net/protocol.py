"""What the data plane answers where aiohttp could not read a request: our error, not its text.

aiohttp answers malformed HTTP by itself, as plain text that no SDK can read, and logs a traceback
for each. Nothing of such a request is known, so there is no call to decide or record: only its
connection is answered, as for an OpenAI client, and closed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.wire.errors import STATUS, render

_log = logging.getLogger("tiermesh")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class DataServer(web.Server):
    """aiohttp's protocol factory, with `DataProtocol` for each connection."""

    def __init__(self, handler: Handler, **options: Any) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._options = options

    def __call__(self) -> web.RequestHandler:
        return DataProtocol(self, loop=asyncio.get_running_loop(), **self._options)


class DataProtocol(web.RequestHandler):
    """One connection of the data plane."""

    __slots__ = ("_newest",)

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._newest: StreamReader | None = None
        """The body of the request that was parsed last."""

    def data_received(self, data: bytes) -> None:
        """Ends a body that turned out malformed.

        aiohttp only queues its error behind the request, whose handler would wait for the rest of
        the body until the caller goes away. What is queued behind an unfinished body can be nothing
        but that error.
        """
        super().data_received(data)
        if not self._messages:
            return
        body = self._messages[-1][1]
        if body is not self._newest:
            if self._newest is not None and not self._newest.is_eof():
                self._newest.set_exception(web.RequestPayloadError("malformed body"))
                self._newest.feed_eof()  # nobody waits for the rest, nor reads it to drop it
            self._newest = body

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no request. Raises ConnectionError, which closes the connection,
        where the caller has gone or, for a bug of ours, an answer may have begun."""
        transport = request.transport
        if isinstance(exc, ConnectionError) or transport is None or transport.is_closing():
            raise ConnectionError("the caller has gone") from exc
        if not isinstance(exc, HttpProcessingError):
            _log.error("a request failed in the sidecar itself", exc_info=exc)
            raise ConnectionError("there is no second answer") from exc
        refusal = malformed(message or str(exc))
        _log.debug("malformed HTTP: %s", refusal.message)
        response = web.Response(
            status=STATUS[refusal.code],
            body=render(refusal, Dialect.OPENAI),
            content_type="application/json",
        )
        response.force_close()
        return response


_BYTES_SHOWN = re.compile(r"\n|: (?:b|')")


def malformed(detail: str) -> Refusal:
    """Of aiohttp's message the words that say what is wrong; the rest shows the caller's bytes,
    which may be a credential."""
    what = _BYTES_SHOWN.split(detail, maxsplit=1)[0].rstrip(":.") or "it cannot be read"
    return Refusal(
        code=ErrorCode.INVALID_REQUEST,
        message=f"This is not a well-formed HTTP/1.1 request ({what}): nothing was sent on. Check "
        "what builds the request line, the headers and the body's framing.",
    )
