"""Globs: `*` alone is special, and time is linear."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.glob import is_glob, matches, matches_any

words = st.text(alphabet="ab", max_size=8)
patterns = st.text(alphabet="ab*", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "", True),
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4O", False),
        ("gpt-*", "gpt-4o", True),
        ("*-mini", "gpt-4o-mini", True),
        ("gpt-*-mini", "gpt-mini", False),
        ("a*a", "a", False),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxyyc", False),
        ("claude[1m]", "claude1", False),
        ("claude[1m]", "claude[1m]", True),
        ("gpt-?", "gpt-4", False),
    ],
)
def test_only_a_star_stands_for_other_characters(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@given(patterns, words)
def test_it_agrees_with_the_shell_on_stars(pattern: str, name: str) -> None:
    assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


def test_any_of_several_patterns_is_enough() -> None:
    assert matches_any(("x", "g*"), "gpt")
    assert not matches_any((), "gpt")


def test_a_glob_has_a_star() -> None:
    assert is_glob("gpt-*")
    assert not is_glob("gpt-4?")


def test_a_hostile_pattern_and_name_take_no_time() -> None:
    assert not matches("*a" * 50 + "*b", "a" * 100_000)
