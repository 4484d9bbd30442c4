"""From any routed body to features, or a refusal that names the parameter."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiermesh_sidecar.core.decision import Refusal
from tiermesh_sidecar.core.features import Caller, Features, Prompt
from tiermesh_sidecar.wire.body import JsonObject, parse_object
from tiermesh_sidecar.wire.paths import Target, classify
from tiermesh_sidecar.wire.request import read_features


def read(path: str, raw: bytes, caller: Caller | None = None) -> Features | Refusal:
    target = classify("POST", path)
    body = parse_object(raw)
    assert isinstance(target, Target)
    assert isinstance(body, JsonObject)
    return read_features(target, body, caller or Caller())


@pytest.mark.parametrize(
    ("path", "endpoint", "dialect"),
    [
        ("/v1/chat/completions", "chat/completions", "OpenAI"),
        ("/completions?x=1", "completions", "OpenAI"),
        ("/v1/embeddings", "embeddings", "OpenAI"),
        ("/messages", "messages", "Anthropic"),
    ],
)
def test_each_operation_is_read_in_its_own_dialect(path: str, endpoint: str, dialect: str) -> None:
    who = Caller(asserted={"plan": "free"})
    found = read(path, b'{"model":"m","messages":[],"prompt":"x","input":"x"}', who)
    assert isinstance(found, Features)
    assert (found.endpoint, found.dialect, found.model) == (endpoint, dialect, "m")
    assert found.caller is who


def test_a_path_that_is_passed_through_is_not_read() -> None:
    found = read("/v1/responses", b'{"model":3,"stream":"x"}', Caller(asserted={"plan": "free"}))
    assert isinstance(found, Features)
    assert (found.endpoint, found.model, found.tokens) == ("other", "", 0)
    assert found.caller.get("plan") == "free"


odd = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, 1e300, "x", "", "text", "image_url"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "function", "image_url", "source", "content"]), inner
        )
    ),
    max_leaves=8,
)
KEYS = ["content", "tool_calls", "function_call", "name", "refusal"]


@given(
    st.lists(st.dictionaries(st.sampled_from(KEYS), odd, max_size=3), max_size=3),
    st.dictionaries(
        st.sampled_from(
            [
                "tools",
                "functions",
                "response_format",
                "logprobs",
                "top_logprobs",
                "max_tokens",
                "reasoning_effort",
                "prompt",
                "input",
                "suffix",
                "system",
                "thinking",
                "output_format",
            ]
        ),
        odd,
        max_size=4,
    ),
    st.sampled_from(["chat/completions", "completions", "embeddings", "messages"]),
)
@settings(max_examples=200)
def test_no_shape_of_body_makes_reading_raise(
    messages: list[dict[str, object]], rest: dict[str, object], path: str
) -> None:
    body = {"model": "m", "messages": [{"role": "user", **m} for m in messages], **rest}
    found = read("/v1/" + path, json.dumps(body).encode())
    if isinstance(found, Features):
        assert found.tokens >= 0
        assert isinstance(found.prompt, Prompt)
