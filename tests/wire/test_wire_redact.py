"""Provider keys in errors."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.wire.redact import redact

KEY = b"sk-proj-abc_DEF-123"


def test_a_key_is_taken_out_wherever_it_stands() -> None:
    data = b'{"error":{"message":"Incorrect API key provided: %b. %b"}}' % (KEY, KEY)
    assert redact(data, [KEY]) == data.replace(KEY, b"[redacted]")


def test_without_a_key_the_bytes_are_untouched() -> None:
    data = b"\xff\x00 sk-proj-abc"
    assert redact(data, [KEY]) is data
    assert redact(data, []) is data
    assert redact(data, [b""]) is data


def test_a_key_that_contains_another_goes_whole() -> None:
    assert redact(b"x abc-def abc", [b"abc", b"abc-def"]) == b"x [redacted] [redacted]"


@pytest.mark.parametrize(
    "escaped",
    [
        rb"a\/b+c=\"d\\e&<'",
        rb"a/b+c=\"d\\e\u0026\u003c'",
        rb"a/b+c=\"d\\e\u0026\u003C'",
        rb"a\u002fb\u002bc\u003d\"d\\e\u0026\u003c\u0027",
        rb"a\u002Fb\u002Bc\u003D\"d\\e\u0026\u003C\u0027",
        b"".join(rb"\u%04x" % byte for byte in b"a/b+c=\"d\\e&<'"),
    ],
)
def test_a_key_in_json_escapes_is_found(escaped: bytes) -> None:
    key = b"a/b+c=\"d\\e&<'"
    assert json.loads(b'"' + escaped + b'"').encode() == key
    assert redact(b'{"m":"' + escaped + b'"}', [key]) == b'{"m":"[redacted]"}'


printable = st.characters(min_codepoint=33, max_codepoint=126)


@given(st.text(printable, min_size=8).map("sk-".__add__), st.text(printable))
def test_no_plain_encoder_hides_a_key(key: str, around: str) -> None:
    value = {"m": around + key + around}
    for data in (orjson.dumps(value), json.dumps(value).encode()):
        assert key not in json.loads(redact(data, [key.encode()]))["m"]
