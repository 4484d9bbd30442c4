"""Provider keys, in this process's memory and nowhere else (law 8).

Keys come from `v1/Secret` documents among the configuration's files, or from `--secrets-dir`. They
leave only as a header of the backend that names them. Nothing here prints, logs or serialises one,
and no error names more of a key than where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tiermesh_sidecar.net.files import list_secret_files
from tiermesh_spec.snapshot import SecretKey

MAX_KEY_BYTES = 16 * 1024

Keys = Mapping[tuple[str, str, str], str]
"""(namespace, name, key) -> value. Keys from a directory have the namespace "": any."""


class SecretStore:
    """What a backend's `secretRef` finds. One owner replaces the contents; calls look up."""

    __slots__ = ("_directory", "_documents", "_values")

    def __init__(self) -> None:
        self._documents: Keys = {}
        self._directory: Keys = {}
        self._values: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"SecretStore({len(self._values)} keys)"

    __str__ = __repr__

    def get(self, ref: SecretKey) -> str | None:
        """The key, from documents first. None: it is not here."""
        named = self._documents.get((ref.namespace, ref.name, ref.key))
        return named if named is not None else self._directory.get(("", ref.name, ref.key))

    def replace_documents(self, keys: Keys) -> None:
        self._documents = dict(keys)
        self._collect()

    def replace_directory(self, keys: Keys) -> None:
        self._directory = dict(keys)
        self._collect()

    @property
    def values(self) -> tuple[bytes, ...]:
        """Every key, longest first: what `redact` looks for in a provider's answer."""
        return self._values

    def _collect(self) -> None:
        values = {*self._documents.values(), *self._directory.values()}
        self._values = tuple(
            sorted((value.encode("latin-1", "replace") for value in values), key=_longest_first)
        )


def _longest_first(value: bytes) -> tuple[int, bytes]:
    return -len(value), value


def clean_key(raw: bytes) -> str | None:
    """A key as a header value: one trailing line end removed. None where it cannot be one: empty,
    too long, not ASCII, or with control characters, which would let it forge headers."""
    value = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not value or len(value) > MAX_KEY_BYTES:
        return None
    if any(byte < 0x21 or byte > 0x7E for byte in value):
        return None
    return value.decode("ascii")


def read_secrets_dir(directory: Path) -> tuple[Keys, list[str]]:
    """The keys under `directory`, and a sentence (without values) for each that cannot be used."""
    return _cleaned((path.parent.name, path.name, path) for path in list_secret_files(directory))


def _cleaned(entries: Iterable[tuple[str, str, Path]]) -> tuple[Keys, list[str]]:
    keys: dict[tuple[str, str, str], str] = {}
    refused: list[str] = []
    for name, key, path in entries:
        try:
            raw = path.read_bytes()
        except OSError as error:
            refused.append(f"{path}: {error.strerror}")
            continue
        value = clean_key(raw)
        if value is None:
            refused.append(
                f"{path}: not a key (empty, or with spaces, control or non-ASCII characters)"
            )
        else:
            keys["", name, key] = value
    return keys, refused
