"""What a decision may know of a call: attributes by precedence, the prompt only when asked for."""

from __future__ import annotations

import pytest

from tiermesh_sidecar.core.features import Caller, Dialect, Endpoint, Features, Prompt


@pytest.mark.parametrize(
    ("asserted", "hinted", "value"),
    [
        ({"plan": "free"}, {"plan": "premium"}, "free"),
        ({}, {"plan": "premium"}, "premium"),
        ({"plan": ""}, {"plan": "premium"}, "premium"),
        ({}, {}, ""),
    ],
    ids=["identity beats a hint", "a hint alone", "an empty identity is unset", "nobody set it"],
)
def test_an_attribute_is_read_by_precedence(
    asserted: dict[str, str], hinted: dict[str, str], value: str
) -> None:
    assert Caller(asserted=asserted, hinted=hinted).get("plan") == value


def test_the_prompt_is_read_once_and_only_when_asked_for() -> None:
    reads: list[Prompt] = []

    def read() -> Prompt:
        reads.append(Prompt(last_user="why?", turns=1))
        return reads[-1]

    features = Features(
        endpoint=Endpoint.CHAT_COMPLETIONS, dialect=Dialect.OPENAI, read_prompt=read
    )
    assert reads == []
    assert features.prompt is features.prompt
    assert len(reads) == 1


def test_a_call_that_says_nothing_asks_for_nothing() -> None:
    features = Features(endpoint=Endpoint.OTHER, dialect=Dialect.OPENAI)
    assert features.prompt == Prompt()
    assert features.caller == Caller()
    assert (features.model, features.max_tokens, features.needs) == ("", None, frozenset())
