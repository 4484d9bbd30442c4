"""The lock files: what `pyproject.toml` asks for, pinned, hashed, and free of any address."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?: ;.*)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def pins(lock: str) -> dict[str, str]:
    matches = (PIN.match(line) for line in (ROOT / lock).read_text().splitlines())
    return {canonicalize_name(m["name"]): m["version"] for m in matches if m}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_a_hash_or_a_comment(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()
    assert [x for x in lines if not (PIN.match(x) or HASH.match(x) or x.startswith("#"))] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()
    follows = pairwise(lines)
    assert [line for line, after in follows if PIN.match(line) and not HASH.match(after)] == []


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("requirements-dev.lock", PROJECT["project"]["optional-dependencies"]["dev"]),
        ("requirements-build.lock", PROJECT["dependency-groups"]["build"]),
        ("requirements-build.lock", PROJECT["build-system"]["requires"]),
    ],
)
def test_the_locks_hold_what_the_project_asks_for(lock: str, asked: list[str]) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, asked):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in {lock}: make lock"
        assert requirement.specifier.contains(version), f"{requirement} is {version}: make lock"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_one_environment_can_hold_all_of_them(lock: str) -> None:
    dev = pins("requirements-dev.lock")
    assert {n: (v, dev[n]) for n, v in pins(lock).items() if n in dev and dev[n] != v} == {}


def test_the_sidecar_needs_no_development_tool() -> None:
    assert not {"pytest", "mypy", "ruff", "hypothesis", "hatchling"} & set(
        pins("requirements.lock")
    )


def test_the_node_lock_pins_by_hash_and_names_no_address() -> None:
    lock = json.loads((ROOT / "tests" / "node" / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert {"node_modules/openai", "node_modules/@anthropic-ai/sdk"} <= set(packages)
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
