"""Recorded decisions can be repeated, and damaged records say what is wrong."""

from __future__ import annotations

import json

import pytest
from policy_makers import caller, features

from tiermesh_sidecar.core.features import Capability, Endpoint
from tiermesh_sidecar.core.replay import (
    features_as_json,
    features_from_json,
    view_as_json,
    view_from_json,
)
from tiermesh_sidecar.core.state import StateView

CALL = features(
    "a secret question",
    model="auto",
    max_tokens=50,
    needs=(Capability.TOOLS, Capability.JSON_SCHEMA),
    caller=caller({"step": "s"}, data_class="restricted", plan="free"),
)


def test_the_record_holds_what_a_decision_reads_and_no_content() -> None:
    assert features_as_json(CALL) == {
        "endpoint": "chat/completions",
        "dialect": "OpenAI",
        "model": "auto",
        "stream": False,
        "tokens": 10,
        "maxTokens": 50,
        "wantsJSON": False,
        "wantsTools": False,
        "hasImages": False,
        "needs": ["JSONSchema", "Tools"],
        "caller": {
            "asserted": {"plan": "free"},
            "hinted": {"step": "s", "dataClass": "restricted"},
            "dataClassHint": "restricted",
        },
    }


@pytest.mark.parametrize("call", [CALL, features(endpoint=Endpoint.OTHER)])
def test_features_come_back_as_they_went(call: object) -> None:
    assert isinstance(call, type(CALL))
    written = features_as_json(call)
    read = features_from_json(json.loads(json.dumps(written)))
    assert features_as_json(read) == written
    assert read.caller == call.caller
    assert read.prompt.last_user == ""


def test_the_view_comes_back_as_it_went() -> None:
    view = StateView(ejected=frozenset({"b", "a"}), keyless=frozenset({"c"}))
    assert view_as_json(view) == {"ejected": ["a", "b"], "keyless": ["c"]}
    assert view_from_json(json.loads(json.dumps(view_as_json(view)))) == view


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("model", None, "model is not of type str"),
        ("tokens", True, "tokens is not of type int"),
        ("tokens", "10", "tokens is not of type int"),
        ("maxTokens", 1.5, "maxTokens is not of type int"),
        ("stream", 1, "stream is not of type bool"),
        ("needs", ["Flight"], "'Flight' is not a valid Capability"),
        ("needs", [1], "needs is not of type str"),
        ("endpoint", "teapot", "'teapot' is not a valid Endpoint"),
        ("caller", [], "caller is not of type dict"),
        ("caller", {"asserted": {"plan": 1}}, "plan is not of type str"),
    ],
)
def test_a_damaged_record_is_refused_by_field(field: str, value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        features_from_json({**features_as_json(CALL), field: value})


def test_a_damaged_view_is_refused_too() -> None:
    with pytest.raises(ValueError, match="ejected is not of type list"):
        view_from_json({"keyless": []})
