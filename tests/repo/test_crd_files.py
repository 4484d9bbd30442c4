"""The CRD files are what the models generate, and small enough for an API server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = {"modeltiers.yaml": "ModelTier", "routingpolicies.yaml": "RoutingPolicy"}


def test_the_generated_files_are_fresh() -> None:
    command = [sys.executable, "crds/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make crds`\n{done.stdout}{done.stderr}"


def test_the_folder_holds_these_manifests_and_no_other() -> None:
    assert {path.name for path in (ROOT / "crds").glob("*.yaml")} == set(FILES)


@pytest.mark.parametrize(("name", "kind"), FILES.items())
def test_a_crd_file_is_one_definition_below_the_size_limit(name: str, kind: str) -> None:
    path = ROOT / "crds" / name
    assert path.stat().st_size < 200 * 1024
    definition = yaml.safe_load(path.read_text())
    assert definition["kind"] == "CustomResourceDefinition"
    assert definition["spec"]["names"]["kind"] == kind
