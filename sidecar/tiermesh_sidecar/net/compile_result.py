"""What the compile process says, as lines of JSON on its standard output, and how to read it back.

Written by `compile_child`, read by `compile_process`; both sides are this program, of one version.
The text holds provider keys: it travels through the pipe only, and nobody logs it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tiermesh_sidecar.net.secrets import Keys
from tiermesh_spec.problems import Problem
from tiermesh_spec.snapshot import Snapshot, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    snapshot: Snapshot
    namespace: str
    """The namespace to run in: as asked, or the only one that the policies name."""
    keys: Keys = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    problems: tuple[Problem, ...]


CompileResult = Compiled | Refused


def write_refused(problems: Sequence[Problem]) -> bytes:
    return _encode({"problems": [problem.as_json() for problem in problems]})


def write_compiled(snapshot: bytes, namespace: str, keys: Keys) -> bytes:
    return _encode(
        {
            "snapshot": snapshot.decode(),
            "namespace": namespace,
            "keys": [[*path, value] for path, value in keys.items()],
        }
    )


def read_result(data: bytes) -> CompileResult:
    """Raises ValueError (or SnapshotError, which is one) where the text is torn or foreign."""
    raw = json.loads(data)
    if not isinstance(raw, dict):
        raise ValueError("the compile process did not print an object")
    if "problems" in raw:
        return Refused(problems=tuple(_problem(item) for item in raw["problems"]))
    return Compiled(
        snapshot=load(raw["snapshot"].encode()),
        namespace=raw["namespace"],
        keys={(namespace, name, key): value for namespace, name, key, value in raw["keys"]},
    )


def problem_here(message: str, fix: str, *, file: str = "", document: int = 0) -> Problem:
    """A problem of the configuration as a whole, or of a file that could not be read."""
    return Problem(file=file, document=document, path="", value="", message=message, fix=fix)


def _problem(raw: Mapping[str, object]) -> Problem:
    document = raw["document"]
    return Problem(
        file=str(raw["file"]),
        document=document if isinstance(document, int) else 0,
        path=str(raw["path"]),
        value=str(raw["value"]),
        message=str(raw["message"]),
        fix=str(raw["fix"]),
    )


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
