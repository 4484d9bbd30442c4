"""Applications with an official SDK, which know of the sidecar by their environment alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from net_kit import CANARY, Recording, policy, secret, serving, tier

from tiermesh_sidecar.core.record import CallRecord
from tiermesh_sidecar.demo.providers.received import Received
from tiermesh_sidecar.demo.providers.server import Dialect, FakeProvider
from tiermesh_sidecar.net.app import Sidecar

APP_KEY = "sk-the-applications-own-9d1c"
HELLO: Any = [{"role": "user", "content": "Hello there"}]
"""`Any`: the SDKs' types for messages are unions of literals that a list does not fit."""
LONG_S = 10.0
"""Bounds waits for what should happen at once; only a broken sidecar waits so long."""

_SDK_VARIABLES = ("OPENAI_", "ANTHROPIC_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A sidecar with the tiers `small`, where calls go, and `large`, each a provider of its own;
    for OpenAI also `vectors`, an embedding model of the small one's provider."""

    sidecar: Sidecar
    recorder: Recording
    small: FakeProvider
    large: FakeProvider

    async def recorded(self, count: int = 1) -> CallRecord:
        """The last call's record, when there are `count`."""
        async with asyncio.timeout(LONG_S):
            return await self.recorder.wait_for(count)

    def received(self) -> list[Received]:
        return [*self.small.received, *self.large.received]


def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """These and no other variables that an SDK or its HTTP client reads."""
    for name in list(os.environ):
        if name.upper().startswith(_SDK_VARIABLES):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def openai_mesh(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    small: dict[str, Any] | None = None,
    large: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    **spec: Any,
) -> AsyncIterator[Mesh]:
    """`small` and `large` are fields of the tiers, `spec` those of the policy."""
    async with (
        FakeProvider(model="small", key=CANARY, embedding_models=["embed-3"]) as first,
        FakeProvider(model="large", key=CANARY) as second,
        serving(
            tmp_path,
            tier("small", first.url, rank=1, **(small or {})),
            tier("large", second.url, rank=2, **(large or {})),
            tier("vectors", first.url, rank=0, model="embed-3", capabilities=[], contextWindow=500),
            policy("small", "large", "vectors", **spec),
            secret(),
            **(settings or {}),
        ) as (sidecar, recorder),
    ):
        environment(
            monkeypatch,
            OPENAI_BASE_URL=f"{sidecar.data_url}/v1",
            OPENAI_API_KEY=APP_KEY,
        )
        yield Mesh(sidecar=sidecar, recorder=recorder, small=first, large=second)


@asynccontextmanager
async def anthropic_mesh(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    small: dict[str, Any] | None = None,
    large: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    **spec: Any,
) -> AsyncIterator[Mesh]:
    async with (
        FakeProvider(model="small", key=CANARY, dialect=Dialect.ANTHROPIC) as first,
        FakeProvider(model="large", key=CANARY, dialect=Dialect.ANTHROPIC) as second,
        serving(
            tmp_path,
            tier("small", first.url, rank=1, provider="Anthropic", **(small or {})),
            tier("large", second.url, rank=2, provider="Anthropic", **(large or {})),
            policy("small", "large", **spec),
            secret(),
            **(settings or {}),
        ) as (sidecar, recorder),
    ):
        environment(monkeypatch, ANTHROPIC_BASE_URL=sidecar.data_url, ANTHROPIC_API_KEY=APP_KEY)
        yield Mesh(sidecar=sidecar, recorder=recorder, small=first, large=second)


ONCE: dict[str, Any] = {"maxAttempts": 1, "backoff": {"base": "1ms", "max": "2ms"}}
"""`retry` of a policy that leaves repeating to the SDK."""
NO_FALLBACK: dict[str, Any] = {"route": {"pin": {"tier": "small", "fallback": "None"}}}
"""`default` of a policy that asks the small tier and no other."""


async def drained(stream: AsyncIterable[Any]) -> tuple[list[Any], Exception | None]:
    """What came, and the error that it ended with."""
    items: list[Any] = []
    try:
        async for item in stream:
            items.append(item)
    except Exception as error:
        return items, error
    return items, None
