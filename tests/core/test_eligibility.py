"""Rights: every check for every tier and backend, one reason first."""

from __future__ import annotations

import pytest
from policy_makers import (
    backend,
    code,
    constraint,
    decided,
    features,
    grant,
    grants,
    models,
    pin,
    policy,
    reasons,
    steps,
    tier,
)

from tiermesh_sidecar.core.features import Capability, Dialect, Endpoint, Features
from tiermesh_spec.snapshot import Constraint, Provider, Tier

TOOLS = (Capability.TOOLS,)
EU = backend("eu", region="eu", classifications=("a",), retention="None")
US = backend("us", region="us", classifications=("a",), retention="None", priority=1)
LAX = backend("lax", region="eu", classifications=("a",), retention="30d", priority=2)


def reason(one: Tier, call: Features, *constraints: Constraint) -> str:
    """The reasons of a tier beside one that can serve anything."""
    rest = tier(
        "rest",
        99,
        backend("o", region="eu", classifications=("a",), retention="None"),
        backend("c", provider=Provider.ANTHROPIC, region="eu", classifications=("a",)),
        capabilities=tuple(Capability),
    )
    given = policy(tiers=(one, rest), constraints=constraints, default=pin(one.name))
    return reasons(decided(call, given))[one.name]


@pytest.mark.parametrize(
    ("window", "longest", "tokens", "asked", "expected"),
    [
        (None, None, 10**9, None, "Chosen"),
        (100, None, 100, None, "Chosen"),
        (100, None, 101, None, "ContextWindow"),
        (100, None, 60, 40, "Chosen"),
        (100, None, 60, 41, "ContextWindow"),
        (None, 50, 60, 50, "Chosen"),
        (None, 50, 60, 51, "ContextWindow"),
        (100, 50, 60, None, "Chosen"),
    ],
    ids=[
        "no window, no limit",
        "input that just fits",
        "input that does not",
        "input and output that just fit",
        "input and output that do not",
        "output that the model can give",
        "output that it cannot",
        "a silent caller asks for no output",
    ],
)
def test_the_context_window(
    window: int | None, longest: int | None, tokens: int, asked: int | None, expected: str
) -> None:
    one = tier("one", 10, context_window=window, max_output_tokens=longest)
    assert reason(one, features(tokens=tokens, max_tokens=asked)) == expected


def test_a_tier_needs_every_capability() -> None:
    call = features(needs=(Capability.TOOLS, Capability.VISION))
    assert reason(tier("one", 10, capabilities=["Tools"]), call) == "Capability"
    assert reason(tier("one", 10, capabilities=["Tools", "Vision"]), call) == "Chosen"


def test_a_backend_of_another_dialect_is_out() -> None:
    one = tier("one", 10, backend(provider=Provider.ANTHROPIC))
    assert reason(one, features()) == "Capability"
    assert reason(one, features(dialect=Dialect.ANTHROPIC)) == "Chosen"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (constraint(regions=("eu",)), ["one/eu", "one/lax"]),
        (constraint(regions=("eu", "us"), retention=("None",)), ["one/eu", "one/us"]),
        (constraint(classifications=("a",)), ["one/eu", "one/us", "one/lax"]),
    ],
)
def test_rights_to_data_are_checked_backend_by_backend(given: Constraint, kept: list[str]) -> None:
    decision = decided(
        features(), policy(tiers=(tier("one", 1, EU, US, LAX),), constraints=(given,))
    )
    assert steps(decision) == kept


@pytest.mark.parametrize(
    ("one", "constraints", "expected"),
    [
        (tier("one", 1, US), [constraint(regions=("eu",))], "Region"),
        (
            tier("one", 1, US, LAX),
            [constraint(regions=("eu",), retention=("None",))],
            "Region Retention",
        ),
        (
            tier("one", 1, US),
            [constraint(regions=("eu",)), constraint("b", regions=("us",))],
            "Region",
        ),
        (tier("one", 1), [constraint(classifications=("a",), regions=("eu",))], "DataClass Region"),
        (
            tier("one", 1, US, backend("c", provider=Provider.ANTHROPIC, region="eu")),
            [constraint(regions=("eu",))],
            "Region Capability",
        ),
    ],
    ids=[
        "its only backend falls",
        "its backends fall for different rights",
        "two constraints that nobody can meet together",
        "absent data fails",
        "one falls for its region, the other for its dialect",
    ],
)
def test_a_tier_falls_when_all_its_backends_do(
    one: Tier, constraints: list[Constraint], expected: str
) -> None:
    given = policy(tiers=(one,), constraints=tuple(constraints))
    assert reasons(decided(features(), given))["one"] == expected


def test_never_below_rejects_lower_ranks_only() -> None:
    given = policy(constraints=(constraint(never_below="medium"),))
    assert reasons(decided(features(), given)) == {
        "small": "NeverBelow NotInRoute",
        "medium": "NotInRoute",
        "large": "Chosen",
    }


def test_every_reason_is_told_by_precedence() -> None:
    one = tier("one", 10, US, context_window=5)
    given = policy(
        tiers=(one, tier("two", 20)),
        default=pin(one.name),
        entitlements=grants(grant("g", "two")),
        constraints=(constraint(regions=("eu",), never_below="two", retention=("0",)),),
    )
    decision = decided(features(needs=TOOLS), given, ejected=["one/us"])
    assert reasons(decision)["one"] == (
        "NotEntitled Region Retention NeverBelow ContextWindow Capability"
    )


def test_an_unhealthy_tier_that_lacks_a_right_says_both() -> None:
    given = policy(tiers=(tier("one", 10), tier("two", 20)), entitlements=grants(grant("g", "two")))
    decision = decided(features(), given, ejected=["one/b"])
    assert reasons(decision)["one"] == "NotEntitled Unhealthy NotInRoute"


def test_a_path_that_is_passed_through_is_not_measured() -> None:
    one = tier("one", 10, backend(provider=Provider.ANTHROPIC), context_window=1)
    given = policy(tiers=(one,), models=models("*", pass_through="one"))
    call = features(endpoint=Endpoint.OTHER, needs=TOOLS, tokens=100)
    assert steps(decided(call, given)) == ["one/b"]


def test_rights_that_can_be_known_hold_there_too() -> None:
    given = policy(
        models=models("*", pass_through="small"), constraints=(constraint(never_below="large"),)
    )
    assert code(decided(features(endpoint=Endpoint.OTHER), given)) == "not_permitted"
