"""`threshold`: a score chooses the band that it falls in; no score is no guess."""

from __future__ import annotations

from collections.abc import Collection

from tiermesh_sidecar.core.question import Question
from tiermesh_sidecar.core.strategies.base import Choice
from tiermesh_spec.snapshot import Route, Threshold


class ThresholdStrategy:
    __slots__ = ("_abstained", "_bands", "_rest", "_signal")

    def __init__(self, threshold: Threshold) -> None:
        names = frozenset(band.tier for band in threshold.bands)
        if threshold.on_abstain is not None:
            names |= {threshold.on_abstain}
        wish = () if threshold.on_abstain is None else (threshold.on_abstain,)
        choices = [Choice(first=(band.tier,), names=names) for band in threshold.bands]
        bounds = [band.below for band in threshold.bands]
        self._signal = threshold.signal
        self._abstained = Choice(first=wish, names=names)
        self._bands = tuple(
            (below, choice)
            for below, choice in zip(bounds, choices, strict=True)
            if below is not None
        )
        self._rest = choices[-1] if bounds[-1] is None else self._abstained

    def choose(self, question: Question, eligible: Collection[str], seed: int) -> Choice:
        score = question.signal(self._signal)
        if score is None or isinstance(score, str):
            return self._abstained
        for below, choice in self._bands:
            if score < below:
                return choice
        return self._rest

    def clause(self, question: Question, choice: Choice) -> str:
        score = question.signal(self._signal)
        if score is None or isinstance(score, str):
            return f"{self._signal} abstains"
        value = f"{self._signal} {score:.3f}"
        bounds = [below for below, _ in self._bands]
        for below in bounds:
            if score < below:
                return f"{value} is below {below:g}"
        return f"{value} is {bounds[-1]:g} or more" if bounds else value


def prepare(route: Route) -> ThresholdStrategy | None:
    return ThresholdStrategy(route.threshold) if route.threshold is not None else None
