"""OpenAI's bodies as features."""

from __future__ import annotations

import json

import pytest

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Caller, Capability, Features, Prompt
from tiermesh_sidecar.wire.body import JsonObject, parse_object
from tiermesh_sidecar.wire.paths import Target, classify
from tiermesh_sidecar.wire.request import read_features


def read(path: str, body: dict[str, object] | bytes) -> Features | Refusal:
    target = classify("POST", path)
    assert isinstance(target, Target)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    parsed = parse_object(raw)
    assert isinstance(parsed, JsonObject), parsed
    return read_features(target, parsed, Caller())


AB = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def chat(**body: object) -> Features:
    full = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}
    found = read("/v1/chat/completions", full)
    assert isinstance(found, Features), found
    return found


def refused(path: str, body: dict[str, object]) -> Refusal:
    found = read(path, body)
    assert isinstance(found, Refusal), found
    assert found.code is ErrorCode.INVALID_REQUEST
    return found


def test_a_plain_chat_needs_nothing() -> None:
    found = chat()
    assert (found.endpoint, found.dialect, found.model) == ("chat/completions", "OpenAI", "m")
    wishes = found.stream, found.wants_json, found.wants_tools, found.has_images
    assert wishes == (False, False, False, False)
    assert found.needs == frozenset()
    assert found.max_tokens is None
    assert found.tokens == 4 + 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize("model", [None, "", " ", 1, ["m"], "\ud800", "absent"])
def test_a_call_without_a_usable_model_is_refused(path: str, model: object) -> None:
    body: dict[str, object] = {"messages": [], "prompt": "x", "input": "x"}
    if model != "absent":
        body["model"] = model
    assert refused(path, body).param == "model"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("stream", ["true", 1, 0, [], {}])
def test_a_stream_option_that_is_no_boolean_is_refused(path: str, stream: object) -> None:
    body = {"model": "m", "messages": [], "prompt": "x", "stream": stream}
    assert refused(path, body).param == "stream"


def test_a_stream_option_of_null_is_false() -> None:
    assert not chat(stream=None).stream
    assert chat(stream=True).stream


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "x",
        {},
        {"role": "user"},
        ["x"],
        [{"role": "user", "content": "x"}, 1],
        [{"content": "x"}],
        [{"role": 1}],
        [{"role": "user", "content": 1}],
        [{"role": "user", "content": {}}],
        [{"role": "user", "content": True}],
    ],
)
def test_messages_that_cannot_be_walked_are_refused(messages: object) -> None:
    assert refused("/v1/chat/completions", {"model": "m", "messages": messages}).param == "messages"
    assert refused("/v1/chat/completions", {"model": "m"}).param == "messages"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "martian"}],
        [{"role": "assistant", "content": None, "tool_calls": "x"}],
        [{"role": "user", "content": [1, None, "x", {}, {"type": 3}, {"type": "new", "x": {}}]}],
        [{"role": "user", "content": [{"type": "text", "text": 3}, {"type": "image_url"}]}],
        [{"role": "assistant", "tool_calls": [{"function": 3}, {"function": {"name": 3}}]}],
        [
            {
                "role": "user",
                "content": [{"type": "file"}, {"type": "input_audio", "input_audio": 3}],
            }
        ],
    ],
)
def test_what_only_the_provider_can_judge_is_forwarded(messages: list[object]) -> None:
    found = chat(messages=messages)
    assert isinstance(found.prompt, Prompt)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 20}, 20),
        ({"max_completion_tokens": 20, "max_tokens": 10}, 20),
        ({"max_completion_tokens": None, "max_tokens": 10}, 10),
        ({"max_tokens": 10.0}, 10),
        ({"max_tokens": 10.5}, None),
        ({"max_tokens": "10"}, None),
        ({"max_tokens": 0}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": True}, None),
    ],
)
def test_the_output_limit_is_the_newer_name_or_the_older(
    body: dict[str, object], expected: int | None
) -> None:
    assert chat(**body).max_tokens == expected


