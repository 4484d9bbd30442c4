"""The official Anthropic SDK talks to the fake as it does to the real API."""

import anthropic
import pytest
from jsonschema import validate

from tiermesh_sidecar.demo.providers import FakeProvider, broken, rate_limited, status
from tiermesh_sidecar.demo.providers.faults import FaultKind

ASK = {
    "model": "talker",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
WEATHER = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city", "days"],
    },
}


async def test_a_message_has_text_and_usage(messages_sdk: anthropic.AsyncAnthropic) -> None:
    answer = await messages_sdk.messages.create(**ASK)
    assert answer.id.startswith("msg_")
    assert (answer.stop_reason, answer.model) == ("end_turn", "talker")
    assert len(answer.content[0].text) > 80
    assert answer.usage.input_tokens > 8
    assert answer.usage.output_tokens >= 20


async def test_a_stream_has_every_kind_of_event_in_order(
    messages_sdk: anthropic.AsyncAnthropic,
) -> None:
    plain = await messages_sdk.messages.create(**ASK)
    events = [e async for e in await messages_sdk.messages.create(**ASK, stream=True)]
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}  # the SDK keeps `ping` to itself
    text = "".join(e.delta.text for e in events if e.type == "content_block_delta")
    assert text == plain.content[0].text
    assert events[-2].usage.output_tokens == plain.usage.output_tokens


async def test_the_sdks_stream_manager_assembles_the_same_message(
    messages_sdk: anthropic.AsyncAnthropic,
) -> None:
    plain = await messages_sdk.messages.create(**ASK)
    async with messages_sdk.messages.stream(**ASK) as stream:
        final = await stream.get_final_message()
    assert final.content[0].text == plain.content[0].text
    assert final.usage.output_tokens == plain.usage.output_tokens


async def test_a_ping_is_in_the_raw_stream(
    fake_messages: FakeProvider, messages_sdk: anthropic.AsyncAnthropic
) -> None:
    async with messages_sdk.messages.with_streaming_response.create(**ASK, stream=True) as raw:
        body = b"".join([part async for part in raw.iter_bytes()])
    assert b'event: ping\ndata: {"type":"ping"}\n\n' in body


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
async def test_a_forced_tool_is_used_and_its_result_taken(
    messages_sdk: anthropic.AsyncAnthropic, choice: dict[str, str]
) -> None:
    answer = await messages_sdk.messages.create(**ASK, tools=[WEATHER], tool_choice=choice)
    used = answer.content[0]
    assert (answer.stop_reason, used.type) == ("tool_use", "tool_use")
    validate(used.input, WEATHER["input_schema"])
    result = {"type": "tool_result", "tool_use_id": used.id, "content": "18 degrees"}
    turns = [
        *ASK["messages"],
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    after = await messages_sdk.messages.create(**{**ASK, "messages": turns}, tools=[WEATHER])
    assert after.content[0].type == "text"


async def test_a_streamed_tool_use_assembles(messages_sdk: anthropic.AsyncAnthropic) -> None:
    async with messages_sdk.messages.stream(
        **ASK, tools=[WEATHER], tool_choice={"type": "any"}
    ) as stream:
        final = await stream.get_final_message()
    validate(final.content[0].input, WEATHER["input_schema"])


async def test_limits_and_stop_sequences(messages_sdk: anthropic.AsyncAnthropic) -> None:
    short = await messages_sdk.messages.create(**{**ASK, "max_tokens": 4})
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 4)
    ended = await messages_sdk.messages.create(**ASK, stop_sequences=["."])
    assert (ended.stop_reason, ended.stop_sequence) == ("stop_sequence", ".")


async def test_a_marked_prefix_is_written_to_the_cache_then_read(
    messages_sdk: anthropic.AsyncAnthropic,
) -> None:
    mark = {"type": "ephemeral"}
    system = [{"type": "text", "text": "Be brief. " * 100, "cache_control": mark}]
    first = await messages_sdk.messages.create(**ASK, system=system)
    second = await messages_sdk.messages.create(**ASK, system=system)
    assert first.usage.cache_creation_input_tokens == 250
    assert second.usage.cache_read_input_tokens == 250
    assert first.usage.input_tokens == second.usage.input_tokens < 50


async def test_tokens_are_counted_as_they_are_billed(
    messages_sdk: anthropic.AsyncAnthropic,
) -> None:
    counted = await messages_sdk.messages.count_tokens(model="talker", messages=ASK["messages"])
    billed = await messages_sdk.messages.create(**ASK)
    assert counted.input_tokens == billed.usage.input_tokens


async def test_models_are_listed_and_read(messages_sdk: anthropic.AsyncAnthropic) -> None:
    assert [m.id async for m in messages_sdk.models.list()] == ["talker"]
    assert (await messages_sdk.models.retrieve("talker")).type == "model"


async def test_an_unreplaced_model_name_is_not_found(
    messages_sdk: anthropic.AsyncAnthropic,
) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: auto"):
        await messages_sdk.messages.create(**{**ASK, "model": "auto"})


async def test_a_wrong_key_is_an_authentication_error(fake_messages: FakeProvider) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=fake_messages.base_url, api_key="wrong", max_retries=0
    ) as client:
        with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
            await client.messages.create(**ASK)


async def test_injected_errors_raise_the_sdks_own_classes(
    fake_messages: FakeProvider, messages_sdk: anthropic.AsyncAnthropic
) -> None:
    fake_messages.enqueue(status(529), rate_limited(retry_after="1"), status(500))
    with pytest.raises(anthropic.APIStatusError) as caught:
        await messages_sdk.messages.create(**ASK)
    assert caught.value.status_code == 529
    assert caught.value.body["error"]["type"] == "overloaded_error"
    with pytest.raises(anthropic.RateLimitError):
        await messages_sdk.messages.create(**ASK)
    with pytest.raises(anthropic.InternalServerError):
        await messages_sdk.messages.create(**ASK)


async def test_an_error_inside_a_stream_raises(
    fake_messages: FakeProvider, messages_sdk: anthropic.AsyncAnthropic
) -> None:
    fake_messages.enqueue(broken(FaultKind.STREAM_ERROR))
    stream = await messages_sdk.messages.create(**ASK, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        [event async for event in stream]
