"""What a process loads: pure packages stay pure, the sidecar's stays small. The arrows between
packages are import-linter's; this looks at what really is in memory, by whatever way it came."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded_by(statements: str) -> set[str]:
    """Top-level module names in a new process after these statements (`site` is left out)."""
    command = [sys.executable, "-c", f"{statements}; {LOADED}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout)}


ALL_OF = (
    "import importlib, pkgutil, {0}; "
    "[importlib.import_module(m.name) for m in pkgutil.walk_packages({0}.__path__, '{0}.')]"
)


@pytest.mark.parametrize("package", ["tiermesh_sidecar.core", "tiermesh_sidecar.wire"])
def test_the_pure_packages_load_no_io_library(package: str) -> None:
    forbidden = {"aiohttp", "asyncio", "opentelemetry", "uvloop", "pydantic", "yaml", "socket"}
    assert loaded_by(ALL_OF.format(package)) & forbidden == set()


def test_the_snapshot_is_read_without_the_models_that_compile_it() -> None:
    forbidden = {"pydantic", "yaml", "cel_expr_python", "asyncio"}
    assert loaded_by("from tiermesh_spec.snapshot import load") & forbidden == set()


@pytest.mark.parametrize("module", ["tiermesh_sidecar.__main__"])
def test_the_command_loads_only_what_it_needs(module: str) -> None:
    forbidden = {"pydantic", "yaml", "cel_expr_python", "openai", "pytest"}
    assert loaded_by(f"import {module}") & forbidden == set()


@pytest.mark.parametrize("package", ["tiermesh_sidecar.net", "tiermesh_sidecar.telemetry"])
def test_the_sidecars_process_loads_no_model_and_no_yaml(package: str) -> None:
    loaded = loaded_by(f"import {package}")
    assert loaded & {"pydantic", "yaml", "cel_expr_python"} == set()
