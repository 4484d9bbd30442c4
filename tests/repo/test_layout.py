"""The folders: what may stand where, and the one file that must never exist."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    ".ci",
    ".dockerignore",
    ".gitattributes",
    ".github",
    ".gitignore",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "crds",
    "docs",
    "e2e",
    "examples",
    "helm",
    "operator",
    "pyproject.toml",
    "requirements-build.lock",
    "requirements-dev.lock",
    "requirements.lock",
    "sidecar",
    "tests",
}


def tracked() -> list[Path]:
    """What git keeps or would keep, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (ROOT / (path := Path(name))).is_file()]


def test_operator_never_becomes_a_package_that_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_python_started_in_the_root_finds_the_standard_operator() -> None:
    command = [sys.executable, "-c", "import operator; print(operator.add(1, 2))"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "3", done.stderr


def test_tests_are_no_packages_and_none_is_named_operator() -> None:
    folders = [path for path in (ROOT / "tests").rglob("*") if "node_modules" not in path.parts]
    assert [p for p in folders if p.name == "__init__.py"] == []
    assert [p for p in folders if p.is_dir() and p.name == "operator"] == []


def test_the_top_level_holds_only_what_the_layout_names() -> None:
    assert {path.parts[0] for path in tracked()} <= TOP_LEVEL


def test_no_module_is_named_for_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert [p for p in tracked() if p.suffix == ".py" and p.stem in vague] == []


@pytest.mark.parametrize("package", ["core", "wire"])
def test_each_pure_module_with_behaviour_has_its_own_test_file(package: str) -> None:
    source = ROOT / "sidecar" / "tiermesh_sidecar" / package
    modules = [p for p in source.rglob("*.py") if p.stem != "__init__" and has_functions(p)]
    names = {p.stem for p in (ROOT / "tests").rglob("test_*.py")}
    missing = [
        str(module.relative_to(ROOT))
        for module in modules
        if not any(name == f"test_{module.stem}" or covers(name, module.stem) for name in names)
    ]
    assert missing == []


def covers(test: str, module: str) -> bool:
    """`test_attempts_stream` and `test_wire_errors` belong to `attempts` and `errors`."""
    return module in test.removeprefix("test_").split("_") or module in test.removeprefix("test_")


def has_functions(module: Path) -> bool:
    """Whether it does something; fields and protocols alone have nothing to test."""
    for statement in ast.parse(module.read_text()).body:
        nodes: list[ast.stmt] = [statement]
        if isinstance(statement, ast.ClassDef):
            protocol = any(ast.unparse(base) == "Protocol" for base in statement.bases)
            nodes = [] if protocol else statement.body
        if any(isinstance(n, ast.FunctionDef) and not n.name.startswith("_") for n in nodes):
            return True
    return False


def test_the_scripts_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
