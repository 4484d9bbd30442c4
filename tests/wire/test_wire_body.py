"""A body's value and the bytes where its members stand."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsontext import NUMBERS, STRINGS, spaces, values

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.wire.body import JsonObject, members, parse_object


def parsed(raw: bytes) -> JsonObject:
    body = parse_object(raw)
    assert isinstance(body, JsonObject), body
    return body


def refused(raw: bytes) -> Refusal:
    body = parse_object(raw)
    assert isinstance(body, Refusal), body
    assert body.code is ErrorCode.INVALID_REQUEST
    return body


def piece(body: JsonObject, key: str) -> bytes:
    start, end = body.spans[key]
    return body.raw[start:end]


def test_spans_are_the_values_bytes() -> None:
    body = parsed(b' {"model" : "a\\"b" ,\n"n": [1, {"x": "]"}],"z":{"model":2},"t":true} ')
    assert piece(body, "model") == b'"a\\"b"'
    assert piece(body, "n") == b'[1, {"x": "]"}]'
    assert piece(body, "z") == b'{"model":2}'
    assert piece(body, "t") == b"true"
    assert list(body.spans) == list(body.value) == ["model", "n", "z", "t"]


def test_a_body_as_long_as_its_compact_form_is_not_taken_for_it() -> None:
    raw = b'{"n":1E5,     "m":"x"}'
    assert len(raw) == len(orjson.dumps(orjson.loads(raw)))
    assert piece(parsed(raw), "n") == b"1E5"


def test_an_empty_object_has_no_members() -> None:
    assert parsed(b"{}").spans == {}
    assert parsed(b" { \n} ").spans == {}


@pytest.mark.parametrize("number", NUMBERS)
def test_every_json_number_is_accepted_and_kept(number: str) -> None:
    body = parsed(b'{"n":' + number.encode() + b"}")
    assert piece(body, "n") == number.encode()


@pytest.mark.parametrize("string", STRINGS)
def test_every_json_string_is_accepted_as_value_and_as_key(string: str) -> None:
    body = parsed(f'{{"v":{string},"w":1}}'.encode())
    assert piece(body, "v") == string.encode()
    keyed = parsed(f'{{{string}:[1],"other":1}}'.encode())
    assert piece(keyed, json.loads(string)) == b"[1]"


def test_an_integer_of_five_thousand_digits_is_accepted() -> None:
    digits = b"9" * 5000
    assert piece(parsed(b'{"n":' + digits + b',"s":"\\ud800"}'), "n") == digits


@pytest.mark.parametrize("depth", [7, 8, 9, 10, 40, 500])
@pytest.mark.parametrize("space", [b"", b" "])
def test_nesting_beyond_what_the_pattern_covers_is_measured_too(depth: int, space: bytes) -> None:
    nest = b"[" * depth + space + b'"]\\"["' + b"]" * depth
    body = parsed(b'{"deep":' + space + nest + b',"model":"m"}')
    assert piece(body, "deep") == nest
    assert piece(body, "model") == b'"m"'


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_of_any_depth_is_no_crash(opening: bytes) -> None:
    for depth in (1000, 1024, 5000, 200_000):
        closing = b"]" if opening == b"[" else b"}"
        body = parse_object(b'{"x":' + opening * depth + b"1" + closing * depth + b',"y":1}')
        assert isinstance(body, JsonObject) or "nests too deeply" in body.message


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"a","x":1,"model":"b"}',
        b'{"model":"a","x":1,"mod\\u0065l":"b"}',
        b'{"x":1,"x":1}',
        b'{"\\ud800":1,"\\ud800":2}',
        b'{"a\\"":1, "a\\u0022":2}',
    ],
)
def test_duplicate_top_level_keys_are_refused_after_unescaping(raw: bytes) -> None:
    assert "stands twice" in refused(raw).message


def test_duplicate_keys_deeper_are_the_providers_affair() -> None:
    assert piece(parsed(b'{"o":{"a":1,"a":2}}'), "o") == b'{"a":1,"a":2}'


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b'{"a":1}x', "line 1 column 8"),
        (b'{"a":1}{}', "line 1 column 8"),
        (b'{\n"a":tru}', "line 2 column 5"),
        (b'{"a":01}', "line 1"),
        (b'{"a":+1}', "line 1"),
        (b'{"a":.5}', "line 1"),
        (b'{"a":1,}', "line 1"),
        (b"{'a':1}", "line 1"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":Infinity}', "Infinity"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":"\x01"}', "line 1"),
        (b'{"a":"\\x"}', "line 1"),
        (b'{"a":"\\u00g0"}', "line 1"),
        (b'{"a":"\xff"}', "byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "byte 6"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        ('{"a":1}'.encode("utf-16"), "UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "line 1"),
        (b"[1]", "array"),
        (b'"x"', "string"),
        (b"1", "number"),
        (b"1e400", "number"),
        (b"null", "null"),
        (b"true", "boolean"),
    ],
)
def test_what_is_no_json_object_is_refused_with_its_place(raw: bytes, says: str) -> None:
    message = refused(raw).message
    assert says in message


def test_a_refusal_does_not_repeat_the_bodys_content() -> None:
    assert "secret" not in refused(b'{"a":"secret prompt" oops}').message


@st.composite
def objects(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, str]]]:
    """An object's bytes, and its keys and values as written."""
    keys = draw(
        st.lists(st.sampled_from(STRINGS), max_size=6, unique_by=lambda text: json.loads(text))
    )
    pairs = [(key, draw(values)) for key in keys]
    text = draw(spaces) + "{"
    for index, (key, value) in enumerate(pairs):
        text += draw(spaces) + key + draw(spaces) + ":" + draw(spaces) + value + draw(spaces)
        text += "," if index + 1 < len(pairs) else ""
    return (text + draw(spaces) + "}" + draw(spaces)).encode(), pairs


@given(objects())
@settings(max_examples=200)
def test_any_object_is_read_with_exact_spans(case: tuple[bytes, list[tuple[str, str]]]) -> None:
    raw, pairs = case
    body = parsed(raw)
    expected = {json.loads(key): value.encode() for key, value in pairs}
    assert {key: raw[start:end] for key, (start, end) in body.spans.items()} == expected
    assert list(body.value) == list(body.spans)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=5), plain, max_size=5))
@settings(max_examples=150)
def test_the_short_cut_for_compact_bodies_finds_what_the_scan_finds(
    value: dict[str, object],
) -> None:
    raw = orjson.dumps(value)
    body = parsed(raw)
    scanned = {m.key: (m.start, m.end) for m in members(raw)}
    assert body.spans == scanned
    assert body.value == orjson.loads(raw)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_a_refusal(raw: bytes) -> None:
    assert isinstance(parse_object(raw), JsonObject | Refusal)


@given(objects(), st.data())
@settings(max_examples=100)
def test_a_torn_object_is_refused(
    case: tuple[bytes, list[tuple[str, str]]], data: st.DataObject
) -> None:
    raw = case[0].strip()
    cut = data.draw(st.integers(0, len(raw) - 1))
    refused(raw[:cut])
