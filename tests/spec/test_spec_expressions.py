"""Expressions: what may be read, what is refused and why, and how they evaluate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiermesh_spec.expressions import Checker, Fault, Program, declared_names
from tiermesh_spec.snapshot import Expression

CHECKER = Checker(declared_names(["plan", "a_b"], ["complexity"]))


def checked(source: str) -> Expression:
    result = CHECKER.check(source)
    assert isinstance(result, Expression), result
    return result


def fault(source: str) -> Fault:
    result = CHECKER.check(source)
    assert isinstance(result, Fault), result
    return result


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("true", ()),
        ("caller.plan == 'premium' && request.tokens > 200", ("caller.plan", "request.tokens")),
        ("caller.a_b.startsWith('x')", ("caller.a_b",)),
        ("caller . plan == 'x'", ("caller.plan",)),
        ("'caller.plan' == caller.task", ("caller.task",)),
        ('"request.tokens" != "" // caller.plan', ()),
        ("['a'].exists(caller, caller == 'caller.plan')", ()),
        ("['x'].exists(p, p == caller.plan)", ("caller.plan",)),
        ("caller.plan in ['a', 'b']", ("caller.plan",)),
        ("request.stream ? caller.plan == 'a' : request.hasImages", None),
        ("signal.complexity > 0.5", ("signal.complexity",)),
        ("caller.session == caller.dataClass", ("caller.dataClass", "caller.session")),
        ("request.model.matches('^gpt-')", ("request.model",)),
        ("'has(caller.plan)' == caller.plan", ("caller.plan",)),
    ],
)
def test_the_names_that_an_expression_reads_are_found(
    source: str, names: tuple[str, ...] | None
) -> None:
    expected = ("caller.plan", "request.hasImages", "request.stream") if names is None else names
    assert checked(source).names == expected


@pytest.mark.parametrize(
    ("source", "says", "fix"),
    [
        (
            "caller.plann == 'x'",
            "column 7: undeclared reference to 'caller.plann'",
            "`caller.plan`",
        ),
        ("caller.zzzzz == 'x'", "undeclared", "spec.identity"),
        ("request.token > 5", "undeclared", "`request.tokens`"),
        ("signal.complexty > 0.5", "undeclared", "`signal.complexity`"),
        ("budget.left > 5", "undeclared", "declared names"),
        ("caller == 'x'", "undeclared", "write `caller.NAME`"),
        ("caller['plan'] == 'x'", "undeclared", "write `caller.NAME`"),
        ("signal.complexity > 1", "no matching overload", "1.0 rather than 1"),
        ("request.tokens > '5'", "no matching overload", "one type"),
        ("caller.plan == null", "no matching overload", "one type"),
        ("caller.plan", "yields string", "compare it"),
        ("request.tokens", "yields int", "compare it"),
        ("dyn(true)", "yields dyn", "compare it"),
        ("caller.plan = 'x'", "column 13: Syntax error", "syntax"),
        ("", "Syntax error", "syntax"),
        ("true &&\n request.x", "line 2, column 9", "request."),
        ("has(caller.plan)", "has() is not needed", "!= ''"),
        ("'a' != '' && has (caller.plan)", "has() is not needed", "!= ''"),
        ("true" + " || true" * 200, "characters", "1024"),
    ],
)
def test_an_expression_that_cannot_be_used_says_why(source: str, says: str, fix: str) -> None:
    found = fault(source)
    assert says in found.message
    assert fix in found.fix


def test_a_signal_that_no_policy_declares_is_to_be_declared() -> None:
    found = Checker(declared_names([], [])).check("signal.x > 0.5")
    assert isinstance(found, Fault)
    assert found.fix == "declare the signal under spec.signals"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_no_text_makes_the_checker_raise(source: str) -> None:
    CHECKER.check(source)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(sorted(declared_names(["plan"], ["complexity"]))), min_size=1, max_size=5
    )
)
def test_the_names_found_are_the_names_read(names: list[str]) -> None:
    literals = {"request.tokens": "5", "request.maxTokens": "5", "signal.complexity": "0.5"}
    flags = {n for n in names if n.startswith("request.") and n not in literals} - {"request.model"}
    terms = [
        f"{n} == true" if n in flags else f"{n} == {literals.get(n, repr('x'))}" for n in names
    ]
    result = Checker(declared_names(["plan"], ["complexity"])).check(" && ".join(terms))
    assert isinstance(result, Expression)
    assert result.names == tuple(sorted(set(names)))


def evaluated(source: str, **values: object) -> bool | None:
    return Program(checked(source)).evaluate(
        {name.replace("__", "."): value for name, value in values.items()}
    )


def test_an_expression_is_true_or_false() -> None:
    assert evaluated("caller.plan == 'x'", caller__plan="x") is True
    assert evaluated("caller.plan == 'x'", caller__plan="y") is False


def test_reading_a_missing_name_is_an_evaluation_error() -> None:
    assert evaluated("signal.complexity > 0.5") is None
    assert evaluated("signal.complexity > 0.5", caller__plan="x") is None


def test_an_error_does_not_count_where_the_other_side_decides() -> None:
    either = "signal.complexity > 0.5 || caller.plan == 'x'"
    assert evaluated(either, caller__plan="x") is True
    assert evaluated(either, caller__plan="y") is None


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("request.tokens / 0 > 1", {"request__tokens": 1}),
        ("request.tokens > 1", {"request__tokens": "1"}),
        ("request.tokens > 1", {"request__tokens": 2**70}),
        ("request.tokens > 1", {"request__tokens": None}),
        ("caller.plan == 'x'", {"caller__plan": "\ud800"}),
        ("'x'.matches(caller.plan)", {"caller__plan": "("}),
    ],
)
def test_an_evaluation_that_fails_yields_none(source: str, values: dict[str, object]) -> None:
    assert evaluated(source, **values) is None


def test_an_expression_cannot_run_forever() -> None:
    numbers = "[" + ",".join(map(str, range(20))) + "]"
    loops = f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, {numbers}.all(d, a + d >= 0))))"
    program = Program(checked(f"request.tokens >= 0 && {loops}"))
    assert program.evaluate({"request.tokens": 1}) is None


def test_a_whole_number_is_a_score() -> None:
    assert evaluated("signal.complexity > 0.5", signal__complexity=1) is True


def test_values_that_are_not_read_do_not_matter() -> None:
    assert evaluated("caller.plan == 'x'", caller__plan="x", request__tokens="junk") is True


@pytest.mark.parametrize(
    "expression",
    [
        Expression(source="caller.plan ==", names=("caller.plan",)),
        Expression(source="caller.plan == 'x'", names=()),
        Expression(source="os.environ == 'x'", names=("os.environ",)),
    ],
)
def test_an_expression_that_was_never_checked_is_refused(expression: Expression) -> None:
    with pytest.raises(ValueError, match="expression"):
        Program(expression)


def test_a_program_says_what_it_reads() -> None:
    assert Program(checked("caller.plan == 'x'")).names == ("caller.plan",)
