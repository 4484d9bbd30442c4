"""Every problem names its file, document, path, value and fix; all are reported at once."""

from __future__ import annotations

from typing import Any

import pytest
from spec_resources import API, backend, changed, compiled, policy, refused, tier, two_tiers

from tiermesh_spec import Document, Problems, compile_resources
from tiermesh_spec.problems import closest, path_text, shown

BAND = {"below": "0.5", "tier": "small"}
REST = {"tier": "large"}


def threshold(*bands: object, **fields: object) -> dict[str, object]:
    return {"threshold": {"signal": "complexity", "bands": list(bands), **fields}}


def rule(route: object, **fields: object) -> list[dict[str, object]]:
    return [{"name": "one", "route": route, **fields}]


PIN = {"pin": {"tier": "small"}}

# path within spec, value put there, path of the problem, value shown, part of message, part of fix
TIER_CASES: list[tuple[tuple[str | int, ...], Any, str, str, str, str]] = [
    (("rank",), "10", "spec.rank", "10", "whole number", "without quotes"),
    (("rank",), True, "spec.rank", "true", "whole number", "without quotes"),
    (("rank",), -1, "spec.rank", "-1", "too small", "at least 0"),
    (("rank",), None, "spec.rank", "null", "no value", "remove the line"),
    (("rank",), ..., "spec.rank", "", "`rank` is missing", "add `rank`"),
    (("alias",), ["x"], "spec.alias", "alias", "not supported by this version", "`aliases`"),
    (("limits",), {}, "spec.limits", "limits", "not supported by this version", "known fields"),
    (("aliases",), "x", "spec.aliases", "x", "not a list", "list"),
    (("aliases",), ["auto"], "spec.aliases[0]", "auto", "to be routed", "another name"),
    (("aliases",), ["a b"], "spec.aliases[0]", "a b", "not a model's name", "without spaces"),
    (("aliases",), ["a", "a"], "spec.aliases[1]", "a", "twice", "remove it"),
    (("aliases",), ["a", None], "spec.aliases[1]", "null", "no value", "give it a value"),
    (("aliases",), [f"a{i}" for i in range(17)], "spec.aliases", "a list", "17 items", "most 16"),
    (
        ("price",),
        {"inputPerMillionTokens": 0.15, "outputPerMillionTokens": "1"},
        "spec.price.inputPerMillionTokens",
        "0.15",
        "is a number, not text",
        "put it in quotes",
    ),
    (
        ("price",),
        {"inputPerMillionTokens": "0.1234567", "outputPerMillionTokens": "1"},
        "spec.price.inputPerMillionTokens",
        "0.1234567",
        "not a price",
        "six decimals",
    ),
    (("capabilities",), ["Tool"], "spec.capabilities[0]", "Tool", "not one of", "`Tools`"),
    (("contextWindow",), 0, "spec.contextWindow", "0", "too small", "at least 1"),
    (("contextWindow",), 1.5, "spec.contextWindow", "1.5", "whole number", "whole number"),
    (("data",), {"region": "eu west"}, "spec.data.region", "eu west", "plain word", "letters"),
    (("data",), [], "spec.data", "a list", "not an object", "named fields"),
    (
        ("outlierDetection",),
        {"ejectFor": "10m"},
        "spec.outlierDetection.ejectFor",
        "10m",
        "must not be longer",
        "raise `maxEjectFor`",
    ),
    (
        ("outlierDetection",),
        {"ejectFor": "0s"},
        "spec.outlierDetection.ejectFor",
        "0s",
        "no time",
        "1ms",
    ),
    (
        ("outlierDetection",),
        {"maxEjectFor": "25h"},
        "spec.outlierDetection.maxEjectFor",
        "25h",
        "longer than a day",
        "24h",
    ),
    (
        ("allowedNamespaces",),
        {"from": "Selector"},
        "spec.allowedNamespaces",
        "",
        "`selector` goes with `from: Selector`",
        "or neither",
    ),
    (
        ("allowedNamespaces",),
        {"selector": {}},
        "spec.allowedNamespaces.selector",
        "an object",
        "only with it",
        "or neither",
    ),
    (
        ("allowedNamespaces",),
        {
            "from": "Selector",
            "selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
        },
        "spec.allowedNamespaces.selector.matchExpressions[0].values",
        "a list",
        "goes with `In` and `NotIn`",
        "leave them out",
    ),
    (("backends",), [], "spec.backends", "a list", "0 items", "at least 1"),
    (("backends",), {}, "spec.backends", "an object", "not a list", "list"),
    (
        ("backends",),
        [backend(), backend()],
        "spec.backends[1].name",
        "one",
        "in backends twice",
        "each name is unique",
    ),
    (("backends", 0, "name"), "One", "spec.backends[0].name", "One", "not a name", "lower-case"),
    (
        ("backends", 0, "provider"),
        "openai",
        "spec.backends[0].provider",
        "openai",
        "not one of OpenAI, Anthropic",
        "`OpenAI`",
    ),
    (("backends", 0, "model"), 4, "spec.backends[0].model", "4", "number, not text", "quotes"),
    (
        ("backends", 0, "model"),
        "a\ud800",
        "spec.backends[0].model",
        "a\\ud800",
        "control characters",
        "remove",
    ),
    (("backends", 0, "weight"), 0, "spec.backends[0].weight", "0", "too small", "at least 1"),
    (
        ("backends", 0, "target"),
        {},
        "spec.backends[0].target",
        "",
        "`url` must be set",
        "add `url`",
    ),
    (
        ("backends", 0, "target"),
        {"url": "http://me:pw@x/v1"},
        "spec.backends[0].target.url",
        "http://(hidden)@x/v1",
        "carries credentials",
        "secretRef",
    ),
    (
        ("backends", 0, "target"),
        {"url": "http://x/v1", "caBundle": "QQ=="},
        "spec.backends[0].target.caBundle",
        "QQ==",
        "is for https",
        "use an https address",
    ),
    (
        ("backends", 0, "credentials"),
        {},
        "spec.backends[0].credentials",
        "",
        "exactly one of",
        "set one of",
    ),
    (
        ("backends", 0, "credentials"),
        {"none": {}, "passThrough": {}},
        "spec.backends[0].credentials",
        "",
        "exactly one of",
        "no other",
    ),
    (
        ("backends", 0, "credentials"),
        {"none": None},
        "spec.backends[0].credentials.none",
        "null",
        "no value",
        "write `none: {}`",
    ),
    (
        ("backends", 0, "credentials"),
        {"apiKey": "sk-secret"},
        "spec.backends[0].credentials.apiKey",
        "apiKey",
        "not supported",
        "`secretRef`",
    ),
    (
        ("backends", 0, "credentials"),
        "sk-secret",
        "spec.backends[0].credentials",
        "(hidden)",
        "not an object",
        "object",
    ),
    (
        ("backends", 0, "credentials"),
        {"secretRef": {"name": "SK secret", "key": "k"}},
        "spec.backends[0].credentials.secretRef.name",
        "(hidden)",
        "not a resource name",
        "lower-case",
    ),
]

