"""The demo's application: sends a call over HTTP as any client would, then asks the sidecar why.

It knows of the sidecar what an application may know: two addresses and the response headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import aiohttp

from tiermesh_sidecar.demo.summary import Result
from tiermesh_sidecar.demo.workload import DemoCall

_APPS_OWN_KEY = "Bearer sk-the-apps-own-key"
"""Applications send a key; the sidecar keeps it and uses the backend's."""
_NO_NEWS = "NotInRoute"
"""Neither route nor fallback names the tier: nothing held it back."""
_SIGNAL = "complexity"
_PATIENCE = 20


class Application:
    """One HTTP client with two addresses."""

    def __init__(self, *, data_url: str, admin_url: str) -> None:
        self._data_url = data_url
        self._admin_url = admin_url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))

    async def close(self) -> None:
        await self._session.close()

    async def send(self, call: DemoCall, number: int) -> Result:
        """Sends the call and reads its answer to the end. Never raises for what a server does."""
        clock = asyncio.get_running_loop().time
        start = clock()
        status, body, headers = 0, b"", dict[str, str]()
        try:
            async with self._session.post(
                self._data_url + call.path,
                json=dict(call.body),
                headers={"authorization": _APPS_OWN_KEY, **call.headers},
            ) as response:
                status, headers = response.status, {**response.headers}
                body = await response.read()
            broken = call.stream and _ended_with_error(body)
        except (aiohttp.ClientError, TimeoutError):
            broken = True
        elapsed = 1000 * (clock() - start)
        id_ = headers.get("x-tiermesh-decision")
        record = await self._record(id_) if id_ else {}
        return _result(call, number, status, elapsed, headers=headers, record=record, broken=broken)

    async def _record(self, id_: str) -> Mapping[str, Any]:
        """The audit record of the call; it may be written a moment after the answer ended."""
        url = f"{self._admin_url}/decisions/{id_}"
        for _ in range(_PATIENCE):
            try:
                async with self._session.get(url, headers={"accept": "application/json"}) as found:
                    if found.status == 200:
                        record: dict[str, Any] = await found.json()
                        return record
            except (aiohttp.ClientError, TimeoutError):
                return {}
            await asyncio.sleep(0.02)
        return {}


def _result(
    call: DemoCall,
    number: int,
    status: int,
    elapsed_ms: float,
    *,
    headers: Mapping[str, str],
    record: Mapping[str, Any],
    broken: bool,
) -> Result:
    signals = record.get("signals") or {}
    held_back = {
        c["tier"]: c["reason"]
        for c in record.get("candidates") or ()
        if not c["kept"] and c["reason"] != _NO_NEWS
    }
    return Result(
        number=number,
        kind=call.kind,
        prompt=call.prompt,
        status=status,
        latency_ms=elapsed_ms,
        stream=call.stream,
        code=record.get("code"),
        broken=broken,
        tier=headers.get("x-tiermesh-tier"),
        rule=headers.get("x-tiermesh-rule"),
        reason=headers.get("x-tiermesh-reason"),
        attempts=int(headers.get("x-tiermesh-attempts", "0")),
        cost=_money(record.get("cost")),
        top_tier_cost=_money(record.get("topTierCost")),
        scored=_SIGNAL in signals,
        score=signals.get(_SIGNAL),
        passed_over=held_back,
    )


def _money(text: str | None) -> Decimal | None:
    return Decimal(text) if text is not None else None


def _ended_with_error(body: bytes) -> bool:
    last = body.rstrip().rpartition(b"\n\n")[2]
    return b'"error"' in last
