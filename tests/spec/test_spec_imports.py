"""What a sidecar imports of the spec stays small: no pydantic, no YAML, no CEL library."""

from __future__ import annotations

import subprocess
import sys

import pytest
from spec_resources import documents, policy, two_tiers

import tiermesh_spec


def imported(code: str) -> set[str]:
    """The top-level modules that are loaded after `code` ran in a fresh interpreter."""
    report = "import sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import tiermesh_spec",
        "from tiermesh_spec.snapshot import Snapshot, load, dump",
        "from tiermesh_spec import Snapshot, Problem",
        "from tiermesh_spec.expressions import Program",
    ],
)
def test_reading_snapshots_loads_neither_pydantic_nor_yaml_nor_cel(code: str) -> None:
    assert not imported(code) & {"pydantic", "pydantic_core", "yaml", "cel_expr_python"}


def test_compiling_without_expressions_does_not_load_cel() -> None:
    resources = documents([*two_tiers(), policy()])
    contents = [document.content for document in resources]
    code = (
        "from tiermesh_spec import Document, compile\n"
        f"snapshot = compile(Document('x', i, c) for i, c in enumerate({contents!r}))\n"
        "assert snapshot.policies"
    )
    assert "cel_expr_python" not in imported(code)


def test_every_exported_name_is_there() -> None:
    for name in tiermesh_spec.__all__:
        assert getattr(tiermesh_spec, name) is not None
    assert tiermesh_spec.compile is tiermesh_spec.compile_resources


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = tiermesh_spec.nothing  # type: ignore[attr-defined]
