"""The Makefile: what a newcomer meets first."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGETS = {"help", "demo", "test", "lint", "types", "arrows", "unit", "format", "crds", "lock"}


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Started by `make test`, this make would take itself for a part of that one.
    outside = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=outside, capture_output=True, text=True
    )


def test_make_alone_lists_the_targets() -> None:
    done = make(ROOT)
    assert set(re.findall(r"^  make ([a-z0-9-]+)", done.stdout, re.MULTILINE)) >= TARGETS


def test_make_test_runs_each_gate() -> None:
    prerequisites = re.search(r"^test: (.*?) ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert prerequisites
    assert set(prerequisites[1].split()) >= {"lint", "types", "arrows", "crds-fresh", "unit"}


def test_a_machine_without_a_usable_python_is_told_what_to_do(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "requirements-build.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    done = make(tmp_path, "demo", "PYTHON=false")
    assert done.returncode != 0
    assert "No Python 3.11 or newer" in done.stderr
    assert "make demo PYTHON=" in done.stderr
    assert not (tmp_path / ".venv").exists()
