"""Whatever stands in a document, compile() answers with a snapshot or problems: it never raises."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from spec_resources import backend, documents, policy, tier

from tiermesh_spec import Problems, Snapshot, compile_resources
from tiermesh_spec.snapshot import dump, load

SECRET = "sk-do-not-repeat-me"

RESOURCES: list[dict[str, Any]] = [
    tier(
        "small",
        aliases=["quick"],
        price={"inputPerMillionTokens": "0.1", "outputPerMillionTokens": "0.2"},
        data={"region": "eu", "classifications": ["public"], "retention": "None"},
        outlierDetection={"ejectFor": "1s"},
        allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"a": "b"}}},
        backends=[backend(credentials={"secretRef": {"name": "k", "key": "v"}})],
    ),
    tier("large", rank=30),
    policy(
        selector={"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
        identity=[{"attribute": "plan", "header": "x-plan"}],
        models={"route": ["*"], "direct": ["model-1"], "passThroughTier": "large"},
        signals=[{"name": "complexity", "heuristic": {}}],
        constraints=[{"name": "c", "when": "caller.plan == 'x'", "regions": ["eu"]}],
        entitlements={"grants": [{"name": "g", "when": "true", "tiers": ["small"]}]},
        rules=[
            {
                "name": "r",
                "match": {"steps": ["a"], "stream": True},
                "when": "request.tokens > 5",
                "route": {
                    "threshold": {
                        "signal": "complexity",
                        "bands": [{"below": "0.5", "tier": "small"}, {"tier": "large"}],
                    }
                },
            }
        ],
        default={"route": {"weighted": {"tiers": [{"tier": "small", "weight": 1}]}}},
        timeouts={"call": "5s"},
        retry={"backoff": {"base": "1s"}},
        fallback={"order": "Listed", "tiers": ["large"]},
    ),
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k"}, "stringData": {"v": SECRET}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}},
]

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value))
    for key, child in items:
        yield from places(child, (*path, key))


PLACES = [path for path in places(RESOURCES) if path]


def replaced(path: tuple[str | int, ...], value: object) -> list[Any]:
    resources = copy.deepcopy(RESOURCES)
    place: Any = resources
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return resources


def test_the_resources_of_this_test_compile() -> None:
    assert isinstance(compile_resources(documents(RESOURCES)), Snapshot)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLACES), JUNK)
def test_junk_anywhere_gives_a_usable_snapshot_or_problems(
    path: tuple[str | int, ...], junk: object
) -> None:
    result = compile_resources(documents(replaced(path, junk)))
    if isinstance(result, Snapshot):
        assert load(dump(result)) == result
        return
    for problem in result:
        assert problem.message
        assert problem.fix
        assert 1 <= problem.document <= len(RESOURCES)
        assert len(problem.value) <= 200
        assert SECRET not in str(problem.as_json())
        str(problem).encode()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([p for p in PLACES if len(p) > 2]), st.sampled_from([None, [], {}, "", 0]))
def test_the_same_junk_gives_the_same_problems(path: tuple[str | int, ...], junk: object) -> None:
    first = compile_resources(documents(replaced(path, junk)))
    assert first == compile_resources(documents(replaced(path, junk)))


def test_every_value_put_to_nothing_is_a_problem_at_its_place() -> None:
    """Null is neither a default nor an empty value."""
    for path in PLACES:
        if path[1:2] != ("spec",):
            continue
        result = compile_resources(documents(replaced(path, None)))
        assert isinstance(result, Problems), path
        assert any(p.value == "null" for p in result), path
