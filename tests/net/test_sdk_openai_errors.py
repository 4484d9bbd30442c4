"""What an application with the official OpenAI SDK sees when a call fails, ours or a provider's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from net_kit import (
    CANARY,
    STREAM_HEAD,
    RawUpstream,
    chunk,
    event,
    policy,
    secret,
    serving,
    tier,
)
from openai import AsyncOpenAI, OpenAI
from sdk_kit import APP_KEY, HELLO, LONG_S, NO_FALLBACK, ONCE, drained, environment, openai_mesh

from tiermesh_sidecar.core.outcome import Ending
from tiermesh_sidecar.demo.providers import received
from tiermesh_sidecar.demo.providers.faults import (
    FaultKind,
    broken,
    rate_limited,
    slow_head,
    stall,
    status,
)
from tiermesh_sidecar.demo.providers.server import FakeProvider

IMPATIENT = openai.Timeout(LONG_S, read=0.4)
TOOLS: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


async def refused(client: AsyncOpenAI, **options: Any) -> openai.APIStatusError:
    """The error that a chat completion ends with."""
    with pytest.raises(openai.APIStatusError) as caught:
        await client.chat.completions.create(
            **{"model": "auto", "messages": HELLO, **options}  # type: ignore[call-overload]
        )
    return caught.value


async def test_a_providers_rejection_of_a_parameter_comes_as_it_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        error = await refused(client, temperature=9)
    assert isinstance(error, openai.BadRequestError)
    assert (error.code, error.param) == ("decimal_above_max_value", "temperature")
    assert error.type == "invalid_request_error"
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    assert (mesh.small.count, mesh.large.count) == (1, 0)  # neither repeated nor sent elsewhere
    assert mesh.recorder.calls[0].ending is Ending.ANSWERED


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"extra_headers": {"x-tiermesh-deadline-ms": "soon"}}, "invalid_request", True),
        (
            {"messages": [{"role": "user", "content": "word " * 900}]},
            "context_length_exceeded",
            False,
        ),
        ({"tools": TOOLS}, "capability_unavailable", False),
        ({"extra_body": {"model": 5}}, "invalid_request", True),
    ],
    ids=["deadline", "context", "tools", "model"],
)
async def test_our_own_rejections_are_bad_requests_with_a_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    code: str,
    param: bool,
) -> None:
    little: dict[str, Any] = {"capabilities": [], "contextWindow": 500}
    mesh_of = openai_mesh(tmp_path, monkeypatch, small=little, large=little)
    async with mesh_of as mesh, AsyncOpenAI() as client:
        error = await refused(client, **options)
    assert isinstance(error, openai.BadRequestError)
    assert error.code == code
    assert error.type == "invalid_request_error"
    assert (error.param is not None) == param
    assert error.response.headers["x-tiermesh-decision"] == mesh.recorder.calls[0].id
    assert mesh.received() == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_that_the_provider_refuses_is_an_authentication_error_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    async with FakeProvider(model="small", key="sk-rotated") as provider:
        documents = tier("small", provider.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            environment(
                monkeypatch, OPENAI_BASE_URL=f"{sidecar.data_url}/v1", OPENAI_API_KEY=APP_KEY
            )
            async with AsyncOpenAI() as client:
                error = await refused(client, stream=stream)
                provider.enqueue(broken(FaultKind.KEY_ECHO))
                provider.key = CANARY
                echoed = await refused(client, stream=stream)
    assert isinstance(error, openai.AuthenticationError)
    assert error.code == "invalid_api_key"
    assert isinstance(echoed, openai.AuthenticationError)
    assert CANARY not in f"{error.message} {echoed.message} {error.body} {echoed.body}"


async def test_an_unknown_model_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, models={"route": ["auto"]})
    async with mesh_of, AsyncOpenAI() as client:
        chat = await refused(client, model="gpt-9")
        with pytest.raises(openai.NotFoundError) as vectors:
            await client.embeddings.create(model="nothing", input="a")
        with pytest.raises(openai.NotFoundError) as path:
            await client.files.list()
    assert isinstance(chat, openai.NotFoundError)
    assert (chat.code, chat.param) == ("model_not_found", "model")
    assert vectors.value.code == "model_not_found"
    assert path.value.code == "not_found"


async def test_a_model_that_the_provider_does_not_know_is_its_own_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(model="new", key=CANARY) as provider:
        documents = tier("small", provider.url, rank=1, model="old"), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, _):
            environment(
                monkeypatch, OPENAI_BASE_URL=f"{sidecar.data_url}/v1", OPENAI_API_KEY=APP_KEY
            )
            async with AsyncOpenAI() as client:
                error = await refused(client)
    assert isinstance(error, openai.NotFoundError)
    assert "The model `old` does not exist" in error.message


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tier_without_the_right_is_permission_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    mesh_of = openai_mesh(
        tmp_path,
        monkeypatch,
        identity=[{"attribute": "plan", "header": "x-plan"}],
        entitlements={
            "default": "All",
            "grants": [{"name": "free", "when": 'caller.plan == "free"', "tiers": ["small"]}],
        },
    )
    async with mesh_of as mesh, AsyncOpenAI(default_headers={"x-plan": "free"}) as client:
        error = await refused(client, model="large", stream=stream)
        names = [model.id async for model in client.models.list()]
    assert isinstance(error, openai.PermissionDeniedError)
    assert (error.code, error.type) == ("not_entitled", "permission_error")
    assert "large" in error.message
    assert error.response.headers["x-tiermesh-reason"] == "NotEntitled"
    assert names == ["auto", "small"]
    assert mesh.received() == []


async def test_a_body_that_is_too_large_is_413(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, settings={"max_body": 2000})
    async with mesh_of as mesh, AsyncOpenAI() as client:
        long: Any = [{"role": "user", "content": "x" * 1_000_000}]
        error = await refused(client, messages=long)
        after = await client.chat.completions.create(model="auto", messages=HELLO)
    assert (error.status_code, error.code) == (413, "body_too_large")
    assert after.choices[0].message.content
    assert mesh.small.count == 1


async def test_a_rate_limit_tells_when_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, retry=ONCE, default=NO_FALLBACK)
    async with mesh_of as mesh, AsyncOpenAI(max_retries=0) as client:
        mesh.small.enqueue(rate_limited(retry_after="17"))
        error = await refused(client)
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "rate_limit_exceeded"
    assert error.response.headers["retry-after"] == "17"
    assert mesh.small.count == 1


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (2, 3)])
async def test_the_sdks_own_retries_go_on_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: int, asked: int
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, retry=ONCE, default=NO_FALLBACK)
    async with mesh_of as mesh, AsyncOpenAI(max_retries=retries) as client:
        mesh.small.outage = rate_limited(retry_after_ms="1")
        error = await refused(client)
    assert isinstance(error, openai.RateLimitError)
    assert mesh.small.count == len(mesh.recorder.calls) == asked


async def test_an_sdks_retry_that_succeeds_is_all_the_application_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, retry=ONCE, default=NO_FALLBACK)
    async with mesh_of as mesh, AsyncOpenAI() as client:  # two retries by default
        mesh.small.enqueue(rate_limited(retry_after_ms="1"))
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    assert raw.parse().choices[0].message.content
    assert raw.retries_taken == 1
    assert raw.headers["x-tiermesh-attempts"] == "1"
    assert [c.status for c in mesh.recorder.calls] == [429, 200]


async def test_a_pause_that_the_provider_asks_for_is_made_here_not_in_the_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, default=NO_FALLBACK)
    async with mesh_of as mesh, AsyncOpenAI(max_retries=0) as client:
        mesh.small.enqueue(rate_limited(retry_after_ms="40"))
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    first, second = mesh.small.received
    assert raw.headers["x-tiermesh-attempts"] == "2"
    assert second.at - first.at >= 0.04


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", [500, 503])
async def test_when_every_attempt_failed_the_last_providers_error_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, stream: bool
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI(max_retries=0) as client:
        mesh.small.outage = status(code, message="small is down")
        mesh.large.outage = status(code, message="large is down")
        error = await refused(client, stream=stream)
    assert isinstance(error, openai.InternalServerError)
    assert error.status_code == code
    assert "large is down" in error.message
    assert error.response.headers["x-tiermesh-attempts"] == "2"
    assert error.response.headers["x-tiermesh-tier"] == "large"


async def test_nothing_but_broken_connections_is_our_upstream_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI(max_retries=0) as client:
        mesh.small.outage = broken(FaultKind.RESET_BEFORE_HEAD)
        mesh.large.outage = broken(FaultKind.CLOSE_BEFORE_HEAD)
        error = await refused(client)
    assert isinstance(error, openai.InternalServerError)
    assert (error.status_code, error.code) == (502, "upstream_failed")
    assert "small/small-a" in error.message
    assert "large/large-a" in error.message


async def test_without_a_key_or_a_configuration_the_service_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyless = tier("small", "http://127.0.0.1:1", rank=1), policy("small")
    seen = []
    for documents in (keyless, ()):
        async with serving(tmp_path, *documents) as (sidecar, _):
            environment(
                monkeypatch, OPENAI_BASE_URL=f"{sidecar.data_url}/v1", OPENAI_API_KEY=APP_KEY
            )
            async with AsyncOpenAI(max_retries=0) as client:
                error = await refused(client)
        seen.append((type(error), error.status_code, error.code))
    assert seen == [
        (openai.InternalServerError, 503, "upstream_unavailable"),
        (openai.InternalServerError, 503, "no_config"),
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_deadline_of_a_call_is_a_504(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI(max_retries=0) as client:
        mesh.small.outage = slow_head(600)
        error = await refused(
            client, stream=stream, extra_headers={"x-tiermesh-deadline-ms": "200"}
        )
        request = mesh.small.received[-1]
        await asyncio.wait_for(request.done.wait(), LONG_S)
    assert isinstance(error, openai.InternalServerError)
    assert (error.status_code, error.code) == (504, "deadline_exceeded")
    assert request.ending is received.Ending.CLIENT_GONE
    assert request.values("x-tiermesh-deadline-ms") == []


async def test_the_sdks_own_timeout_ends_the_call_at_the_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh:
        mesh.small.outage = slow_head(600)
        async with AsyncOpenAI(timeout=IMPATIENT, max_retries=0) as client:
            with pytest.raises(openai.APITimeoutError):
                await client.chat.completions.create(model="auto", messages=HELLO)
            request = mesh.small.received[-1]
            await asyncio.wait_for(request.done.wait(), LONG_S)
            call = await mesh.recorded()
    assert request.ending is received.Ending.CLIENT_GONE
    assert (call.ending, call.status) == (Ending.CLIENT_GONE, 499)
    assert mesh.large.count == 0


async def test_a_timeout_between_two_chunks_ends_the_stream_at_the_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh:
        mesh.small.enqueue(stall(600))
        async with AsyncOpenAI(timeout=IMPATIENT, max_retries=0) as client:
            stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
            chunks, error = await drained(stream)
            await asyncio.wait_for(mesh.small.received[-1].done.wait(), LONG_S)
            call = await mesh.recorded()
    assert isinstance(error, openai.APITimeoutError)
    assert len(chunks) == 3
    assert call.ending is Ending.CLIENT_GONE


@pytest.mark.parametrize(
    "kind",
    [FaultKind.RESET_MID_BODY, FaultKind.FIN_MID_BODY, FaultKind.CLOSE_DELIMITED_NO_END],
    ids=lambda kind: kind.value,
)
async def test_a_stream_that_breaks_raises_after_what_had_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: FaultKind
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        mesh.small.enqueue(broken(kind, after=4))
        stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
        chunks, error = await drained(stream)
        call = await mesh.recorded()
    assert len(chunks) == 4
    assert isinstance(error, openai.APIError)
    assert (error.code, error.type) == ("upstream_failed", "server_error")
    assert (call.ending, call.status) == (Ending.BROKEN, 200)
    assert (mesh.small.count, mesh.large.count) == (1, 0)


async def test_a_providers_error_in_mid_stream_is_raised_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()
    told = b'data: {"error": {"message": "overloaded", "type": "server_error", "code": "o"}}\n\n'

    async def play(
        self: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD + chunk(event("one")))
        await go_on.wait()  # so that the error comes after the commit
        writer.write(chunk(told) + b"0\r\n\r\n")

    async with RawUpstream(play) as upstream:
        documents = tier("small", upstream.url, rank=1), policy("small"), secret()
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            environment(
                monkeypatch, OPENAI_BASE_URL=f"{sidecar.data_url}/v1", OPENAI_API_KEY=APP_KEY
            )
            async with AsyncOpenAI() as client:
                stream = await client.chat.completions.create(
                    model="auto", messages=HELLO, stream=True
                )
                await anext(stream)
                go_on.set()
                rest, error = await drained(stream)
            call = await recorder.wait_for(1)
    assert rest == []
    assert isinstance(error, openai.APIError)
    assert (error.message, error.type, error.code) == ("overloaded", "server_error", "o")
    assert call.ending is Ending.BROKEN


async def test_the_sync_client_hears_of_a_broken_stream_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def application() -> openai.APIError | None:
        with OpenAI() as client:
            try:
                for _ in client.chat.completions.create(model="auto", messages=HELLO, stream=True):
                    pass
            except openai.APIError as error:
                return error
        return None

    async with openai_mesh(tmp_path, monkeypatch) as mesh:
        mesh.small.enqueue(broken(FaultKind.FIN_MID_BODY))
        error = await asyncio.to_thread(application)
    assert error is not None
    assert error.code == "upstream_failed"


async def test_no_terminator_follows_the_error_of_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        mesh.small.enqueue(broken(FaultKind.FIN_MID_BODY))
        async with client.chat.completions.with_streaming_response.create(
            model="auto", messages=HELLO, stream=True
        ) as response:
            raw = b"".join([part async for part in response.iter_bytes()])
    events = raw.split(b"\n\n")
    assert events[-1] == b""
    assert events[-2].startswith(b'data: {"error":')
    assert b"[DONE]" not in raw


async def test_the_stream_helper_raises_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI() as client:
        mesh.small.enqueue(broken(FaultKind.RESET_MID_BODY))
        async with client.chat.completions.stream(model="auto", messages=HELLO) as stream:
            with pytest.raises(openai.APIError, match="broke off"):
                await stream.get_final_completion()


async def test_a_silent_stream_is_ended_by_the_policys_idle_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, timeouts={"streamIdle": "200ms"})
    async with mesh_of as mesh, AsyncOpenAI() as client:
        mesh.small.enqueue(stall(600))
        stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
        _, error = await drained(stream)
    assert isinstance(error, openai.APIError)
    assert error.code == "upstream_failed"
    assert "silent" in error.message


async def test_an_embedding_model_never_changes_not_even_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with openai_mesh(tmp_path, monkeypatch) as mesh, AsyncOpenAI(max_retries=0) as client:
        mesh.small.outage = status(500)
        with pytest.raises(openai.InternalServerError):
            await client.embeddings.create(model="embed-3", input="a")
    assert {request.json()["model"] for request in mesh.received()} == {"embed-3"}
    assert mesh.large.count == 0


async def test_a_provider_that_hangs_up_on_idle_connections_is_not_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh_of = openai_mesh(tmp_path, monkeypatch, default=NO_FALLBACK)
    async with mesh_of as mesh, AsyncOpenAI(max_retries=0) as client:
        for _ in range(3):
            mesh.small.enqueue(None, broken(FaultKind.CLOSE_BEFORE_HEAD))
            for _ in range(2):
                answer = await client.chat.completions.create(model="auto", messages=HELLO)
                assert answer.choices[0].message.content
