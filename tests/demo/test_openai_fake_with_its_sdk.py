"""The official OpenAI SDK talks to the fake as it does to the real API."""

import json

import openai
import pytest
from jsonschema import validate
from pydantic import BaseModel

from tiermesh_sidecar.demo.providers import FakeProvider, rate_limited, status

ASK = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


async def test_a_chat_has_text_ids_and_usage(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="chatty", messages=ASK)
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "chatty"
    assert answer.choices[0].finish_reason == "stop"
    assert len(answer.choices[0].message.content) > 80
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens >= 20


async def test_the_same_prompt_has_the_same_answer_and_another_id(sdk: openai.AsyncOpenAI) -> None:
    one, two = [await sdk.chat.completions.create(model="chatty", messages=ASK) for _ in "ab"]
    assert one.choices[0].message.content == two.choices[0].message.content
    assert one.id != two.id


async def test_a_stream_says_what_the_plain_answer_says(sdk: openai.AsyncOpenAI) -> None:
    plain = await sdk.chat.completions.create(model="chatty", messages=ASK)
    stream = await sdk.chat.completions.create(
        model="chatty", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == plain.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == plain.usage
    assert all(c.usage is None for c in chunks[:-1])
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_a_stream_without_the_option_has_no_usage(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="chatty", messages=ASK, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_several_choices_interleave_in_a_stream(sdk: openai.AsyncOpenAI) -> None:
    plain = await sdk.chat.completions.create(model="chatty", messages=ASK, n=2)
    texts = ["", ""]
    async for chunk in await sdk.chat.completions.create(
        model="chatty", messages=ASK, n=2, stream=True
    ):
        choice = chunk.choices[0]
        texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in plain.choices]
    assert texts[0] != texts[1]


async def test_a_limit_cuts_and_a_stop_sequence_ends(sdk: openai.AsyncOpenAI) -> None:
    short = await sdk.chat.completions.create(model="chatty", messages=ASK, max_tokens=5)
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 5
    ended = await sdk.chat.completions.create(model="chatty", messages=ASK, stop=["."])
    assert ended.choices[0].finish_reason == "stop"
    assert "." not in ended.choices[0].message.content


async def test_a_tool_is_called_when_forced_and_answered_after(sdk: openai.AsyncOpenAI) -> None:
    forced = {"type": "function", "function": {"name": "get_weather"}}
    answer = await sdk.chat.completions.create(
        model="chatty", messages=ASK, tools=[WEATHER], tool_choice=forced
    )
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    call = message.tool_calls[0]
    validate(json.loads(call.function.arguments), WEATHER["function"]["parameters"])
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    after = await sdk.chat.completions.create(
        model="chatty", messages=[*ASK, message, result], tools=[WEATHER]
    )
    assert after.choices[0].message.content


async def test_a_tool_is_called_where_the_prompt_asks_for_it(sdk: openai.AsyncOpenAI) -> None:
    def ask(text: str):
        message = {"role": "user", "content": text}
        return sdk.chat.completions.create(model="chatty", messages=[message], tools=[WEATHER])

    assert (await ask("The weather in Oslo?")).choices[0].message.tool_calls
    assert (await ask("Who wrote Hamlet?")).choices[0].message.tool_calls is None


async def test_a_streamed_tool_call_builds_up(sdk: openai.AsyncOpenAI) -> None:
    arguments, name, finish = "", None, None
    async for chunk in await sdk.chat.completions.create(
        model="chatty", messages=ASK, tools=[WEATHER], tool_choice="required", stream=True
    ):
        finish = chunk.choices[0].finish_reason or finish
        for call in chunk.choices[0].delta.tool_calls or ():
            name = call.function.name or name
            arguments += call.function.arguments
    assert (name, finish) == ("get_weather", "tool_calls")
    assert set(json.loads(arguments)) == {"city"}


async def test_json_modes_give_json(sdk: openai.AsyncOpenAI) -> None:
    ask = [{"role": "user", "content": "Answer in JSON: who are you?"}]
    loose = await sdk.chat.completions.create(
        model="chatty", messages=ask, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(loose.choices[0].message.content), dict)


async def test_a_schema_is_satisfied_through_the_sdks_parse(sdk: openai.AsyncOpenAI) -> None:
    class Step(BaseModel):
        explanation: str
        output: float

    class Solution(BaseModel):
        steps: list[Step]
        answer: int | None

    answer = await sdk.chat.completions.parse(
        model="chatty", messages=ASK, response_format=Solution
    )
    assert isinstance(answer.choices[0].message.parsed, Solution)


async def test_logprobs_cover_the_text(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(
        model="chatty", messages=ASK, logprobs=True, top_logprobs=3
    )
    content = answer.choices[0].logprobs.content
    assert "".join(token.token for token in content) == answer.choices[0].message.content
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in content)


async def test_completions_plain_and_streamed(sdk: openai.AsyncOpenAI) -> None:
    plain = await sdk.completions.create(model="chatty", prompt="Once", max_tokens=12, echo=True)
    assert plain.object == "text_completion"
    assert plain.choices[0].text.startswith("Once")
    stream = await sdk.completions.create(
        model="chatty", prompt="Once", max_tokens=12, stream=True, echo=True
    )
    assert "".join([c.choices[0].text async for c in stream]) == plain.choices[0].text


async def test_embeddings_in_both_encodings_agree(sdk: openai.AsyncOpenAI) -> None:
    texts = ["one text", "another"]
    asked = {"model": "vectors", "input": texts, "dimensions": 8}
    floats = await sdk.embeddings.create(**asked, encoding_format="float")
    packed = await sdk.embeddings.create(**asked)  # the SDK asks for base64 and unpacks it
    assert [len(d.embedding) for d in floats.data] == [8, 8]
    for a, b in zip(floats.data, packed.data, strict=True):
        assert a.embedding == pytest.approx(list(b.embedding), abs=1e-6)
    assert floats.data[0].embedding != floats.data[1].embedding


async def test_models_are_listed_and_read(sdk: openai.AsyncOpenAI) -> None:
    assert [m.id async for m in sdk.models.list()] == ["chatty", "vectors"]
    assert (await sdk.models.retrieve("chatty")).object == "model"
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.models.retrieve("auto")
    assert caught.value.code == "model_not_found"


async def test_moderations_answer_as_a_path_that_is_not_routed(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.moderations.create(model="omni-moderation-latest", input="hello")
    assert answer.results[0].flagged is False


async def test_an_unreplaced_model_name_is_not_found(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.chat.completions.create(model="auto", messages=ASK)
    assert caught.value.code == "model_not_found"


async def test_a_wrong_key_is_refused_and_not_repeated(fake: FakeProvider) -> None:
    async with openai.AsyncOpenAI(
        base_url=fake.base_url, api_key="sk-wrong-0123456789", max_retries=0
    ) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="chatty", messages=ASK)
    assert caught.value.code == "invalid_api_key"
    assert "sk-wrong-0123456789" not in str(caught.value)


async def test_injected_errors_raise_the_sdks_own_classes(
    fake: FakeProvider, sdk: openai.AsyncOpenAI
) -> None:
    fake.enqueue(rate_limited(retry_after="2"), status(500), status(503))
    with pytest.raises(openai.RateLimitError) as caught:
        await sdk.chat.completions.create(model="chatty", messages=ASK)
    assert caught.value.response.headers["retry-after"] == "2"
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await sdk.chat.completions.create(model="chatty", messages=ASK)
    assert (await sdk.chat.completions.create(model="chatty", messages=ASK)).choices


async def test_the_sdk_retries_what_the_header_allows(fake: FakeProvider) -> None:
    fake.enqueue(rate_limited(retry_after_ms="1"))
    async with openai.AsyncOpenAI(base_url=fake.base_url, api_key=fake.key) as client:
        assert (await client.chat.completions.create(model="chatty", messages=ASK)).choices
    assert fake.count == 2


async def test_images_and_a_repeated_long_prompt_show_in_usage(sdk: openai.AsyncOpenAI) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    words = {"type": "text", "text": "What is this? " * 400}
    asked = {"model": "chatty", "messages": [{"role": "user", "content": [words, picture]}]}
    first = await sdk.chat.completions.create(**asked)
    second = await sdk.chat.completions.create(**asked)
    assert first.usage.prompt_tokens > 1400 + 84
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    assert second.usage.prompt_tokens_details.cached_tokens >= 1408
