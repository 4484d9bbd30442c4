"""The health server, for probes and scrapers: `/healthz`, `/readyz`, `/metrics`.

Alive: the event loop turns. Ready: the first look at the configuration is over, whatever it found,
and the sidecar is not shutting down. A sidecar without a usable policy is ready all the same: its
pod's application must start, and each call says `no_config`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tiermesh_sidecar.telemetry.exposition import CONTENT_TYPE


@dataclass(slots=True)
class Readiness:
    """Why the sidecar is not ready; None when it is."""

    reason: str | None = "starting"


def health_server(readiness: Readiness, metrics: Callable[[], bytes]) -> web.Server:
    """aiohttp's protocol factory for the health server. Make it inside a running event loop."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return _text(405, "only GET is answered here")
        match request.rel_url.path:
            case "/healthz":
                return _text(200, "ok")
            case "/readyz":
                reason = readiness.reason
                return _text(200, "ok") if reason is None else _text(503, reason)
            case "/metrics":
                return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE})
        return _text(404, "here are /healthz, /readyz and /metrics")

    return web.Server(handle, access_log=None)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")