POLICY_CASES: list[tuple[tuple[str | int, ...], Any, str, str, str, str]] = [
    (("budgets",), [], "spec.budgets", "budgets", "not supported by this version", "known fields"),
    (("rule",), [], "spec.rule", "rule", "not supported by this version", "`rules`"),
    (("mode",), "enforce", "spec.mode", "enforce", "not one of", "`Enforce`"),
    (("mode",), ["Enforce"], "spec.mode", "a list", "not one of", "options"),
    (("scope",), "Namespaced", "spec.scope", "Namespaced", "not one of", "`Namespace`"),
    (("tiers",), [], "spec.tiers", "a list", "0 items", "at least 1"),
    (("tiers", 0, "name"), "auto", "spec.tiers[0].name", "auto", "to be routed", "another"),
    (("tiers", 1, "name"), "small", "spec.tiers[1].name", "small", "in tiers twice", "unique"),
    (("tiers", 1), "large", "spec.tiers[1]", "large", "not an object", "object"),
    (("tiers", 1), None, "spec.tiers[1]", "null", "no value", "give it a value"),
    (
        ("tiers", 1, "name"),
        "larg",
        "spec.tiers[1].name",
        "larg",
        "namespace shop has no ModelTier larg",
        "`large`",
    ),
    (
        ("models",),
        {"passThroughTier": "lrge"},
        "spec.models.passThroughTier",
        "lrge",
        "no candidate tier is named lrge",
        "`large`",
    ),
    (
        ("models",),
        {"direct": ["model-2"]},
        "spec.models.direct[0]",
        "model-2",
        "no candidate tier or backend",
        "`model-1`",
    ),
    (
        ("models",),
        {"direct": ["model-1"], "route": ["model-1"]},
        "spec.models.direct[0]",
        "model-1",
        "never goes straight",
        "models.route or in models.direct",
    ),
    (
        ("identity",),
        [{"attribute": "tenant-id", "header": "x-t"}],
        "spec.identity[0].attribute",
        "tenant-id",
        "not an identifier",
        "letters, digits and '_'",
    ),
    (
        ("identity",),
        [{"attribute": "in", "header": "x-t"}],
        "spec.identity[0].attribute",
        "in",
        "word of the expression language",
        "another name",
    ),
    (
        ("identity",),
        [{"attribute": "t"}],
        "spec.identity[0]",
        "",
        "exactly one of `header`, `podLabel`",
        "set one of",
    ),
    (
        ("identity",),
        [{"attribute": "t", "header": "x", "podLabel": "y"}],
        "spec.identity[0]",
        "",
        "exactly one of `header`, `podLabel`",
        "no other",
    ),
    (
        ("identity",),
        [{"attribute": "t", "header": "Authorization"}],
        "spec.identity[0].header",
        "Authorization",
        "credentials",
        "header of your own",
    ),
    (
        ("identity",),
        [{"attribute": "t", "header": "X-Tiermesh-Task"}],
        "spec.identity[0].header",
        "X-Tiermesh-Task",
        "is a hint",
        "x-tenant-id",
    ),
    (
        ("identity",),
        [{"attribute": "t", "header": "x t"}],
        "spec.identity[0].header",
        "x t",
        "not a header's name",
        "x-tenant-id",
    ),
    (
        ("identity",),
        [{"attribute": "t", "header": "x"}, {"attribute": "t", "header": "y"}],
        "spec.identity[1].attribute",
        "t",
        "in identity twice",
        "each attribute is unique",
    ),
    (("signals",), [{"name": "x"}], "spec.signals[0]", "", "`heuristic` must be set", "add"),
    (
        ("signals",),
        [{"name": "x", "heuristic": None}],
        "spec.signals[0].heuristic",
        "null",
        "no value",
        "write `heuristic: {}`",
    ),
    (("constraints",), [{"name": "c"}], "spec.constraints[0]", "", "at least one of", "add one"),
    (
        ("constraints",),
        [{"name": "c", "neverBelow": "larg"}],
        "spec.constraints[0].neverBelow",
        "larg",
        "no candidate tier is named larg",
        "`large`",
    ),
    (
        ("constraints",),
        [{"name": "c", "regions": []}],
        "spec.constraints[0].regions",
        "a list",
        "0 items",
        "at least 1",
    ),
    (
        ("constraints",),
        [{"name": "c", "regions": ["eu"], "when": "caller.dataclass == 'x'"}],
        "spec.constraints[0].when",
        "caller.dataclass == 'x'",
        "undeclared reference to 'caller.dataclass'",
        "`caller.dataClass`",
    ),
    (
        ("entitlements",),
        {"grants": [{"name": "g", "tiers": ["smal"]}]},
        "spec.entitlements.grants[0].tiers[0]",
        "smal",
        "no candidate tier",
        "`small`",
    ),
    (
        ("entitlements",),
        {"grants": [{"name": "g", "tiers": ["small"], "when": "caller.task"}]},
        "spec.entitlements.grants[0].when",
        "caller.task",
        "yields string",
        "compare it",
    ),
    (("rules",), rule({}), "spec.rules[0].route", "", "exactly one of `pin`", "set one of"),
    (
        ("rules",),
        rule({"cascade": {"tiers": ["small"]}}),
        "spec.rules[0].route.cascade",
        "cascade",
        "not supported by this version",
        "`pin`",
    ),
    (
        ("rules",),
        rule({"pin": {"tier": "smal"}}),
        "spec.rules[0].route.pin.tier",
        "smal",
        "no candidate tier is named smal",
        "`small`",
    ),
    (
        ("rules",),
        rule({"pin": {"tier": "small", "fallback": False}}),
        "spec.rules[0].route.pin.fallback",
        "false",
        "not one of Inherit, None",
        "options",
    ),
    (
        ("rules",),
        rule({"weighted": {"tiers": [{"tier": "huge", "weight": 1}]}}),
        "spec.rules[0].route.weighted.tiers[0].tier",
        "huge",
        "no candidate tier",
        "candidates",
    ),
    (
        ("rules",),
        rule({"weighted": {"tiers": [{"tier": "small", "weight": 0}]}}),
        "spec.rules[0].route.weighted.tiers[0].weight",
        "0",
        "too small",
        "at least 1",
    ),
    (
        ("rules",),
        rule(threshold(BAND, REST)),
        "spec.rules[0].route.threshold.signal",
        "complexity",
        "no signal is named complexity",
        "there are no signals",
    ),
    (
        ("rules",),
        [{"name": "default", "route": PIN}],
        "spec.rules[0].name",
        "default",
        "name of the default route",
        "another name",
    ),
    (
        ("rules",),
        [*rule(PIN), *rule(PIN)],
        "spec.rules[1].name",
        "one",
        "in rules twice",
        "unique",
    ),
    (
        ("rules",),
        rule(PIN, match={"step": ["x"]}),
        "spec.rules[0].match.step",
        "step",
        "not supported",
        "`steps`",
    ),
    (
        ("rules",),
        rule(PIN, match={"stream": "yes"}),
        "spec.rules[0].match.stream",
        "yes",
        "neither true nor false",
        "without quotes",
    ),
    (
        ("rules",),
        rule(PIN, match={"endpoints": ["chat"]}),
        "spec.rules[0].match.endpoints[0]",
        "chat",
        "not one of",
        "chat/completions",
    ),
    (("rules",), rule(PIN, when="1 +"), "spec.rules[0].when", "1 +", "at column 4", "syntax"),
    (
        ("rules",),
        rule(PIN, when="true || " * 200 + "true"),
        "spec.rules[0].when",
        "true || " * 24 + "true ...",
        "1604 characters",
        "at most 1024",
    ),
    (("rules",), rule(PIN, when=True), "spec.rules[0].when", "true", "is a boolean", "in quotes"),
    (
        ("default",),
        {"route": {"pin": {"tier": "x"}}},
        "spec.default.route.pin.tier",
        "x",
        "no candidate tier",
        "candidates",
    ),
    (("default",), {"pin": {"tier": "small"}}, "spec.default.pin", "pin", "not supp", "`route`"),
    (("timeouts",), {"call": 5}, "spec.timeouts.call", "5", "is a number", "300ms"),
    (("timeouts",), {"call": "5"}, "spec.timeouts.call", "5", "not a duration", "300ms"),
    (
        ("retry",),
        {"backoff": {"base": "6s"}},
        "spec.retry.backoff.base",
        "6s",
        "must not be longer than `max`",
        "lower `base`",
    ),
    (("retry",), {"maxAttempts": 11}, "spec.retry.maxAttempts", "11", "too large", "at most 10"),
    (("fallback",), {"on": ["Slow"]}, "spec.fallback.on[0]", "Slow", "not one of", "options"),
    (
        ("fallback",),
        {True: ["Timeout"]},
        "spec.fallback.true",
        "true",
        "name was read as a boolean",
        "in quotes",
    ),
    (
        ("fallback",),
        {"order": "Listed"},
        "spec.fallback",
        "",
        "`tiers` goes with `order: Listed`",
        "or neither",
    ),
    (
        ("fallback",),
        {"tiers": ["small"]},
        "spec.fallback.tiers",
        "a list",
        "`tiers` goes with `order: Listed`",
        "or neither",
    ),
    (
        ("fallback",),
        {"order": "Listed", "tiers": ["x"]},
        "spec.fallback.tiers[0]",
        "x",
        "no candidate tier",
        "candidates",
    ),
    (("audit",), {"content": "hash"}, "spec.audit.content", "hash", "not one of", "`Hash`"),
    (("selector",), {"app": "x"}, "spec.selector.app", "app", "not supported", "`matchLabels`"),
    (
        ("selector",),
        {"matchLabels": {"a": 1}},
        "spec.selector.matchLabels.a",
        "1",
        "is a number",
        "in quotes",
    ),
    (
        ("selector",),
        {"matchLabels": {"a": None}},
        "spec.selector.matchLabels.a",
        "null",
        "no value",
        "give it",
    ),
]


