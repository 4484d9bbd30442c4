"""What the OpenAI fake refuses, with the real API's status, type, code and param."""

import json
from typing import Any

import aiohttp
import openai
import pytest

from tiermesh_sidecar.demo.providers import FakeProvider

KEY = "sk-fake-0123456789abcdef"
USER = {"role": "user", "content": "hi"}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ],
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OPEN_OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
FORGETFUL = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": [],
    "additionalProperties": False,
}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    described = {"name": "x", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


# name, what is changed in a good chat request, code, param, part of the message
CHAT = [
    ("an unknown parameter", {"foo": 1}, None, None, "Unrecognized request argument supplied: foo"),
    ("no messages", {"messages": []}, "empty_array", "messages", "empty array"),
    ("messages that are no array", {"messages": "hi"}, "invalid_type", "messages", "got a string"),
    (
        "an unknown role",
        {"messages": [{"role": "robot", "content": "hi"}]},
        "invalid_value",
        "messages[0].role",
        "'robot'",
    ),
    (
        "a message without role",
        {"messages": [{"content": "hi"}]},
        "missing_required_parameter",
        "messages[0].role",
        "",
    ),
    (
        "a user message without content",
        {"messages": [{"role": "user"}]},
        None,
        "messages[0].content",
        "",
    ),
    (
        "content that is a number",
        {"messages": [{"role": "user", "content": 3}]},
        "invalid_type",
        "messages[0].content",
        "an integer",
    ),
    (
        "an unknown kind of part",
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        "invalid_value",
        "messages[0].content[0].type",
        "'video'",
    ),
    (
        "an image for the system",
        {"messages": [{"role": "system", "content": [{"type": "image_url"}]}, USER]},
        "invalid_value",
        "messages[0].content[0].type",
        "",
    ),
    (
        "an image that is no URL",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "cat.png"}}],
                }
            ]
        },
        "invalid_image_url",
        "messages[0].content[0].image_url.url",
        "",
    ),
    (
        "a tool message without id",
        {"messages": [USER, CALLED, {"role": "tool", "content": "x"}]},
        None,
        "messages.[2].tool_call_id",
        "must have a 'tool_call_id'",
    ),
    (
        "a tool message that answers nothing",
        {"messages": [USER, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]},
        None,
        "messages.[1].role",
        "preceeding",
    ),
    (
        "a tool call without an answer",
        {"messages": [USER, CALLED, USER]},
        None,
        "messages.[2].role",
        "call_1",
    ),
    (
        "a temperature above 2",
        {"temperature": 2.5},
        "decimal_above_max_value",
        "temperature",
        "<= 2",
    ),
    ("a temperature below 0", {"temperature": -1}, "decimal_below_min_value", "temperature", ""),
    ("a temperature in words", {"temperature": "hot"}, "invalid_type", "temperature", ""),
    ("max_tokens 0", {"max_tokens": 0}, "integer_below_min_value", "max_tokens", ">= 1"),
    ("max_tokens 1.5", {"max_tokens": 1.5}, "invalid_type", "max_tokens", "a decimal"),
    (
        "both output limits",
        {"max_tokens": 5, "max_completion_tokens": 5},
        "invalid_parameter_combination",
        "max_tokens",
        "",
    ),
    ("n of 0", {"n": 0}, "integer_below_min_value", "n", ""),
    ("stream in words", {"stream": "yes"}, "invalid_type", "stream", ""),
    (
        "stream options without a stream",
        {"stream_options": {"include_usage": True}},
        None,
        "stream_options",
        "only allowed when 'stream'",
    ),
    (
        "an unknown stream option",
        {"stream": True, "stream_options": {"usage": True}},
        "unknown_parameter",
        "stream_options.usage",
        "",
    ),
    ("five stop sequences", {"stop": list("abcde")}, "array_above_max_length", "stop", ""),
    (
        "top_logprobs without logprobs",
        {"top_logprobs": 2},
        None,
        "top_logprobs",
        "'logprobs' is enabled",
    ),
    ("a tool choice without tools", {"tool_choice": "auto"}, None, "tool_choice", "'tools'"),
    ("no tools in tools", {"tools": []}, "empty_array", "tools", ""),
    (
        "a tool with a space in its name",
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        "invalid_value",
        "tools[0].function.name",
        "pattern",
    ),
    (
        "a choice of an unknown tool",
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        None,
        "tool_choice",
        "'g' not found",
    ),
    (
        "JSON mode without the word",
        {"response_format": {"type": "json_object"}},
        None,
        "messages",
        "must contain the word 'json'",
    ),
    (
        "an unknown response format",
        {"response_format": {"type": "xml"}},
        "invalid_value",
        "response_format.type",
        "",
    ),
    (
        "a schema without a name",
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        "missing_required_parameter",
        "response_format.json_schema.name",
        "",
    ),
    (
        "a strict schema that is open",
        strict(OPEN_OBJECT),
        None,
        "response_format",
        "additionalProperties",
    ),
    (
        "a strict schema that forgets a key",
        strict(FORGETFUL),
        None,
        "response_format",
        "Missing 'a'",
    ),
    (
        "an unknown effort",
        {"reasoning_effort": "huge"},
        "invalid_value",
        "reasoning_effort",
        "",
    ),
]


async def post(
    fake: FakeProvider,
    body: object,
    path: str = "/v1/chat/completions",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **(headers or {})}
    async with (
        aiohttp.ClientSession() as session,
        session.post(fake.url + path, data=data, headers=sent) as answer,
    ):
        return answer.status, (await answer.json())["error"]


@pytest.mark.parametrize(
    ("change", "code", "param", "words"), [row[1:] for row in CHAT], ids=[row[0] for row in CHAT]
)
async def test_a_chat_is_refused_for(
    fake: FakeProvider, change: dict[str, Any], code: str | None, param: str | None, words: str
) -> None:
    status, error = await post(fake, {"model": "chatty", "messages": [USER], **change})
    assert status == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert words in error["message"]


