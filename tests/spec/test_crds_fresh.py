"""The generated files are what the models say, and what an API server and `kubectl` need."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiermesh_spec import descriptions
from tiermesh_spec.crdgen import KINDS, Kind, crd
from tiermesh_spec.shape import Shape, TypeShape, fields_of

ROOT = Path(__file__).resolve().parents[2]
PER_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)


def _generate() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "crds" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_file_is_fresh() -> None:
    assert _generate().stale() == [], "run python crds/generate.py"


@PER_KIND
def test_a_file_says_what_the_generator_says_and_is_under_200_kib(kind: Kind) -> None:
    path = ROOT / "crds" / f"{kind.plural}.yaml"
    assert path.stat().st_size < 200 * 1024
    assert yaml.safe_load(path.read_text("utf-8")) == crd(kind)


def schema_of(kind: Kind) -> dict[str, Any]:
    definition: Any = crd(kind)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert isinstance(schema, dict)
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from nodes(schema[name], f"{path}[]")


def checked(kind: Kind) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema but the frame's, which the API server knows."""
    for path, schema in nodes(schema_of(kind)):
        if path not in ("", ".metadata", ".apiVersion", ".kind"):
            yield path, schema


@PER_KIND
def test_every_schema_is_structural(kind: Kind) -> None:
    for path, schema in checked(kind):
        assert not {"$ref", "anyOf", "oneOf", "allOf", "not"} & schema.keys(), path
        assert schema["type"] != "number", f"{path} is a float"


@PER_KIND
def test_every_value_is_bounded(kind: Kind) -> None:
    bounds = {
        "array": {"maxItems"},
        "string": {"maxLength", "enum", "format"},
        "integer": {"minimum"},
        "object": {"maxProperties"},
    }
    for path, schema in checked(kind):
        if schema["type"] in ("boolean",) or "properties" in schema:
            continue
        if schema["type"] == "object" and "additionalProperties" not in schema:
            continue
        assert bounds[schema["type"]] & schema.keys(), path


@PER_KIND
def test_every_field_is_explained(kind: Kind) -> None:
    for path, schema in checked(kind):
        if not path.endswith("[]"):
            assert schema["description"].endswith("."), path
            assert "\n" not in schema["description"], path


@PER_KIND
def test_lists_of_named_objects_are_maps_by_that_name(kind: Kind) -> None:
    for path, schema in checked(kind):
        if schema.get("x-kubernetes-list-type") == "map":
            (key,) = schema["x-kubernetes-list-map-keys"]
            assert key in schema["items"]["required"], path
        elif schema["type"] == "array" and schema["items"]["type"] == "object":
            assert path.rpartition(".")[2] in ("bands", "matchExpressions"), path


def shapes(kind: TypeShape) -> Iterator[type[Shape]]:
    if kind.item is not None:
        yield from shapes(kind.item)
    if issubclass(kind.base, Shape):
        yield kind.base
        for field in fields_of(kind.base).values():
            yield from shapes(field.type)


@PER_KIND
def test_every_object_and_field_has_a_docstring(kind: Kind) -> None:
    for shape in shapes(TypeShape(base=kind.shape)):
        assert descriptions.of_object(shape), shape
        missing = {f.attribute for f in fields_of(shape).values()} - set(
            descriptions.of_fields(shape)
        )
        assert not missing, f"{shape.__name__}: {missing}"


@PER_KIND
def test_the_kinds_are_named_as_the_contract_says(kind: Kind) -> None:
    definition: Any = crd(kind)
    names = definition["spec"]["names"]
    assert names["shortNames"] == [{"ModelTier": "mtier", "RoutingPolicy": "rpol"}[kind.name]]
    assert names["categories"] == ["tiermesh"]
    (version,) = definition["spec"]["versions"]
    assert version["name"] == "v1alpha1"
    assert version["subresources"] == {"status": {}}
    columns = {c["name"]: c["jsonPath"] for c in version["additionalPrinterColumns"]}
    assert columns["Accepted"] == '.status.conditions[?(@.type=="Accepted")].status'
    assert not any("[-1" in path for path in columns.values()), "conditions have no order"


def test_every_rule_has_a_message_and_a_cel_form() -> None:
    for kind in KINDS:
        for path, schema in nodes(schema_of(kind)):
            for rule in schema.get("x-kubernetes-validations", []):
                assert rule["rule"], path
                assert rule["message"], path
                assert len(rule["message"]) < 2048


def test_the_reference_names_every_object_and_field() -> None:
    page = (ROOT / "docs" / "policy-reference.md").read_text("utf-8")
    for kind in KINDS:
        for shape in shapes(TypeShape(base=kind.shape)):
            if shape is kind.shape or not fields_of(shape):
                continue
            assert f"### {shape.__name__}\n" in page
            for name in fields_of(shape):
                assert f"| `{name}` |" in page


def test_every_link_of_the_reference_leads_somewhere() -> None:
    page = (ROOT / "docs" / "policy-reference.md").read_text("utf-8")
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    for target in re.findall(r"\]\(#([^)]+)\)", page):
        assert target in headings
    for path in re.findall(r"\]\(\.\./([^)]+)\)", page):
        assert (ROOT / path).is_file()
