from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from tiermesh_sidecar.telemetry.sinks import FileSink, StdoutSink


def test_lines_are_appended_to_what_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"old\n")
    sink = FileSink(str(path))
    sink.write(b"new\n")
    sink.close()
    assert path.read_bytes() == b"old\nnew\n"


def test_a_line_that_a_killed_process_tore_does_not_take_the_next_one_with_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"id":1}\n{"id":')
    sink = FileSink(str(path))
    sink.write(b'{"id":2}\n')
    sink.close()
    assert path.read_bytes() == b'{"id":1}\n{"id":\n{"id":2}\n'


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    FileSink(str(tmp_path / "audit.jsonl")).close()
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o077 == 0


def test_a_full_file_moves_on_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "a"), max_bytes=10, files=3)
    for number in range(8):
        sink.write(b"%07d\n" % number)
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.1", "a.2"]
    contents = [(tmp_path / name).read_bytes() for name in ("a.2", "a.1", "a")]
    assert contents == [b"0000005\n", b"0000006\n", b"0000007\n"]


def test_a_restart_counts_what_the_file_has_already(tmp_path: Path) -> None:
    for number in range(3):
        sink = FileSink(str(tmp_path / "a"), max_bytes=16, files=2)
        sink.write(b"%07d\n" % number)
        sink.close()
    assert (tmp_path / "a.1").read_bytes() == b"0000000\n0000001\n"
    assert (tmp_path / "a").read_bytes() == b"0000002\n"


def test_one_file_alone_starts_over(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "a"), max_bytes=10, files=1)
    sink.write(b"0000001\n")
    sink.write(b"0000002\n")
    sink.close()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"0000002\n")]


def test_a_line_that_a_full_disk_cut_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    sink = FileSink(str(path))
    sink.write(b"first\n")
    real, room = os.write, [3]

    def nearly_full(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        with pytest.raises(OSError, match="No space"):
            sink.write(b"second\n")
    sink.write(b"third\n")
    sink.close()
    assert path.read_bytes() == b"first\nthird\n"


def test_a_file_that_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileSink(str(tmp_path / "missing" / "audit.jsonl"))


def test_a_pipe_takes_more_than_it_holds_even_when_non_blocking() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = b"x" * 300_000 + b"\n"

    def write() -> None:
        StdoutSink(writing).write(data)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    got = bytearray()
    while chunk := os.read(reading, 65536):
        got += chunk
    writer.join()
    os.close(reading)
    assert bytes(got) == data


def test_a_closed_pipe_is_an_error_of_the_write() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        StdoutSink(writing).write(b"line\n")
    os.close(writing)
