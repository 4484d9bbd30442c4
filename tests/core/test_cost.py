"""Money: exact integers, every token charged once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_makers import backend, policy, tier

from tiermesh_sidecar.core.cost import cost, dollars, top_tier_cost, total_cost
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_spec.snapshot import PICODOLLARS, Price

PRICE = Price(input=100, output=1000, cached_input=10, cache_write=200)
counts = st.integers(min_value=0, max_value=10**7)


@pytest.mark.parametrize(
    ("usage", "picodollars"),
    [
        (Usage(), 0),
        (Usage(input=3, output=2), 2300),
        (Usage(input=10, cached_input=4), 640),
        (Usage(input=10, cached_input=4, cache_write=5), 1140),
        (Usage(input=10, cached_input=25), 100),
        (Usage(input=10, cached_input=4, cache_write=9), 1240),
    ],
    ids=[
        "nothing used costs nothing",
        "input and output",
        "cached tokens are part of the input",
        "cache-writing tokens too",
        "more cached tokens than input are held to the input",
        "and so are cache-writing ones",
    ],
)
def test_each_token_is_charged_once_at_its_own_price(usage: Usage, picodollars: int) -> None:
    assert cost(usage, PRICE) == picodollars


def test_a_backend_without_a_price_costs_an_unknown_amount_not_zero() -> None:
    assert cost(Usage(input=1), None) is None


@given(counts, counts, counts)
def test_input_is_never_counted_twice(read: int, cached: int, written: int) -> None:
    flat = Price(input=7, output=0, cached_input=7, cache_write=7)
    usage = Usage(input=read, cached_input=cached, cache_write=written)
    assert cost(usage, flat) == 7 * read


@pytest.mark.parametrize(
    ("picodollars", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (123_000_000, "0.000123"),
        (PICODOLLARS, "1"),
        (12 * PICODOLLARS + PICODOLLARS // 2, "12.5"),
        (-PICODOLLARS // 4, "-0.25"),
    ],
)
def test_dollars_are_plain_and_trimmed(picodollars: int, text: str) -> None:
    assert dollars(picodollars) == text


@given(st.integers(min_value=-(10**24), max_value=10**24))
def test_dollars_are_exact(picodollars: int) -> None:
    assert Decimal(dollars(picodollars)).scaleb(12) == Decimal(picodollars)


def test_the_top_tier_is_the_highest_rank_at_its_first_backends_price() -> None:
    cheap, dear = backend(price=PRICE), Price(input=900, output=900, cached_input=9, cache_write=9)
    tiers = (
        tier("large", 30, backend("spare", priority=1), backend("main", price=dear)),
        tier("small", 10, cheap),
    )
    assert top_tier_cost(policy(tiers=tiers), Usage(input=1, output=1)) == 1800


def test_without_a_price_there_the_top_tiers_cost_is_unknown() -> None:
    assert top_tier_cost(policy(tiers=(tier("large", 30, backend()),)), Usage(input=1)) is None


@pytest.mark.parametrize(
    ("attempts", "total"),
    [
        ([], 0),
        ([(Usage(input=1), 7, True)], 7),
        ([(None, None, False), (Usage(input=1), 7, True)], 7),
        ([(Usage(input=1), 3, False), (Usage(input=1), 7, True)], 10),
        ([(None, None, True)], None),
        ([(Usage(input=1), None, False), (Usage(input=1), 7, True)], None),
    ],
)
def test_failed_attempts_without_usage_are_free_and_unpriced_answers_are_unknown(
    attempts: list[tuple[Usage | None, int | None, bool]], total: int | None
) -> None:
    assert total_cost(attempts) == total
