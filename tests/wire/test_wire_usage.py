"""A provider's count of tokens, in either dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.wire.usage import anthropic_usage, count, openai_usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ("x", None),
        ([], None),
        ({}, None),
        ({"prompt_tokens": "1"}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 1e300}, None),
        ({"prompt_tokens": 3.0}, Usage(input=3)),
        ({"prompt_tokens": 3, "prompt_tokens_details": None}, Usage(input=3)),
        ({"prompt_tokens": 3, "prompt_tokens_details": 7}, Usage(input=3)),
        (
            {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}},
            Usage(input=3, cached_input=3),
        ),
        ({"completion_tokens": 3}, Usage(output=3)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
        (
            {"input_tokens": 3, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 2}},
            Usage(input=3, output=4, cached_input=2),
        ),
        (
            {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}},
            Usage(output=9),
        ),
    ],
)
def test_openai_usage_is_read_and_odd_usage_is_none_rather_than_wrong(
    usage: object, expected: Usage | None
) -> None:
    assert openai_usage(usage) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ({"cache_read_input_tokens": 5}, None),
        ({"input_tokens": 5}, Usage(input=5)),
        ({"output_tokens": 5}, Usage(output=5)),
        (
            {"input_tokens": 5, "cache_read_input_tokens": None, "output_tokens": 1},
            Usage(input=5, output=1),
        ),
        (
            {
                "input_tokens": 5,
                "cache_read_input_tokens": 7,
                "cache_creation_input_tokens": 11,
                "cache_creation": {"ephemeral_5m_input_tokens": 11},
                "output_tokens": 1,
            },
            Usage(input=23, output=1, cached_input=7, cache_write=11),
        ),
    ],
)
def test_anthropic_input_gets_the_cached_tokens_that_its_count_leaves_out(
    usage: object, expected: Usage | None
) -> None:
    assert anthropic_usage(usage) == expected


numbers = st.none() | st.integers(-5, 50) | st.floats() | st.booleans() | st.text(max_size=2)


@given(numbers, numbers, numbers, numbers)
def test_cached_tokens_are_never_more_than_the_input(
    first: object, second: object, third: object, fourth: object
) -> None:
    details = {"cached_tokens": third}
    usages = (
        openai_usage(
            {"prompt_tokens": first, "completion_tokens": second, "prompt_tokens_details": details}
        ),
        anthropic_usage(
            {
                "input_tokens": first,
                "output_tokens": second,
                "cache_read_input_tokens": third,
                "cache_creation_input_tokens": fourth,
            }
        ),
    )
    for usage in usages:
        if usage is not None:
            assert 0 <= usage.cached_input + usage.cache_write <= usage.input
            assert usage.output >= 0


def test_a_count_is_a_whole_number_or_none() -> None:
    assert count({"n": 2**60}, "n") is None
    assert count({"n": float("nan")}, "n") is None
    assert count({"n": 4.9}, "n") == 4
