"""The examples compile, and `kubectl` reads them as tiermesh does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tiermesh_spec import Document, Snapshot, compile_resources

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))


def compiled_file(path: Path) -> Snapshot:
    # YAML 1.1, as kubectl reads it: a bare `on:` would be the boolean true.
    contents = yaml.safe_load_all(path.read_text("utf-8"))
    result = compile_resources(
        Document(path.name, index, content) for index, content in enumerate(contents, start=1)
    )
    assert isinstance(result, Snapshot), str(result)
    return result


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_compiles(path: Path) -> None:
    assert compiled_file(path).policies


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_first_what_it_shows(path: Path) -> None:
    assert path.read_text("utf-8").startswith("# ")


@pytest.mark.parametrize("name", ["quickstart", "anthropic", "entitlements-and-residency"])
def test_the_documented_examples_are_there(name: str) -> None:
    assert f"{name}.yaml" in {path.name for path in EXAMPLES}


def test_the_quickstart_has_three_tiers_that_differ_in_price() -> None:
    (path,) = [p for p in EXAMPLES if p.name == "quickstart.yaml"]
    (policy,) = compiled_file(path).policies
    ranked = sorted(policy.tiers, key=lambda tier: tier.rank)
    assert [tier.name for tier in ranked] == ["small", "medium", "large"]
    prices = [tier.backends[0].price for tier in ranked]
    assert all(price is not None for price in prices)
    assert [p.input for p in prices if p] == sorted({p.input for p in prices if p})
