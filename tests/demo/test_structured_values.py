"""Structured outputs satisfy the schema that was asked for."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tiermesh_sidecar.demo.providers.structured import satisfy

LEAVES: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "minLength": 30},
    {"type": "string", "maxLength": 2},
    {"type": "string", "enum": ["a", "b"]},
    {"const": 3},
    {"type": "integer", "minimum": 5, "maximum": 7},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "maximum": -4},
    {"type": "integer", "minimum": 3, "multipleOf": 5},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "exclusiveMinimum": 0},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["string", "null"]},
    {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    {"type": "object"},
    {},
]


def objects(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def closed(properties: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": properties,
            "required": [*properties],
            "additionalProperties": False,
        }

    arrays = st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least},
        children,
        st.integers(0, 4),
    )
    return arrays | st.dictionaries(st.sampled_from("abcde"), children, max_size=4).map(closed)


@settings(max_examples=150, deadline=None)
@given(st.recursive(st.sampled_from(LEAVES), objects, max_leaves=12), st.integers(0, 2**32))
def test_a_value_satisfies_its_schema(schema: dict[str, Any], seed: int) -> None:
    Draft202012Validator(schema).validate(satisfy(schema, random.Random(seed)))


def test_the_same_seed_gives_the_same_value() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 3}
    assert satisfy(schema, random.Random(5)) == satisfy(schema, random.Random(5))


def test_references_and_recursion_end() -> None:
    node = {
        "type": "object",
        "properties": {
            "value": {"type": "integer"},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        },
        "required": ["value", "next"],
        "additionalProperties": False,
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    Draft202012Validator(schema).validate(satisfy(schema, random.Random(1)))


def test_all_of_is_one_object() -> None:
    part = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    other = {"properties": {"b": {"const": 1}}, "required": ["b"]}
    value = satisfy({"allOf": [part, other]}, random.Random(1))
    assert value["b"] == 1
    assert isinstance(value["a"], str)


@pytest.mark.parametrize("format_", ["date", "date-time", "email", "uuid", "uri", "ipv4"])
def test_formats_are_kept(format_: str) -> None:
    schema = {"type": "string", "format": format_}
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(schema, format_checker=checker).validate(satisfy(schema, random.Random(1)))
