"""Files as the source of configuration: load, watch, swap; a bad change changes nothing (law 7).

Polled, not notified: inotify misses what Kubernetes, network file systems and editors do, and a
stat of a few files each half second costs nothing. A change is compiled when it has held still for
one poll, so that several files written together are read together; the swap is one reference.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiermesh_sidecar.net.compile_process import compile_files
from tiermesh_sidecar.net.compile_result import CompileResult, Refused, problem_here
from tiermesh_sidecar.net.files import (
    NO_FILES,
    Fingerprint,
    fingerprint,
    list_files,
    list_secret_files,
)
from tiermesh_sidecar.net.secrets import read_secrets_dir
from tiermesh_sidecar.net.state import SidecarState
from tiermesh_sidecar.telemetry.metrics import ReloadResult

_log = logging.getLogger("tiermesh.config")

POLL_S = 0.4
STILL_S = 0.2
"""A change that holds still this long is complete."""
RESTLESS_POLLS = 4
"""A directory that never holds still is compiled all the same after so many polls."""

_NO_POLICY_LEFT = problem_here(
    "the files no longer hold a RoutingPolicy, though one runs",
    "write the policy again; to stop routing, give it `mode: Disabled`",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """What to read, and whom the result is for."""

    paths: Sequence[Path]
    secrets_dir: Path | None
    namespace: str | None
    labels: Mapping[str, str]


class ConfigWatch:
    """Owns loading and reloading. `reported` hears how each load ended."""

    def __init__(
        self, source: FileSource, state: SidecarState, reported: Callable[[ReloadResult], None]
    ) -> None:
        self._source = source
        self._state = state
        self._reported = reported
        self._files = NO_FILES
        self._keys = NO_FILES
        self._refused_keys: list[str] = []
        self._told_keyless: frozenset[str] = frozenset()

    async def load(self, started: asyncio.Task[CompileResult] | None = None) -> None:
        """Read everything once. `started`: a compilation that is already under way."""
        self._files = await asyncio.to_thread(self._look, self._files)
        await self._load_keys()
        if self._source.paths:
            self._take(await (started or self.compile()))

    async def watch(self) -> None:
        """Reload whatever changes, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.poll()
            except Exception:
                # A watch that ended would leave the sidecar blind to every later change.
                _log.exception("looking for changed files failed; it is tried again")

    async def poll(self) -> None:
        """Look once; compile and swap if something changed."""
        seen = await asyncio.to_thread(self._look, self._files)
        if seen != self._files:
            self._files = await self._settled(seen)
            self._take(await self.compile())
        if self._source.secrets_dir is not None:
            keys = await asyncio.to_thread(self._look_at_keys, self._keys)
            if keys != self._keys:
                await self._load_keys()

    async def compile(self) -> CompileResult:
        return await compile_files(self._source.paths, self._source.namespace)

    async def _settled(self, seen: Fingerprint) -> Fingerprint:
        for _ in range(RESTLESS_POLLS):
            await asyncio.sleep(STILL_S)
            again = await asyncio.to_thread(self._look, seen)
            if again == seen:
                break
            seen = again
        return seen

    def _look(self, before: Fingerprint) -> Fingerprint:
        files, _ = list_files(self._source.paths)
        return fingerprint(files, before, time.time_ns())

    def _look_at_keys(self, before: Fingerprint) -> Fingerprint:
        assert self._source.secrets_dir is not None  # asked before
        return fingerprint(list_secret_files(self._source.secrets_dir), before, time.time_ns())

    async def _load_keys(self) -> None:
        if self._source.secrets_dir is None:
            return
        self._keys = await asyncio.to_thread(self._look_at_keys, self._keys)
        keys, refused = await asyncio.to_thread(read_secrets_dir, self._source.secrets_dir)
        for sentence in refused:
            if sentence not in self._refused_keys:
                _log.warning("secrets: %s", sentence)
        self._refused_keys = refused
        self._state.secrets.replace_directory(keys)
        self._state.keys_changed()
        self._tell_keyless()

    def _take(self, result: CompileResult) -> None:
        now = time.time()
        if isinstance(result, Refused):
            self._refuse(result, now)
            return
        before = self._state.running
        if before is not None and before.snapshot.policies and not result.snapshot.policies:
            # A file cut between two documents is valid and would look the same as this.
            self._refuse(Refused(problems=(_NO_POLICY_LEFT,)), now)
            return
        try:
            running = self._state.accept(
                result.snapshot, result.namespace, self._source.labels, result.keys, now
            )
        except ValueError as error:
            # A snapshot that compiled but cannot be activated. What ran keeps running.
            fix = "report this as a bug, with the files"
            self._refuse(Refused(problems=(problem_here(str(error), fix),)), now)
            return
        if running is before:
            self._tell_keyless()
            self._reported(ReloadResult.UNCHANGED)
            return
        policy = running.active.label if running.active else "no policy selects this sidecar"
        _log.info("configuration %s runs: %s", running.hash[:8], policy)
        self._tell_keyless()
        self._reported(ReloadResult.APPLIED)

    def _tell_keyless(self) -> None:
        """Name the backends that cannot be tried, each time that they are others than before."""
        keyless = self._state.keyless
        if keyless and keyless != self._told_keyless:
            _log.warning(
                "no key for %s: never tried until a Secret document or --secrets-dir has it",
                ", ".join(sorted(keyless)),
            )
        self._told_keyless = keyless

    def _refuse(self, refused: Refused, now: float) -> None:
        self._state.refuse(refused.problems, now)
        goes_on = "the last good one goes on" if self._state.running else "there is none to run"
        _log.error("configuration refused (%s):", goes_on)
        for problem in refused.problems:
            _log.error("  %s", problem)
        self._reported(ReloadResult.REFUSED)
