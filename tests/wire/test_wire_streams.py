"""A provider's stream: relayed byte for byte, counted, and freed of what we asked for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiermesh_sidecar.core.features import Dialect, Endpoint
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.wire.streams import StreamReader


def openai(*, hide: bool = False) -> StreamReader:
    return StreamReader(Dialect.OPENAI, Endpoint.CHAT_COMPLETIONS, hide)


def anthropic() -> StreamReader:
    return StreamReader(Dialect.ANTHROPIC, Endpoint.MESSAGES, True)


def chunk(content: str | None = "Hi", finish: str = "null", rest: str = "") -> str:
    delta = "{}" if content is None else '{"content":' + json.dumps(content) + "}"
    return (
        '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x",'
        '"choices":[{"index":0,"delta":' + delta + ',"logprobs":null,"finish_reason":' + finish
        + "}]" + rest + "}"
    )  # fmt: skip


FINAL = (
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-x","choices":[],'
    '"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,'
    '"prompt_tokens_details":{"cached_tokens":4},'
    '"completion_tokens_details":{"reasoning_tokens":3}}}'
)


def stream(*data: str, end: str = "\n") -> bytes:
    return "".join(f"data: {item}{end}{end}" for item in data).encode()


ASKED = stream(
    chunk("", rest=',"usage":null'),
    chunk('say "usage":null', rest=',"usage":null,"obfuscation":"aZ09"'),
    chunk(None, '"stop"', rest=',"usage":null'),
    FINAL,
    "[DONE]",
)
UNASKED = stream(
    chunk(""),
    chunk('say "usage":null', rest=',"obfuscation":"aZ09"'),
    chunk(None, '"stop"'),
    "[DONE]",
)


def run(reader: StreamReader, raw: bytes, size: int | None = None) -> bytes:
    size = size or max(1, len(raw))
    out = [reader.feed(raw[i : i + size]) for i in range(0, len(raw), size)]
    return b"".join(out) + reader.end()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_with_usage_hidden_a_stream_is_what_it_would_be_had_nobody_asked(end: str) -> None:
    asked, unasked = (raw.replace(b"\n", end.encode()) for raw in (ASKED, UNASKED))
    for size in range(1, len(asked) + 1, 1 if end == "\r\n" else 7):
        reader = openai(hide=True)
        assert run(reader, asked, size) == unasked
        assert reader.usage == Usage(input=11, output=7, cached_input=4)
        assert reader.finished
        assert reader.finish_reasons == ("stop",)
        assert (reader.response_id, reader.response_model) == ("chatcmpl-1", "gpt-x")
        assert reader.error is None


def test_with_usage_asked_for_by_the_caller_nothing_changes_at_any_chunk_size() -> None:
    for size in range(1, len(ASKED) + 1):
        reader = openai()
        assert run(reader, ASKED, size) == ASKED
        assert reader.usage == Usage(input=11, output=7, cached_input=4)
        assert reader.finished


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"choices":[{}],"usage":null}', '{"choices":[{}]}'),
        ('{"choices":[{}] , "usage" : null }', '{"choices":[{}] }'),
        ('{"usage":null,"choices":[{}]}', '{"choices":[{}]}'),
        ('{ "usage" : null , "choices" :[{}]}', '{ "choices" :[{}]}'),
        ('{"choices":[{}],"usage":null,"x":1.0}', '{"choices":[{}],"x":1.0}'),
        ('{"choices":[],"usage":null}', '{"choices":[]}'),
        ('{"usage":null}', "{}"),
        ('{"choices":[{"usage":null}],"usage":null}', '{"choices":[{"usage":null}]}'),
        ('{"usage":null,"a":[{"b":1,"usage":null}]}', '{"a":[{"b":1,"usage":null}]}'),
        ('{"choices":[{"usage":null}]}', '{"choices":[{"usage":null}]}'),
        ('{"choices":[{}],"x":{"a":1,"usage":null}}', '{"choices":[{}],"x":{"a":1,"usage":null}}'),
        (
            r'{"a":"\",\"usage\":null","choices":[{}],"usage":null}',
            r'{"a":"\",\"usage\":null","choices":[{}]}',
        ),
        (r'{"choices":[{}],"a":",\"usage\":null}"}', r'{"choices":[{}],"a":",\"usage\":null}"}'),
        (r'{"choices":[{}],"a\"usage":null}', r'{"choices":[{}],"a\"usage":null}'),
        (
            '{"choices":[{}],"usage":null,"obfuscation":"x","z":1}',
            '{"choices":[{}],"obfuscation":"x","z":1}',
        ),
        (
            r'{"choices":[{}],"usage":null,"obfuscation":"\"}"}',
            r'{"choices":[{}],"obfuscation":"\"}"}',
        ),
        # The last chunk carries content as well: only the field goes.
        ('{"choices":[{"index":0}],"usage":{"prompt_tokens":1}}', '{"choices":[{"index":0}]}'),
        ('{"choices":[{"n":-0,"e":1E5}],"usage":{"a":"}"}}', '{"choices":[{"n":-0,"e":1E5}]}'),
    ],
)
def test_the_field_is_taken_out_of_the_outermost_object_only(before: str, after: str) -> None:
    assert run(openai(hide=True), stream(chunk(), before)) == stream(chunk(), after)
    # Also as the very first event.
    assert run(openai(hide=True), stream(before)) == stream(after)


def test_the_field_is_taken_out_of_an_event_of_several_lines() -> None:
    raw = b'id: 1\ndata: {"choices":[{}],\ndata:"us\ndata: {}\n\n'
    assert run(openai(hide=True), raw) == raw
    raw = b': c\r\ndata: {"choices":[{}]\r\ndata: ,"usage"\r\ndata::null,"x":\r\ndata:1}\r\n\r\n'
    out = b': c\r\ndata: {"choices":[{}]\r\ndata: \r\ndata:,"x":\r\ndata:1}\r\n\r\n'
    assert run(openai(hide=True), raw) == out


def test_the_usage_event_goes_with_its_comments_and_id() -> None:
    raw = stream(chunk()) + b": keep\n\nid: 7\n" + stream(FINAL) + stream("[DONE]")
    assert run(openai(hide=True), raw) == stream(chunk()) + b": keep\n\n" + stream("[DONE]")


@pytest.mark.parametrize(
    "data", ["[DONE]", "not json", '{"usage":null', "[1]", "null", "", '"usage":null}', "{}"]
)
def test_events_that_are_no_json_object_pass_as_they_are(data: str) -> None:
    raw = stream(chunk(), data, chunk(), data) + f": {data}\n\n".encode()
    assert run(openai(hide=True), raw) == raw
    assert run(openai(), raw) == raw


def test_an_embedded_lone_surrogate_is_read_and_kept() -> None:
    raw = stream(r'{"id":"\ud800","choices":[{"delta":{"content":"\udc00"}}]}')
    assert run(openai(hide=True), raw) == raw
    reader = openai(hide=True)
    assert run(reader, raw.replace(b"}]}", b'}],"usage":null}')) == raw
    assert reader.response_id == "?"  # what telemetry gets can be encoded


def test_usage_is_counted_from_a_last_event_without_its_empty_line() -> None:
    reader = openai(hide=True)
    assert reader.feed(stream(chunk()) + b"data: " + FINAL.encode()) == stream(chunk())
    assert reader.usage is None
    assert reader.end() == b""
    assert reader.usage is not None
    kept = openai()
    assert kept.feed(b"data: [DONE]") == b""
    assert kept.end() == b"data: [DONE]"
    assert kept.finished
    assert kept.end() == b""


def test_a_stream_that_breaks_off_keeps_its_partial_event_to_itself() -> None:
    reader = openai()
    assert reader.feed(stream(chunk()) + b'data: {"id":') == stream(chunk())
    assert not reader.finished


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ('{"error":{"message":"overloaded","type":"server_error","code":null}}', "overloaded"),
        ('{"error": "boom"}', "boom"),
        ('{"error":{"code":500}}', "the provider reported an error"),
        ('{"object":"error","message":"vllm says no","code":400}', "vllm says no"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_error_in_an_openai_stream_is_seen_and_relayed(
    data: str, says: str, first: bool
) -> None:
    reader = openai(hide=True)
    raw = stream(data) if first else stream(chunk(), chunk(), data)
    assert run(reader, raw) == raw
    assert reader.error == says
    assert not reader.finished


@pytest.mark.parametrize(
    "data",
    ['{"error":null,"choices":[]}', chunk('{"error":{"message":"x"}}'), chunk(rest=',"x":"error"')],
)
def test_what_only_looks_like_an_error_is_none(data: str) -> None:
    reader = openai()
    run(reader, stream(data, data))
    assert reader.error is None


def test_an_error_event_without_json_is_an_error() -> None:
    reader = openai()
    run(reader, b"event: error\ndata: oops\n\n")
    assert reader.error == "the provider reported an error"


@pytest.mark.parametrize("space", ["", " "])
def test_any_finish_reason_ends_a_stream_even_without_done(space: str) -> None:
    reader = openai()
    reader.feed(stream(chunk(), chunk(finish=space + "null")))
    assert not reader.finished
    reader.feed(stream(chunk(finish=space + '"length"')))
    assert reader.finished
    assert reader.finish_reasons == ("length",)


def test_done_inside_content_is_no_end() -> None:
    reader = openai()
    run(reader, stream(chunk("[DONE]"), chunk("data: [DONE]")))
    assert not reader.finished


def test_an_opening_event_without_an_id_is_not_the_last_word() -> None:
    azure = '{"id":"","model":"","choices":[],"prompt_filter_results":[{}]}'
    reader = openai()
    run(reader, stream(azure, chunk()))
    assert (reader.response_id, reader.response_model) == ("chatcmpl-1", "gpt-x")


DELTA = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}}'
START = {"input_tokens": 25, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100}
MESSAGE = [
    (
        "message_start",
        '{"type":"message_start","message":{"id":"msg_1","type":"message","model":"claude-x",'
        '"usage":' + json.dumps(START | {"output_tokens": 1}) + "}}",
    ),
    ("content_block_start", '{"type":"content_block_start","index":0,"content_block":{}}'),
    ("ping", '{"type": "ping"}'),
    ("content_block_delta", DELTA % json.dumps('"usage" message_stop')),
    ("content_block_stop", '{"type":"content_block_stop","index":0}'),
    (
        "message_delta",
        '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        '"usage":{"output_tokens":15}}',
    ),
    ("message_stop", '{"type":"message_stop"}'),
]


def message(number: int = len(MESSAGE), end: str = "\n") -> bytes:
    parts = [f"event: {kind}{end}data: {data}{end}{end}" for kind, data in MESSAGE[:number]]
    return "".join(parts).encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_anthropic_stream_is_relayed_and_counted_with_cached_input_included(end: str) -> None:
    raw = message(end=end)
    for size in range(1, len(raw) + 1, 5):
        reader = anthropic()
        assert run(reader, raw, size) == raw
        assert reader.usage == Usage(input=135, output=15, cached_input=100, cache_write=10)
        assert reader.finished
        assert reader.finish_reasons == ("end_turn",)
        assert (reader.response_id, reader.response_model) == ("msg_1", "claude-x")
        assert reader.error is None


def test_later_counts_of_an_anthropic_stream_replace_earlier_ones() -> None:
    late = message(6).replace(
        b'{"output_tokens":15}',
        b'{"input_tokens":30,"cache_read_input_tokens":null,"output_tokens":16}',
    )
    reader = anthropic()
    run(reader, late)
    assert reader.usage == Usage(input=140, output=16, cached_input=100, cache_write=10)


@pytest.mark.parametrize("first", [True, False])
def test_an_error_in_an_anthropic_stream_is_seen_and_relayed(first: bool) -> None:
    data = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    error = b"event: error\n" + stream(json.dumps(data))
    raw = error if first else message(4) + error
    reader = anthropic()
    assert run(reader, raw) == raw
    assert reader.error == "Overloaded"
    assert not reader.finished


def test_an_abandoned_anthropic_stream_is_estimated_from_its_known_input() -> None:
    reader = anthropic()
    reader.feed(message(4))
    assert reader.usage is None
    estimate = reader.estimated_usage(9999)
    assert estimate.estimated
    assert (estimate.input, estimate.cached_input, estimate.cache_write) == (135, 100, 10)
    assert estimate.output >= 1


def test_an_abandoned_stream_is_estimated_by_its_events_or_by_its_content() -> None:
    reader = openai()
    reader.feed(stream(*[chunk("x")] * 40))
    assert reader.estimated_usage(50) == Usage(input=50, output=40, estimated=True)
    long = openai()
    for content in ("a", "word " * 400, "word " * 400):
        long.feed(stream(chunk(content)))
    assert 3990 <= long.output_chars <= 4010
    assert long.estimated_usage(1).output == long.output_chars // 4


def test_a_stream_that_brought_nothing_costs_its_input() -> None:
    assert openai().estimated_usage(7) == Usage(input=7, estimated=True)


def test_a_known_count_is_no_estimate() -> None:
    reader = openai()
    run(reader, ASKED)
    assert reader.estimated_usage(99) == Usage(input=11, output=7, cached_input=4)


def test_an_endless_event_is_an_error_and_takes_no_more_memory() -> None:
    reader = openai()
    for _ in range(20):
        assert reader.feed(b"x" * 1024 * 1024) == b""
    assert reader.error == "an event is longer than this proxy reads"
    assert reader.end() == b""


def test_the_parser_is_not_asked_about_ordinary_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = openai()
    reader.feed(stream(chunk()))

    def fail(data: bytes) -> object:
        raise AssertionError("parsed")

    monkeypatch.setattr("tiermesh_sidecar.wire.streams.read_json", fail)
    plain = stream(chunk("more"), chunk('"usage": {}'), chunk(rest=',"usage":null'))
    assert reader.feed(plain) == plain
    with pytest.raises(AssertionError, match="parsed"):
        reader.feed(stream(chunk(finish='"stop"')))


contents = st.sampled_from(
    [
        "",
        "Hi",
        '"usage":null',
        ',"usage":null}',
        "[DONE]",
        "\n\ndata: x",
        "\\",
        '"error"',
        "ä😀\r\n",
    ]
)
ADDED = ['"usage":null', ' "usage" : null', '\t"usage":\tnull ']


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_the_stream_hiding_gives_what_would_have_come_unasked(data: st.DataObject) -> None:
    asked: list[str] = []
    unasked: list[str] = []
    for content in data.draw(st.lists(contents, min_size=1, max_size=5)):
        tail = data.draw(
            st.sampled_from(["", ',"obfuscation":"abc"', ', "x" : [1.0,{"usage":null}]'])
        )
        added = data.draw(st.sampled_from(ADDED))
        asked.append(chunk(content, rest="," + added + tail))
        unasked.append(chunk(content, rest=tail))
        if added.endswith(" ") and not tail:
            unasked[-1] = unasked[-1][:-1] + " }"
        elif added.endswith(" "):
            unasked[-1] = chunk(content, rest=" " + tail)
    asked.append(FINAL)
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    size = data.draw(st.integers(1, 300))
    reader = openai(hide=True)
    assert run(reader, stream(*asked, end=end), size) == stream(*unasked, end=end)
    assert reader.usage is not None


@given(st.binary(max_size=200), st.integers(1, 50), st.booleans(), st.sampled_from(Dialect))
def test_no_bytes_make_the_reader_raise(
    raw: bytes, size: int, hide: bool, dialect: Dialect
) -> None:
    endpoint = Endpoint.MESSAGES if dialect is Dialect.ANTHROPIC else Endpoint.CHAT_COMPLETIONS
    reader = StreamReader(dialect, endpoint, hide)
    assert run(reader, raw, size) == raw
    reader.estimated_usage(1)


ODD_KEYS = [
    "usage",
    "error",
    "choices",
    "delta",
    "message",
    "type",
    "id",
    "stop_reason",
    "finish_reason",
    "prompt_tokens",
    "input_tokens",
    "output_tokens",
    "prompt_tokens_details",
    "cached_tokens",
]
odd_values = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, 1e300, "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(ODD_KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(odd_values, st.sampled_from(["message_start", "message_delta", "error", None]))
@settings(max_examples=150)
def test_no_shape_of_json_makes_the_reader_raise(value: object, kind: str | None) -> None:
    if isinstance(value, dict) and kind:
        value["type"] = kind
    for reader in (openai(), openai(hide=True), anthropic()):
        run(reader, stream(json.dumps(value), json.dumps(value)))
        assert isinstance(reader.estimated_usage(1), Usage)
