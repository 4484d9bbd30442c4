"""What content weighs, and what of a body is checked at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.decision import Refusal
from tiermesh_sidecar.core.features import Capability
from tiermesh_sidecar.wire.prompt import (
    Weight,
    check_messages,
    flag,
    limit,
    model_of,
    objects,
    parts_of,
    plain_needs,
    span_tokens,
    utf8_length,
)


@given(st.text(st.characters()))
def test_the_length_of_text_is_that_of_its_utf8(value: str) -> None:
    assert utf8_length(value) == len(value.encode("utf-8", "surrogatepass"))


def test_text_is_rounded_up_once_and_not_by_part() -> None:
    weight = Weight()
    for _ in range(5):
        weight.add_text("x")
    assert weight.tokens == 2
    weight.add_text(None)
    weight.add_text(3)
    weight.add_image(85)
    weight.add_attachment("A" * 640)
    weight.add_attachment(None)
    assert (weight.tokens, weight.images) == (2 + 85 + 10, True)
    assert Weight().tokens == 0


def test_members_are_counted_by_their_length_in_the_body() -> None:
    assert span_tokens({"tools": (10, 410), "x": (0, 9)}, "tools", "functions") == 100


def test_texts_are_taken_from_strings_and_from_parts_of_the_kinds_asked_for() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "b", "text": "b"}, {"type": "text"}, 1]
    assert list(parts_of(content, "text")) == ["a"]
    assert list(parts_of("whole", "text")) == ["whole"]
    assert list(parts_of(None, "text")) == []
    assert list(objects([{}, 1, {"a": 1}])) == [{}, {"a": 1}]
    assert list(objects({"a": 1})) == []


@pytest.mark.parametrize(("value", "expected"), [(None, False), (True, True), (False, False)])
def test_a_flag_is_a_boolean_or_absent(value: object, expected: bool) -> None:
    assert flag(value, "stream") is expected


@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_any_other_flag_is_refused_by_name(value: object) -> None:
    found = flag(value, "stream")
    assert isinstance(found, Refusal)
    assert found.param == "stream"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1), (2.0, 2), (0, None), (-1, None), (1.5, None), (True, None), ("1", None)],
)
def test_a_limit_is_a_positive_whole_number_or_none(value: object, expected: int | None) -> None:
    assert limit(value) == expected
    assert limit(float("inf")) is None
    assert limit(float("nan")) is None


def test_a_model_keeps_its_spelling() -> None:
    assert model_of({"model": " Qwen/ä "}) == " Qwen/ä "


def test_a_refused_message_is_counted_from_zero() -> None:
    found = check_messages([{"role": "user"}, {"role": None}])
    assert isinstance(found, Refusal)
    assert "messages[1].role" in found.message


def test_a_call_needs_what_it_asks_for_and_nothing_else() -> None:
    assert plain_needs(tools=False, json_schema=False, images=False) == set()
    assert plain_needs(tools=True, json_schema=False, images=True) == {
        Capability.TOOLS,
        Capability.VISION,
    }
    assert plain_needs(tools=False, json_schema=True, images=False) == {Capability.JSON_SCHEMA}
