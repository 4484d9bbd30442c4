"""YAML as we take it, files and directories, Secrets, and the problems they give."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_kit import CANARY, policy, secret, tier, write_config

from tiermesh_sidecar.net.compile_result import Compiled, Refused, read_result, write_compiled
from tiermesh_sidecar.net.documents import compile_paths, read_documents
from tiermesh_sidecar.net.yaml_text import MAX_NODES, YamlError, read_yaml
from tiermesh_spec.snapshot import dump

TIER = tier("small", "http://127.0.0.1:1", rank=1)


def _only(text: str) -> object:
    (document,) = read_yaml(text.encode())
    return document.content


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("012", 12),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("=", "="),
    ],
)
def test_scalars_are_read_as_yaml_1_2_has_them(text: str, value: object) -> None:
    assert _only(f"a: {text}") == {"a": value}


@pytest.mark.parametrize(
    ("text", "message", "document", "line"),
    [
        ("a: 1\na: 2", "the key 'a' occurs twice", 0, 2),
        ("x: 1\n---\na: {b: 1, b: 2}", "the key 'b' occurs twice", 1, 3),
        ("1: a", "not a string", 0, 1),
        ("a: [", "not valid YAML", 0, 1),
        ("a: !!python/object:os.system x", "tag", 0, 1),
        ("a: !custom x", "tag", 0, 1),
        ("a: *nope", "alias", 0, 1),
        ("\x00", "not valid YAML", 0, None),
    ],
)
def test_what_is_not_yaml_is_told_with_its_document_and_line(
    text: str, message: str, document: int, line: int | None
) -> None:
    with pytest.raises(YamlError) as caught:
        list(read_yaml(text.encode()))
    assert message in caught.value.message
    assert (caught.value.document, caught.value.line) == (document, line)
    assert caught.value.fix


def test_aliases_may_not_multiply_a_document() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(YamlError, match=str(MAX_NODES)):
        list(read_yaml("\n".join(lines).encode()))
    with pytest.raises(YamlError, match=str(MAX_NODES)):
        list(read_yaml(b"a: &x [*x]"))


def test_a_deep_document_is_refused_and_not_a_crash() -> None:
    with pytest.raises(YamlError):
        list(read_yaml(b"[" * 5000))
    with pytest.raises(YamlError):
        list(read_yaml(b"a: " + b"[" * 200 + b"]" * 200))


def test_a_file_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(YamlError, match="UTF-8"):
        list(read_yaml(b"a: \xff"))


def test_empty_documents_count_but_are_not_yielded() -> None:
    documents = list(read_yaml(b"---\n---\na: 1\n---\n"))
    assert [(d.number, d.content) for d in documents] == [(1, {"a": 1})]


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(YamlError):
        assert list(read_yaml(text.encode("utf-8", "surrogatepass"))) is not None


def test_a_directory_means_its_visible_yaml_and_json_in_order(tmp_path: Path) -> None:
    write_config(tmp_path / "b.yaml", policy("small"))
    write_config(tmp_path / "a.json", TIER)
    write_config(tmp_path / "c.yml", secret())
    (tmp_path / ".hidden.yaml").write_text("a: [")
    (tmp_path / "notes.txt").write_text("a: [")
    (tmp_path / "..data").mkdir()
    documents, problems = read_documents([tmp_path])
    assert problems == []
    assert [Path(d.file).name for d in documents] == ["a.json", "b.yaml", "c.yml"]
    assert [d.index for d in documents] == [1, 1, 1]


def test_every_unreadable_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: 1\n---\na: [\n")
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "bad.yaml", tmp_path / "empty", tmp_path / "missing"]
    result = compile_paths(paths, None)
    assert isinstance(result, Refused)
    told = [(Path(p.file).name, p.document) for p in result.problems]
    assert sorted(told) == [("bad.yaml", 2), ("empty", 0), ("missing", 0)]
    assert all(problem.fix for problem in result.problems)


def test_keys_are_read_from_data_and_string_data(tmp_path: Path) -> None:
    encoded = base64.b64encode(f"{CANARY}\n".encode()).decode()
    both = secret() | {"data": {"api-key": "eA==", "other": encoded}}
    path = write_config(tmp_path / "p.yaml", TIER, policy("small"), both)
    result = compile_paths([path], None)
    assert isinstance(result, Compiled)
    assert dict(result.keys) == {
        ("shop", "keys", "api-key"): CANARY,
        ("shop", "keys", "other"): CANARY,
    }
    assert CANARY not in repr(result)


@pytest.mark.parametrize(
    "key", ["", " ", "a b", "a\r\nx-evil: 1", "caf\u00e9", "a\x00", "x" * 20_000]
)
def test_what_cannot_be_a_key_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    path = write_config(tmp_path / "p.yaml", TIER, policy("small"), secret(key))
    result = compile_paths([path], None)
    assert isinstance(result, Refused)
    (problem,) = result.problems
    assert problem.path == "stringData[api-key]"
    assert "evil" not in str(problem) + problem.value


def test_the_namespace_is_the_only_one_that_the_policies_name(tmp_path: Path) -> None:
    path = write_config(tmp_path / "p.yaml", TIER, policy("small"), secret())
    result = compile_paths([path], None)
    assert isinstance(result, Compiled)
    assert result.namespace == "shop"


def test_several_namespaces_ask_for_a_choice(tmp_path: Path) -> None:
    other = policy("small")
    other["metadata"]["namespace"] = "other"
    other["spec"]["tiers"] = [{"name": "small", "ref": {"name": "small", "namespace": "shop"}}]
    shared = {**TIER, "spec": {**TIER["spec"], "allowedNamespaces": {"from": "All"}}}
    path = write_config(tmp_path / "p.yaml", shared, policy("small"), other, secret())
    refused = compile_paths([path], None)
    assert isinstance(refused, Refused)
    assert "--namespace" in refused.problems[0].fix
    chosen = compile_paths([path], "other")
    assert isinstance(chosen, Compiled)
    assert chosen.namespace == "other"


def test_a_result_survives_the_pipe(tmp_path: Path) -> None:
    path = write_config(tmp_path / "p.yaml", TIER, policy("small"), secret())
    compiled = compile_paths([path], None)
    assert isinstance(compiled, Compiled)
    written = write_compiled(dump(compiled.snapshot), compiled.namespace, compiled.keys)
    assert read_result(written) == compiled


@pytest.mark.parametrize("output", [b"", b"[]", b"null", b"{", b'{"snapshot": "{}"}', b"{}"])
def test_a_torn_result_is_an_error_and_never_a_snapshot(output: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        read_result(output)


@pytest.mark.parametrize("content", ["", "\n", "# a comment\n", "---\n---\n"])
def test_a_file_without_a_document_is_refused(content: str, tmp_path: Path) -> None:
    """An editor that truncates before it writes must not switch the policy off."""
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    result = compile_paths([path], None)
    assert isinstance(result, Refused)
    assert [problem.message for problem in result.problems] == ["the file holds no document"]