async def test_the_unchanged_request_of_these_cases_is_accepted(sdk: openai.AsyncOpenAI) -> None:
    assert (await sdk.chat.completions.create(model="chatty", messages=[USER])).choices


async def test_a_missing_field_is_named(fake: FakeProvider) -> None:
    status, error = await post(fake, {"model": "chatty"})
    assert (status, error["code"], error["param"]) == (
        400,
        "missing_required_parameter",
        "messages",
    )
    status, error = await post(fake, {"messages": [USER]})
    assert (status, error["message"]) == (400, "you must provide a model parameter")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'"text"', b'{"a": NaN}', b"\xff\xfe", b"[" * 100_000],
    ids=["nothing", "half", "a list", "a string", "NaN", "no UTF-8", "bottomless"],
)
async def test_what_is_no_json_object_is_refused(fake: FakeProvider, body: bytes) -> None:
    status, error = await post(fake, body)
    assert status == 400
    assert error["message"].startswith("We could not parse the JSON body")


async def test_a_repeated_top_level_key_is_refused(fake: FakeProvider) -> None:
    body = b'{"model": "other", "model": "chatty", "messages": [{"role":"user","content":"a"}]}'
    status, error = await post(fake, body)
    assert status == 400
    assert "Duplicate key" in error["message"]
    assert "'model'" in error["message"]


async def test_another_content_type_is_refused(fake: FakeProvider) -> None:
    status, error = await post(fake, b"{}", headers={"content-type": "text/plain"})
    assert (status, error["code"]) == (400, "unsupported_content_type")


@pytest.mark.parametrize("value", ["", "Bearer ", "Basic abc", KEY])
async def test_a_request_without_a_bearer_key_is_refused(fake: FakeProvider, value: str) -> None:
    status, error = await post(fake, {}, headers={"authorization": value})
    assert (status, error["type"], error["code"]) == (401, "invalid_request_error", None)
    assert error["message"].startswith("You didn't provide an API key")


async def test_an_unknown_model_is_not_found(fake: FakeProvider) -> None:
    status, error = await post(fake, {"model": "auto", "messages": [USER]})
    assert (status, error["type"], error["code"]) == (
        404,
        "invalid_request_error",
        "model_not_found",
    )


@pytest.mark.parametrize("path", ["/v1/nothing", "/chat/completions", "/v1/chat/completions/"])
async def test_an_unknown_path_is_not_found(fake: FakeProvider, path: str) -> None:
    status, error = await post(fake, {}, path=path)
    assert (status, error["message"]) == (404, f"Invalid URL (POST {path})")


async def test_another_host_is_misdirected(fake: FakeProvider) -> None:
    status, _ = await post(fake, {}, headers={"host": "api.example.com"})
    assert status == 421


async def test_a_prompt_beyond_the_window_is_refused() -> None:
    async with FakeProvider(model="tiny", key=None, context_window=100) as fake:
        long = {"role": "user", "content": "word " * 100}
        status, error = await post(fake, {"model": "tiny", "messages": [long]})
    assert (status, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input": ""}, "'$.input' is invalid"),
        ({"input": []}, "'$.input' is invalid"),
        ({"input": ["a", ""]}, "'$.input' is invalid"),
        ({"input": [1, "a"]}, "'$.input' is invalid"),
        ({"input": ["a"] * 2049}, "2048"),
        ({"dimensions": 0}, "integer below minimum"),
        ({"encoding_format": "hex"}, "'hex'"),
        ({"temperature": 1}, "Unrecognized request argument supplied: temperature"),
    ],
)
async def test_embeddings_are_refused_for(
    fake: FakeProvider, change: dict[str, Any], words: str
) -> None:
    body = {"model": "vectors", "input": "text", **change}
    status, error = await post(fake, body, path="/v1/embeddings")
    assert status == 400
    assert words in error["message"]


async def test_models_do_not_serve_what_they_are_not_for(fake: FakeProvider) -> None:
    status, _ = await post(fake, {"model": "chatty", "input": "a"}, path="/v1/embeddings")
    assert status == 403
    status, error = await post(fake, {"model": "vectors", "messages": [USER]})
    assert (status, error["param"]) == (404, "model")


@pytest.mark.parametrize(
    ("change", "param"),
    [({"prompt": 3}, "prompt"), ({"logprobs": 6}, "logprobs"), ({"echo": 1}, "echo")],
)
async def test_completions_are_refused_for(
    fake: FakeProvider, change: dict[str, Any], param: str
) -> None:
    body = {"model": "chatty", "prompt": "a", **change}
    status, error = await post(fake, body, path="/v1/completions")
    assert (status, error["param"]) == (400, param)


async def test_a_lenient_provider_accepts_unknown_parameters_only() -> None:
    async with (
        FakeProvider(model="vllm", key=None, lenient=True) as fake,
        openai.AsyncOpenAI(base_url=fake.base_url, api_key="EMPTY", max_retries=0) as client,
    ):
        answer = await client.chat.completions.create(
            model="vllm", messages=[USER], extra_body={"top_k": 5, "min_p": 0.1}
        )
        assert answer.choices
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model="vllm", messages=[USER], temperature=9)


async def test_the_sdk_raises_its_own_error_with_code_and_param(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(model="chatty", messages=[USER], temperature=3)
    assert (caught.value.code, caught.value.param) == ("decimal_above_max_value", "temperature")
    with pytest.raises(openai.BadRequestError, match="Unrecognized request argument"):
        await sdk.chat.completions.create(model="chatty", messages=[USER], extra_body={"top_k": 1})