@pytest.mark.parametrize(("path", "value", "where", "shows", "says", "fix"), TIER_CASES)
def test_a_broken_tier_has_one_problem_that_says_what_to_do(
    path: tuple[str | int, ...], value: object, where: str, shows: str, says: str, fix: str
) -> None:
    (problem,) = refused(changed(tier(), "spec", *path, to=value))
    assert (problem.file, problem.document) == ("policy.yaml", 1)
    assert (problem.path, problem.value) == (where, shows)
    assert says in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(("path", "value", "where", "shows", "says", "fix"), POLICY_CASES)
def test_a_broken_policy_has_a_problem_that_says_what_to_do(
    path: tuple[str | int, ...], value: object, where: str, shows: str, says: str, fix: str
) -> None:
    problems = refused(*two_tiers(), changed(policy(), "spec", *path, to=value))
    assert {(p.file, p.document) for p in problems} == {("policy.yaml", 3)}
    (problem,) = [p for p in problems if p.path == where and says in p.message]
    assert problem.value == shows
    assert fix in problem.fix


def test_the_unbroken_documents_of_these_tables_compile() -> None:
    compiled(tier())
    compiled(*two_tiers(), policy())


@pytest.mark.parametrize(
    ("bands", "says"),
    [
        ([BAND], "the last band, and no other"),
        ([REST, REST], "the last band, and no other"),
        ([REST, BAND], "the last band, and no other"),
        ([BAND, BAND, REST], "must ascend"),
        ([{"below": "0.5", "tier": "small"}, {"below": "0.4", "tier": "small"}, REST], "ascend"),
        ([{"below": "0", "tier": "small"}, REST], "must ascend"),
        ([{"below": "1.5", "tier": "small"}, REST], "not a number from 0 to 1"),
        ([{"below": 0.5, "tier": "small"}, REST], "put it in quotes"),
    ],
)
def test_bands_ascend_and_end_open(bands: list[object], says: str) -> None:
    signals = [{"name": "complexity", "heuristic": {}}]
    document = policy(rules=rule(threshold(*bands)), signals=signals)
    assert any(says in f"{p.message} {p.fix}" for p in refused(*two_tiers(), document))


