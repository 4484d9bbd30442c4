"""The list of models that a caller may ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping

import anthropic
import openai
import policy_makers
import pytest
from sdkhttp import client

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.wire.models import listing, model_object, names
from tiermesh_spec.snapshot import Policy

TIERS = (
    policy_makers.tier("small", 1, aliases=("fast", "gpt-x")),
    policy_makers.tier("large", 2, aliases=("best",)),
)


def policy(route: tuple[str, ...], direct: tuple[str, ...] = ()) -> Policy:
    return policy_makers.policy(tiers=TIERS, models=policy_makers.models(*route, direct=direct))


POLICY = policy(("*", "gpt-x", "gpt-4*", "a[b]", "auto"), ("real-model", "claude-?", "small"))
BOTH = ("large", "small")


def test_auto_then_plain_names_then_entitled_tiers_each_once() -> None:
    plain = ["gpt-x", "a[b]", "real-model", "claude-?"]  # an asterisk alone makes a glob
    assert names(POLICY, BOTH) == ["auto", *plain, "small", "fast", "large", "best"]


def test_tiers_that_the_caller_may_not_have_are_not_listed() -> None:
    assert names(policy(("*",)), ("small",)) == ["auto", "small", "fast", "gpt-x"]
    assert names(policy(("*",)), ()) == ["auto"]


def test_an_openai_listing_is_a_list_of_models() -> None:
    value = json.loads(listing(policy(()), (), Dialect.OPENAI))
    assert value == {
        "object": "list",
        "data": [{"id": "auto", "object": "model", "created": 0, "owned_by": "tiermesh"}],
    }


def test_an_anthropic_listing_is_a_page() -> None:
    value = json.loads(listing(policy(()), ("large",), Dialect.ANTHROPIC))
    assert [model["id"] for model in value["data"]] == ["auto", "large", "best"]
    assert {model["type"] for model in value["data"]} == {"model"}
    assert (value["has_more"], value["first_id"], value["last_id"]) == (False, "auto", "best")


@pytest.mark.parametrize("dialect", Dialect)
def test_one_model_is_the_object_of_the_list(dialect: Dialect) -> None:
    data = json.loads(listing(POLICY, BOTH, dialect))["data"]
    for model in data:
        one = model_object(POLICY, BOTH, dialect, model["id"])
        assert isinstance(one, bytes)
        assert json.loads(one) == model


def test_a_model_that_is_not_listed_is_not_found() -> None:
    found = model_object(POLICY, ("small",), Dialect.OPENAI, "large")
    assert isinstance(found, Refusal)
    assert (found.code, found.param) == (ErrorCode.MODEL_NOT_FOUND, "model")


def test_both_sdks_read_the_listing() -> None:
    def answer(headers: Mapping[str, str]) -> tuple[int, bytes, str]:
        dialect = Dialect.ANTHROPIC if "anthropic-version" in headers else Dialect.OPENAI
        return 200, listing(POLICY, BOTH, dialect), "application/json"

    for module in (openai, anthropic):
        with client(module, answer) as sdk:
            assert [model.id for model in sdk.models.list()] == names(POLICY, BOTH)
