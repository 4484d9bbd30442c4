"""Whole events out of arbitrary chunks, byte for byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiermesh_sidecar.wire.sse import EventSplitter, data_spans, event_type, events


def lines_of(stream: bytes) -> tuple[list[bytes], bytes]:
    """The lines and the unfinished rest, read one byte at a time as the specification says."""
    lines: list[bytes] = []
    line = b""
    position = 0
    while position < len(stream):
        byte = stream[position : position + 1]
        if byte not in (b"\r", b"\n"):
            line += byte
        else:
            if byte == b"\r" and stream[position + 1 : position + 2] == b"\n":
                position += 1
            lines.append(line)
            line = b""
        position += 1
    return lines, line


def is_whole(stream: bytes) -> bool:
    """Whether a stream may be cut here: no event is under way."""
    lines, rest = lines_of(stream)
    return not rest and (not lines or lines[-1] == b"")


def messages(stream: bytes) -> list[tuple[bytes, bytes]]:
    """What a client dispatches: event type and data."""
    found: list[tuple[bytes, bytes]] = []
    kind, data = b"", []
    for line in lines_of(stream.removeprefix(b"\xef\xbb\xbf"))[0]:
        if line == b"":
            if data:
                found.append((kind, b"\n".join(data)))
            kind, data = b"", []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value
    return found


def feed_all(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter()
    outputs = [splitter.feed(chunk) for chunk in chunks]
    assert not splitter.overflow
    return outputs, splitter.tail


STREAMS = [
    b"data: a\n\ndata: b\n\n",
    b"data: a\r\n\r\ndata: b\r\n\r\n",
    b"data: a\r\rdata: b\r\r",
    b"data: a\n\r\ndata: b\r\n\ndata: c\r\r\ndata: d\n\rdata: e\n\n",
    b"\xef\xbb\xbfdata: a\n\n: ping\n\n\n\nevent: x\nid: 1\ndata: b\ndata:c\ndata\n\nretry: 5\n\n",
    b"\n\ndata: a\n\n\ndata: b",
    b"data: a\r\n\r\n\r\n\r\ndata: b\r\n\r",
    b"data: \xf0\x9f\x98\x80\n\ndata: [DONE]\n\n",
]


@pytest.mark.parametrize("stream", STREAMS)
def test_cut_at_every_byte_the_output_is_whole_events_and_loses_nothing(stream: bytes) -> None:
    for cut in range(len(stream) + 1):
        outputs, tail = feed_all([stream[:cut], stream[cut:]])
        assert b"".join(outputs) + tail == stream
        assert all(is_whole(output) for output in outputs)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_small_chunks_change_nothing(stream: bytes, size: int) -> None:
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    outputs, tail = feed_all(chunks)
    assert b"".join(outputs) + tail == stream
    assert all(is_whole(output) for output in outputs)


@pytest.mark.parametrize("stream", STREAMS)
def test_events_are_what_a_client_dispatches(stream: bytes) -> None:
    parts = events(stream)
    assert b"".join(parts) == stream
    dispatched = [m for part in parts for m in messages(part + b"\n\n")]
    assert dispatched == messages(stream + b"\n\n")
    for part in parts:
        data = b"\n".join(part[start:end] for start, end in data_spans(part))
        kinds = messages(part + b"\n\n")
        assert data == (kinds[0][1] if kinds else b"")
        if kinds:
            assert event_type(part) == kinds[0][0]


@given(st.data())
@settings(max_examples=200)
def test_any_bytes_in_any_chunks_come_out_in_order_and_whole(data: st.DataObject) -> None:
    pieces = [b"\n", b"\r", b"\r\n", b"\n\n", b"data: x", b"a", b":", b"event: e", b"\xef\xbb\xbf"]
    stream = b"".join(data.draw(st.lists(st.sampled_from(pieces), max_size=25)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    bounds = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(bounds)]
    outputs, tail = feed_all(chunks)
    assert b"".join(outputs) + tail == stream
    assert all(is_whole(output) for output in outputs)
    # Relayed in pieces, a client understands the same.
    assert messages(b"".join(outputs) + tail) == messages(stream)
    # Nothing that is complete beyond doubt is kept back.
    kept = EventSplitter()
    assert kept.feed(tail) == b""


@given(st.data())
@settings(max_examples=100)
def test_a_blocks_events_do_not_depend_on_how_it_was_cut(data: st.DataObject) -> None:
    end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    number = data.draw(st.integers(1, 5))
    stream = b"".join(b"data: %d%s%s" % (index, end, end) for index in range(number))
    assert len(events(stream)) == number
    cut = data.draw(st.integers(0, len(stream)))
    outputs, tail = feed_all([stream[:cut], stream[cut:]])
    assert messages(b"".join(outputs) + tail + end) == messages(stream)


def test_an_event_is_given_when_its_end_has_come_not_with_the_next_one() -> None:
    for end in (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\r\n", b"\r\n\n"):
        assert EventSplitter().feed(b"data: x" + end) == b"data: x" + end


def test_a_line_feed_that_may_still_come_is_waited_for() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: x\r\n\r") == b""
    assert splitter.feed(b"\n") == b"data: x\r\n\r\n"
    assert splitter.feed(b"data: y\r\n\r") == b""
    assert splitter.feed(b"data: z") == b"data: y\r\n\r"


def test_a_huge_event_in_small_chunks_takes_linear_work() -> None:
    splitter = EventSplitter()
    chunk = b"x" * 64
    for _ in range(100_000):
        assert splitter.feed(chunk) == b""
    assert len(splitter.feed(b"\n\n")) == 6_400_002


def test_an_event_beyond_the_limit_is_dropped_and_flagged() -> None:
    splitter = EventSplitter(limit=10)
    assert splitter.feed(b"data: 1\n\ndata: 12") == b"data: 1\n\n"
    assert not splitter.overflow
    assert splitter.feed(b"34567") == b""
    assert splitter.overflow
    assert splitter.tail == b""
    assert splitter.feed(b"\n\ndata: 2\n\n") == b""


def test_a_usual_events_data_is_found_with_and_without_its_end() -> None:
    for event in (b'data: {"a":1}\n\n', b'data: {"a":1}\n', b'data: {"a":1}', b'data:{"a":1}\r\n'):
        assert [event[a:b] for a, b in data_spans(event)] == [b'{"a":1}']
    assert data_spans(b": comment\n\n") == []
    assert data_spans(b"database: 1\n\n") == []
    two = b'data: {"a":\ndata: 1}\n\n'
    assert [two[a:b] for a, b in data_spans(two)] == [b'{"a":', b"1}"]
