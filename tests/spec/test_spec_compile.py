"""What a snapshot holds: defaults, units, names and generations."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields

import pytest
from spec_resources import backend, changed, compiled, documents, policy, tier, two_tiers

from tiermesh_spec import Snapshot, compile_resources
from tiermesh_spec.snapshot import (
    AuditContent,
    FallbackOn,
    FallbackOrder,
    Mode,
    OutlierDetection,
    Pin,
    Policy,
    Price,
    Scope,
    SecretKey,
    Tier,
    Timeouts,
    WhenAllEjected,
    content_hash,
)


def only(snapshot: Snapshot) -> Policy:
    (found,) = snapshot.policies
    return found


def only_tier(**spec: object) -> Tier:
    (found,) = only(compiled(tier(**spec), policy(tiers=[{"name": "small"}]))).tiers
    return found


def test_a_policy_with_nothing_but_tiers_has_the_documented_defaults() -> None:
    p = only(compiled(*two_tiers(), policy()))
    assert (p.scope, p.mode, p.selector) == (Scope.NAMESPACE, Mode.ENFORCE, None)
    assert (p.models.route, p.models.direct, p.models.pass_through_tier) == (("*",), (), None)
    assert p.timeouts == Timeouts(
        call_ms=120_000, attempt_ms=60_000, first_byte_ms=20_000, stream_idle_ms=30_000
    )
    assert (p.retry.max_attempts, p.retry.backoff_base_ms, p.retry.backoff_max_ms) == (3, 100, 5000)
    assert p.fallback.on == frozenset(FallbackOn)
    assert p.fallback.order is FallbackOrder.UP
    assert p.entitlements.default_all
    assert p.audit_content is AuditContent.NONE
    assert p.default.pin == Pin(tier="large", fallback=True)


def test_of_equal_ranks_the_first_by_name_is_the_default() -> None:
    p = only(compiled(tier("small"), tier("large"), policy()))
    assert p.default.pin == Pin(tier="large")


def test_a_tier_with_nothing_but_a_backend_has_the_documented_defaults() -> None:
    t = only_tier()
    assert t.outlier_detection == OutlierDetection(
        consecutive_failures=5,
        eject_for_ms=30_000,
        max_eject_for_ms=300_000,
        when_all_ejected=WhenAllEjected.TRY_ONE,
    )
    (b,) = t.backends
    assert (b.priority, b.weight, b.price, b.ca_bundle) == (0, 1, None, None)
    assert (b.credentials.secret, b.credentials.pass_through) == (None, False)
    assert (b.data.region, b.data.classifications, b.data.retention) == (None, (), None)


def test_cached_tokens_cost_the_input_price_unless_said() -> None:
    prices = {"inputPerMillionTokens": "0.15", "outputPerMillionTokens": "0.60"}
    (b,) = only_tier(price=prices).backends
    assert b.price == Price(
        input=150_000, output=600_000, cached_input=150_000, cache_write=150_000
    )
    (b,) = only_tier(price={**prices, "cachedInputPerMillionTokens": "0"}).backends
    assert b.price is not None
    assert (b.price.cached_input, b.price.cache_write) == (0, 150_000)


def test_a_backend_replaces_the_tiers_price_and_data_whole() -> None:
    own = backend(
        price={"inputPerMillionTokens": "1", "outputPerMillionTokens": "2"},
        data={"region": "eu"},
    )
    prices = {
        "inputPerMillionTokens": "3",
        "outputPerMillionTokens": "4",
        "cachedInputPerMillionTokens": "0.5",
    }
    data = {"region": "us", "classifications": ["public"], "retention": "30d"}
    (b,) = only_tier(backends=[own], price=prices, data=data).backends
    assert b.price is not None
    assert b.price.cached_input == 1_000_000
    assert (b.data.region, b.data.classifications, b.data.retention) == ("eu", (), None)


def test_a_secret_is_looked_up_in_the_tiers_namespace() -> None:
    keyed = backend(credentials={"secretRef": {"name": "qwen", "key": "api-key"}})
    shared = tier("small", "models", backends=[keyed], allowedNamespaces={"from": "All"})
    referring = policy(tiers=[{"name": "small", "ref": {"namespace": "models"}}])
    (candidate,) = only(compiled(shared, referring)).tiers
    assert candidate.backends[0].credentials.secret == SecretKey(
        namespace="models", name="qwen", key="api-key"
    )


def test_header_names_are_lower_case() -> None:
    p = only(compiled(*two_tiers(), policy(identity=[{"attribute": "plan", "header": "X-Plan"}])))
    assert p.identity[0].header == "x-plan"


def test_an_empty_selector_is_none_because_it_selects_every_pod() -> None:
    for selector in ({}, {"matchLabels": {}}, {"matchExpressions": []}):
        assert only(compiled(*two_tiers(), policy(selector=selector))).selector is None


def test_an_empty_match_is_none() -> None:
    rules = [{"name": "all", "match": {}, "route": {"pin": {"tier": "small"}}}]
    assert only(compiled(*two_tiers(), policy(rules=rules))).rules[0].match is None


def test_every_kind_of_route_and_condition_arrives() -> None:
    document = policy(
        identity=[{"attribute": "plan", "podLabel": "plan"}],
        signals=[{"name": "complexity", "heuristic": {}}],
        rules=[
            {
                "name": "one",
                "match": {"wantsJSON": True, "endpoints": ["messages"], "models": ["gpt-*"]},
                "when": "caller.plan == 'x' || request.tokens > 5",
                "route": {"pin": {"tier": "small", "fallback": "None"}},
            },
            {"name": "two", "route": {"weighted": {"tiers": [{"tier": "small", "weight": 9}]}}},
            {
                "name": "three",
                "route": {
                    "threshold": {
                        "signal": "complexity",
                        "bands": [{"below": "0.35", "tier": "small"}, {"tier": "large"}],
                        "onAbstain": "small",
                    }
                },
            },
        ],
        fallback={"order": "Listed", "tiers": ["large"], "on": ["Timeout"]},
    )
    p = only(compiled(*two_tiers(), document))
    one, two, three = p.rules
    assert one.match is not None
    assert (one.match.wants_json, one.match.stream) == (True, None)
    assert (one.match.endpoints, one.match.models) == (("messages",), ("gpt-*",))
    assert one.when is not None
    assert one.when.names == ("caller.plan", "request.tokens")
    assert one.route.pin == Pin(tier="small", fallback=False)
    assert two.route.weighted is not None
    assert [(t.tier, t.weight) for t in two.route.weighted.tiers] == [("small", 9)]
    assert three.route.threshold is not None
    assert [(b.below, b.tier) for b in three.route.threshold.bands] == [
        (0.35, "small"),
        (None, "large"),
    ]
    assert three.route.threshold.on_abstain == "small"
    assert (p.fallback.order, p.fallback.tiers) == (FallbackOrder.LISTED, ("large",))


def test_constraints_and_grants_arrive_with_their_conditions() -> None:
    document = policy(
        constraints=[
            {
                "name": "eu",
                "when": "caller.dataClass == 'restricted'",
                "regions": ["eu"],
                "classifications": ["restricted"],
                "retention": ["None"],
            },
            {"name": "safe", "match": {"steps": ["check"]}, "neverBelow": "large"},
        ],
        entitlements={
            "default": "None",
            "grants": [{"name": "g", "match": {"tasks": ["t"]}, "tiers": ["small"]}],
        },
    )
    p = only(compiled(*two_tiers(), document))
    eu, safe = p.constraints
    assert (eu.regions, eu.classifications, eu.retention) == (("eu",), ("restricted",), ("None",))
    assert safe.never_below == "large"
    assert safe.match is not None
    assert safe.match.steps == ("check",)
    assert not p.entitlements.default_all
    assert p.entitlements.grants[0].tiers == ("small",)


def test_a_file_has_its_contents_hash_for_a_generation() -> None:
    document = policy()
    generation = only(compiled(*two_tiers(), document)).generation
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert generation == hashlib.sha256(canonical.encode()).hexdigest()[:8]
    reordered = dict(reversed(list(document.items())))
    assert only(compiled(*two_tiers(), reordered)).generation == generation
    other = changed(document, "spec", "mode", to="Observe")
    assert only(compiled(*two_tiers(), other)).generation != generation


def test_an_object_of_a_cluster_has_the_clusters_generation_and_age() -> None:
    document = policy()
    document["metadata"] |= {"generation": 7, "creationTimestamp": "2026-01-02T03:04:05Z"}
    p = only(compiled(*two_tiers(), document))
    assert (p.generation, p.created) == ("7", "2026-01-02T03:04:05Z")
    assert p.label == "shop/checkout@7"


def test_a_resource_without_a_namespace_is_in_default() -> None:
    documents = [changed(d, "metadata", "namespace", to=...) for d in (*two_tiers(), policy())]
    assert only(compiled(*documents)).namespace == "default"


def test_epoch_and_revision_are_the_writers() -> None:
    result = compile_resources(documents([tier()]), epoch="2026-01-02T00:00:00Z", revision=4)
    assert isinstance(result, Snapshot)
    assert (result.epoch, result.revision) == ("2026-01-02T00:00:00Z", 4)


def test_the_order_of_documents_does_not_change_the_hash() -> None:
    resources = [*two_tiers(), policy("a"), policy("b")]
    assert content_hash(compiled(*resources)) == content_hash(compiled(*reversed(resources)))


@pytest.mark.parametrize("name", ["a", "b"])
def test_every_policy_of_the_files_is_in_the_snapshot(name: str) -> None:
    snapshot = compiled(*two_tiers(), policy("b"), policy("a"))
    assert name in {p.name for p in snapshot.policies}


def test_every_field_of_a_tier_arrives() -> None:
    """A field that compile() forgets would keep its default here."""
    t = only_tier(
        aliases=["a"],
        capabilities=["Tools", "JSONSchema"],
        contextWindow=100,
        maxOutputTokens=50,
        outlierDetection={
            "consecutiveFailures": 2,
            "ejectFor": "1s",
            "maxEjectFor": "2s",
            "whenAllEjected": "Fail",
        },
        backends=[
            backend(
                provider="Anthropic",
                credentials={"passThrough": {}},
                priority=1,
                weight=2,
            )
        ],
    )
    assert (t.rank, t.aliases, t.context_window, t.max_output_tokens) == (10, ("a",), 100, 50)
    assert t.capabilities == frozenset({"Tools", "JSONSchema"})
    assert [getattr(t.outlier_detection, f.name) for f in fields(OutlierDetection)] == [
        2,
        1000,
        2000,
        WhenAllEjected.FAIL,
    ]
    (b,) = t.backends
    assert (b.name, b.provider, b.model) == ("one", "Anthropic", "model-1")
    assert (b.priority, b.weight, b.credentials.pass_through) == (1, 2, True)
    assert b.url == "http://one.models.svc:8000/v1"