def test_one_open_band_is_enough() -> None:
    signals = [{"name": "complexity", "heuristic": {}}]
    compiled(*two_tiers(), policy(rules=rule(threshold(REST)), signals=signals))


def test_scope_cluster_excludes_a_selector() -> None:
    document = policy(scope="Cluster", selector={"matchLabels": {"app": "x"}})
    (problem,) = refused(*two_tiers(), document)
    assert problem.path == "spec.selector"
    assert "excludes" in problem.message


def test_two_candidates_that_share_an_alias_are_refused() -> None:
    small, large = tier("small", aliases=["gpt"]), tier("large", rank=30, aliases=["gpt"])
    (problem,) = refused(small, large, policy())
    assert problem.path == "spec.tiers[1].name"
    assert "same name, gpt" in problem.message


def test_an_alias_that_is_another_candidates_name_is_refused() -> None:
    small, large = tier("small", aliases=["large"]), tier("large", rank=30)
    (problem,) = refused(small, large, policy())
    assert "large" in problem.message


def test_an_alias_that_is_the_tiers_own_name_is_harmless() -> None:
    compiled(tier("small", aliases=["small"]), tier("large"), policy())


def test_all_problems_of_all_documents_come_at_once_in_their_order() -> None:
    broken = tier("small", rank="x", limits={})
    also = policy(
        mode="x", rules=rule({"pin": {"tier": "y"}}, when="1 +"), retry={"maxAttempts": 0}
    )
    problems = refused(broken, "text", also, tier("large"))
    assert [p.document for p in problems] == sorted(p.document for p in problems)
    assert {(p.document, p.path) for p in problems} == {
        (1, "spec.rank"),
        (1, "spec.limits"),
        (2, ""),
        (3, "spec.mode"),
        (3, "spec.rules[0].route.pin.tier"),
        (3, "spec.rules[0].when"),
        (3, "spec.retry.maxAttempts"),
    }


