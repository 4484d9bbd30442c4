"""Constraints: which apply, and what they ask of a backend."""

from __future__ import annotations

import pytest
from policy_makers import active, backend, caller, constraint, features, policy, tier, when

from tiermesh_sidecar.core.constraints import NO_DEMANDS, Demands, demands
from tiermesh_sidecar.core.decision import Reason
from tiermesh_sidecar.core.features import Caller
from tiermesh_sidecar.core.question import Question
from tiermesh_spec.snapshot import Backend, Constraint, Match

RESTRICTED = when('caller.dataClass == "restricted"')


def demanded(who: Caller | None, *constraints: Constraint) -> Demands:
    prepared = active(policy(constraints=constraints)).constraints
    return demands(prepared, Question(features(caller=who), {}, None))


def applies(who: Caller | None, given: Constraint) -> bool:
    return bool(demanded(who, given).applied)


def objections(given: Constraint, served: Backend) -> list[Reason]:
    facts = active(policy(tiers=(tier("small", 10, served),), constraints=(given,)))
    return facts.constraints[0].objections(facts.tiers[0].options[0])


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (caller(dataClass="restricted"), True),
        (caller(dataClass="public"), False),
        (caller(data_class="restricted"), True),
        (caller(data_class="restricted", dataClass="public"), True),
        (caller(data_class="public", dataClass="restricted"), True),
        (caller(), False),
    ],
    ids=[
        "the identity says so",
        "the identity says otherwise",
        "a hint says so",
        "a hint says so against the identity",
        "a hint does not lift it",
        "nobody says so",
    ],
)
def test_a_hint_can_add_a_constraint_and_never_lift_one(who: Caller, expected: bool) -> None:
    assert applies(who, constraint(when=RESTRICTED, regions=("eu",))) is expected


def test_a_second_hint_does_not_undo_what_the_first_one_tightened() -> None:
    given = constraint(when=when('caller.dataClass == "restricted" && caller.step == ""'))
    assert applies(caller({"step": "x"}, data_class="restricted"), given)


def test_a_constraint_by_match_applies_for_a_hint() -> None:
    given = constraint(match=Match(steps=("safety",)))
    assert applies(caller({"step": "safety"}), given)
    assert not applies(caller({"step": "other"}), given)


def test_a_constraint_without_condition_always_applies() -> None:
    assert applies(None, constraint())


def test_a_constraint_that_cannot_be_evaluated_applies() -> None:
    assert applies(None, constraint(when=when("signal.complexity > 0.9")))


def test_the_highest_floor_holds() -> None:
    found = demanded(None, constraint(never_below="small"), constraint(never_below="large"))
    assert found.floor == 30


def test_where_none_applies_nothing_is_demanded() -> None:
    assert demanded(caller(), constraint(when=RESTRICTED, never_below="large")) is NO_DEMANDS
    assert NO_DEMANDS.floor is None


ALL = constraint(regions=("eu", "uk"), classifications=("a", "b"), retention=("None", "30d"))


@pytest.mark.parametrize(
    ("given", "served", "expected"),
    [
        (ALL, backend(region="uk", classifications=("a", "b", "c"), retention="None"), []),
        (ALL, backend(), [Reason.DATA_CLASS, Reason.REGION, Reason.RETENTION]),
        (
            ALL,
            backend(region="eu", classifications=("a",), retention="None"),
            [Reason.DATA_CLASS],
        ),
        (
            ALL,
            backend(region="us", classifications=("a", "b"), retention="30d"),
            [Reason.REGION],
        ),
        (
            ALL,
            backend(region="eu", classifications=("a", "b"), retention="90d"),
            [Reason.RETENTION],
        ),
        (constraint(), backend(), []),
    ],
    ids=[
        "all classifications, one of the regions, one of the retentions",
        "absent data fails",
        "one classification of two",
        "another region",
        "another retention",
        "nothing asked",
    ],
)
def test_what_a_backend_lacks(given: Constraint, served: Backend, expected: list[Reason]) -> None:
    assert objections(given, served) == expected
