"""What counts as a change of files, and how keys are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiermesh_sidecar.net.files import NO_FILES, fingerprint, list_files, list_secret_files
from tiermesh_sidecar.net.secrets import SecretStore, clean_key, read_secrets_dir
from tiermesh_spec.snapshot import SecretKey

LATER_NS = 10**19


def test_an_unchanged_old_file_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("one")
    first = fingerprint([path], NO_FILES, LATER_NS)
    assert fingerprint([path], first, LATER_NS) is first


def test_a_second_write_within_the_same_tick_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("one")
    stat = path.stat()
    first = fingerprint([path], NO_FILES, stat.st_mtime_ns)
    path.write_text("two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fingerprint([path], first, stat.st_mtime_ns) != first


def test_a_pipe_is_not_said_to_be_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found, (pipe, missing) = list_files([tmp_path / "pipe", tmp_path / "none"])
    assert found == []
    assert pipe.message == "is neither a file nor a directory"
    assert missing.message == "no such file or directory"


def test_a_file_that_vanishes_or_is_replaced_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("one")
    first = fingerprint([path], NO_FILES, LATER_NS)
    (tmp_path / "new").write_text("one")
    (tmp_path / "new").rename(path)
    second = fingerprint([path], first, LATER_NS)
    assert second != first
    path.unlink()
    assert fingerprint([path], second, LATER_NS) != second


def test_a_file_named_twice_is_listed_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("")
    assert list_files([path, tmp_path, path]) == ([path], [])


def test_keys_are_read_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    (tmp_path / "openai").mkdir()
    (tmp_path / "openai" / "..data").mkdir()
    (tmp_path / "openai" / "api-key").write_text("sk-1\n")
    (tmp_path / "openai" / "bad").write_text("sk 2\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "stray").write_text("x")
    keys, refused = read_secrets_dir(tmp_path)
    assert keys == {("", "openai", "api-key"): "sk-1"}
    assert [str(tmp_path / "openai" / "bad") in sentence for sentence in refused] == [True]
    assert "sk 2" not in refused[0]


def test_a_missing_directory_holds_no_key(tmp_path: Path) -> None:
    assert list_secret_files(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b"sk", "sk"),
        (b"sk\n", "sk"),
        (b"sk\r\n", "sk"),
        (b"", None),
        (b"\n", None),
        (b"a\nb", None),
        (b" sk", None),
        (b"s\xc3\xa9", None),
        (b"s\x7f", None),
    ],
)
def test_what_may_be_a_key(raw: bytes, key: str | None) -> None:
    assert clean_key(raw) == key


def test_documents_win_over_the_directory_and_nothing_shows_a_key() -> None:
    store = SecretStore()
    ref = SecretKey(namespace="shop", name="keys", key="api-key")
    assert store.get(ref) is None
    store.replace_directory({("", "keys", "api-key"): "sk-dir"})
    assert store.get(ref) == "sk-dir"
    store.replace_documents({("shop", "keys", "api-key"): "sk-document"})
    assert store.get(ref) == "sk-document"
    assert store.values == (b"sk-document", b"sk-dir")
    assert "sk-" not in f"{store} {store!r}"
    assert store.get(SecretKey(namespace="other", name="keys", key="api-key")) == "sk-dir"
