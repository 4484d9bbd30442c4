"""The official OpenAI SDK, unchanged: only its base URL says that there is a sidecar."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest
from net_kit import CANARY, policy, serving, tier
from openai import AsyncOpenAI, OpenAI
from sdk_kit import APP_KEY, HELLO, LONG_S, environment, openai_mesh

from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.demo.providers import received
from tiermesh_sidecar.demo.providers.faults import (
    Behaviours,
    Fault,
    FaultKind,
    broken,
    stall,
    status,
)
from tiermesh_sidecar.demo.providers.reply import Reply, StreamReply
from tiermesh_sidecar.demo.providers.server import FakeProvider

WEATHER: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a place",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["place", "days"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
]
ASKS_FOR_WEATHER: Any = [{"role": "user", "content": "What is the weather in Oslo?"}]


class Total(pydantic.BaseModel):
    currency: str
    amount: int
    lines: list[str]


async def test_a_chat_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        answer = await client.chat.completions.create(
            model="auto", messages=HELLO, temperature=0.5, max_completion_tokens=500, seed=7
        )
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "small"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    sent = mesh.small.received[-1].json()
    assert sent == {
        "model": "small",
        "messages": HELLO,
        "temperature": 0.5,
        "max_completion_tokens": 500,
        "seed": 7,
    }


async def test_the_sync_client_answers_and_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def application() -> tuple[str | None, str]:
        with OpenAI() as client:
            whole = client.chat.completions.create(model="auto", messages=HELLO)
            with client.chat.completions.create(
                model="auto", messages=HELLO, stream=True
            ) as stream:
                pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        return whole.choices[0].message.content, "".join(pieces)

    async with openai_mesh(tmp_path, monkeypatch):
        whole, streamed = await asyncio.to_thread(application)
    assert whole == streamed


async def test_an_old_application_with_the_module_level_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def application() -> Any:
        try:
            return openai.chat.completions.create(model="auto", messages=HELLO)
        finally:
            monkeypatch.setattr(openai, "_client", None)

    async with openai_mesh(tmp_path, monkeypatch):
        answer = await asyncio.to_thread(application)
    assert answer.choices[0].message.content


async def test_a_base_url_without_its_version_works_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh:
        monkeypatch.setenv("OPENAI_BASE_URL", mesh.sidecar.data_url)
        async with AsyncOpenAI() as client:
            answer = await client.chat.completions.create(model="auto", messages=HELLO)
            names = [model.id async for model in client.models.list()]
    assert answer.choices[0].message.content
    assert "small" in names
    assert mesh.small.received[-1].raw_path == "/v1/chat/completions"


async def test_each_answer_is_the_one_that_the_provider_would_have_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: Any = {"messages": HELLO, "n": 2, "logprobs": True, "top_logprobs": 2}
    async with (
        openai_mesh(tmp_path, monkeypatch) as mesh,
        AsyncOpenAI() as client,
        AsyncOpenAI(base_url=mesh.small.base_url, api_key=CANARY) as direct,
    ):
        routed = await client.chat.completions.create(model="auto", **options)
        expected = await direct.chat.completions.create(model="small", **options)
    assert routed.choices == expected.choices
    assert routed.usage == expected.usage
    logprobs = routed.choices[1].logprobs
    assert logprobs is not None
    assert logprobs.content


async def test_a_stream_whose_usage_nobody_asked_for_shows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
        call = await mesh.recorded()
    assert mesh.small.received[-1].json()["stream_options"] == {"include_usage": True}
    assert all(len(chunk.choices) == 1 for chunk in chunks)  # what applications index
    assert [chunk for chunk in chunks if "usage" in chunk.model_fields_set] == []
    assert "".join(c.choices[0].delta.content or "" for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert call.attempts[0].usage is not None
    assert not call.attempts[0].usage.estimated


async def test_usage_that_was_asked_for_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        stream = await client.chat.completions.create(
            model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        call = await mesh.recorded()
    assert chunks[-1].choices == []
    told = chunks[-1].usage
    counted = call.attempts[0].usage
    assert told is not None
    assert counted is not None
    assert (told.prompt_tokens, told.completion_tokens) == (counted.input, counted.output)


async def test_a_stream_in_odd_pieces_is_the_same_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        mesh.small.behaviours = Behaviours(chunk_bytes=7)
        whole = await client.chat.completions.create(model="auto", messages=HELLO)
        stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == whole.choices[0].message.content


async def test_the_first_chunk_comes_while_the_provider_is_still_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        mesh.small.enqueue(stall(600, after=2))
        stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
        async with asyncio.timeout(LONG_S):
            chunks = [await anext(stream), await anext(stream)]
        await stream.close()
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[1].choices[0].delta.content


async def test_the_stream_helper_accumulates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        openai_mesh(tmp_path, monkeypatch),
        AsyncOpenAI() as client,
        client.chat.completions.stream(model="auto", messages=HELLO) as stream,
    ):
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "".join(deltas)
    assert final.choices[0].finish_reason == "stop"


async def test_tools_are_called_and_their_results_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch), AsyncOpenAI() as client:
        first = await client.chat.completions.create(
            model="auto", messages=ASKS_FOR_WEATHER, tools=WEATHER
        )
        message = first.choices[0].message
        assert first.choices[0].finish_reason == "tool_calls"
        assert message.tool_calls is not None
        call = message.tool_calls[0]
        result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
        second = await client.chat.completions.create(
            model="auto", messages=[*ASKS_FOR_WEATHER, message, result], tools=WEATHER
        )
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"place", "days"}
    assert second.choices[0].message.content


async def test_streamed_tool_calls_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with openai_mesh(tmp_path, monkeypatch), AsyncOpenAI() as client:
        whole = await client.chat.completions.create(
            model="auto", messages=ASKS_FOR_WEATHER, tools=WEATHER, tool_choice="required"
        )
        async with client.chat.completions.stream(
            model="auto", messages=ASKS_FOR_WEATHER, tools=WEATHER, tool_choice="required"
        ) as stream:
            final = await stream.get_final_completion()
    expected, streamed = whole.choices[0].message.tool_calls, final.choices[0].message.tool_calls
    assert expected
    assert streamed
    assert streamed[0].function.name == "get_weather"
    assert streamed[0].function.arguments == expected[0].function.arguments
    assert streamed[0].function.parsed_arguments == json.loads(expected[0].function.arguments)


async def test_structured_output_by_a_json_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: Any = {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"label": {"enum": ["yes", "no"]}},
                "required": ["label"],
                "additionalProperties": False,
            },
        },
    }
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        answer = await client.chat.completions.create(
            model="auto", messages=HELLO, response_format=wanted
        )
    assert json.loads(answer.choices[0].message.content or "")["label"] in ("yes", "no")
    assert mesh.small.received[-1].json()["response_format"] == wanted
    features = mesh.recorder.calls[0].features
    assert features is not None
    assert features.wants_json


@pytest.mark.parametrize("beta", [False, True])
async def test_parse_gives_the_applications_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beta: bool
) -> None:
    async with openai_mesh(tmp_path, monkeypatch), AsyncOpenAI() as client:
        completions = client.beta.chat.completions if beta else client.chat.completions
        answer = await completions.parse(model="auto", messages=HELLO, response_format=Total)
    assert isinstance(answer.choices[0].message.parsed, Total)


async def test_structured_output_is_streamed_and_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        openai_mesh(tmp_path, monkeypatch),
        AsyncOpenAI() as client,
        client.chat.completions.stream(
            model="auto", messages=HELLO, response_format=Total
        ) as stream,
    ):
        final = await stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Total)


async def test_a_picture_goes_to_a_tier_that_can_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixel = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    content: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}},
    ]
    seeing = openai_mesh(tmp_path, monkeypatch, small={"capabilities": ["Tools"]})
    async with seeing as mesh, AsyncOpenAI() as client:
        answer = await client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": content}]
        )
    assert answer.model == "large"
    assert mesh.small.count == 0


async def test_completions_whole_and_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        whole = await client.completions.create(model="auto", prompt="Once upon", max_tokens=20)
        stream = await client.completions.create(
            model="auto", prompt="Once upon", max_tokens=20, stream=True
        )
        chunks = [chunk async for chunk in stream]
        await mesh.recorded(2)
    assert whole.choices[0].text == "".join(chunk.choices[0].text for chunk in chunks)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert all(call.attempts[0].usage for call in mesh.recorder.calls)


async def test_embeddings_in_the_sdks_own_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        packed = await client.embeddings.create(model="embed-3", input=["a", "b"], dimensions=8)
        plain = await client.embeddings.create(
            model="vectors", input=["a", "b"], dimensions=8, encoding_format="float"
        )
        call = await mesh.recorded(2)
    assert mesh.small.received[0].json()["encoding_format"] == "base64"  # the SDK's default
    assert mesh.small.received[1].json()["model"] == "embed-3"
    assert [len(one.embedding) for one in packed.data] == [8, 8]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert call.attempts[0].usage is not None
    assert call.attempts[0].usage.input == plain.usage.prompt_tokens


async def test_models_are_listed_and_retrieved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(
        tmp_path, monkeypatch, small={"aliases": ["gpt-4o-mini"]}, models={"route": ["auto"]}
    )
    async with mesh_of as mesh, AsyncOpenAI() as client:
        names = [model.id async for model in client.models.list()]
        one = await client.models.retrieve("gpt-4o-mini")
        with pytest.raises(openai.NotFoundError) as gone:
            await client.models.retrieve("gpt-9")
    assert names == ["auto", "small", "gpt-4o-mini", "large", "vectors"]
    assert (one.id, one.object) == ("gpt-4o-mini", "model")
    assert gone.value.code == "model_not_found"
    assert mesh.received() == []


async def test_a_tiers_name_alias_or_another_model_may_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, large={"aliases": ["gpt-4o"]})
    async with mesh_of, AsyncOpenAI() as client:
        answered = [
            (await client.chat.completions.create(model=name, messages=HELLO)).model
            for name in ("large", "gpt-4o", "gpt-3.5-turbo")
        ]
    assert answered == ["large", "large", "small"]


async def test_hints_and_identity_steer_and_stay_in_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_large = {"route": {"pin": {"tier": "large"}}}
    mesh_of = openai_mesh(
        tmp_path,
        monkeypatch,
        identity=[{"attribute": "plan", "header": "x-plan"}],
        rules=[
            {"name": "careful", "match": {"steps": ["review"]}, **to_large},
            {"name": "premium", "when": 'caller.plan == "premium"', **to_large},
        ],
    )
    async with mesh_of as mesh:
        async with AsyncOpenAI(default_headers={"x-plan": "premium"}) as premium:
            raw = await premium.chat.completions.with_raw_response.create(
                model="auto", messages=HELLO
            )
            assert raw.headers["x-tiermesh-rule"] == "premium"
        async with AsyncOpenAI() as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="auto", messages=HELLO, extra_headers={"x-tiermesh-step": "review"}
            )
            assert raw.headers["x-tiermesh-rule"] == "careful"
            raw = await client.chat.completions.with_raw_response.create(
                model="auto", messages=HELLO
            )
            assert raw.headers["x-tiermesh-rule"] == "default"
    assert (mesh.large.count, mesh.small.count) == (2, 1)
    assert [r.values("x-plan") for r in mesh.received()] == [[], [], []]
    assert [r.leaks(CANARY) for r in mesh.received()] == [[], [], []]


async def test_an_answer_tells_in_headers_what_was_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
        call = await mesh.recorded()
    told = {k: v for k, v in raw.headers.items() if k.startswith("x-tiermesh-")}
    assert raw.parse().choices[0].message.content
    assert raw.http_response.headers["x-request-id"].startswith("req_")
    assert call.policy is not None
    assert float(told.pop("x-tiermesh-cost")) > 0
    assert told == {
        "x-tiermesh-decision": call.id,
        "x-tiermesh-policy": call.policy.label,
        "x-tiermesh-rule": "default",
        "x-tiermesh-tier": "small",
        "x-tiermesh-backend": "small-a",
        "x-tiermesh-model": "small",
        "x-tiermesh-reason": "Chosen",
        "x-tiermesh-attempts": "1",
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        status(503),
        broken(FaultKind.RESET_BEFORE_HEAD),
        broken(FaultKind.NOT_JSON),
        broken(FaultKind.EMPTY),
    ],
    ids=lambda fault: fault.kind.value,
)
async def test_a_fallback_is_invisible_but_for_the_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, stream: bool
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI(max_retries=0) as client:
        mesh.small.enqueue(fault)
        options: Any = {"model": "auto", "messages": HELLO}
        raw = await client.chat.completions.with_raw_response.create(**options, stream=stream)
        answer: Any = raw.parse()
        chunks = [chunk async for chunk in answer] if stream else [answer]
    assert {chunk.model for chunk in chunks} == {"large"}
    assert raw.headers["x-tiermesh-tier"] == "large"
    assert raw.headers["x-tiermesh-reason"] == "InPlan"
    assert raw.headers["x-tiermesh-attempts"] == "2"


async def test_other_paths_go_to_the_pass_through_tier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = {
        "id": "file-1",
        "object": "file",
        "bytes": 5,
        "created_at": 1,
        "filename": "a.jsonl",
        "purpose": "batch",
        "status": "processed",
    }
    listed = {"object": "list", "data": [file], "has_more": False}
    content = bytes(range(256))
    mesh_of = openai_mesh(tmp_path, monkeypatch, models={"passThroughTier": "large"})
    async with mesh_of as mesh, AsyncOpenAI() as client:
        mesh.large.serve("POST", "/v1/files", Reply(body=json.dumps(file).encode()))
        mesh.large.serve("GET", "/v1/files", Reply(body=json.dumps(listed).encode()))
        mesh.large.serve(
            "GET",
            "/v1/files/file-1/content",
            Reply(headers=(("content-type", "application/octet-stream"),), body=content),
        )
        made = await client.files.create(file=("a.jsonl", b"{}\n{}\xff"), purpose="batch")
        names = [one.id async for one in client.files.list(limit=3)]
        read = await (await client.files.content("file-1")).aread()
        verdict = await client.moderations.create(input="Hello")
    assert (made.id, names, read) == ("file-1", ["file-1"], content)
    assert verdict.results[0].flagged is False
    upload, listing = mesh.large.received[0], mesh.large.received[1]
    assert b'filename="a.jsonl"' in upload.body
    assert b"{}\n{}\xff" in upload.body
    assert (upload.header("content-type") or "").startswith("multipart/form-data; boundary=")
    assert listing.raw_path == "/v1/files?limit=3"
    assert mesh.small.count == 0


async def test_the_responses_api_passes_through_whole_and_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "large",
        "status": "completed",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    begun = {"type": "response.created", "sequence_number": 0, "response": response}
    done = {"type": "response.completed", "sequence_number": 1, "response": response}
    events = tuple(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in (begun, done))
    mesh_of = openai_mesh(tmp_path, monkeypatch, models={"passThroughTier": "large"})
    async with mesh_of as mesh, AsyncOpenAI() as client:
        mesh.large.serve("POST", "/v1/responses", Reply(body=json.dumps(response).encode()))
        whole = await client.responses.create(model="large", input="Hello")
        mesh.large.serve("POST", "/v1/responses", StreamReply(events=events))
        stream = await client.responses.create(model="large", input="Hello", stream=True)
        kinds = [event.type async for event in stream]
    assert whole.id == "resp_1"
    assert kinds == ["response.created", "response.completed"]
    assert mesh.large.received[0].json() == {"input": "Hello", "model": "large"}


async def test_the_applications_key_never_reaches_a_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, models={"passThroughTier": "small"})
    async with mesh_of as mesh, AsyncOpenAI() as client:
        await client.chat.completions.create(model="auto", messages=HELLO)
        mesh.small.enqueue(status(500))
        await client.chat.completions.create(model="auto", messages=HELLO)  # both providers
        async for _ in await client.chat.completions.create(
            model="auto", messages=HELLO, stream=True
        ):
            pass
        await client.embeddings.create(model="embed-3", input="a")
        await client.moderations.create(input="a")
    assert mesh.small.count == 5
    assert mesh.large.count == 1
    for request in mesh.received():
        assert request.values("authorization") == [f"Bearer {CANARY}"]
        assert APP_KEY.encode() not in request.body
        assert all(APP_KEY.encode() not in value for _, value in request.raw_headers)


async def test_a_pass_through_backend_gets_the_applications_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(model="small", key=APP_KEY) as provider:
        documents = (
            tier("small", provider.url, rank=1, credentials={"passThrough": {}}),
            policy("small"),
        )
        async with serving(tmp_path, *documents) as (sidecar, _):
            environment(
                monkeypatch, OPENAI_BASE_URL=f"{sidecar.data_url}/v1", OPENAI_API_KEY=APP_KEY
            )
            async with AsyncOpenAI() as client:
                answer = await client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.choices[0].message.content
    assert provider.received[-1].values("authorization") == [f"Bearer {APP_KEY}"]


async def test_a_disabled_policy_leaves_the_application_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(model="gpt-4o", key=APP_KEY) as original:
        settings = {"original_openai_url": original.base_url}
        mesh_of = openai_mesh(tmp_path, monkeypatch, mode="Disabled", settings=settings)
        async with mesh_of as mesh, AsyncOpenAI() as client:
            raw = await client.chat.completions.with_raw_response.create(
                model="gpt-4o", messages=HELLO
            )
            stream = await client.chat.completions.create(
                model="gpt-4o", messages=HELLO, stream=True
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert raw.parse().choices[0].message.content == text
    assert "x-tiermesh-tier" not in raw.headers
    assert mesh.received() == []


async def test_a_stream_that_the_application_closes_is_closed_at_the_provider_and_billed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        mesh.small.enqueue(stall(600, after=5))
        stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
        read = [await anext(stream) for _ in range(3)]
        await stream.close()
        request = mesh.small.received[-1]
        await asyncio.wait_for(request.done.wait(), LONG_S)
        call = await mesh.recorded()
    assert len(read) == 3
    assert request.ending is received.Ending.CLIENT_GONE
    assert (call.ending, call.status) == (Ending.CLIENT_GONE, 200)
    usage = call.attempts[0].usage
    assert usage is not None
    assert usage.estimated
    assert usage.output >= 4  # what the provider had sent, whether read or not
    assert (call.attempts[0].cost or 0) > 0


async def test_a_sync_application_that_breaks_out_of_its_loop_ends_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def application() -> None:
        with (
            OpenAI() as client,
            client.chat.completions.create(model="auto", messages=HELLO, stream=True) as stream,
        ):
            for _ in stream:
                break

    async with openai_mesh(tmp_path, monkeypatch) as mesh:
        mesh.small.enqueue(stall(600))
        await asyncio.to_thread(application)
        request = mesh.small.received[-1]
        await asyncio.wait_for(request.done.wait(), LONG_S)
        call = await mesh.recorded()
    assert request.ending is received.Ending.CLIENT_GONE
    assert call.ending is Ending.CLIENT_GONE


async def test_a_cancelled_task_ends_its_call_at_the_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        mesh.small.enqueue(stall(600))
        asking = asyncio.ensure_future(client.chat.completions.create(model="auto", messages=HELLO))
        request = await asyncio.wait_for(mesh.small.wait_for_calls(1), LONG_S)
        asking.cancel()
        await asyncio.wait_for(request.done.wait(), LONG_S)
        call = await mesh.recorded()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert mesh.sidecar.plane.in_flight == 0
    assert request.ending is received.Ending.CLIENT_GONE
    assert (call.ending, call.status) == (Ending.CLIENT_GONE, 499)


async def test_fifty_streams_at_once_do_not_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 50
    arrived = asyncio.Event()

    def question(number: int) -> Any:
        return [{"role": "user", "content": f"Tell me about number {number}"}]

    async def ask(client: AsyncOpenAI, model: str, number: int) -> str:
        stream = await client.chat.completions.create(
            model=model, messages=question(number), stream=True, max_tokens=40
        )
        first = await anext(stream)
        started.add(number)
        if len(started) == count:
            arrived.set()
        await asyncio.wait_for(arrived.wait(), LONG_S)  # all of them are open at once
        rest = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return (first.choices[0].delta.content or "") + "".join(rest)

    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        mesh.small.behaviours = Behaviours(token_s=0.001, jitter=1.0)
        started: set[int] = set()
        routed = await asyncio.gather(*(ask(client, "auto", n) for n in range(count)))
        await mesh.recorded(count)
        async with AsyncOpenAI(base_url=mesh.small.base_url, api_key=CANARY) as direct:
            expected = await asyncio.gather(*(ask(direct, "small", n) for n in range(count)))
        assert mesh.sidecar.plane.in_flight == 0
    assert routed == expected
    assert len(set(routed)) == count
    assert {call.ending for call in mesh.recorder.calls} == {Ending.ANSWERED}
