"""What tokens cost, in whole picodollars: sums stay exact, and only `dollars` makes text of them.

It knows nothing of providers or answers; `wire` reads usage, the shell settles what these return.
"""

from __future__ import annotations

from collections.abc import Iterable

from tiermesh_sidecar.core.outcome import Usage
from tiermesh_spec.snapshot import PICODOLLARS, Policy, Price

_DIGITS = len(str(PICODOLLARS)) - 1


def cost(usage: Usage, price: Price | None) -> int | None:
    """Picodollars that these tokens cost at this price; None where there is no price.

    `usage.input` contains the cached and the cache-writing tokens, so each token is charged once,
    at its own price. A provider that reports more of them than input tokens is held to its input.
    """
    if price is None:
        return None
    cached = min(usage.cached_input, usage.input)
    written = min(usage.cache_write, usage.input - cached)
    return (
        (usage.input - cached - written) * price.input
        + cached * price.cached_input
        + written * price.cache_write
        + usage.output * price.output
    )


def dollars(picodollars: int) -> str:
    """US dollars as a plain decimal string, exact, without exponent or trailing zeros."""
    sign = "-" if picodollars < 0 else ""
    whole, rest = divmod(abs(picodollars), PICODOLLARS)
    fraction = f"{rest:0{_DIGITS}d}".rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def total_cost(bought: Iterable[tuple[Usage | None, int | None, bool]]) -> int | None:
    """Picodollars of several attempts: `(usage, cost, succeeded)` each.

    None where an answer was bought at a price that nobody told. An attempt that failed without
    usage is free: providers do not bill their errors.
    """
    total = 0
    for usage, price, succeeded in bought:
        if price is not None:
            total += price
        elif usage is not None or succeeded:
            return None
    return total


def top_tier_cost(policy: Policy, usage: Usage) -> int | None:
    """Picodollars for the same tokens at the policy's highest-ranked tier: what was not spent.

    Of several backends the first by priority sets the price; None where that one has none.
    """
    top = min(policy.tiers, key=lambda tier: (-tier.rank, tier.name))
    return cost(usage, min(top.backends, key=lambda backend: backend.priority).price)
