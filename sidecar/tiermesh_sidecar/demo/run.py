"""Shows one sidecar at work: real decisions on real prompts, over fake providers of three tiers.

Each call is shown with the tier it got, why, what it cost, and what the highest tier would have
cost. One backend fails for a while. It needs no key, no network and no configuration, and ends by
itself with a summary; the /decisions page of its sidecar is there as long as it runs.

examples:
  tiermesh demo --forever
  tiermesh demo --calls 500 --rate 50 --output json
"""

# The composition of the demo, nothing else: what is sent is `workload`'s, how it looks `view`'s,
# what answers `providers`'. The text above is the command's help.

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from tiermesh_sidecar.demo.backdrop import OUTAGE_OF, Backdrop, backdrop
from tiermesh_sidecar.demo.client import Application
from tiermesh_sidecar.demo.screen import Screen, Silent, open_screen
from tiermesh_sidecar.demo.summary import Tally
from tiermesh_sidecar.demo.view import introduction
from tiermesh_sidecar.demo.workload import DemoCall, endless, load
from tiermesh_sidecar.net.app import Sidecar, running_sidecar
from tiermesh_sidecar.net.settings import Address, Settings

CALLS = 150
RATE = 6.0
PORT = 4480
_IN_FLIGHT = 64
"""A sidecar that hangs must not let calls pile up."""
_OUTAGE = (0.45, 0.60)
"""The part of each round in which one backend is down."""
_INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended before its time (128 + SIGINT)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    calls: int | None = CALLS
    """None: until interrupted."""
    rate: float = RATE
    """Calls started per second."""
    port: int | None = None
    """The sidecar's; the admin page is on the next, health on the one after. None: the usual ones,
    or any that are free."""
    seed: int = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--forever", action="store_true", help="go on until Ctrl-C")
    parser.add_argument(
        "--calls",
        type=_positive,
        default=CALLS,
        metavar="N",
        help=f"calls to send; default: {CALLS}",
    )
    parser.add_argument(
        "--rate", type=_rate, default=RATE, metavar="R", help=f"calls per second; default: {RATE:g}"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=None,
        metavar="PORT",
        help="the sidecar's port, the next two are admin and health; "
        f"default: {PORT}, or any that are free",
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed, another order of calls")
    parser.add_argument(
        "--output",
        choices=("text", "json"),
        default="text",
        help="json: the summary alone; default: text",
    )
    parser.add_argument("--no-color", action="store_true", help="no colours on a terminal")


def run(args: argparse.Namespace) -> int:
    """Runs the demo; the exit status."""
    options = Options(
        calls=None if args.forever else args.calls,
        rate=args.rate,
        port=args.port,
        seed=args.seed,
    )
    # The failures are part of the show; log lines would tear the picture apart.
    logging.getLogger("tiermesh").setLevel(logging.CRITICAL)
    text = args.output == "text"
    screen = open_screen(total=options.calls, colour=not args.no_color) if text else Silent()
    try:
        return asyncio.run(_show(options, screen, as_json=not text))
    except OSError as error:
        sys.stderr.write(f"tiermesh demo: {error.strerror or error}\n")
        return 1
    finally:
        screen.restore()


async def _show(options: Options, screen: Screen, *, as_json: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    start = time.monotonic()
    tally = await demonstrate(options, screen, stop)
    seconds = time.monotonic() - start
    screen.summarise(tally, seconds)
    if as_json:
        sys.stdout.write(json.dumps(tally.as_json(seconds), indent=2) + "\n")
    return _INTERRUPTED if stop.is_set() and options.calls is not None else 0


async def demonstrate(options: Options, screen: Screen, stop: asyncio.Event) -> Tally:
    """Sends the workload through one sidecar; what came of it. `stop` ends it early.

    Raises OSError where a port that was asked for is taken.
    """
    with tempfile.TemporaryDirectory(prefix="tiermesh-demo-") as directory:
        async with (
            backdrop(Path(directory), options.seed) as scenery,
            _sidecar(scenery.policy, options.port) as sidecar,
        ):
            screen.say(
                introduction(
                    data_url=sidecar.data_url,
                    admin_url=sidecar.admin_url,
                    forever=options.calls is None,
                )
            )
            show = _Show(options, screen, scenery, stop)
            return await show.run(sidecar)


class _Show:
    """Calls at a steady rate, whatever their answers take."""

    def __init__(
        self, options: Options, screen: Screen, scenery: Backdrop, stop: asyncio.Event
    ) -> None:
        self._options = options
        self._screen = screen
        self._scenery = scenery
        self._stop = stop
        self._tally = Tally(tiers=scenery.tiers)
        self._note = ""

    async def run(self, sidecar: Sidecar) -> Tally:
        application = Application(data_url=sidecar.data_url, admin_url=sidecar.admin_url)
        numbered = zip(count(1), endless(load(), self._options.seed), strict=False)
        self._screen.show(self._tally, None, self._note)
        running: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.TaskGroup() as group:
                for number, call in islice(numbered, self._options.calls):
                    if number > 1 and await self._stopped_before_next(running):
                        break
                    self._scene(number)
                    task = group.create_task(self._one(application, call, number))
                    running.add(task)
                    task.add_done_callback(running.discard)
                await self._last_answers(running)
        finally:
            await application.close()
        return self._tally

    async def _one(self, application: Application, call: DemoCall, number: int) -> None:
        result = await application.send(call, number)
        self._tally.add(result)
        self._screen.show(self._tally, result, self._note)

    async def _stopped_before_next(self, running: set[asyncio.Task[None]]) -> bool:
        """Waits until the next call is due and there is room for it."""
        stopped = await self._stopped_within(1 / self._options.rate)
        while not stopped and len(running) >= _IN_FLIGHT:
            stopped = await self._stopped_within(0.02)
        return stopped

    async def _last_answers(self, running: set[asyncio.Task[None]]) -> None:
        """Waits for what is under way, unless it is told to stop."""
        while running and not await self._stopped_within(0.02):
            pass
        for task in running:
            task.cancel()

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    def _scene(self, number: int) -> None:
        """Takes one backend down in the middle of each round, and says so."""
        whole = self._options.calls or CALLS
        place = (number - 1) % whole / whole
        down = _OUTAGE[0] <= place < _OUTAGE[1]
        self._scenery.outage(on=down)
        self._note = (
            f"{OUTAGE_OF} answers 503 now: see its calls fall back, then the tier left alone."
            if down
            else ""
        )


@asynccontextmanager
async def _sidecar(policy: Path, port: int | None) -> AsyncIterator[Sidecar]:
    """On the port asked for; else on the usual ones, or on any that are free."""
    try:
        context = running_sidecar(_settings(policy, PORT if port is None else port))
        sidecar = await context.__aenter__()
    except OSError:
        if port is not None:
            raise
        context = running_sidecar(_settings(policy, 0))
        sidecar = await context.__aenter__()
    try:
        yield sidecar
    finally:
        await context.__aexit__(None, None, None)


def _settings(policy: Path, port: int) -> Settings:
    def near(step: int) -> Address:
        return Address(host="127.0.0.1", port=port + step if port else 0)

    return Settings(
        files=(policy,),
        listen=near(0),
        admin=near(1),
        health=near(2),
        audit="none",
        drain_s=0.5,
        log_level="error",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give a number of calls, 1 or more")
    return number


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError("give calls per second, above 0 and at most 1000")
    return rate


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65533:
        raise argparse.ArgumentTypeError("give a port up to 65533, or 0 for any that are free")
    return port
