"""Composition root: one sidecar from its settings, ready to serve, and its orderly end.

    async with running_sidecar(settings) as sidecar:
        ...                                  # talk to sidecar.data_url

The CLI, the demo and the tests all start sidecars by this one function. Everything that lives as
long as the sidecar is made here and handed down; nothing of it is global.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.net.admin import admin_server
from tiermesh_sidecar.net.compile_result import CompileResult
from tiermesh_sidecar.net.dataplane import DataPlane
from tiermesh_sidecar.net.health import Readiness, health_server
from tiermesh_sidecar.net.server import data_server
from tiermesh_sidecar.net.setting_values import Address
from tiermesh_sidecar.net.settings import Settings
from tiermesh_sidecar.net.sources import ConfigWatch, FileSource
from tiermesh_sidecar.net.state import SidecarState
from tiermesh_sidecar.net.tasks import Tasks
from tiermesh_sidecar.net.upstream import AiohttpUpstream, Upstream
from tiermesh_sidecar.net.version import version
from tiermesh_sidecar.telemetry.metrics import ReloadResult
from tiermesh_sidecar.telemetry.recorder import Recorder, open_recorder

_log = logging.getLogger("tiermesh")

LAST_WORDS_S = 0.5
"""How long callers have to read the error that ends their call at a shutdown."""
_SHUTTING_DOWN = Refusal(
    code=ErrorCode.UPSTREAM_UNAVAILABLE,
    message="The sidecar is shutting down and the time for calls in flight is over: repeat the "
    "call, or give the sidecar a longer --drain.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """A sidecar that serves."""

    data: Address
    """Where it listens, with the real port."""
    admin: Address
    health: Address
    plane: DataPlane
    state: SidecarState
    recorder: Recorder
    watch: ConfigWatch
    readiness: Readiness

    @property
    def data_url(self) -> str:
        return f"http://{self.data}"

    @property
    def admin_url(self) -> str:
        return f"http://{self.admin}"

    @property
    def health_url(self) -> str:
        return f"http://{self.health}"


@asynccontextmanager
async def running_sidecar(
    settings: Settings,
    *,
    compiled: asyncio.Task[CompileResult] | None = None,
    recorder: Recorder | None = None,
) -> AsyncIterator[Sidecar]:
    """A sidecar from its first load of the configuration until the block ends, then drained.

    `compiled`: the first compilation, where the caller has started it already. `recorder`: in place
    of the one that settings and environment ask for. Raises OSError where an address is taken.
    """
    async with AsyncExitStack() as stack:
        tasks = Tasks()
        state = SidecarState(time.time())
        readiness = Readiness()
        recorder = recorder or open_recorder(audit=settings.audit, version=version())
        stack.push_async_callback(asyncio.to_thread, recorder.close)
        upstream = AiohttpUpstream()
        stack.push_async_callback(upstream.close)
        stack.push_async_callback(tasks.stop)
        plane = _data_plane(settings, state, upstream, recorder, tasks)
        watch = _watch(settings, state, recorder)
        health = await _listen(
            stack, health_server(readiness, recorder.metrics.render), settings.health
        )
        admin = await _listen(stack, admin_server(state, recorder.decisions), settings.admin)
        await watch.load(compiled)
        data, data_runner = await _listen_data(stack, plane, settings)
        if settings.files or settings.secrets_dir:
            tasks.start(watch.watch(), name="watch configuration")
        readiness.reason = None
        recorder.start_export()
        _log.info("serving on %s, admin on %s, health on %s", data, admin, health)
        try:
            yield Sidecar(
                data=data,
                admin=admin,
                health=health,
                plane=plane,
                state=state,
                recorder=recorder,
                watch=watch,
                readiness=readiness,
            )
        finally:
            readiness.reason = "shutting down"
            await _drain(data_runner, plane, settings.drain_s)


def _data_plane(
    settings: Settings, state: SidecarState, upstream: Upstream, recorder: Recorder, tasks: Tasks
) -> DataPlane:
    plane = DataPlane(
        settings=settings,
        state=state,
        upstream=upstream,
        recorder=recorder,
        tasks=tasks,
        unix_time=time.time,
    )
    recorder.metrics.watch_in_flight(lambda: plane.in_flight)
    return plane


def _watch(settings: Settings, state: SidecarState, recorder: Recorder) -> ConfigWatch:
    metrics = recorder.metrics

    def reported(result: ReloadResult) -> None:
        metrics.reloaded(result)
        running = state.running
        if running is not None:
            metrics.config_running(
                snapshot=running.hash,
                policy=running.active.label if running.active else "",
                revision=running.snapshot.revision,
            )

    source = FileSource(
        paths=settings.files,
        secrets_dir=settings.secrets_dir,
        namespace=settings.namespace,
        labels=settings.labels,
    )
    return ConfigWatch(source, state, reported)


async def _listen(stack: AsyncExitStack, server: web.Server, address: Address) -> Address:
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return await _bind(runner, address)


async def _listen_data(
    stack: AsyncExitStack, plane: DataPlane, settings: Settings
) -> tuple[Address, web.ServerRunner]:
    server = data_server(plane, settings.max_body)
    runner = web.ServerRunner(server, shutdown_timeout=LAST_WORDS_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return await _bind(runner, settings.listen), runner


async def _bind(runner: web.ServerRunner, address: Address) -> Address:
    site = web.TCPSite(runner, address.host, address.port, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        # A positive number is the system's; a name that does not resolve has a text of its own.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise OSError(number, f"cannot listen on {address}: {reason}") from error
    port = runner.addresses[0][1]
    return Address(host=address.host, port=port)


async def _drain(runner: web.ServerRunner, plane: DataPlane, drain_s: float) -> None:
    """Take no new connection, let calls in flight end, then end them."""
    for site in [*runner.sites]:
        await site.stop()
    if runner.server is not None:
        runner.server.pre_shutdown()  # idle connections close, busy ones after their answer
    try:
        async with asyncio.timeout(drain_s):
            await plane.wait_idle()
    except TimeoutError:
        _log.warning("%d calls were still in flight and are ended", plane.in_flight)
        plane.stop_all(_SHUTTING_DOWN)
