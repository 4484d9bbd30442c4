"""Which signals a policy computes."""

from __future__ import annotations

from policy_makers import features

from tiermesh_sidecar.core.signals import complexity, computed
from tiermesh_spec.snapshot import Heuristic, Signal


def test_a_heuristic_signal_is_computed_from_the_prompt() -> None:
    compute = computed((Signal(name="c", heuristic=Heuristic()),))
    prompt = features("prove this theorem").prompt
    assert compute["c"](prompt) == complexity(prompt)


def test_a_signal_of_another_kind_is_not_computed_here() -> None:
    assert computed((Signal(name="c", heuristic=None),)) == {}
