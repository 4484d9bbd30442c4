"""A real `tiermesh sidecar` process before fake providers, with the policy that the end-to-end
tests share: three tiers, one of them with two dialects, entitlements, a signal, CEL."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tiermesh_sidecar.demo.providers import Dialect, FakeProvider

KEY = "sk-of-the-provider"
PATIENCE_S = 30.0
_API = {"apiVersion": "tiermesh.dev/v1alpha1"}
_PRICES = {"small": ("1", "2"), "medium": ("3", "6"), "large": ("10", "20")}
"""Dollars per million tokens, in and out."""
_SERVING = re.compile(r"serving on ([\d.]+:\d+), admin on ([\d.]+:\d+), health on ([\d.]+:\d+)")

Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSidecar:
    process: asyncio.subprocess.Process
    data: str
    """Addresses, as `http://HOST:PORT`."""
    admin: str
    health: str
    audit: Path
    providers: Mapping[str, FakeProvider]
    """By backend: `small`, `medium`, `large` and, Anthropic's, `large-messages`."""

    async def record(self, call_id: str) -> dict[str, Any]:
        """The audit record of a call; it is made when the call has ended."""
        found: dict[str, Any] = {}

        async def there() -> bool:
            status, text = await read(f"{self.admin}/decisions/{call_id}")
            if status == 200:
                found.update(json.loads(text))
            return status == 200

        await eventually(there)
        return found

    async def metric(self, series: str) -> float:
        """The value of one line of `/metrics`; 0 where it is not there."""
        _, text = await read(f"{self.health}/metrics")
        values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(series)]
        return sum(float(value) for value in values)

    async def stop(self) -> int:
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_S)


async def read(url: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(headers={"accept": "application/json"}) as session,
        session.get(url) as answer,
    ):
        return answer.status, await answer.text()


async def eventually(holds: Callable[[], Awaitable[bool]], limit_s: float = PATIENCE_S) -> None:
    """Asks again and again; the limit only keeps a broken sidecar from hanging the run."""
    for _ in range(int(limit_s / 0.05)):
        if await holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"did not happen within {limit_s:g} s")


@asynccontextmanager
async def live_sidecar(
    folder: Path, environment: Environment | None = None
) -> AsyncIterator[LiveSidecar]:
    """Starts the providers and the sidecar, yields a `LiveSidecar`, and ends them all."""
    async with AsyncExitStack() as stack:
        providers = {
            name: await stack.enter_async_context(
                FakeProvider(
                    model=f"{name}-2025",
                    key=KEY,
                    dialect=Dialect.ANTHROPIC if name == "large-messages" else Dialect.OPENAI,
                )
            )
            for name in ("small", "medium", "large", "large-messages")
        }
        policy = folder / "policy.yaml"
        policy.write_text("\n---\n".join(json.dumps(d) for d in documents(providers)))
        process = await _start(folder, policy, environment or {})
        stack.push_async_callback(_end, process)
        data, admin, health = await _addresses(process, folder / "sidecar.log")
        yield LiveSidecar(
            process=process,
            data=data,
            admin=admin,
            health=health,
            audit=folder / "audit.jsonl",
            providers=providers,
        )


async def _start(
    folder: Path, policy: Path, environment: Environment
) -> asyncio.subprocess.Process:
    any_port = "127.0.0.1:0"
    with (folder / "sidecar.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tiermesh_sidecar", "sidecar", "-f", str(policy)),
            *("--listen", any_port, "--admin", any_port, "--health", any_port),
            *("--audit", str(folder / "audit.jsonl")),
            stderr=log,
            env={**os.environ, **environment},
        )


async def _addresses(process: asyncio.subprocess.Process, log: Path) -> list[str]:
    found: list[str] = []

    async def serving() -> bool:
        said = await asyncio.to_thread(log.read_text)
        assert process.returncode is None, said
        match = _SERVING.search(said)
        found.extend(f"http://{address}" for address in (match.groups() if match else ()))
        return match is not None

    await eventually(serving)
    return found


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


def documents(providers: Mapping[str, FakeProvider]) -> list[dict[str, Any]]:
    policy = {
        "tiers": [{"name": name} for name in _PRICES],
        "identity": [
            {"attribute": "plan", "header": "x-plan"},
            {"attribute": "step", "header": "x-step"},
        ],
        "signals": [{"name": "complexity", "heuristic": {}}],
        "entitlements": {
            "grants": [{"name": "free", "when": 'caller.plan == "free"', "tiers": ["small"]}]
        },
        "rules": [
            {"name": "steps", "match": {"steps": ["classify"]}, "route": _pin("small")},
            {"name": "premium", "when": 'caller.plan == "premium"', "route": _pin("large")},
            {"name": "rest", "route": _THRESHOLD},
        ],
        "default": {"route": _pin("large")},
        "retry": {"maxAttempts": 3, "backoff": {"base": "1ms", "max": "2ms"}},
        "fallback": {"on": ["ServerError", "RateLimited", "Timeout", "Unhealthy"], "order": "Up"},
    }
    tiers = [_tier(10 * rank, name, providers) for rank, name in enumerate(_PRICES, 1)]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": "shop"},
        "stringData": {"api-key": KEY},
    }
    routing = {
        **_API,
        "kind": "RoutingPolicy",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": policy,
    }
    return [*tiers, routing, secret]


def _pin(tier: str) -> dict[str, Any]:
    return {"pin": {"tier": tier}}


_THRESHOLD = {
    "threshold": {
        "signal": "complexity",
        "bands": [
            {"below": "0.5", "tier": "small"},
            {"below": "0.9", "tier": "medium"},
            {"tier": "large"},
        ],
        "onAbstain": "medium",
    }
}


def _tier(rank: int, name: str, providers: Mapping[str, FakeProvider]) -> dict[str, Any]:
    price_in, price_out = _PRICES[name]
    backends = [
        {
            "name": backend,
            "provider": provider.dialect.value,
            "model": provider.models[0],
            "target": {"url": provider.url},
            "credentials": {"secretRef": {"name": "keys", "key": "api-key"}},
        }
        for backend, provider in providers.items()
        if backend.partition("-")[0] == name
    ]
    return {
        **_API,
        "kind": "ModelTier",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "rank": rank,
            "price": {"inputPerMillionTokens": price_in, "outputPerMillionTokens": price_out},
            "contextWindow": 32768,
            "backends": backends,
        },
    }
