"""Conditions, and the index that finds the first rule that holds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_makers import caller, features, when

from tiermesh_sidecar.core.features import Endpoint, Features
from tiermesh_sidecar.core.matching import Condition, Matcher, RuleIndex, compile_expression
from tiermesh_sidecar.core.question import Question
from tiermesh_spec.snapshot import Expression, Match


def holds(match: Match, call: Features) -> bool:
    return Matcher(match).holds(call, call.caller.asserted)


def ask(
    match: Match | None, expression: Expression | None, call: Features, **signals: float | str
) -> bool | None:
    question = Question(call, {}, signals)
    return Condition(match, expression, compile_expression).holds(question, question.merged)


@pytest.mark.parametrize(
    ("match", "fits", "other"),
    [
        (Match(steps=("a", "b")), features(caller=caller(step="b")), features()),
        (Match(tasks=("a",)), features(caller=caller(task="a")), features()),
        (Match(agents=("a",)), features(caller=caller(agent="a")), features()),
        (Match(workflows=("a",)), features(caller=caller(workflow="a")), features()),
        (Match(priorities=("a",)), features(caller=caller(priority="a")), features()),
        (Match(models=("gpt-*", "x")), features(model="gpt-4"), features()),
        (
            Match(endpoints=("messages",)),
            features(endpoint=Endpoint.MESSAGES),
            features(),
        ),
        (Match(stream=True), features(stream=True), features()),
        (Match(stream=False), features(), features(stream=True)),
    ],
    ids=[
        "steps",
        "tasks",
        "agents",
        "workflows",
        "priorities",
        "models",
        "endpoints",
        "stream",
        "no stream",
    ],
)
def test_each_part_of_a_match_is_asked(match: Match, fits: Features, other: Features) -> None:
    assert holds(match, fits)
    assert not holds(match, other)


@pytest.mark.parametrize("flag", ["wants_json", "wants_tools", "has_images"])
def test_each_flag_is_asked(flag: str) -> None:
    call = features()
    setattr(call, flag, True)
    assert holds(Match(**{flag: True}), call)
    assert not holds(Match(**{flag: True}), features())
    assert not holds(Match(**{flag: False}), call)


def test_all_parts_must_hold() -> None:
    match = Match(steps=("a",), stream=True)
    assert holds(match, features(caller=caller(step="a"), stream=True))
    assert not holds(match, features(caller=caller(step="a")))


def test_an_empty_match_and_no_condition_hold() -> None:
    assert holds(Match(), features())
    assert ask(None, None, features()) is True


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ('caller.plan == "free"', True),
        ('caller.tenant == ""', True),
        ("request.tokens > 200 && request.maxTokens == 0", False),
        ('request.model == "auto" && !request.stream', True),
        ("signal.complexity > 0.4", True),
        ("signal.label > 0.4", None),
        ("signal.label > 0.4 || request.tokens == 10", True),
        ("request.tokens / request.maxTokens > 1", None),
    ],
    ids=[
        "an attribute",
        "an unset attribute is empty",
        "facts of the request",
        "the model and the stream",
        "a signal",
        "an abstained signal is an error",
        "an error does not count where the other side decides",
        "a division by zero is an error",
    ],
)
def test_an_expression_sees_flat_names(source: str, outcome: bool | None) -> None:
    call = features(caller=caller(plan="free"))
    assert ask(None, when(source), call, complexity=0.5) is outcome


def test_when_is_not_evaluated_where_match_does_not_hold() -> None:
    def evaluate(facts: object) -> bool | None:
        raise AssertionError

    condition = Condition(Match(steps=("a",)), when("request.stream"), lambda _: evaluate)
    question = Question(features(), {}, None)
    assert condition.holds(question, question.merged) is False


def test_a_condition_knows_which_attributes_it_reads() -> None:
    expression = when('caller.plan == "a" && caller.step == "b" && request.tokens > 1')
    condition = Condition(Match(steps=("a",), tasks=("t",)), expression, compile_expression)
    assert condition.reads == ("step", "task", "plan")


def first(rules: Sequence[tuple[Match | None, Expression | None]], call: Features) -> int | None:
    index = RuleIndex([(m, Condition(m, w, compile_expression)) for m, w in rules])
    return index.first(Question(call, {}, None))


def test_the_first_rule_that_holds_decides_whatever_its_facet() -> None:
    call = features(caller=caller({"task": "t"}, step="s"), model="m")
    rules = [
        (Match(steps=("other",)), None),
        (Match(tasks=("t",), stream=True), None),
        (Match(models=("m",)), None),
        (Match(steps=("s",)), None),
        (None, None),
    ]
    assert first(rules, call) == 2
    assert first(rules[3:], call) == 0
    assert first([*rules[:2], rules[4]], call) == 2


def test_a_rule_in_doubt_does_not_match() -> None:
    assert first([(None, when("signal.label > 0.1")), (None, None)], features()) == 1


def test_without_rules_none_holds() -> None:
    assert first([], features()) is None
    assert first([(Match(steps=("s",)), None)], features()) is None


VALUES = ("", "a", "b")
values = st.lists(st.sampled_from(VALUES), max_size=2).map(tuple)
matches = st.none() | st.builds(
    Match,
    steps=values,
    tasks=values,
    agents=values,
    workflows=values,
    priorities=values,
    models=st.lists(st.sampled_from(["auto", "b", "a*", "*"]), max_size=2).map(tuple),
    stream=st.none() | st.booleans(),
)
callers = st.dictionaries(
    st.sampled_from(["step", "task", "agent", "workflow", "priority"]), st.sampled_from(VALUES)
)


@given(st.lists(matches, max_size=12), callers, st.booleans())
def test_the_index_finds_what_asking_one_by_one_finds(
    given: list[Match | None], attributes: dict[str, str], stream: bool
) -> None:
    call = features(caller=caller(**attributes), stream=stream)
    found = (i for i, match in enumerate(given) if match is None or holds(match, call))
    assert first([(match, None) for match in given], call) == next(found, None)
