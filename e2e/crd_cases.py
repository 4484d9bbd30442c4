"""Resources that the schema allows and refuses: each CEL rule, bound and union with both outcomes.

`test_crds` asks a real API server and `compile` alike; where they may differ, a case says so.
"""

from __future__ import annotations

from dataclasses import dataclass

TIER = "ModelTier"
POLICY = "RoutingPolicy"
ABSENT = object()
"""Takes the field away."""


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    path: tuple[str | int, ...]
    """Below `spec`."""
    value: object
    accepted: bool
    compiled: bool | None = None
    """What `compile` says where that differs: it parses certificates, the server does not."""


CASES = (
    Case(TIER, ("allowedNamespaces",), {"from": "Selector"}, accepted=False),
    Case(TIER, ("allowedNamespaces",), {"from": "All"}, accepted=True),
    Case(TIER, ("allowedNamespaces",), {"from": "All", "selector": {}}, accepted=False),
    Case(TIER, ("allowedNamespaces",), {}, accepted=True),
    Case(TIER, ("outlierDetection",), {"ejectFor": "10m"}, accepted=False),
    Case(TIER, ("outlierDetection",), {"ejectFor": "10m", "maxEjectFor": "1h30m"}, accepted=True),
    Case(TIER, ("outlierDetection",), {"ejectFor": "0s"}, accepted=False),
    Case(TIER, ("outlierDetection",), {"maxEjectFor": "25h"}, accepted=False),
    Case(TIER, ("backends", 0, "target"), {}, accepted=False),
    Case(TIER, ("backends", 0, "target"), {"url": "ftp://x"}, accepted=False),
    Case(
        TIER,
        ("backends", 0, "target"),
        {"url": "https://x", "caBundle": "QQ=="},
        accepted=True,
        compiled=False,
    ),
    Case(TIER, ("backends", 0, "target"), {"url": "http://x", "caBundle": "QQ=="}, accepted=False),
    Case(TIER, ("backends", 0, "target"), {"url": "http://u@x/v1"}, accepted=False),
    Case(TIER, ("backends", 0, "target"), {"url": "http://x/v1?a"}, accepted=False),
    Case(TIER, ("backends", 0, "credentials"), {}, accepted=False),
    Case(TIER, ("backends", 0, "credentials"), ABSENT, accepted=True),
    Case(TIER, ("backends", 0, "credentials"), {"none": {}, "passThrough": {}}, accepted=False),
    Case(TIER, ("backends", 0, "credentials"), {"none": {}}, accepted=True),
    Case(TIER, ("aliases",), ["auto"], accepted=False),
    Case(TIER, ("aliases",), ["a", "a"], accepted=False),
    Case(TIER, ("aliases",), ["a b"], accepted=False),
    Case(TIER, ("rank",), "3", accepted=False),
    Case(TIER, ("price", "inputPerMillionTokens"), "1.2.3", accepted=False),
    Case(TIER, ("backends",), [], accepted=False),
    Case(TIER, ("capabilities",), ["X"], accepted=False),
    Case(POLICY, ("scope",), "Cluster", accepted=False),
    Case(POLICY, ("rules", 0, "route", "pin", "tier"), "x", accepted=False),
    Case(POLICY, ("rules", 2, "route", "threshold", "signal"), "x", accepted=False),
    Case(POLICY, ("rules", 2, "route", "threshold", "onAbstain"), "x", accepted=False),
    Case(POLICY, ("rules", 2, "route", "threshold", "bands"), [{"tier": "small"}], accepted=True),
    Case(
        POLICY,
        ("rules", 2, "route", "threshold", "bands"),
        [{"below": "0.5", "tier": "small"}],
        accepted=False,
    ),
    Case(
        POLICY,
        ("rules", 2, "route", "threshold", "bands"),
        [{"below": "0.5", "tier": "small"}, {"below": "0.4", "tier": "small"}, {"tier": "small"}],
        accepted=False,
    ),
    Case(
        POLICY,
        ("rules", 2, "route", "threshold", "bands"),
        [{"below": "0.5", "tier": "small"}, {"below": "0.6", "tier": "small"}, {"tier": "small"}],
        accepted=True,
    ),
    Case(
        POLICY,
        ("rules", 2, "route", "threshold", "bands"),
        [{"below": "0", "tier": "small"}, {"tier": "small"}],
        accepted=False,
    ),
    Case(
        POLICY,
        ("rules", 2, "route", "threshold", "bands"),
        [{"tier": "small"}, {"tier": "small"}],
        accepted=False,
    ),
    Case(
        POLICY,
        ("rules", 2, "route", "threshold", "bands"),
        [{"below": "1.5", "tier": "small"}, {"tier": "small"}],
        accepted=False,
    ),
    Case(POLICY, ("rules", 0, "route"), {}, accepted=False),
    Case(
        POLICY,
        ("rules", 0, "route"),
        {"pin": {"tier": "small"}, "weighted": {"tiers": [{"tier": "small", "weight": 1}]}},
        accepted=False,
    ),
    Case(
        POLICY,
        ("rules", 0, "route"),
        {"weighted": {"tiers": [{"tier": "small", "weight": 1}]}},
        accepted=True,
    ),
    Case(
        POLICY,
        ("rules", 0, "route"),
        {"weighted": {"tiers": [{"tier": "x", "weight": 1}]}},
        accepted=False,
    ),
    Case(POLICY, ("rules", 0, "name"), "default", accepted=False),
    Case(POLICY, ("rules", 0, "name"), "rest", accepted=False),
    Case(POLICY, ("tiers", 0, "name"), "auto", accepted=False),
    Case(POLICY, ("default",), ABSENT, accepted=True),
    Case(POLICY, ("default",), {"route": {"pin": {"tier": "y"}}}, accepted=False),
    Case(POLICY, ("constraints", 0), {"name": "a"}, accepted=False),
    Case(POLICY, ("constraints", 1, "neverBelow"), "x", accepted=False),
    Case(POLICY, ("entitlements", "grants", 0, "tiers"), ["x"], accepted=False),
    Case(POLICY, ("fallback",), {"order": "Listed"}, accepted=False),
    Case(POLICY, ("fallback",), {"order": "Listed", "tiers": ["small"]}, accepted=True),
    Case(POLICY, ("fallback",), {"order": "Listed", "tiers": ["x"]}, accepted=False),
    Case(POLICY, ("fallback",), {"order": "Up", "tiers": ["small"]}, accepted=False),
    Case(POLICY, ("models",), {"passThroughTier": "small"}, accepted=True),
    Case(POLICY, ("models",), {"passThroughTier": "x"}, accepted=False),
    Case(POLICY, ("identity", 0), {"attribute": "a"}, accepted=False),
    Case(
        POLICY, ("identity", 0), {"attribute": "a", "header": "x", "podLabel": "y"}, accepted=False
    ),
    Case(POLICY, ("identity", 0), {"attribute": "a", "podLabel": "y/z"}, accepted=True),
    Case(POLICY, ("identity", 0), {"attribute": "in", "podLabel": "y"}, accepted=False),
    Case(POLICY, ("identity", 0), {"attribute": "a", "header": "Authorization"}, accepted=False),
    Case(POLICY, ("identity", 0), {"attribute": "a", "header": "X-Tiermesh-Task"}, accepted=False),
    Case(POLICY, ("identity", 0, "attribute"), "plan", accepted=False),
    Case(POLICY, ("signals", 0), {"name": "complexity"}, accepted=False),
    Case(POLICY, ("signals", 0), {"name": "a-b", "heuristic": {}}, accepted=False),
    Case(POLICY, ("retry",), {"backoff": {"base": "10s"}}, accepted=False),
    Case(POLICY, ("retry",), {"maxAttempts": 11}, accepted=False),
    Case(
        POLICY,
        ("selector",),
        {"matchExpressions": [{"key": "a", "operator": "In"}]},
        accepted=False,
    ),
    Case(
        POLICY,
        ("selector",),
        {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
        accepted=True,
    ),
    Case(
        POLICY,
        ("selector",),
        {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]},
        accepted=False,
    ),
    Case(POLICY, ("timeouts",), {"call": "1h30m"}, accepted=True),
    Case(POLICY, ("timeouts",), {"call": "5"}, accepted=False),
    Case(
        POLICY,
        ("rules", 0, "match"),
        {"endpoints": ["chat/completions"], "wantsJSON": True},
        accepted=True,
    ),
    Case(POLICY, ("rules", 0, "match"), {"steps": []}, accepted=False),
    Case(POLICY, ("audit",), {"content": "Hash"}, accepted=True),
)
