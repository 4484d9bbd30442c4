"""One call's attributes, facts and signals, and what of them may be believed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from policy_makers import caller, features

from tiermesh_sidecar.core.features import Caller, Prompt
from tiermesh_sidecar.core.question import REQUEST, Question


def question(who: Caller | None = None) -> Question:
    return Question(features(caller=who), {}, None)


def views(who: Caller, *reads: str) -> list[Mapping[str, str]]:
    return [
        {name: view[name] for name in reads if view.get(name)}
        for view in question(who).views(reads)
    ]


def test_identity_beats_a_hint_and_an_empty_attribute_does_not() -> None:
    found = question(caller({"step": "a", "task": "t"}, step="b", task="")).merged
    assert found == {"step": "b", "task": "t"}


def test_hints_are_not_asserted() -> None:
    assert question(caller({"step": "a"}, plan="free")).asserted == {"plan": "free"}


def test_without_hints_there_is_one_view() -> None:
    assert views(caller(plan="free"), "plan", "step") == [{"plan": "free"}]


def test_a_hint_that_is_not_read_adds_no_view() -> None:
    assert views(caller({"step": "a"}, plan="free"), "plan") == [{"plan": "free"}]


def test_a_hint_that_is_read_is_believed_and_not_believed() -> None:
    assert views(caller({"step": "a"}), "step") == [{"step": "a"}, {}]


def test_identity_leaves_no_doubt_about_its_attribute() -> None:
    assert views(caller({"step": "a"}, step="b"), "step") == [{"step": "b"}]


def test_two_hints_are_believed_in_every_combination() -> None:
    found = views(caller({"step": "a", "task": "t"}), "step", "task")
    assert found == [{"step": "a", "task": "t"}, {"step": "a"}, {"task": "t"}, {}]


def test_a_hinted_data_class_is_believed_beside_the_identity() -> None:
    found = views(caller(data_class="restricted", dataClass="public"), "dataClass")
    assert found == [{"dataClass": "public"}, {"dataClass": "restricted"}]


def test_a_data_class_may_be_hinted_alone() -> None:
    found = views(caller(data_class="restricted"), "dataClass")
    assert found == [{"dataClass": "restricted"}, {}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "auto"),
        ("tokens", 10),
        ("maxTokens", 0),
        ("stream", False),
        ("wantsJSON", False),
        ("wantsTools", False),
        ("hasImages", False),
    ],
)
def test_what_a_request_says(name: str, value: object) -> None:
    assert REQUEST[name](features()) == value


def test_a_signal_is_computed_once_and_recorded() -> None:
    calls: list[Prompt] = []

    def compute(prompt: Prompt) -> float:
        calls.append(prompt)
        return 0.5

    asked = Question(features("hi"), {"c": compute}, None)
    assert (asked.signal("c"), asked.signal("c")) == (0.5, 0.5)
    assert asked.signals == {"c": 0.5}
    assert len(calls) == 1


def test_a_signal_that_is_handed_in_is_not_computed() -> None:
    asked = Question(features(), {"c": lambda prompt: 0.5}, {"c": None})
    assert asked.signal("c") is None
    assert asked.signals == {"c": None}


def test_a_signal_that_nobody_computes_abstains() -> None:
    asked = Question(features(), {}, {"other": 1.0})
    assert asked.signal("c") is None


def test_a_signal_that_nobody_reads_is_not_recorded() -> None:
    assert Question(features(), {"c": lambda prompt: 0.5}, None).signals == {}
