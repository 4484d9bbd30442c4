"""Anthropic's messages as features."""

from __future__ import annotations

import json

import pytest

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Caller, Capability, Features, Prompt
from tiermesh_sidecar.wire.body import JsonObject, parse_object
from tiermesh_sidecar.wire.paths import Target, classify
from tiermesh_sidecar.wire.request import read_features


def read(**body: object) -> Features | Refusal:
    target = classify("POST", "/v1/messages")
    assert isinstance(target, Target)
    full = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    parsed = parse_object(json.dumps(full | body).encode())
    assert isinstance(parsed, JsonObject)
    return read_features(target, parsed, Caller())


def message(**body: object) -> Features:
    found = read(**body)
    assert isinstance(found, Features), found
    return found


AB = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def blocks(*content: dict[str, object]) -> list[dict[str, object]]:
    return [{"role": "user", "content": list(content)}]


def test_a_plain_message_needs_nothing() -> None:
    found = message()
    assert (found.endpoint, found.dialect, found.model) == ("messages", "Anthropic", "m")
    assert (found.max_tokens, found.stream, found.tokens) == (100, False, 5)
    assert found.needs == frozenset()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"system": 1}, "system"),
        ({"system": {}}, "system"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages"),
    ],
)
def test_what_the_decision_cannot_do_without_is_refused(
    body: dict[str, object], param: str
) -> None:
    found = read(**body)
    assert isinstance(found, Refusal)
    assert (found.code, found.param) == (ErrorCode.INVALID_REQUEST, param)


SCHEMA = {"type": "json_schema", "schema": {}}


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"tools": [{"name": "f", "input_schema": {}}]}, {Capability.TOOLS}),
        ({"tools": []}, set()),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {Capability.REASONING}),
        ({"thinking": {"type": "adaptive"}}, {Capability.REASONING}),
        ({"thinking": {"type": "disabled"}}, set()),
        ({"thinking": None}, set()),
        ({"output_format": SCHEMA}, {Capability.JSON_SCHEMA}),
        ({"output_config": {"format": SCHEMA}}, {Capability.JSON_SCHEMA}),
        ({"output_config": {"effort": "low"}}, set()),
        ({"messages": blocks({"type": "image", "source": {}})}, {Capability.VISION}),
        (
            {"messages": blocks({"type": "tool_result", "content": [{"type": "image"}]})},
            {Capability.VISION},
        ),
    ],
)
def test_what_a_message_asks_for_is_what_it_needs(
    body: dict[str, object], needs: set[Capability]
) -> None:
    found = message(**body)
    assert found.needs == needs
    assert found.wants_tools == (Capability.TOOLS in needs)
    assert found.wants_json == (Capability.JSON_SCHEMA in needs)
    assert found.has_images == (Capability.VISION in needs)


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        ({"type": "text", "text": "x" * 400}, 100),
        ({"type": "thinking", "thinking": "x" * 400, "signature": "s" * 999}, 100),
        ({"type": "tool_result", "content": "x" * 400}, 100),
        ({"type": "tool_result", "content": [{"type": "text", "text": "x" * 400}]}, 100),
        ({"type": "tool_result"}, 0),
        ({"type": "image", "source": {"type": "base64", "data": "A" * 100_000}}, 1600),
        ({"type": "document", "source": {"type": "text", "data": "x" * 400}}, 100),
        ({"type": "document", "source": {"type": "content", "content": "x" * 400}}, 100),
        ({"type": "document", "source": {"type": "base64", "data": "A" * 6400}}, 100),
        ({"type": "document", "source": None}, 0),
        ({"type": "new", "text": "x" * 400}, 0),
        ({"type": "tool_result", "content": [{"type": "tool_result", "content": "x" * 400}]}, 0),
    ],
)
def test_every_block_weighs_what_it_says(block: dict[str, object], tokens: int) -> None:
    assert message(messages=blocks(block)).tokens == 4 + tokens


def test_a_tool_call_weighs_its_name_and_about_its_json() -> None:
    call = {"type": "tool_use", "name": "x" * 40, "input": {"key": ["v" * 388, 1, None, {"a": 1}]}}
    assert 105 <= message(messages=blocks(call)).tokens - 4 <= 115


def test_system_and_tools_are_counted() -> None:
    base = message().tokens
    assert message(system="x" * 400).tokens == base + 100
    assert message(system=[{"type": "text", "text": "x" * 400}]).tokens == base + 100
    assert message(tools=[{"name": "x" * 400}]).tokens >= base + 100


def test_tool_results_are_words_but_not_a_turn_of_the_user() -> None:
    found = message(
        system=[{"type": "text", "text": "S"}],
        messages=[
            {"role": "user", "content": AB},
            {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "content": "R"}]},
        ],
    )
    assert found.prompt == Prompt(texts=("S", "a", "b", "R"), last_user="a\nb", turns=1)


def test_a_turn_with_an_image_alone_is_one() -> None:
    found = message(messages=[*blocks({"type": "text", "text": "a"}), *blocks({"type": "image"})])
    assert (found.prompt.last_user, found.prompt.turns) == ("", 2)
