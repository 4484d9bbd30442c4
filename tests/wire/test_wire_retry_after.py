"""How long a provider asks to be left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.wire.retry_after import retry_after_ms

NOW = 784_111_767.0  # Sun, 06 Nov 1994 08:49:27 GMT


def asked(**headers: str) -> int | None:
    raw = [(k.replace("_", "-").title().encode(), v.encode()) for k, v in headers.items()]
    return retry_after_ms(raw, NOW)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", 3000),
        (" 3 ", 3000),
        ("0", 0),
        ("1.1", 1100),
        ("0.0001", 1),
        (".5", 500),
        ("-5", 0),
        ("+2", 2000),
        ("120", 120_000),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 10_000),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 10_000),
        ("Sun Nov  6 08:49:37 1994", 10_000),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
        ("Sat, 31 Dec 1994 23:59:60 GMT", 4_806_632_000),
    ],
)
def test_seconds_and_all_three_date_formats_are_read(value: str, expected: int) -> None:
    assert asked(retry_after=value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", "soon", "inf", "nan", "1e9", "1,5", "0x10", "٣", "1 2", "-", ".", "9" * 400,
        "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994",
        "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 PST",
    ],
)  # fmt: skip
def test_garbage_is_ignored(value: str) -> None:
    assert asked(retry_after=value) is None
    assert asked(retry_after_ms=value, retry_after="2") == 2000


def test_milliseconds_beat_seconds() -> None:
    assert asked(retry_after_ms="250", retry_after="9") == 250
    assert asked(retry_after="9", retry_after_ms="250.2") == 251
    assert asked(retry_after_ms="-1", retry_after="9") == 0


def test_silence_is_none_and_the_first_of_several_counts() -> None:
    assert retry_after_ms([(b"date", b"x")], NOW) is None
    assert retry_after_ms([(b"retry-after", b"1"), (b"Retry-After", b"9")], NOW) == 1000


def test_a_year_of_two_digits_far_ahead_is_of_the_past_century() -> None:
    assert asked(retry_after="Sunday, 06-Nov-60 08:49:37 GMT") == 0
    ahead = asked(retry_after="Sunday, 06-Nov-40 08:49:37 GMT")
    assert ahead is not None
    assert ahead > 0


@given(st.binary(max_size=40), st.floats(0, 4e9))
def test_no_bytes_raise_and_no_wait_is_negative(value: bytes, now: float) -> None:
    found = retry_after_ms([(b"retry-after", value)], now)
    assert found is None or found >= 0
