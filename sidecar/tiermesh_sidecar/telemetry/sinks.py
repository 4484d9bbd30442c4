"""Where audit lines end up. A sink belongs to the audit log's writer thread and may block it.

Bytes go out by `os.write`: a thread that is stuck in a buffered stream's lock would keep the
process from ending.
"""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Protocol

_MAX_BYTES = 64 * 1024 * 1024
_FILES = 3


class Sink(Protocol):
    def write(self, data: bytes) -> None:
        """All of whole lines, or OSError."""

    def close(self) -> None: ...


class StdoutSink:
    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._torn = False

    def write(self, data: bytes) -> None:
        data = b"\n" + data if self._torn else data
        self._torn = True
        _write_all(self._descriptor, data)
        self._torn = False

    def close(self) -> None:
        """Standard output is not ours to close."""


class FileSink:
    """`path`, and `path.1` (newer), `path.2`, ... : at most `files` of at most `max_bytes` each,
    unless a single batch is larger. Readable by their owner only: records name callers."""

    def __init__(self, path: str, *, max_bytes: int = _MAX_BYTES, files: int = _FILES) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._files = files
        self._descriptor = -1
        self._size = 0
        self._open()

    def write(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._open()
        if self._size and self._size + len(data) > self._max_bytes:
            self._rotate()
        try:
            _write_all(self._descriptor, data)
        except OSError:
            # A full disk takes a part of a line: without it, the lines that follow are readable.
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._descriptor = os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._size = os.fstat(self._descriptor).st_size
        if self._size and not _ends_in_newline(self._path):
            # A process that was killed while it wrote: what follows is a line of its own.
            self._size += os.write(self._descriptor, b"\n")

    def _rotate(self) -> None:
        if self._files == 1:
            os.ftruncate(self._descriptor, 0)
            self._size = 0
            return
        for number in range(self._files - 2, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self.close()
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            # Somebody made standard output non-blocking: this thread has the time.
            select.select([], [descriptor], [])