def test_a_problem_names_the_file_it_is_in() -> None:
    documents = [
        Document("tiers.yaml", 2, tier("small", rank=None)),
        Document("policy.yaml", 1, policy(tiers=[{"name": "small"}], mode="x")),
    ]
    result = compile_resources(documents)
    assert isinstance(result, Problems)
    assert [(p.file, p.document, p.path) for p in result] == [
        ("tiers.yaml", 2, "spec.rank"),
        ("policy.yaml", 1, "spec.mode"),
    ]
    assert str(result).startswith("tiers.yaml, document 2, spec.rank: has no value. Fix: give")


def test_a_problem_is_printed_as_the_contract_says() -> None:
    (problem,) = refused(tier(rank=-1))
    assert problem.as_json() == {
        "file": "policy.yaml",
        "document": 1,
        "path": "spec.rank",
        "value": "-1",
        "message": "is too small",
        "fix": "use at least 0",
    }


@pytest.mark.parametrize("spec", [None, [], "text", 5, True, {}])
@pytest.mark.parametrize("kind", ["ModelTier", "RoutingPolicy"])
def test_a_spec_of_any_kind_of_value_gives_problems_and_no_exception(
    kind: str, spec: object
) -> None:
    document = {"apiVersion": API, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    assert refused(document)


def test_a_long_value_is_cut() -> None:
    assert len(shown("x" * 500)) == 200


def test_paths_show_odd_keys_in_brackets() -> None:
    assert path_text(("spec", "rules", 2, "when")) == "spec.rules[2].when"
    assert path_text(("matchLabels", "app.io/name")) == "matchLabels[app.io/name]"


def test_the_closest_names_are_offered_whatever_their_case() -> None:
    assert closest("WANTSJSON", ["wantsJSON", "wantsTools"], what="fields") == (
        "did you mean `wantsJSON`?"
    )
    assert closest("zzz", ["b", "a"], what="fields") == "fields: `a`, `b`"
    assert closest("zzz", [], what="signals") == "there are no signals"
    assert closest("z", [f"n{i}" for i in range(14)], what="names").endswith("and 2 more")
