"""Whole answers: readable or not, and what they used."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.features import Dialect, Endpoint
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.wire.answer import Answer, decode_body, read_answer

CHAT = Dialect.OPENAI, Endpoint.CHAT_COMPLETIONS
EMBEDDINGS = Dialect.OPENAI, Endpoint.EMBEDDINGS
MESSAGES = Dialect.ANTHROPIC, Endpoint.MESSAGES


def read(where: tuple[Dialect, Endpoint], value: object) -> Answer:
    return read_answer(*where, json.dumps(value).encode())


def test_a_chat_answer_tells_its_usage_with_cached_and_reasoning_tokens_included() -> None:
    answer = read(
        CHAT,
        {
            "id": "chatcmpl-1",
            "model": "gpt-x",
            "choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}],
            "usage": {
                "prompt_tokens": 11,
                "completion_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
        },
    )
    assert answer == Answer(
        readable=True,
        usage=Usage(input=11, output=7, cached_input=4),
        response_id="chatcmpl-1",
        response_model="gpt-x",
        finish_reasons=("stop", "length"),
    )


def test_a_message_tells_its_usage_with_cached_tokens_added_to_the_input() -> None:
    answer = read(
        MESSAGES,
        {
            "id": "msg_1",
            "model": "claude-x",
            "stop_reason": "tool_use",
            "usage": {
                "input_tokens": 5,
                "cache_creation_input_tokens": 20,
                "cache_read_input_tokens": 300,
                "output_tokens": 9,
            },
        },
    )
    assert answer.usage == Usage(input=325, output=9, cached_input=300, cache_write=20)
    assert answer.finish_reasons == ("tool_use",)


def test_embeddings_use_input_only() -> None:
    value = {"model": "e", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    answer = read(EMBEDDINGS, value)
    assert (answer.usage, answer.response_model) == (Usage(input=8), "e")


@pytest.mark.parametrize("first", [True, False])
def test_large_embeddings_are_read_at_their_edges(first: bool) -> None:
    data = b'"data":[' + b"0.123456789," * 100_000 + b"0]"
    usage = b'"model":"e", "usage" : {"prompt_tokens": 8,"x":{"y":1}}'
    body = b" {" + (usage + b"," + data if first else data + b"," + usage) + b"}\n"
    answer = read_answer(*EMBEDDINGS, body)
    assert answer.readable
    assert (answer.usage, answer.response_model) == (Usage(input=8), "e")
    assert not read_answer(*EMBEDDINGS, body.rstrip()[:-1]).readable
    assert not read_answer(*EMBEDDINGS, body.replace(b" {", b"[{")).readable
    bare = b"{" + data + b"}"
    assert read_answer(*EMBEDDINGS, bare) == Answer(readable=True)


UNREADABLE = [
    b"", b"<html>", b"[]", b"null", b'"x"', b"1", b'{"a":1', b'{"a":NaN}', b"\xff", b"[" * 5000
]  # fmt: skip


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_is_no_json_object_is_not_readable(body: bytes) -> None:
    assert read_answer(*CHAT, body) == Answer(readable=False)


def test_an_answer_with_a_lone_surrogate_is_readable_and_its_facts_can_be_encoded() -> None:
    body = b'{"id":"\\ud800","model":"\xc3\xa4","choices":[{"finish_reason":"\\udc00"}]}'
    answer = read_answer(*CHAT, body)
    assert (answer.response_id, answer.response_model) == ("?", "ä")
    assert answer.finish_reasons == ("?",)


def test_a_message_without_usage_has_none() -> None:
    assert read(MESSAGES, {"usage": {"service_tier": "x"}}).usage is None
    assert read(MESSAGES, {"usage": None, "stop_reason": None}) == Answer(readable=True)


BODY = b'{"id":"x"}' * 50


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("", BODY),
        ("identity", BODY),
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("X-GZip", gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY[:100], mtime=0) + gzip.compress(BODY[100:], mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
        ("deflate, gzip", gzip.compress(zlib.compress(BODY), mtime=0)),
    ],
)
def test_known_encodings_are_decoded(encoding: str, encoded: bytes) -> None:
    assert decode_body(encoded, encoding) == BODY


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("br", BODY),
        ("zstd", BODY),
        ("gzip", BODY),
        ("gzip", gzip.compress(BODY, mtime=0)[:-4]),
        ("gzip", gzip.compress(BODY, mtime=0) + b"garbage"),
        ("deflate", b"\x00garbage"),
    ],
)
def test_other_or_broken_encodings_are_none(encoding: str, encoded: bytes) -> None:
    assert decode_body(encoded, encoding) is None


def test_a_bomb_is_not_inflated_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiermesh_sidecar.wire.answer._MAX_DECODED", 100_000)
    assert decode_body(gzip.compress(bytes(100_000)), "gzip") == bytes(100_000)
    assert decode_body(gzip.compress(bytes(100_001)), "gzip") is None
    assert decode_body(gzip.compress(gzip.compress(bytes(10_000_000))), "gzip, gzip") is None
    two = gzip.compress(bytes(60_000)) * 2
    assert decode_body(two, "gzip") is None


@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate", "x", ",gzip,", "deflate,gzip"]))
def test_decoding_never_raises(body: bytes, encoding: str) -> None:
    decoded = decode_body(body, encoding)
    assert decoded is None or isinstance(decoded, bytes)


@given(st.binary(max_size=100))
def test_reading_never_raises(body: bytes) -> None:
    for where in (CHAT, EMBEDDINGS, MESSAGES):
        assert isinstance(read_answer(*where, body), Answer)
