"""The admin server: what was decided (`/decisions`) and what runs (`/config`). Loopback only.

It shows who calls, so it answers requests that name a loopback host only: a page of another site
whose name was made to resolve to 127.0.0.1 ("DNS rebinding") gets nothing. No CORS, no write.
"""

from __future__ import annotations

import json

from aiohttp import web

from tiermesh_sidecar.net.setting_values import is_loopback
from tiermesh_sidecar.net.state import SidecarState
from tiermesh_sidecar.telemetry.decisions import Decisions

_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def admin_server(state: SidecarState, decisions: Decisions) -> web.Server:
    """aiohttp's protocol factory for the admin server. Make it inside a running event loop."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if not _is_local(request.headers.get("Host", "")):
            return _json(403, {"error": "name this server by a loopback address"})
        if request.method not in ("GET", "HEAD"):
            return _json(405, {"error": "only GET is answered here"})
        path = request.rel_url.path
        if path == "/config":
            return _json(200, state.as_json())
        if path == "/decisions" or path.startswith("/decisions/"):
            answer = decisions.answer(path, request.query, request.headers.get("Accept", ""))
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        if path == "/":
            return web.Response(status=302, headers={"Location": "/decisions"})
        return _json(404, {"error": "here are /decisions, /decisions/{id} and /config"})

    return web.Server(handle, access_log=None)


def _is_local(host: str) -> bool:
    """Whether a `Host` header names this machine's loopback."""
    name = host.lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    else:
        name = name.partition(":")[0]
    return is_loopback(name)


def _json(status: int, value: dict[str, object]) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n",
        content_type="application/json",
        headers=_NO_STORE,
    )
