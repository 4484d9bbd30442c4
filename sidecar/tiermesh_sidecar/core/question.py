"""One call as a decision asks it: attributes, request facts, and signals when first wanted.

A `Question` lives for one `decide` and is its only working memory. It has no clock, no state of
backends and no idea of tiers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product

from tiermesh_sidecar.core.features import Caller, Features
from tiermesh_sidecar.core.signals import Compute, SignalValue

Attributes = Mapping[str, str]
"""Attributes of the caller by name; an unset one is absent and reads as ""."""

DATA_CLASS = "dataClass"

REQUEST: Mapping[str, Callable[[Features], str | int | bool]] = {
    "model": lambda features: features.model,
    "tokens": lambda features: features.tokens,
    "maxTokens": lambda features: features.max_tokens or 0,
    "stream": lambda features: features.stream,
    "wantsJSON": lambda features: features.wants_json,
    "wantsTools": lambda features: features.wants_tools,
    "hasImages": lambda features: features.has_images,
}
"""What `request.NAME` reads. `maxTokens` is 0 where the caller set no limit."""


class Question:
    """The call's features, seen with the attributes that a reader may rely on."""

    __slots__ = ("_compute", "_given", "asserted", "features", "merged", "signals")

    def __init__(
        self,
        features: Features,
        compute: Mapping[str, Compute],
        given: Mapping[str, SignalValue] | None,
    ) -> None:
        self.features = features
        self._compute = compute
        self._given = given
        caller = features.caller
        self.asserted: Attributes = caller.asserted
        """What `identity` yields: all that grants may see."""
        self.merged: Attributes = _merged(caller) if caller.hinted else caller.asserted
        """Identity first, then hints: what rules see."""
        self.signals: dict[str, SignalValue] = {}
        """Every signal that was read, with its value; None for abstain."""

    def signal(self, name: str) -> SignalValue:
        """The signal's value, computed once; handed-in values (replay) go first."""
        if name in self.signals:
            return self.signals[name]
        value: SignalValue = None
        if self._given is not None and name in self._given:
            value = self._given[name]
        elif name in self._compute:
            value = self._compute[name](self.features.prompt)
        self.signals[name] = value
        return value

    def views(self, reads: tuple[str, ...]) -> Iterable[Attributes]:
        """Every way to believe some hints and not others, over the attributes that are read.

        A constraint applies if it holds in any of them. Asking merged and identity-only attributes
        alone would let a second hint undo what a first one tightened. The merged view comes first.
        """
        caller = self.features.caller
        if not caller.hinted and not caller.data_class_hint:
            return (self.asserted,)
        choices = [(name, _beliefs(caller, name)) for name in reads]
        if all(len(beliefs) == 1 for _, beliefs in choices):
            return (self.merged,)
        names = [name for name, _ in choices]
        return (
            dict(zip(names, values, strict=True))
            for values in product(*(beliefs for _, beliefs in choices))
        )


def _merged(caller: Caller) -> Attributes:
    return {**caller.hinted, **{name: value for name, value in caller.asserted.items() if value}}


def _beliefs(caller: Caller, name: str) -> list[str]:
    """The values that this attribute may be taken to have, the merged one first."""
    asserted = caller.asserted.get(name, "")
    beliefs = [caller.get(name), asserted]
    if name == DATA_CLASS:
        beliefs.insert(1, caller.data_class_hint or asserted)
    return list(dict.fromkeys(beliefs))
