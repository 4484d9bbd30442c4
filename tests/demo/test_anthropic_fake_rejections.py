"""What the Anthropic fake refuses, with the real API's status, type and message."""

import json
from typing import Any

import aiohttp
import anthropic
import pytest

from tiermesh_sidecar.demo.providers import Dialect, FakeProvider

KEY = "sk-fake-0123456789abcdef"
USER = {"role": "user", "content": "hi"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
USED = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}],
}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}


def said(*content: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


# name, what is changed in a good request (None removes), the message
CASES = [
    ("an unknown parameter", {"foo": 1}, "foo: Extra inputs are not permitted"),
    ("OpenAI's n", {"n": 2}, "n: Extra inputs are not permitted"),
    ("no max_tokens", {"max_tokens": None}, "max_tokens: Field required"),
    ("no messages", {"messages": None}, "messages: Field required"),
    ("no model", {"model": None}, "model: Field required"),
    ("max_tokens below 0", {"max_tokens": -1}, "max_tokens: Input should be greater than or"),
    ("max_tokens in words", {"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    ("empty messages", {"messages": []}, "messages: at least one message is required"),
    (
        "a system message",
        {"messages": [{"role": "system", "content": "x"}, USER]},
        'messages: Unexpected role "system"',
    ),
    (
        "an unknown role",
        {"messages": [{"role": "tool", "content": "x"}]},
        "messages.0.role: Input should be 'user' or 'assistant'",
    ),
    (
        "an assistant first",
        {"messages": [{"role": "assistant", "content": "x"}, USER]},
        'messages: first message must use the "user" role',
    ),
    (
        "empty content",
        {"messages": [{"role": "user", "content": ""}]},
        "messages.0: all messages must have non-empty content",
    ),
    (
        "content that is a number",
        {"messages": [{"role": "user", "content": 1}]},
        "messages.0.content: Input should be a valid list",
    ),
    (
        "an empty text block",
        said({"type": "text", "text": ""}),
        "messages: text content blocks must be non-empty",
    ),
    (
        "OpenAI's image part",
        said({"type": "image_url", "image_url": {"url": "data:"}}),
        "messages.0.content.0: Input tag 'image_url'",
    ),
    (
        "an image without data",
        said({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}),
        "messages.0.content.0.image.source.base64.data: Field required",
    ),
    (
        "a name beside the content",
        {"messages": [{**USER, "name": "ada"}]},
        "messages.0.name: Extra inputs are not permitted",
    ),
    (
        "a result without its use",
        said(RESULT),
        "messages.0.content.0: unexpected `tool_use_id`",
    ),
    (
        "a use without its result",
        {"messages": [USER, USED, USER]},
        "messages.1: `tool_use` ids were found without `tool_result`",
    ),
    (
        "a prefill with trailing space",
        {"messages": [USER, {"role": "assistant", "content": "So "}]},
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    ("a temperature above 1", {"temperature": 1.5}, "temperature: range: 0..1"),
    ("a top_p in words", {"top_p": "x"}, "top_p: Input should be a valid number"),
    ("a stream in words", {"stream": "yes"}, "stream: Input should be a valid boolean"),
    ("a blank stop", {"stop_sequences": [" "]}, "stop_sequences: each stop sequence must"),
    ("a system of parts", {"system": [{"type": "image"}]}, "system.0: Input tag 'image'"),
    ("a choice without tools", {"tool_choice": {"type": "auto"}}, "tool_choice: may only be"),
    (
        "a choice of an unknown tool",
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}},
        "Tool 'g' not found in provided tools",
    ),
    (
        "OpenAI's tool",
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "tools.0.custom.name: Field required",
    ),
    (
        "a tool without a schema",
        {"tools": [{"name": "f"}]},
        "tools.0.custom.input_schema: Field required",
    ),
    ("two tools of one name", {"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    (
        "too little to think with",
        {"thinking": {"type": "enabled", "budget_tokens": 5}},
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        "more thinking than output",
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
]


async def post(
    fake: FakeProvider, body: object, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {
        "x-api-key": KEY,
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        **(headers or {}),
    }
    sent = {name: value for name, value in sent.items() if value}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{fake.url}/v1/messages", data=data, headers=sent) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("change", "message"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
async def test_a_message_is_refused_for(
    fake_messages: FakeProvider, change: dict[str, Any], message: str
) -> None:
    body = {"model": "talker", "max_tokens": 9, "messages": [USER], **change}
    body = {name: value for name, value in body.items() if value is not None}
    status, answer = await post(fake_messages, body)
    assert status == 400
    assert set(answer) == {"type", "error", "request_id"}
    assert answer["type"] == "error"
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("headers", "status", "type_", "message"),
    [
        ({"x-api-key": ""}, 401, "authentication_error", "x-api-key header is required"),
        ({"x-api-key": "no"}, 401, "authentication_error", "invalid x-api-key"),
        ({"authorization": "Bearer other"}, 401, "authentication_error", "invalid x-api-key"),
        ({"anthropic-version": ""}, 400, "invalid_request_error", "anthropic-version: header is"),
        ({"anthropic-version": "v1"}, 400, "invalid_request_error", 'anthropic-version: "v1" is'),
        ({"content-type": "text/plain"}, 400, "invalid_request_error", "content-type: expected"),
    ],
)
async def test_headers_are_checked(
    fake_messages: FakeProvider, headers: dict[str, str], status: int, type_: str, message: str
) -> None:
    body = {"model": "talker", "max_tokens": 9, "messages": [USER]}
    got, answer = await post(fake_messages, body, headers)
    assert (got, answer["error"]["type"]) == (status, type_)
    assert answer["error"]["message"].startswith(message)


async def test_both_forms_of_the_key_are_accepted(fake_messages: FakeProvider) -> None:
    body = {"model": "talker", "max_tokens": 9, "messages": [USER]}
    assert (await post(fake_messages, body))[0] == 200
    bearer = {"x-api-key": "", "authorization": f"Bearer {KEY}"}
    assert (await post(fake_messages, body, bearer))[0] == 200
    assert not fake_messages.leaked


async def test_what_is_no_json_is_refused(fake_messages: FakeProvider) -> None:
    status, answer = await post(fake_messages, b"{")
    assert status == 400
    assert answer["error"]["message"].startswith("The request body is not valid JSON")


async def test_a_prompt_beyond_the_window_is_refused() -> None:
    async with FakeProvider(
        model="talker", key=KEY, dialect=Dialect.ANTHROPIC, context_window=50
    ) as fake:
        long = {"role": "user", "content": "word " * 100}
        status, answer = await post(fake, {"model": "talker", "max_tokens": 1, "messages": [long]})
    assert status == 400
    assert "prompt is too long" in answer["error"]["message"]


async def test_generating_nothing_is_allowed_to_fill_the_cache(fake_messages: FakeProvider) -> None:
    body = {"model": "talker", "max_tokens": 0, "messages": [USER]}
    status, answer = await post(fake_messages, body)
    assert (status, answer["content"], answer["stop_reason"]) == (200, [], "max_tokens")


async def test_the_sdk_raises_its_own_errors(messages_sdk: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="temperature: range"):
        await messages_sdk.messages.create(
            model="talker", max_tokens=9, messages=[USER], extra_body={"temperature": 1.9}
        )
    with pytest.raises(anthropic.BadRequestError, match="Extra inputs are not permitted"):
        await messages_sdk.messages.create(
            model="talker", max_tokens=9, messages=[USER], extra_body={"n": 1}
        )
