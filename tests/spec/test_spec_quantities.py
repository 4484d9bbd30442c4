"""Quantities convert exactly, and what is none is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiermesh_spec.quantities import milliseconds, picodollars_per_token, score


@pytest.mark.parametrize(
    ("text", "expected"),
    [("300ms", 300), ("2s", 2000), ("5m", 300_000), ("1h", 3_600_000), ("1h30m", 5_400_000)],
)
def test_a_duration_is_its_milliseconds(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5 s", "1d", "-1s", "1.5s", "1s\n", "123456s", "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        milliseconds(text)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 999_999), st.integers(0, 999_999))
def test_a_price_keeps_every_digit(dollars: int, millionths: int) -> None:
    text = f"{dollars}.{millionths:06}"
    assert Decimal(picodollars_per_token(text)) / 1_000_000 == Decimal(text)


@pytest.mark.parametrize("text", ["", ".5", "1.", "0.1234567", "1e3", "-1", "1 ", "NaN"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a price"):
        picodollars_per_token(text)


def test_the_smallest_price_is_one_picodollar_per_token() -> None:
    assert picodollars_per_token("0.000001") == 1


@pytest.mark.parametrize(("text", "expected"), [("0", 0.0), ("0.35", 0.35), ("1.0", 1.0)])
def test_a_score_is_its_number(text: str, expected: float) -> None:
    assert score(text) == expected


@pytest.mark.parametrize("text", ["1.1", "-0.1", "00.5", ".5", "0.1234567", "2"])
def test_a_number_outside_zero_to_one_is_no_score(text: str) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        score(text)
