"""The official Anthropic SDK, unchanged: only its base URL says that there is a sidecar."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import anthropic
import pydantic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from net_kit import (
    CANARY,
    STREAM_HEAD,
    RawUpstream,
    chunk,
    policy,
    secret,
    serving,
    tier,
)
from sdk_kit import (
    APP_KEY,
    HELLO,
    LONG_S,
    NO_FALLBACK,
    ONCE,
    anthropic_mesh,
    drained,
    environment,
)

from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.demo.providers import received
from tiermesh_sidecar.demo.providers.faults import (
    Behaviours,
    FaultKind,
    broken,
    rate_limited,
    slow_head,
    stall,
    status,
)
from tiermesh_sidecar.demo.providers.server import Dialect, FakeProvider
from tiermesh_sidecar.demo.providers.sse import named_event

ASK: Any = {"model": "auto", "max_tokens": 200, "messages": HELLO}
WEATHER: Any = [
    {
        "name": "get_weather",
        "description": "The weather of a place",
        "input_schema": {
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
        },
    }
]
ASKS_FOR_WEATHER: Any = [{"role": "user", "content": "What is the weather in Oslo?"}]


class Total(pydantic.BaseModel):
    currency: str
    amount: int


async def refused(client: AsyncAnthropic, **options: Any) -> anthropic.APIStatusError:
    """The error that a message ends with."""
    with pytest.raises(anthropic.APIStatusError) as caught:
        await client.messages.create(**{**ASK, **options})
    return caught.value


def said(error: anthropic.APIStatusError) -> dict[str, Any]:
    assert isinstance(error.body, dict)
    assert error.body["type"] == "error"
    found: dict[str, Any] = error.body["error"]
    return found


async def test_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh, AsyncAnthropic() as client:
        answer = await client.messages.create(**ASK, system="Be brief.", stop_sequences=["###"])
        call = await mesh.recorded()
    assert answer.content[0].type == "text"
    assert answer.content[0].text
    assert (answer.model, answer.stop_reason) == ("small", "end_turn")
    usage = call.attempts[0].usage
    assert usage is not None
    assert (usage.input, usage.output) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert mesh.small.received[-1].json() == {
        **ASK,
        "model": "small",
        "system": "Be brief.",
        "stop_sequences": ["###"],
    }


async def test_the_sync_client_answers_and_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def application() -> tuple[Any, str]:
        with Anthropic() as client:
            whole = client.messages.create(**ASK)
            with client.messages.stream(**ASK) as stream:
                text = "".join(stream.text_stream)
        return whole.content[0], text

    async with anthropic_mesh(tmp_path, monkeypatch):
        whole, streamed = await asyncio.to_thread(application)
    assert whole.text == streamed


async def test_system_blocks_cache_marks_and_pictures_arrive_as_they_were_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixel = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    system: Any = [
        {"type": "text", "text": "Be brief. " * 40, "cache_control": {"type": "ephemeral"}}
    ]
    source = {"type": "base64", "media_type": "image/png", "data": pixel}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    messages: Any = [{"role": "user", "content": content}]
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh, AsyncAnthropic() as client:
        options: Any = {**ASK, "system": system, "messages": messages}
        first = await client.messages.create(**options)
        second = await client.messages.create(**options)
        await mesh.recorded(2)
    assert mesh.small.received[-1].json() == {**options, "model": "small"}
    assert (first.usage.cache_creation_input_tokens or 0) > 0
    assert (second.usage.cache_read_input_tokens or 0) > 0
    written, read = (call.attempts[0].usage for call in mesh.recorder.calls)
    assert written is not None
    assert read is not None
    assert written.cache_write == first.usage.cache_creation_input_tokens
    assert read.cached_input == second.usage.cache_read_input_tokens


async def test_raw_events_come_complete_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        anthropic_mesh(tmp_path, monkeypatch) as mesh,
        AsyncAnthropic() as client,
        AsyncAnthropic(base_url=mesh.small.base_url, api_key=CANARY) as direct,
    ):
        stream = await client.messages.create(**ASK, stream=True)
        routed = [event async for event in stream]
        expected = [
            e async for e in await direct.messages.create(**{**ASK, "model": "small"}, stream=True)
        ]
        call = await mesh.recorded()
    assert [event.type for event in routed] == [event.type for event in expected]
    assert routed[1:] == expected[1:]  # the first tells the answer's own id
    assert routed[-1].type == "message_stop"
    usage = call.attempts[0].usage
    assert usage is not None
    assert not usage.estimated


async def test_the_stream_helper_accumulates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh, AsyncAnthropic() as client:
        mesh.small.behaviours = Behaviours(chunk_bytes=11)
        async with client.messages.stream(**ASK) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
    assert final.content[0].type == "text"
    assert final.content[0].text == text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 1


async def test_tools_are_used_and_their_results_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh, AsyncAnthropic() as client:
        options: Any = {**ASK, "messages": ASKS_FOR_WEATHER, "tools": WEATHER}
        first = await client.messages.create(**options)
        used = first.content[0]
        assert used.type == "tool_use"
        result: Any = {"type": "tool_result", "tool_use_id": used.id, "content": "rain"}
        options["messages"] = [
            *ASKS_FOR_WEATHER,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ]
        second = await client.messages.create(**options)
    assert first.stop_reason == "tool_use"
    assert used.name == "get_weather"
    assert isinstance(used.input, dict)
    assert set(used.input) == {"place"}
    assert second.content[0].type == "text"
    features = mesh.recorder.calls[0].features
    assert features is not None
    assert features.wants_tools


async def test_a_streamed_tool_use_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: Any = {
        **ASK,
        "messages": ASKS_FOR_WEATHER,
        "tools": WEATHER,
        "tool_choice": {"type": "tool", "name": "get_weather"},
    }
    async with anthropic_mesh(tmp_path, monkeypatch), AsyncAnthropic() as client:
        whole = await client.messages.create(**options)
        async with client.messages.stream(**options) as stream:
            final = await stream.get_final_message()
    expected, streamed = whole.content[0], final.content[0]
    assert expected.type == streamed.type == "tool_use"
    assert streamed.input == expected.input


async def test_parse_gives_the_applications_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch), AsyncAnthropic() as client:
        answer = await client.messages.parse(**ASK, output_format=Total)
    assert isinstance(answer.parsed_output, Total)


async def test_tokens_are_counted_by_the_pass_through_tier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = anthropic_mesh(tmp_path, monkeypatch, models={"passThroughTier": "large"})
    async with mesh_of as mesh, AsyncAnthropic() as client:
        counted = await client.messages.count_tokens(model="large", messages=HELLO)
    assert counted.input_tokens > 0
    request = mesh.large.received[-1]
    assert request.raw_path == "/v1/messages/count_tokens"
    assert request.values("x-api-key") == [CANARY]


async def test_models_are_listed_and_retrieved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = anthropic_mesh(
        tmp_path, monkeypatch, small={"aliases": ["claude-haiku"]}, models={"route": ["auto"]}
    )
    async with mesh_of as mesh, AsyncAnthropic() as client:
        names = [model.id async for model in client.models.list()]
        one = await client.models.retrieve("claude-haiku")
        with pytest.raises(anthropic.NotFoundError) as gone:
            await client.models.retrieve("claude-9")
    assert names == ["auto", "small", "claude-haiku", "large"]
    assert (one.id, one.type) == ("claude-haiku", "model")
    assert said(gone.value)["type"] == "not_found_error"
    assert said(gone.value)["code"] == "model_not_found"
    assert mesh.received() == []


async def test_an_answer_tells_in_headers_what_was_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = anthropic_mesh(
        tmp_path,
        monkeypatch,
        rules=[
            {
                "name": "careful",
                "match": {"steps": ["review"]},
                "route": {"pin": {"tier": "large"}},
            }
        ],
    )
    async with mesh_of as mesh, AsyncAnthropic() as client:
        raw = await client.messages.with_raw_response.create(
            **ASK, extra_headers={"x-tiermesh-step": "review"}
        )
        answer = await raw.parse()
    assert answer.model == "large"
    assert raw.headers["x-tiermesh-rule"] == "careful"
    assert raw.headers["x-tiermesh-tier"] == "large"
    assert raw.headers["x-tiermesh-reason"] == "Chosen"
    assert raw.headers["x-tiermesh-decision"] == mesh.recorder.calls[0].id
    assert raw.headers["request-id"].startswith("req_")
    assert mesh.large.received[-1].leaks(CANARY) == []


@pytest.mark.parametrize("stream", [False, True])
async def test_an_overloaded_provider_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    mesh_of = anthropic_mesh(tmp_path, monkeypatch)
    async with mesh_of as mesh, AsyncAnthropic(max_retries=0) as client:
        mesh.small.enqueue(status(529))
        raw = await client.messages.with_raw_response.create(**ASK, stream=stream)
        answer: Any = await raw.parse()
        answers = [event async for event in answer] if stream else [answer]
    assert (answers[0].message if stream else answers[0]).model == "large"
    assert raw.headers["x-tiermesh-reason"] == "InPlan"
    assert raw.headers["x-tiermesh-attempts"] == "2"


async def test_the_applications_key_never_reaches_a_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = anthropic_mesh(tmp_path, monkeypatch, models={"passThroughTier": "small"})
    async with mesh_of as mesh:
        async with AsyncAnthropic() as client:
            await client.messages.create(**ASK)
            mesh.small.enqueue(status(529))
            await client.messages.create(**ASK)  # both providers
            await client.messages.count_tokens(model="small", messages=HELLO)
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", APP_KEY)  # sent as a bearer token
        async with AsyncAnthropic() as client:
            await client.messages.create(**ASK)
    assert (mesh.small.count, mesh.large.count) == (4, 1)
    for request in mesh.received():
        assert request.values("x-api-key") == [CANARY]
        assert request.values("authorization") == []
        assert all(APP_KEY.encode() not in value for _, value in request.raw_headers)


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
async def test_a_pass_through_backend_gets_the_applications_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    own: Any = {"provider": "Anthropic", "credentials": {"passThrough": {}}}
    async with FakeProvider(model="small", key=APP_KEY, dialect=Dialect.ANTHROPIC) as provider:
        documents = tier("small", provider.url, rank=1, **own), policy("small")
        async with serving(tmp_path, *documents) as (sidecar, _):
            variables = {"ANTHROPIC_BASE_URL": sidecar.data_url, variable: APP_KEY}
            environment(monkeypatch, **variables)
            async with AsyncAnthropic() as client:
                answer = await client.messages.create(**ASK)
    assert answer.content


async def test_a_providers_rejection_comes_as_it_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh, AsyncAnthropic() as client:
        error = await refused(client, extra_body={"temperature": 9})
        mesh.small.enqueue(broken(FaultKind.KEY_ECHO))
        unauthorised = await refused(client)
    assert isinstance(error, anthropic.BadRequestError)
    assert said(error)["message"].startswith("temperature: ")
    assert (error.request_id or "").startswith("req_")
    assert isinstance(unauthorised, anthropic.AuthenticationError)
    assert CANARY not in unauthorised.message
    assert mesh.small.count == 2


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        (
            {"model": "large", "extra_headers": {"x-plan": "free"}},
            anthropic.PermissionDeniedError,
            "not_entitled",
        ),
        ({"model": "claude-9"}, anthropic.NotFoundError, "model_not_found"),
        (
            {"extra_headers": {"x-tiermesh-deadline-ms": "0"}},
            anthropic.BadRequestError,
            "invalid_request",
        ),
        (
            {"messages": [{"role": "user", "content": "word " * 900}]},
            anthropic.BadRequestError,
            "context_length_exceeded",
        ),
        ({"messages": [{"role": "user", "content": "x" * 200_000}]}, None, "body_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_our_own_errors_are_the_sdks_own_classes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    kind: type[anthropic.APIStatusError] | None,
    code: str,
) -> None:
    mesh_of = anthropic_mesh(
        tmp_path,
        monkeypatch,
        small={"contextWindow": 500},
        large={"contextWindow": 500},
        models={"route": ["auto"]},
        identity=[{"attribute": "plan", "header": "x-plan"}],
        entitlements={
            "default": "All",
            "grants": [{"name": "free", "when": 'caller.plan == "free"', "tiers": ["small"]}],
        },
        settings={"max_body": 100_000},
    )
    types = {400: "invalid_request_error", 403: "permission_error", 404: "not_found_error"}
    async with mesh_of as mesh, AsyncAnthropic() as client:
        error = await refused(client, **options)
    assert kind is None or isinstance(error, kind)
    assert said(error)["code"] == code
    assert said(error)["type"] == types.get(error.status_code, "request_too_large")
    assert said(error)["message"]
    assert error.response.headers["x-tiermesh-decision"] == mesh.recorder.calls[0].id
    assert mesh.received() == []


async def test_an_openai_backend_is_no_answer_to_an_anthropic_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = (
        tier("small", "http://127.0.0.1:1", rank=1, credentials={"none": {}}),
        policy("small"),
    )
    async with serving(tmp_path, *documents) as (sidecar, _):
        environment(monkeypatch, ANTHROPIC_BASE_URL=sidecar.data_url, ANTHROPIC_API_KEY=APP_KEY)
        async with AsyncAnthropic() as client:
            error = await refused(client)
    assert isinstance(error, anthropic.BadRequestError)
    assert said(error)["code"] == "capability_unavailable"


async def test_when_every_provider_is_overloaded_the_sdk_hears_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh:
        mesh.small.outage = mesh.large.outage = status(529)
        async with AsyncAnthropic(max_retries=0) as client:
            error = await refused(client)
    assert isinstance(error, anthropic.InternalServerError)
    assert error.status_code == 529
    assert said(error) == {"type": "overloaded_error", "message": "Overloaded"}
    assert (mesh.small.count, mesh.large.count) == (1, 1)


async def test_nothing_but_broken_connections_is_an_api_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh:
        mesh.small.outage = mesh.large.outage = broken(FaultKind.RESET_BEFORE_HEAD)
        async with AsyncAnthropic(max_retries=0) as client:
            error = await refused(client)
    assert isinstance(error, anthropic.InternalServerError)
    assert said(error)["type"] == "api_error"
    assert said(error)["code"] == "upstream_failed"


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (2, 3)])
async def test_the_sdks_own_retries_go_on_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: int, asked: int
) -> None:
    mesh_of = anthropic_mesh(tmp_path, monkeypatch, retry=ONCE, default=NO_FALLBACK)
    async with mesh_of as mesh, AsyncAnthropic(max_retries=retries) as client:
        mesh.small.outage = rate_limited(retry_after_ms="1")
        error = await refused(client)
    assert isinstance(error, anthropic.RateLimitError)
    assert mesh.small.count == asked


async def test_deadlines_ours_and_the_sdks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh:
        mesh.small.outage = slow_head(600)
        async with AsyncAnthropic(max_retries=0) as client:
            error = await refused(client, extra_headers={"x-tiermesh-deadline-ms": "200"})
            with pytest.raises(anthropic.APITimeoutError):
                await client.messages.create(**ASK, timeout=anthropic.Timeout(LONG_S, read=0.4))
            request = mesh.small.received[-1]
            await asyncio.wait_for(request.done.wait(), LONG_S)
            call = await mesh.recorded(2)
    assert error.status_code == 504
    assert said(error)["type"] == "timeout_error"
    assert said(error)["code"] == "deadline_exceeded"
    assert request.ending is received.Ending.CLIENT_GONE
    assert call.ending is Ending.CLIENT_GONE


@pytest.mark.parametrize("kind", [FaultKind.RESET_MID_BODY, FaultKind.FIN_MID_BODY])
async def test_a_stream_that_breaks_raises_after_what_had_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: FaultKind
) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh, AsyncAnthropic() as client:
        mesh.small.enqueue(broken(kind, after=4))
        events, error = await drained(await client.messages.create(**ASK, stream=True))
        call = await mesh.recorded()
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]  # and a ping, which the SDK keeps to itself
    assert isinstance(error, anthropic.APIStatusError)
    assert (said(error)["type"], said(error)["code"]) == ("api_error", "upstream_failed")
    assert call.ending is Ending.BROKEN
    assert mesh.large.count == 0


async def test_a_providers_error_in_mid_stream_is_raised_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "small"}
    start = {"type": "message_start", "message": {**message, "usage": {"input_tokens": 3}}}
    told = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(named_event(start)))
        await go_on.wait()  # so that the error comes after the commit
        writer.write(chunk(named_event(told)) + b"0\r\n\r\n")

    async with RawUpstream(play) as upstream:
        documents = (
            tier("small", upstream.url, rank=1, provider="Anthropic"),
            policy("small"),
            secret(),
        )
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            environment(monkeypatch, ANTHROPIC_BASE_URL=sidecar.data_url, ANTHROPIC_API_KEY=APP_KEY)
            async with AsyncAnthropic() as client:
                stream = await client.messages.create(**ASK, stream=True)
                await anext(stream)
                go_on.set()
                rest, error = await drained(stream)
            call = await recorder.wait_for(1)
    assert rest == []
    assert isinstance(error, anthropic.APIStatusError)
    assert said(error) == told["error"]
    assert call.ending is Ending.BROKEN


async def test_a_stream_that_the_application_closes_is_closed_at_the_provider_and_billed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anthropic_mesh(tmp_path, monkeypatch) as mesh, AsyncAnthropic() as client:
        mesh.small.enqueue(stall(600, after=8))
        async with client.messages.stream(**ASK) as stream:
            async for _ in stream.text_stream:
                break
        request = mesh.small.received[-1]
        await asyncio.wait_for(request.done.wait(), LONG_S)
        call = await mesh.recorded()
    assert request.ending is received.Ending.CLIENT_GONE
    assert call.ending is Ending.CLIENT_GONE
    usage = call.attempts[0].usage
    assert usage is not None
    assert usage.estimated
    assert usage.input > 0
    assert (call.attempts[0].cost or 0) > 0


async def test_twenty_streams_at_once_do_not_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(client: AsyncAnthropic, model: str, number: int) -> str:
        question: Any = [{"role": "user", "content": f"Tell me about number {number}"}]
        async with client.messages.stream(model=model, max_tokens=40, messages=question) as stream:
            return "".join([piece async for piece in stream.text_stream])

    async with anthropic_mesh(tmp_path, monkeypatch) as mesh, AsyncAnthropic() as client:
        mesh.small.behaviours = Behaviours(token_s=0.001, jitter=1.0)
        routed = await asyncio.gather(*(ask(client, "auto", n) for n in range(20)))
        async with AsyncAnthropic(base_url=mesh.small.base_url, api_key=CANARY) as direct:
            expected = await asyncio.gather(*(ask(direct, "small", n) for n in range(20)))
    assert routed == expected
    assert len(set(routed)) == 20