def test_an_output_limit_beyond_all_numbers_is_none() -> None:
    for number in (b"1e400", b"9" * 400):
        body = b'{"model":"m","messages":[],"max_tokens":' + number + b"}"
        found = read("/v1/chat/completions", body)
        assert isinstance(found, Features)
        assert found.max_tokens is None


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, {Capability.TOOLS}),
        ({"functions": [{"name": "f"}]}, {Capability.TOOLS}),
        ({"tools": []}, set()),
        ({"tools": None, "functions": []}, set()),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {Capability.JSON_SCHEMA}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": "json_schema"}, set()),
        ({"logprobs": True}, {Capability.LOGPROBS}),
        ({"logprobs": False, "top_logprobs": None}, set()),
        ({"top_logprobs": 3}, {Capability.LOGPROBS}),
        ({"top_logprobs": 0}, set()),
        ({"reasoning_effort": "low"}, {Capability.REASONING}),
        ({"reasoning_effort": "none"}, set()),
        ({"reasoning_effort": None}, set()),
    ],
)
def test_what_a_call_asks_for_is_what_it_needs(
    body: dict[str, object], needs: set[Capability]
) -> None:
    found = chat(**body)
    assert found.needs == needs
    assert found.wants_tools == (Capability.TOOLS in needs)
    kind = body.get("response_format")
    wants = isinstance(kind, dict) and kind["type"] in ("json_schema", "json_object")
    assert found.wants_json == wants


def image(detail: str | None = None) -> list[dict[str, object]]:
    url: dict[str, object] = {"url": "data:image/png;base64," + "A" * 100_000}
    if detail:
        url["detail"] = detail
    return [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]


def test_an_image_needs_vision_and_weighs_by_detail_not_by_its_bytes() -> None:
    low, high = chat(messages=image("low")), chat(messages=image())
    assert low.has_images
    assert low.needs == {Capability.VISION}
    assert low.tokens == 4 + 85
    assert high.tokens == 4 + 765


def test_all_text_is_counted_by_its_utf8_bytes() -> None:
    tools = [{"type": "function", "function": {"name": "f" * 400}}]
    calls = [{"function": {"name": "n" * 40, "arguments": "a" * 360}}]
    base = chat(messages=[{"role": "user", "content": ""}]).tokens

    def added(**body: object) -> int:
        return chat(**body).tokens - base

    assert added(messages=[{"role": "user", "content": "x" * 400}]) == 100
    assert added(messages=[{"role": "user", "content": "語" * 400}]) == 300
    assert added(messages=[{"role": "user", "content": "\ud800" * 4}]) == 3
    parts = [{"type": "text", "text": "x" * 200}, {"type": "text", "text": "x" * 200}]
    assert added(messages=[{"role": "user", "content": parts}]) == 100
    assert added(messages=[{"role": "assistant", "content": None, "tool_calls": calls}]) == 100
    assert 100 <= added(messages=[{"role": "user", "content": ""}], tools=tools) <= 115
    assert added(messages=[{"role": "user", "content": "", "name": "x" * 40}]) == 10
    assert added(messages=[{"role": "user", "content": ""}] * 3) == 8


def test_the_prompt_is_every_text_and_the_last_user_turn() -> None:
    found = chat(
        messages=[
            {"role": "system", "content": "S"},
            {"role": "user", "content": "U1"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"role": "user", "content": AB},
            {"role": "tool", "content": "T"},
        ]
    )
    assert found.prompt == Prompt(texts=("S", "U1", "a", "b", "T"), last_user="a\nb", turns=2)
    assert found.prompt is found.prompt


def completion(**body: object) -> Features:
    found = read("/v1/completions", {"model": "m", **body})
    assert isinstance(found, Features), found
    return found


@pytest.mark.parametrize(
    ("prompt", "tokens", "texts"),
    [
        ("x" * 40, 10, ("x" * 40,)),
        (["x" * 40, "y" * 80], 20, ("x" * 40, "y" * 80)),
        ([1, 2, 3], 3, ()),
        ([[1, 2, 3], [4]], 3, ()),
        ([], 0, ()),
        (None, 0, ()),
        (3, 0, ()),
        ([None], 0, ()),
    ],
)
def test_a_completions_prompt_is_read_in_all_its_shapes(
    prompt: object, tokens: int, texts: tuple[str, ...]
) -> None:
    found = completion(prompt=prompt)
    assert found.tokens == tokens
    assert found.prompt.texts == texts
    embedded = read("/v1/embeddings", {"model": "m", "input": prompt})
    assert isinstance(embedded, Features)
    assert (embedded.tokens, embedded.prompt.texts) == (tokens, texts)


def test_a_completions_suffix_limit_and_logprobs_count() -> None:
    found = completion(prompt="x" * 40, suffix="y" * 40, max_tokens=5, logprobs=0, stream=True)
    assert (found.tokens, found.max_tokens, found.stream) == (20, 5, True)
    assert found.needs == {Capability.LOGPROBS}
    assert completion(prompt="x", logprobs=None).needs == frozenset()
    assert completion(prompt="x", logprobs=False).needs == frozenset()


def test_an_image_without_a_stream_in_embeddings_is_no_stream() -> None:
    found = read("/v1/embeddings", {"model": "m", "input": "x", "stream": "odd"})
    assert isinstance(found, Features)
    assert not found.stream
