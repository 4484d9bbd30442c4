"""What a model's name asks for: the first of the documented rules that holds."""

from __future__ import annotations

import pytest
from policy_makers import active, backend, models, policy, tier

from tiermesh_sidecar.core.names import ROUTED, Asked, NameTable
from tiermesh_spec.snapshot import Models

TIERS = (
    tier("large", 30, backend("openai", model="gpt-4o"), aliases=("best",)),
    tier(
        "small",
        10,
        backend("qwen", model="qwen2.5"),
        backend("azure", model="gpt-4o-mini"),
        aliases=("fast", "shared"),
    ),
    tier("medium", 20, backend("azure", model="gpt-4o"), aliases=("shared",)),
)


def table(given: Models) -> NameTable:
    return active(policy(tiers=TIERS, models=given)).names


def asked(name: str, *route: str, direct: tuple[str, ...] = ()) -> Asked | None:
    return table(models(*route, direct=direct)).resolve(name)


def backends(found: Asked | None) -> dict[str, list[str]]:
    assert found is not None
    return {name: [o.step.backend.name for o in only] for name, only in found.only.items()}


@pytest.mark.parametrize(
    ("name", "route", "direct"),
    [
        ("auto", (), ()),
        ("auto", (), ("auto",)),
        ("gpt-4o", ("gpt-4o",), ("gpt-4o",)),
        ("small", ("small",), ()),
        ("anything", ("*",), ()),
        ("gpt-9", ("gpt-*",), ()),
        ("", ("*",), ()),
    ],
    ids=[
        "auto always",
        "auto before a direct name",
        "an exact name to route before the same name to go direct",
        "an exact name to route before a candidate's name",
        "any name under the default glob",
        "a name that a glob covers",
        "no name at all under the default glob",
    ],
)
def test_routed(name: str, route: tuple[str, ...], direct: tuple[str, ...]) -> None:
    assert asked(name, *route, direct=direct) is ROUTED


@pytest.mark.parametrize(
    ("name", "route", "direct", "tier"),
    [
        ("small", ("*",), (), "small"),
        ("fast", ("*",), (), "small"),
        ("best", ("*",), ("best",), "large"),
        ("medium", ("*",), ("med*",), "medium"),
        ("shared", (), (), "small"),
    ],
    ids=[
        "a candidate's name before a glob",
        "a candidate's alias before a glob",
        "a direct name that is an alias",
        "a name that a direct glob covers",
        "an alias of two tiers means the lower",
    ],
)
def test_pinned_to_a_whole_tier(
    name: str, route: tuple[str, ...], direct: tuple[str, ...], tier: str
) -> None:
    assert asked(name, *route, direct=direct) == Asked(pin=(tier,))


def test_a_direct_backend_restricts_its_tier_to_itself() -> None:
    assert backends(asked("qwen", direct=("qwen",))) == {"small": ["qwen"]}


def test_a_backends_name_in_two_tiers_means_the_lower_one() -> None:
    assert backends(asked("azure", direct=("azure",))) == {"small": ["azure"]}


def test_a_direct_model_means_every_backend_that_serves_it_lowest_tier_first() -> None:
    found = asked("gpt-4o", "*", direct=("gpt-*",))
    assert found is not None
    assert found.pin == ("medium", "large")
    assert backends(found) == {"medium": ["azure"], "large": ["openai"]}
    assert not found.closed


@pytest.mark.parametrize(
    ("name", "route", "direct"),
    [
        ("gpt-9", ("gpt-4o",), ()),
        ("gpt-9", ("*",), ("gpt-*",)),
        ("gpt-9", ("*",), ("gpt-9",)),
        ("gpt-4o", (), ()),
        ("qwen", (), ()),
    ],
    ids=[
        "a name that no rule covers",
        "a direct glob that leads nowhere is not routed instead",
        "nor is a direct name that leads nowhere",
        "a real model that is not direct",
        "a backend that is not direct",
    ],
)
def test_unknown(name: str, route: tuple[str, ...], direct: tuple[str, ...]) -> None:
    assert asked(name, *route, direct=direct) is None


def test_an_embedding_model_is_every_backend_that_serves_it_and_nothing_else() -> None:
    found = table(models("*")).embeddings["gpt-4o"]
    assert found.pin == ("medium", "large")
    assert backends(found) == {"medium": ["azure"], "large": ["openai"]}
    assert found.closed


@pytest.mark.parametrize("name", ["large", "best"])
def test_a_tier_of_one_model_may_be_named_for_embeddings(name: str) -> None:
    found = table(models("*")).embeddings[name]
    assert found.closed
    assert backends(found) == {"large": ["openai"]}


@pytest.mark.parametrize("name", ["small", "fast", "auto", "unknown", "qwen"])
def test_no_other_name_stands_for_an_embedding_model(name: str) -> None:
    assert name not in table(models("*")).embeddings


def test_a_model_beats_a_tier_of_its_name_for_embeddings() -> None:
    tiers = (tier("embed", 1, backend(model="other")), tier("real", 2, backend(model="embed")))
    assert active(policy(tiers=tiers)).names.embeddings["embed"].pin == ("real",)


def test_other_paths_go_to_one_tier_alone() -> None:
    found = table(models("*", pass_through="large")).pass_through
    assert found is not None
    assert (found.pin, found.closed, found.fallback) == (("large",), True, False)


def test_without_a_tier_for_them_other_paths_lead_nowhere() -> None:
    assert table(models("*")).pass_through is None
