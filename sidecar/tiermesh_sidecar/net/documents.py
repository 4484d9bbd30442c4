"""Files to documents to a snapshot and keys, with every problem of every file at once.

Runs where pydantic and YAML may be loaded: the compile process and the command line's `validate`
and `explain`. The sidecar's own process never imports this.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tiermesh_sidecar.net.compile_result import Compiled, CompileResult, Refused, problem_here
from tiermesh_sidecar.net.files import FileProblem, list_files
from tiermesh_sidecar.net.secrets import clean_key
from tiermesh_sidecar.net.yaml_text import YamlError, read_yaml
from tiermesh_spec import Document, Problem, Problems, compile_resources
from tiermesh_spec.documents import Source, sort_documents
from tiermesh_spec.problems import HIDDEN, Finding
from tiermesh_spec.snapshot import Snapshot

NAMELESS = "default"
"""The namespace of a sidecar for which no policy names one."""


def compile_paths(paths: Sequence[Path], namespace: str | None) -> CompileResult:
    """The snapshot, namespace and keys that these files and directories hold, or every problem."""
    documents, problems = read_documents(paths)
    if problems:
        # The rest is not checked: what it refers to may stand in the file that cannot be read.
        return Refused(problems=tuple(problems))
    compiled = compile_resources(documents)
    keys, key_problems = read_keys(documents)
    if isinstance(compiled, Problems):
        return Refused(problems=(*compiled, *key_problems))
    chosen = namespace or _only_namespace(compiled)
    if chosen is None:
        key_problems.append(_which_namespace(compiled))
    if key_problems or chosen is None:
        return Refused(problems=tuple(key_problems))
    return Compiled(snapshot=compiled, namespace=chosen, keys=keys)


def read_documents(paths: Sequence[Path]) -> tuple[list[Document], list[Problem]]:
    """All documents of all files, in order, and what could not be read."""
    files, missing = list_files(paths)
    documents: list[Document] = []
    problems = [_unreadable(problem) for problem in missing]
    for path in files:
        try:
            found = list(_read_file(path))
        except YamlError as error:
            problems.append(
                problem_here(error.message, error.fix, file=str(path), document=error.document + 1)
            )
        except OSError as error:
            problems.append(
                problem_here(
                    f"cannot be read: {error.strerror}", "check its permissions", file=str(path)
                )
            )
        else:
            documents.extend(found)
            if not found:
                # Somebody is writing it, or was interrupted: not the word that no policy is meant.
                problems.append(
                    problem_here(
                        "the file holds no document",
                        "write the tiers and policies into it, or remove it",
                        file=str(path),
                    )
                )
    return documents, problems


def read_keys(
    documents: Iterable[Document],
) -> tuple[dict[tuple[str, str, str], str], list[Problem]]:
    """The provider keys in `v1/Secret` documents, and those that cannot be one."""
    sources, _ = sort_documents(documents)
    keys: dict[tuple[str, str, str], str] = {}
    problems: list[Problem] = []
    for source in sources:
        if source.kind == "Secret":
            for field, name, raw in _entries(source):
                value = clean_key(raw)
                if value is None:
                    problems.append(source.problem(_bad_key(field, name)))
                else:
                    keys[source.namespace, source.name, name] = value
    return keys, problems


def _read_file(path: Path) -> Iterator[Document]:
    for document in read_yaml(path.read_bytes()):
        yield Document(str(path), document.number + 1, document.content)


def _entries(source: Source) -> Iterator[tuple[str, str, bytes]]:
    """(field, key, value) of a Secret; `stringData` comes last because it wins in Kubernetes. What
    is not text or not base64 is `compile_resources`' to report."""
    for field in ("data", "stringData"):
        entries = source.content.get(field)
        if not isinstance(entries, dict):
            continue
        for name, value in entries.items():
            if isinstance(name, str) and isinstance(value, str):
                try:
                    yield field, name, _decoded(value) if field == "data" else value.encode()
                except (binascii.Error, ValueError):
                    continue


def _decoded(value: str) -> bytes:
    return base64.b64decode("".join(value.split()), validate=True)


def _bad_key(field: str, name: str) -> Finding:
    return Finding(
        path=(field, name),
        value=HIDDEN,
        message="the value cannot be a key: it is empty, or has spaces, control or non-ASCII "
        "characters",
        fix="write the key as the provider gave it",
    )


def _only_namespace(snapshot: Snapshot) -> str | None:
    """The one namespace that the policies name; None where there are several."""
    named = {policy.namespace for policy in snapshot.policies}
    if len(named) > 1:
        return None
    return next(iter(named), NAMELESS)


def _which_namespace(snapshot: Snapshot) -> Problem:
    named = ", ".join(sorted({policy.namespace for policy in snapshot.policies}))
    return problem_here(
        f"the policies are of several namespaces ({named}), and a sidecar runs in one",
        "say which with --namespace",
    )


def _unreadable(problem: FileProblem) -> Problem:
    return problem_here(problem.message, problem.fix, file=str(problem.path))
