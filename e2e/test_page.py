"""The decisions page in a real browser, before a live sidecar."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from chromium import Tab, find_chromium, open_tab
from live_sidecar import LiveSidecar, live_sidecar

from tiermesh_sidecar.demo.providers import status

HELLO: list[Any] = [{"role": "user", "content": "Say hello"}]
ROWS = "document.querySelectorAll('#rows tr')"
HOSTILE = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'


@pytest.fixture
def chromium() -> str:
    found = find_chromium()
    if found is None:
        pytest.skip("no chromium found: install it, or name it in TIERMESH_E2E_CHROMIUM")
    return found


class Caller:
    """The application: calls that are decided one way or another."""

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self._client = client

    async def call(self, model: str = "auto", **headers: str) -> str:
        """The decision's id."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = await self._client.chat.completions.with_raw_response.create(
            model=model, messages=HELLO, extra_headers=named
        )
        return str(raw.headers["x-tiermesh-decision"])

    async def embed(self, model: str) -> str:
        """The same of a call that is refused: no backend has this model."""
        with pytest.raises(openai.NotFoundError) as refused:
            await self._client.embeddings.create(model=model, input="hello")
        return str(refused.value.response.headers["x-tiermesh-decision"])


@asynccontextmanager
async def showing(chromium: str, folder: Path) -> AsyncIterator[tuple[LiveSidecar, Caller, Tab]]:
    """A sidecar that has decided nothing yet, and its page in a browser. Afterwards the page must
    have asked nobody but this sidecar, and complained of nothing."""
    profile = folder / "profile"
    profile.mkdir()
    async with (
        live_sidecar(folder) as sidecar,
        openai.AsyncOpenAI(
            base_url=f"{sidecar.data}/v1", api_key="sk-of-the-app", max_retries=0
        ) as client,
        open_tab(chromium, profile) as tab,
    ):
        await tab.open(f"{sidecar.admin}/decisions")
        await tab.until("!document.getElementById('empty').hidden")
        yield sidecar, Caller(client), tab
        asked = list(tab.requests)
        complaints = list(tab.complaints)
    assert len(asked) > 1
    assert [url for url in asked if not url.startswith(f"{sidecar.admin}/decisions")] == []
    assert complaints == []


async def rows(tab: Tab) -> list[str]:
    found: list[str] = await tab.value(f"[...{ROWS}].map((line) => line.innerText)")
    return found


async def test_calls_appear_while_one_looks(chromium: str, tmp_path: Path) -> None:
    async with showing(chromium, tmp_path) as (_, caller, tab):
        await tab.value("window.loadedOnce = true")
        assert await rows(tab) == []
        await caller.call()
        await tab.until(f"{ROWS}.length === 1")
        await caller.call(x_plan="premium")
        await tab.until(f"{ROWS}.length === 2")
        newest, oldest = await rows(tab)
        assert await tab.value("window.loadedOnce") is True
        assert await tab.value("document.getElementById('empty').hidden") is True
        assert await tab.text("#calls") == "2"
        assert await tab.text("#news") == "live"
        shares = await tab.text("#shares")

    assert newest.split("\t")[1:5] == ["large", "premium", "Chosen", "large-2025"]
    assert oldest.split("\t")[1:5] == ["small", "rest", "Chosen", "small-2025"]
    assert [line.split("\t")[8] for line in (newest, oldest)] == ["200", "200"]
    assert "small 1 (50%)" in shares
    assert "large 1 (50%)" in shares


async def test_the_list_narrows_to_one_tier(chromium: str, tmp_path: Path) -> None:
    async with showing(chromium, tmp_path) as (_, caller, tab):
        for plan in ("", "premium", ""):
            await caller.call(x_plan=plan)
        await tab.until(f"{ROWS}.length === 3")
        # As a person without a mouse would: the list has the focus, and the first letter chooses.
        await tab.value("document.getElementById('tier').focus()")
        await tab.press("l", text="l")
        await tab.until(f"{ROWS}.length === 1")
        assert "large-2025" in (await rows(tab))[0]
        await caller.call(x_plan="premium")
        await tab.until(f"{ROWS}.length === 2")
        assert [line for line in await rows(tab) if "small-2025" in line] == []
        assert await tab.text("#calls") == "4"  # totals are of all tiers


async def test_a_click_explains_a_call(chromium: str, tmp_path: Path) -> None:
    async with showing(chromium, tmp_path) as (sidecar, caller, tab):
        sidecar.providers["small"].enqueue(status(503))
        call = await caller.call(x_step="classify")
        await tab.until(f"{ROWS}.length === 1")
        await tab.click("#rows tr td:nth-child(3)")
        await tab.until("!document.getElementById('detail').hidden")
        detail = await tab.text("#detail")
        candidates = await tab.value(
            "[...document.querySelectorAll('#detail tbody tr')]"
            ".map((line) => [...line.children].map((cell) => cell.innerText))"
        )
        attempts = await tab.value(
            "[...document.querySelectorAll('#detail .attempt')].map((one) => one.innerText)"
        )
        failed = await tab.value("document.querySelectorAll('#detail .bar.failed').length")
        record = await sidecar.record(call)
        assert await tab.value("location.hash") == f"#{call}"
        await tab.press("Escape")
        await tab.until("document.getElementById('detail').hidden")

    assert "Why medium" in detail
    assert all(text in detail for text in (call, record["traceId"], f"${record['cost']}"))
    assert candidates == [
        ["small", "yes", "Chosen", ""],
        ["medium", "yes", "InPlan", ""],
        ["large", "yes", "InPlan", ""],
    ]
    assert len(attempts) == 2
    assert "small / small" in attempts[0]
    assert "503" in attempts[0]
    assert "medium / medium" in attempts[1]
    assert "200" in attempts[1]
    assert failed == 1


async def test_what_a_caller_wrote_is_shown_as_text(chromium: str, tmp_path: Path) -> None:
    async with showing(chromium, tmp_path) as (_, caller, tab):
        answered = await caller.call(HOSTILE, x_step=HOSTILE)
        refused = await caller.embed(HOSTILE)
        await tab.until(f"{ROWS}.length === 2")
        assert HOSTILE in (await rows(tab))[0]  # no backend was asked: the list has the name asked
        for call in (answered, refused):
            await tab.value(f"location.hash = {json.dumps(call)}")
            await tab.until(f"document.getElementById('detail').innerText.includes('{call}')")
            assert HOSTILE in await tab.text("#detail")
            made = "main img, main script"
            assert await tab.value(f"document.querySelectorAll('{made}').length") == 0
        assert await tab.value("typeof window.harmed") == "undefined"


async def test_the_page_says_when_the_sidecar_is_gone(chromium: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    async with live_sidecar(tmp_path) as sidecar, open_tab(chromium, profile) as tab:
        await tab.open(f"{sidecar.admin}/decisions")
        await tab.until("document.getElementById('news').innerText === 'live'")
        await sidecar.stop()
        await tab.until("document.getElementById('news').className === 'lost'")
        assert tab.complaints  # the browser's own, of the connection: they are heard
