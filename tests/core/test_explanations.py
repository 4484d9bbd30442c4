"""Explanations name the grant, constraint or limit at fault."""

from __future__ import annotations

import pytest
from policy_makers import (
    backend,
    caller,
    constraint,
    decided,
    features,
    grant,
    grants,
    policy,
    tier,
    when,
)

from tiermesh_sidecar.core.features import Capability, Dialect, Features
from tiermesh_spec.snapshot import Policy

ONE = (tier("one", 10, backend(region="us")),)
BROKEN = grant("broken", "one", when=when("request.tokens / request.maxTokens > 0"))
NEVER = grant("other", "two", when=when('caller.plan == "free"'))
TWO = (*ONE, tier("two", 20, max_output_tokens=5))
FREE = caller(plan="free")


@pytest.mark.parametrize(
    ("call", "given", "text"),
    [
        (
            features(),
            policy(tiers=ONE, entitlements=grants(default_all=False)),
            "one: not entitled (no grant holds for this caller)",
        ),
        (
            features(),
            policy(tiers=ONE, entitlements=grants(BROKEN)),
            "one: not entitled (could not be evaluated: grant broken)",
        ),
        (
            features(max_tokens=9, caller=FREE),
            policy(tiers=TWO, entitlements=grants(NEVER)),
            "one: not entitled (grant other gives two);"
            " two: 9 output tokens asked for, at most 5 given.",
        ),
        (
            features(),
            policy(tiers=ONE, entitlements=grants(grant("nothing"))),
            "one: not entitled (grant nothing gives no tier)",
        ),
        (
            features(),
            policy(
                tiers=ONE,
                constraints=(
                    constraint("data", classifications=("b", "a")),
                    constraint("place", regions=("eu", "uk"), retention=("None",)),
                    constraint("law", regions=("eu",)),
                ),
            ),
            "one: data class (constraint data asks for a, b), region (constraint place asks for"
            " eu, uk; law asks for eu), retention (constraint place asks for None).",
        ),
        (
            features(needs=(Capability.VISION, Capability.TOOLS)),
            policy(tiers=ONE),
            "one: lacks Tools, Vision.",
        ),
        (
            features(dialect=Dialect.ANTHROPIC),
            policy(tiers=ONE),
            "one: has no backend for this call that speaks the Anthropic API.",
        ),
        (
            features(tokens=90, max_tokens=20),
            policy(tiers=(tier("one", 10, context_window=100),)),
            "one: about 90 input and 20 output tokens, more than its window of 100.",
        ),
        (
            features(needs=(Capability.TOOLS,)),
            policy(
                tiers=(*ONE, tier("top", 20)),
                constraints=(constraint("floor", never_below="top"), constraint("none")),
            ),
            "one: rank too low (constraint floor asks for top or above), lacks Tools;"
            " top: lacks Tools.",
        ),
    ],
    ids=[
        "no grant holds",
        "a grant failed",
        "a grant gives another tier, which cannot answer so long",
        "a grant of nothing",
        "data",
        "capabilities",
        "dialect",
        "window",
        "floor",
    ],
)
def test_what_a_tier_lacks(call: Features, given: Policy, text: str) -> None:
    refusal = decided(call, given).refusal
    assert refusal is not None
    assert text in refusal.message
