"""Which files a configuration consists of, and whether they changed.

Kubernetes swaps a mounted ConfigMap by renaming the symlink `..data`; editors replace a file or
write into it. So a change is a different path, inode, size, time or, while a file is young enough
for its time not to tell two writes apart, a different content. Nothing here interprets a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".yaml", ".yml", ".json")
YOUNG_NS = 2_000_000_000
"""A time stamp older than this cannot hide a second write: the next one gets another stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProblem:
    """A path that cannot be read; `fix` says what to do."""

    path: Path
    message: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Equal fingerprints: nothing changed, as far as the file system tells."""

    stats: tuple[tuple[str, int, int, int], ...]
    """Path, inode, size, modification time in ns."""
    digest: str
    """Of the contents, taken while a file was young; else carried over."""


NO_FILES = Fingerprint(stats=(), digest="")


def list_files(paths: Sequence[Path]) -> tuple[list[Path], list[FileProblem]]:
    """Every file that `paths` mean, directories read one level deep and sorted; hidden names are
    skipped (Kubernetes keeps its own there)."""
    files: list[Path] = []
    problems: list[FileProblem] = []
    for path in paths:
        try:
            found = _files_of(path)
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            problems.append(FileProblem(path=path, message=message, fix="check its permissions"))
            continue
        if isinstance(found, FileProblem):
            problems.append(found)
        else:
            files.extend(found)
    return list(dict.fromkeys(files)), problems


def _files_of(path: Path) -> list[Path] | FileProblem:
    if path.is_dir():
        return _in_directory(path) or FileProblem(
            path=path,
            message="the directory holds no *.yaml, *.yml or *.json",
            fix="put the tiers and policies there, or name another directory",
        )
    if path.is_file():
        return [path]
    if path.exists():
        return FileProblem(
            path=path,
            message="is neither a file nor a directory",
            fix="write it to a file: what is named here is read more than once",
        )
    return FileProblem(path=path, message="no such file or directory", fix="correct the path")


def _in_directory(directory: Path) -> list[Path]:
    return sorted(
        path
        for path in directory.iterdir()
        if not path.name.startswith(".") and path.suffix in SUFFIXES and path.is_file()
    )


def list_secret_files(directory: Path) -> list[Path]:
    """`DIR/NAME/KEY`, sorted, hidden names skipped; nothing of what cannot be read."""
    return [
        key
        for name in _visible(directory)
        if name.is_dir()
        for key in _visible(name)
        if key.is_file()
    ]


def _visible(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def fingerprint(files: Sequence[Path], before: Fingerprint, now_ns: int) -> Fingerprint:
    """What `files` look like now. `now_ns` is Unix time; `before` saves reading them again."""
    stats: list[tuple[str, int, int, int]] = []
    young = False
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            stats.append((str(path), 0, 0, 0))
            continue
        stats.append((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns))
        young = young or now_ns - stat.st_mtime_ns < YOUNG_NS
    unchanged = tuple(stats) == before.stats
    if unchanged and not young:
        return before
    return Fingerprint(stats=tuple(stats), digest=_digest(files))


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.hexdigest()
