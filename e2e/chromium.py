"""A headless Chromium, driven by the DevTools protocol over its websocket
(https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 30.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1500,1000",
)


def find_chromium() -> str | None:
    named = os.environ.get("TIERMESH_E2E_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page, and everything that went wrong or was asked for in it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        self.requests: list[str] = []
        """The address of everything that the page asked for."""
        self.complaints: list[str] = []
        """Exceptions, console messages and what the browser itself logged as an error."""

    async def listen(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            if "id" in event:
                self._waiting.pop(event["id"]).set_result(event)
            else:
                self._note(event["method"], event["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown" or (
            method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning")
        ):
            self.complaints.append(json.dumps(params))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(json.dumps(params["entry"]))

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = answer
        await self._socket.send_json({"id": self._last, "method": method, "params": params})
        event = await asyncio.wait_for(answer, PATIENCE_S)
        assert "error" not in event, event["error"]
        result: dict[str, Any] = event["result"]
        return result

    async def open(self, url: str) -> None:
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def value(self, expression: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Waits for an expression to hold."""
        for _ in range(int(PATIENCE_S / 0.05)):
            if await self.value(expression):
                return
            await asyncio.sleep(0.05)
        shown = await self.value("document.body.innerText")
        raise AssertionError(f"{expression} did not come true; the page says:\n{shown}")

    async def text(self, selector: str) -> str:
        found: str = await self.value(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    async def click(self, selector: str) -> None:
        """A click of the mouse on the middle of an element, wherever it is."""
        place = await self.value(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{block: "center"}});
              const box = element.getBoundingClientRect();
              return {{x: box.x + box.width / 2, y: box.y + box.height / 2}};
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place
            )

    async def press(self, key: str, text: str = "") -> None:
        await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key)


@asynccontextmanager
async def open_tab(chromium: str, profile: Path) -> AsyncIterator[Tab]:
    """Starts a browser with a profile of its own, yields its first page, ends it."""
    async with AsyncExitStack() as stack:
        with (profile / "chromium.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(chromium, *_FLAGS, f"--user-data-dir={profile}", "about:blank"),
                stdout=log,
                stderr=log,
            )
        stack.push_async_callback(_end, process)
        port = await _port(process, profile)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [one for one in await answer.json() if one["type"] == "page"]
        socket = await stack.enter_async_context(
            session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        )
        tab = Tab(socket)
        listening = asyncio.ensure_future(tab.listen())
        stack.callback(listening.cancel)
        yield tab
        await tab.send("Browser.close")


async def _port(process: asyncio.subprocess.Process, profile: Path) -> int:
    """Chromium writes the port that it chose into its profile."""
    place = profile / "DevToolsActivePort"
    for _ in range(int(PATIENCE_S / 0.05)):
        said = (profile / "chromium.log").read_text(errors="replace")
        assert process.returncode is None, said
        if place.exists() and (lines := place.read_text().splitlines()):
            return int(lines[0])
        await asyncio.sleep(0.05)
    raise AssertionError(f"chromium did not start within {PATIENCE_S:g} s:\n{said}")


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.wait(), 10)
    except TimeoutError:
        process.kill()
        await process.wait()
