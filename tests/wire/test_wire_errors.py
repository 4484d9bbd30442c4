"""Our errors in the caller's dialect, judged by the dialects' own SDKs."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import anthropic
import openai
import pytest
from sdkhttp import client

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.wire.errors import STATUS, render, stream_error

REFUSAL = Refusal(code=ErrorCode.MODEL_NOT_FOUND, message="No «x»: name another.", param="model")


def test_every_code_has_the_contracts_status() -> None:
    assert {code.value: status for code, status in STATUS.items()} == {
        "invalid_request": 400,
        "body_too_large": 413,
        "model_not_found": 404,
        "not_entitled": 403,
        "not_permitted": 403,
        "context_length_exceeded": 400,
        "capability_unavailable": 400,
        "deadline_exceeded": 504,
        "upstream_failed": 502,
        "upstream_unavailable": 503,
        "no_config": 503,
        "not_found": 404,
    }
    assert set(STATUS) == set(ErrorCode)


def test_an_openai_error_has_its_four_fields() -> None:
    assert json.loads(render(REFUSAL, Dialect.OPENAI)) == {
        "error": {
            "message": "No «x»: name another.",
            "type": "invalid_request_error",
            "code": "model_not_found",
            "param": "model",
        }
    }


def test_an_anthropic_error_says_error_twice_and_keeps_our_code() -> None:
    assert json.loads(render(REFUSAL, Dialect.ANTHROPIC)) == {
        "type": "error",
        "error": {
            "type": "not_found_error",
            "message": "No «x»: name another.",
            "code": "model_not_found",
        },
    }


def test_an_error_in_a_stream_is_one_whole_event() -> None:
    plain = stream_error(REFUSAL, Dialect.OPENAI)
    assert plain == b"data: " + render(REFUSAL, Dialect.OPENAI) + b"\n\n"
    named = stream_error(REFUSAL, Dialect.ANTHROPIC)
    assert named == b"event: error\ndata: " + render(REFUSAL, Dialect.ANTHROPIC) + b"\n\n"


@pytest.mark.parametrize("dialect", Dialect)
def test_a_message_that_quotes_a_lone_surrogate_or_a_line_break_is_still_rendered(
    dialect: Dialect,
) -> None:
    refusal = Refusal(code=ErrorCode.INVALID_REQUEST, message="key \ud800\n\nx", param="\udc00")
    assert json.loads(render(refusal, dialect))["error"]["message"] == "key ?\n\nx"
    assert stream_error(refusal, dialect).count(b"\n\n") == 1


def answering(sdk: ModuleType, status: int, body: bytes, kind: str = "application/json") -> Any:
    return client(sdk, lambda _: (status, body, kind))


@pytest.mark.parametrize("code", ErrorCode)
def test_the_openai_sdk_reads_every_error(code: ErrorCode) -> None:
    refusal = Refusal(code=code, message="what, why, what to change", param="model")
    answer = answering(openai, STATUS[code], render(refusal, Dialect.OPENAI))
    with answer as sdk, pytest.raises(openai.APIStatusError) as caught:
        sdk.chat.completions.create(model="m", messages=[])
    assert (caught.value.status_code, caught.value.code) == (STATUS[code], code.value)
    assert caught.value.param == "model"
    assert "what, why, what to change" in caught.value.message


@pytest.mark.parametrize("code", ErrorCode)
def test_the_anthropic_sdk_reads_every_error(code: ErrorCode) -> None:
    refusal = Refusal(code=code, message="what, why, what to change")
    answer = answering(anthropic, STATUS[code], render(refusal, Dialect.ANTHROPIC))
    with answer as sdk, pytest.raises(anthropic.APIStatusError) as caught:
        sdk.messages.create(model="m", max_tokens=1, messages=[])
    assert caught.value.status_code == STATUS[code]
    assert "what, why, what to change" in caught.value.message


def test_the_openai_sdk_raises_on_our_error_in_a_stream() -> None:
    body = b'data: {"choices":[]}\n\n' + stream_error(REFUSAL, Dialect.OPENAI)
    with answering(openai, 200, body, "text/event-stream") as sdk:
        stream = sdk.chat.completions.create(model="m", messages=[], stream=True)
        with pytest.raises(openai.APIError, match="name another"):
            list(stream)


def test_the_anthropic_sdk_raises_on_our_error_in_a_stream() -> None:
    body = b'event: ping\ndata: {"type":"ping"}\n\n' + stream_error(REFUSAL, Dialect.ANTHROPIC)
    with answering(anthropic, 200, body, "text/event-stream") as sdk:
        stream = sdk.messages.create(model="m", max_tokens=1, messages=[], stream=True)
        with pytest.raises(anthropic.APIError, match="name another"):
            list(stream)
