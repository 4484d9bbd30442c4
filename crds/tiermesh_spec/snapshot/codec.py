"""A snapshot as bytes: canonical JSON with its hash, refused whole when anything is off."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tiermesh_spec.snapshot.root import FORMAT_MAJOR, Snapshot


class SnapshotError(ValueError):
    """A snapshot that must not be run: torn, tampered with, or of a newer major format."""


def content_hash(snapshot: Snapshot) -> str:
    """SHA-256 in hex of the policies alone: equal content, equal hash, whatever the revision."""
    return hashlib.sha256(_canonical(_plain(snapshot.policies))).hexdigest()


def dump(snapshot: Snapshot) -> bytes:
    """Canonical JSON with its hash: `{"format", "epoch", "revision", "hash", "policies"}`."""
    data = _plain(snapshot)
    return _canonical({**data, "hash": content_hash(snapshot)})


def load(data: bytes) -> Snapshot:
    """The snapshot that `dump` wrote.

    Raises SnapshotError when the text is torn, its hash is wrong, or its major format is newer.
    """
    try:
        raw = json.loads(data)
        major = raw["format"]
        if major != FORMAT_MAJOR:
            raise SnapshotError(
                f"snapshot format {major} is not {FORMAT_MAJOR}: upgrade the sidecar"
            )
        if hashlib.sha256(_canonical(raw["policies"])).hexdigest() != raw["hash"]:
            raise SnapshotError("the snapshot's hash does not match its content")
        snapshot = _build(Snapshot, raw)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, SnapshotError):
            raise
        raise SnapshotError(f"not a snapshot: {error}") from error
    assert isinstance(snapshot, Snapshot)
    return snapshot


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, frozenset):
        return sorted(_plain(v) for v in value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _build(hint: Any, raw: Any) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        return hint(
            **{name: _build(h, raw[name]) for name, h in _hints(hint).items() if name in raw}
        )
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(raw)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return tuple(_build(arguments[0], item) for item in raw)
        return tuple(_build(h, item) for h, item in zip(arguments, raw, strict=True))
    if origin is frozenset:
        return frozenset(_build(arguments[0], item) for item in raw)
    if origin in (Union, UnionType):
        if raw is None:
            return None
        return _build(next(a for a in arguments if a is not NoneType), raw)
    if not isinstance(raw, hint) and not (hint is float and isinstance(raw, int)):
        raise TypeError(f"expected {hint.__name__}, got {raw!r}")
    return raw
