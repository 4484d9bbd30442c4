"""The complexity signal: evidence both ways, and abstention without any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_makers import features

from tiermesh_sidecar.core.features import Prompt
from tiermesh_sidecar.core.heuristic import complexity


def score(text: str, turns: int = 1) -> float | None:
    return complexity(features(text, turns=turns).prompt)


@pytest.mark.parametrize(
    "text",
    [
        "hi",
        "thanks!",
        "What is the capital of France?",
        "Who wrote Hamlet?",
        "Define osmosis",
    ],
)
def test_greetings_and_short_questions_of_fact_are_simple(text: str) -> None:
    found = score(text)
    assert found is not None
    assert found < 0.2


@pytest.mark.parametrize(
    "text",
    [
        'Translate "good morning, how are you?" into German.',
        "Summarize this in three sentences: the council met on Tuesday about the new budget.",
        "Extract the invoice number from: Invoice INV-2291 of March.",
        "Write a Python function that reverses a string.",
    ],
)
def test_routine_tasks_are_moderate(text: str) -> None:
    found = score(text)
    assert found is not None
    assert 0.2 < found < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "Prove that there are infinitely many primes congruent to 3 modulo 4.",
        "Design a distributed rate limiter that must survive the loss of a region. Compare three"
        " approaches, analyse their consistency and latency, and propose a rollout plan.",
        "Find the race condition:\n```go\nfunc f() {}\n```\n1. List each bug.\n2. Propose a fix.\n"
        "3. Explain why the mutex is required.",
    ],
    ids=["a proof", "a system's design", "a review in several parts"],
)
def test_work_of_many_parts_is_hard(text: str) -> None:
    found = score(text)
    assert found is not None
    assert found > 0.6


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n ",
        "continue",
        "Dear team, the shipment from Rotterdam arrived and the boxes are in hall four.",
        "法国的首都是什么",
        "?",
        "Is this " + "very " * 60 + "long question about nothing in particular?",
        "word " * 20_000,
    ],
    ids=[
        "no text",
        "blank text",
        "a word that means nothing alone",
        "a statement without a cue",
        "a language that it does not read",
        "a question mark alone",
        "a long question",
        "length alone",
    ],
)
def test_without_evidence_it_abstains(text: str) -> None:
    assert score(text) is None


def test_a_confirmation_is_simple_only_where_nothing_came_before() -> None:
    assert score("yes") is not None
    assert score("yes", turns=2) is None


def test_a_fact_asked_for_without_a_question_mark_is_no_evidence() -> None:
    assert score("when it rains") is None


@pytest.mark.parametrize(
    ("plain", "more"),
    [
        ("refactor this", "refactor this\n```\nx\n```"),
        ("solve this equation", r"solve this equation: \frac{a}{b}"),
        ("beweise", "beweise: ∀x ∃y"),
        ("explain this", "explain this\n- one\n- two\n- three"),
        ("explain this", "explain this\n1. one\n2. two\n3. three"),
        ("explain this", "explain this? and this? and that?"),
        ("explain this", "explain this, exactly, without lists"),
        ("what costs more?", "what costs more per week on average, in dollars?"),
        ("explain this", "explain this " + "word " * 1000),
    ],
    ids=[
        "code fences",
        "formulas",
        "mathematical symbols",
        "bullets",
        "numbers",
        "several questions",
        "obligations",
        "arithmetic",
        "length",
    ],
)
def test_each_kind_of_evidence_raises_the_score(plain: str, more: str) -> None:
    raised = score(more)
    assert raised is not None
    assert raised > (score(plain) or 0.0)


@pytest.mark.parametrize(
    "text", ["that must do", r"a \path", "two `words`", "one\n- item", "how much", "a\n2 b"]
)
def test_a_single_weak_cue_is_no_evidence(text: str) -> None:
    assert score(text) is None


def test_a_deeper_conversation_scores_higher() -> None:
    assert (score("explain this", turns=5) or 0) > (score("explain this") or 0)


def test_without_a_user_message_the_last_text_counts() -> None:
    assert complexity(Prompt(texts=("hi", "prove this theorem"))) == score("prove this theorem", 0)


def test_the_end_of_a_long_message_counts() -> None:
    material = "word " * 20_000
    assert score(material + "\nSummarize the text above.") is not None


@given(st.text(max_size=3000), st.integers(min_value=0, max_value=50))
def test_any_text_scores_within_bounds_and_twice_the_same(text: str, turns: int) -> None:
    found = score(text, turns)
    assert found is None or 0 <= found <= 1
    assert score(text, turns) == found
