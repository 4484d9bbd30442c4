"""Compiles configuration files in a short-lived child process.

pydantic, YAML and the CEL compiler would triple the memory of a sidecar that needs them for half a
second per change; a child gives it all back. The request goes in by standard input and the result
comes out by standard output: nothing, least of all a key, stands in arguments or the environment.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tiermesh_sidecar.net.compile_result import CompileResult, Refused, problem_here, read_result
from tiermesh_spec.snapshot import SnapshotError

TIMEOUT_S = 30.0
MAX_OUTPUT = 64 * 1024 * 1024
CHILD = "tiermesh_sidecar.net.compile_child"


async def compile_files(paths: Sequence[Path], namespace: str | None) -> CompileResult:
    """Read and compile `paths`. Never raises for what is wrong with them or with the child: that is
    a `Refused` too. A cancelled wait kills the child."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory is no place to import from
            "-m",
            CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_OUTPUT,
        )
    except OSError as error:
        return _refused(f"the compile process did not start: {error}", "see the system's limits")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output = await _exchange(process, write_request(paths, namespace))
    except TimeoutError:
        return _refused(f"compiling took more than {TIMEOUT_S:.0f} s", "split the configuration")
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
    try:
        return read_result(output)
    except SnapshotError as error:
        return _refused(f"the compiled snapshot is broken: {error}", "report this as a bug")
    except (ValueError, KeyError, TypeError):
        # The output may hold keys: it is not repeated, not even in part.
        return _refused(
            f"the compile process ended with status {process.returncode} and no result",
            "see its message in the log, and the system's memory limit",
        )


def write_request(paths: Sequence[Path], namespace: str | None) -> bytes:
    return json.dumps({"files": [str(path) for path in paths], "namespace": namespace}).encode()


async def _exchange(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    assert process.stdin is not None  # asked for above
    assert process.stdout is not None
    try:
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
    except ConnectionError:
        pass  # it died at once; its empty output says so
    chunks: list[bytes] = []
    size = 0
    while chunk := await process.stdout.read(1024 * 1024):
        size += len(chunk)
        if size > MAX_OUTPUT:
            return b""
        chunks.append(chunk)
    await process.wait()
    return b"".join(chunks)


def _refused(message: str, fix: str) -> Refused:
    return Refused(problems=(problem_here(message, fix),))
