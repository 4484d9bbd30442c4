"""The CRDs on a real API server: they apply, they teach, and they refuse what `compile` refuses."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from crd_cases import ABSENT, CASES, TIER, Case

from tiermesh_spec import Document, Problems, compile_resources

ROOT = Path(__file__).parent.parent
CRDS = ROOT / "crds"
NAMES = ("modeltiers.tiermesh.dev", "routingpolicies.tiermesh.dev")
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
BASE = [*yaml.safe_load_all((Path(__file__).parent / "crd_base.yaml").read_text())]


def _kubectl(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", "--request-timeout=20s", *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module", autouse=True)
def _crds() -> Iterator[None]:
    if not os.environ.get("KUBECONFIG") or shutil.which("kubectl") is None:
        pytest.skip("no KUBECONFIG or no kubectl: see e2e/README.md")
    for file in ("modeltiers.yaml", "routingpolicies.yaml"):
        done = _kubectl("apply", "-f", str(CRDS / file))
        assert done.returncode == 0, done.stderr
    crds = [f"crd/{name}" for name in NAMES]
    done = _kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    assert done.returncode == 0, done.stderr
    yield
    _kubectl("delete", "--wait=false", *crds)


def _resource(case: Case) -> dict[str, Any]:
    """The base resource of this kind with the case's one change."""
    resource: dict[str, Any] = copy.deepcopy(BASE[0] if case.kind == TIER else BASE[1])
    place: Any = resource["spec"]
    for part in case.path[:-1]:
        place = place.setdefault(part, {}) if isinstance(part, str) else place[part]
    last = case.path[-1]
    if case.value is ABSENT:
        place.pop(last, None)
    else:
        place[last] = case.value
    return resource


def _compiles(changed: dict[str, Any]) -> bool:
    both = [changed if base["kind"] == changed["kind"] else base for base in BASE]
    documents = [Document("case.yaml", number, one) for number, one in enumerate(both, 1)]
    return not isinstance(compile_resources(documents), Problems)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.path[0]}")
def test_the_server_and_compile_give_the_same_verdict(case: Case) -> None:
    resource = _resource(case)
    answer = _kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(resource))
    assert (answer.returncode == 0) == case.accepted, answer.stderr
    expected = case.accepted if case.compiled is None else case.compiled
    assert _compiles(resource) == expected


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_accepted_as_they_stand(example: Path) -> None:
    for document in yaml.safe_load_all(example.read_text()):
        document["metadata"]["namespace"] = "default"
        text = json.dumps(document)
        answer = _kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
        assert answer.returncode == 0, answer.stderr


def test_what_the_server_defaults_and_stores_compiles_again() -> None:
    for base in BASE:
        made = _kubectl("create", "-f", "-", stdin=json.dumps(base))
        assert made.returncode == 0, made.stderr
    try:
        listed = _kubectl("get", "mtier,rpol", "-n", "default", "-o", "json")
        documents = [
            Document("cluster", number, item)
            for number, item in enumerate(json.loads(listed.stdout)["items"], 1)
        ]
        assert not isinstance(compile_resources(documents), Problems)
        assert "Accepted" in _kubectl("get", "tiermesh", "-n", "default").stdout.title()
    finally:
        _kubectl("delete", "mtier,rpol", "--all", "-n", "default")


@pytest.mark.parametrize("name", ["mtier.spec.backends.target", "rpol.spec.rules.route.threshold"])
def test_explain_teaches_the_fields(name: str) -> None:
    text = _kubectl("explain", name).stdout
    assert "DESCRIPTION" in text
    assert "<empty>" not in text
