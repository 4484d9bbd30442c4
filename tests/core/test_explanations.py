"""Explanations name the grant, constraint or limit at fault."""

from __future__ import annotations

import pytest
from policy_makers import (
    active,
    backend,
    caller,
    constraint,
    decided,
    fallback,
    features,
    grant,
    grants,
    models,
    pin,
    policy,
    rule,
    threshold,
    tier,
    weighted,
    when,
)

from tiermesh_sidecar.core.decide import conclude, examine
from tiermesh_sidecar.core.explanations import explained
from tiermesh_sidecar.core.features import Capability, Dialect, Endpoint, Features
from tiermesh_sidecar.core.question import Question
from tiermesh_sidecar.core.state import StateView
from tiermesh_spec.snapshot import FallbackOrder, Mode, Policy, Provider, WhenAllEjected

ONE = (tier("one", 10, backend(region="us")),)
BOTH_DIALECTS = (backend("o"), backend("a", provider=Provider.ANTHROPIC, region="us"))
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
            features(dialect=Dialect.ANTHROPIC),
            policy(
                tiers=(tier("one", 10, *BOTH_DIALECTS),),
                constraints=(constraint("law", regions=("eu",)),),
            ),
            "one: region (constraint law asks for eu), its other backends do not speak the"
            " Anthropic API.",
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
        "region of one backend, dialect of the other",
        "window",
        "floor",
    ],
)
def test_what_a_tier_lacks(call: Features, given: Policy, text: str) -> None:
    refusal = decided(call, given).refusal
    assert refusal is not None
    assert text in refusal.message


def words(
    call: Features, given: Policy, *, score: float | None = None, ejected: str | None = None
) -> dict[str, str]:
    prepared = active(given)
    view = StateView(ejected=frozenset({f"models/{ejected}/b"} if ejected else ()))
    question = Question(call, prepared.signals, {"complexity": score})
    case = examine(question, prepared, view, 1)
    decision, choice = conclude(case)
    return dict(explained(decision, case, choice))


BANDS = threshold((0.35, "small"), (0.7, "medium"), (None, "large"))
NO_FALLBACK = fallback(FallbackOrder.NONE)
ELSEWHERE = "the route leads elsewhere"
UPPER = (("medium", 20), ("large", 30))


@pytest.mark.parametrize(
    ("score", "tier_name", "ground"),
    [
        (0.1, "small", "rule rest: complexity 0.100 is below 0.35"),
        (0.35, "medium", "rule rest: complexity 0.350 is below 0.7"),
        (0.7, "large", "rule rest: complexity 0.700 is 0.7 or more"),
        (None, "large", "the highest rank that may take the call (rule rest: complexity abstains)"),
    ],
)
def test_a_threshold_names_the_score_and_the_bound(
    score: float | None, tier_name: str, ground: str
) -> None:
    given = policy(rule("rest", BANDS), fallback=NO_FALLBACK)
    assert words(features(), given, score=score)[tier_name] == ground


def test_one_band_has_no_bound_to_name() -> None:
    given = policy(default=threshold((None, "small")))
    assert words(features(), given, score=0.2)["small"] == "default route: complexity 0.200"


def test_a_replacement_says_whose_place_it_takes_and_why_that_one_fell() -> None:
    given = policy(
        rule("rest", BANDS),
        tiers=(tier("small", 10), *(tier(n, r, capabilities=["Vision"]) for n, r in UPPER)),
    )
    assert words(features(needs=(Capability.VISION,)), given, score=0.1) == {
        "small": "lacks Vision",
        "medium": "in place of small (rule rest: complexity 0.100 is below 0.35)",
        "large": "tried if medium fails",
    }


def test_a_lot_names_the_share_and_the_others_are_eligible() -> None:
    given = policy(default=weighted(small=1, large=9), fallback=NO_FALLBACK)
    assert words(features(), given) == {
        "small": "may take the call, and the plan does without it",
        "medium": ELSEWHERE,
        "large": "default route: drawn by lot, large has 9 of 10",
    }


def test_a_pin_is_a_rule_s_or_the_caller_s() -> None:
    given = policy(rule("steps", pin("small")), fallback=NO_FALLBACK)
    assert words(features(), given)["small"] == "rule steps: always small"
    named = words(features(model="medium"), given)
    assert named == {
        "small": ELSEWHERE,
        "medium": "the caller asked for medium",
        "large": ELSEWHERE,
    }


def test_where_the_name_leads_nowhere_no_tier_has_it() -> None:
    given = policy(models=models("only"))
    assert set(words(features(model="else"), given).values()) == {
        "the name asked for leads elsewhere"
    }


def test_paths_that_are_not_routed_have_their_tier() -> None:
    given = policy(models=models("*", pass_through="large"))
    assert words(features(endpoint=Endpoint.OTHER), given) == {
        "small": "is not the tier for paths that are not routed",
        "medium": "is not the tier for paths that are not routed",
        "large": "the tier for paths that are not routed",
    }


def test_baseline_takes_the_highest_rank() -> None:
    assert words(features(), policy(mode=Mode.BASELINE))["large"] == (
        "the highest rank that may take the call (mode Baseline)"
    )


def test_a_try_at_ejected_backends_is_called_one() -> None:
    given = policy(default=pin("small", fallback=False))
    assert words(features(), given, ejected="small")["small"] == (
        "default route: always small; one try, since all of its backends are ejected"
    )
    steered = policy(default=pin("small"))
    assert words(features(), steered, ejected="small")["small"] == ("ejected after failures: b")


def test_a_missing_key_is_told_from_an_ejection() -> None:
    pair = (tier("one", 10, backend("a"), backend("b")),)
    refusal = decided(
        features(), policy(tiers=pair), keyless=["one/a"], ejected=["one/b", "one/a"]
    ).refusal
    assert refusal is None, "b may be tried"
    refusal = decided(features(), policy(tiers=pair), keyless=["one/a", "one/b"]).refusal
    assert refusal is not None
    assert "one: without a key: a, b." in refusal.message
    strict = (tier("one", 10, backend("a"), backend("b"), when_all_ejected=WhenAllEjected.FAIL),)
    refusal = decided(
        features(), policy(tiers=strict), keyless=["one/a"], ejected=["one/b"]
    ).refusal
    assert refusal is not None
    assert "one: without a key: a, ejected after failures: b." in refusal.message
