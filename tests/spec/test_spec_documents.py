"""Which documents a file may hold, what their frame looks like, and that Secrets stay secret."""

from __future__ import annotations

from typing import Any

import pytest
from spec_resources import API, compiled, policy, refused, tier, two_tiers


@pytest.mark.parametrize(
    ("content", "path", "says", "fix"),
    [
        ([], "", "is a list", "`apiVersion:`"),
        ("sk-secret", "", "is text", "`kind:`"),
        (5, "", "is a int", "`kind:`"),
        ({}, "apiVersion", "no `apiVersion`", API),
        ({"apiVersion": API}, "kind", "no `kind`", "RoutingPolicy"),
        ({"apiVersion": 1, "kind": "Secret"}, "apiVersion", "no `apiVersion`", API),
        ({"apiVersion": API, "kind": "Policy"}, "kind", "no kind Policy", "`RoutingPolicy`"),
        ({"apiVersion": API, "kind": "Zebra"}, "kind", "no kind Zebra", "known kinds"),
        ({"apiVersion": "tiermesh.dev/v2", "kind": "ModelTier"}, "apiVersion", "not known", API),
        (
            {"apiVersion": "apps/v1", "kind": "Secret"},
            "apiVersion",
            "not known",
            "`apiVersion: v1`",
        ),
        ({"apiVersion": "v1", "kind": "Secrets"}, "kind", "no kind Secrets", "`Secret`"),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "kind", "no business", "files hold ModelTier"),
        ({"apiVersion": "v1", "kind": "List"}, "kind", "is a list", "document of its own"),
        ({"apiVersion": API, "kind": "ModelTierList"}, "kind", "is a list", "its own"),
    ],
)
def test_a_document_of_no_known_kind_is_refused(
    content: object, path: str, says: str, fix: str
) -> None:
    (problem,) = refused(content)
    assert problem.path == path
    assert says in problem.message
    assert fix in problem.fix
    assert "sk-secret" not in str(problem.as_json())


def test_empty_documents_are_skipped() -> None:
    assert compiled(None, *two_tiers(), None, policy()).policies


def test_nothing_at_all_is_an_empty_snapshot() -> None:
    assert compiled().policies == ()


def test_the_same_resource_twice_names_the_first() -> None:
    (problem,) = refused(tier(), tier())
    assert problem.document == 2
    assert "already in policy.yaml, document 1" in problem.message


def test_equal_names_in_two_namespaces_are_two_resources() -> None:
    compiled(tier(namespace="a"), tier(namespace="b"))


@pytest.mark.parametrize(
    ("metadata", "path", "fix"),
    [
        (None, "metadata", "metadata: {name: NAME}"),
        ([], "metadata", "an object"),
        ({}, "metadata.name", "add `name`"),
        ({"name": "Small"}, "metadata.name", "lower-case"),
        ({"name": 5}, "metadata.name", "quotes"),
        ({"name": "x", "namespace": "a.b"}, "metadata.namespace", "lower-case"),
        ({"name": "x", "lables": {}}, "metadata.lables", "`labels`"),
        ({"name": "x", "labels": {"a": 1}}, "metadata.labels.a", "quotes"),
        ({"name": "x", "generation": "1"}, "metadata.generation", "whole number"),
    ],
)
def test_broken_metadata_is_refused(metadata: object, path: str, fix: str) -> None:
    (problem,) = refused({**tier(), "metadata": metadata})
    assert problem.path == path
    assert fix in problem.fix


def test_what_only_a_cluster_writes_is_accepted() -> None:
    from_cluster = {
        "name": "small",
        "namespace": "shop",
        "uid": "1",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"a": "b"},
    }
    compiled({**tier(), "metadata": from_cluster, "status": {"conditions": []}})


def test_an_unknown_field_beside_spec_is_refused() -> None:
    (problem,) = refused({**tier(), "sepc": {}})
    assert problem.path == "sepc"
    assert problem.fix == "did you mean `spec`?"


def secret(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "k"}, **fields}


def test_a_secret_with_both_kinds_of_data_is_fine() -> None:
    compiled(secret(type="Opaque", data={"a": "c2VjcmV0"}, stringData={"b": "sk-1"}))


@pytest.mark.parametrize(
    ("fields", "path", "says"),
    [
        ({"data": {"a": "sk-secret!"}}, "data.a", "not base64"),
        ({"data": {"a": 12345678}}, "data.a", "not text"),
        ({"stringData": {"a": 12345678}}, "stringData.a", "not text"),
        ({"stringData": {"a": None}}, "stringData.a", "not text"),
        ({"data": "sk-secret"}, "data", "not an object"),
        ({"stringData": ["sk-secret"]}, "stringData", "not an object"),
        ({"datas": {"a": "sk-secret"}}, "datas", "not supported"),
    ],
)
def test_a_broken_secret_is_refused_and_never_repeated(
    fields: dict[str, object], path: str, says: str
) -> None:
    (problem,) = refused(secret(**fields))
    assert problem.path == path
    assert says in problem.message
    assert "sk-secret" not in str(problem)
    assert "sk-secret" not in str(problem.as_json())
    assert "12345678" not in str(problem.as_json())
