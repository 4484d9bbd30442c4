"""The wheel: what an image or `pip install` gets is what the tests ran."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"tiermesh_spec": ROOT / "crds", "tiermesh_sidecar": ROOT / "sidecar"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as opened:
        yield opened


@pytest.mark.parametrize("package", PACKAGES)
def test_it_holds_every_file_of_the_package(wheel: zipfile.ZipFile, package: str) -> None:
    above = PACKAGES[package]
    files = {
        str(path.relative_to(above))
        for path in (above / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if name.startswith(f"{package}/")}
    assert held == files


def test_it_holds_no_other_package(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_it_brings_the_command_under_both_names(wheel: zipfile.ZipFile) -> None:
    name = next(n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    entry_points = wheel.read(name).decode()
    for command in ("tiermesh", "kubectl-tiermesh"):
        assert f"{command} = tiermesh_sidecar.__main__:main" in entry_points


def test_it_brings_the_licence(wheel: zipfile.ZipFile) -> None:
    name = next(n for n in wheel.namelist() if n.endswith("licenses/LICENSE"))
    assert "Apache License" in wheel.read(name).decode()
