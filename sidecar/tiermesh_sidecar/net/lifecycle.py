"""A sidecar as a process: it starts fast, serves until a signal, ends in order.

The first compilation runs in its own process while this one still imports its web server, because
those are the two halves of a cold start.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from tiermesh_sidecar.net.compile_process import compile_files
from tiermesh_sidecar.net.logs import configure
from tiermesh_sidecar.net.settings import Settings
from tiermesh_sidecar.net.tasks import Tasks

_log = logging.getLogger("tiermesh")

EXIT_ADDRESS = 1

_GC_THRESHOLD = 10_000
"""Objects between two looks for cycles. Calls leave none behind, so Python's 700, which is a look
every 15 calls, finds nothing and costs a twentieth of their time."""


def serve(settings: Settings) -> int:
    """Run a sidecar until SIGTERM or SIGINT; the exit status. A second signal ends it at once."""
    configure(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    tasks = Tasks()
    compiled = None
    if settings.files:
        compiled = tasks.start(
            compile_files(settings.files, settings.namespace), name="first compilation"
        )
        await asyncio.sleep(0)  # let it start its process before the imports below block the loop

    gc.disable()  # what is imported stays: collecting meanwhile only costs time
    with roots_unread():
        from tiermesh_sidecar.net.app import running_sidecar

    try:
        async with running_sidecar(settings, compiled=compiled):
            if not settings.files:
                _log.warning("no files were given (-f): every call is answered 503 no_config")
            gc.freeze()
            gc.set_threshold(_GC_THRESHOLD)
            gc.enable()
            await stopping.wait()
            _log.info("shutting down; calls in flight have %g s", settings.drain_s)
    except OSError as error:
        why = error.strerror or error
        if error.filename is not None:
            sys.stderr.write(f"tiermesh sidecar: {error.filename}: {why} (see --audit)\n")
        else:
            sys.stderr.write(f"tiermesh sidecar: {why} (see --listen, --admin and --health)\n")
        return EXIT_ADDRESS
    finally:
        await tasks.stop()
    return 0


@contextmanager
def roots_unread() -> Iterator[None]:
    """aiohttp reads the system's certificates twice while it is imported, for two contexts that
    `net.upstream` never uses: it makes its own when a provider asks for TLS. Pointing OpenSSL at
    an empty file meanwhile saves a fifteenth of the cold start."""
    name = "SSL_CERT_FILE"
    before = os.environ.get(name)
    os.environ[name] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
