"""Which tiers and backends may serve a call, and which can right now.

Rights are checked for every backend by itself, so whatever a plan contains has all of them; a tier
falls when all its backends do. Every check runs: the first reason by precedence is the tier's, the
others are told as well. Nothing here chooses.
"""

from __future__ import annotations

from collections.abc import Sequence

from tiermesh_sidecar.core.candidates import Option, TierFacts
from tiermesh_sidecar.core.constraints import Demands
from tiermesh_sidecar.core.decision import Reason
from tiermesh_sidecar.core.entitlement import Entitled
from tiermesh_sidecar.core.features import Endpoint, Features
from tiermesh_sidecar.core.names import Asked
from tiermesh_sidecar.core.state import StateView


class Standing:
    """A tier before one call: what speaks against it, and which of its backends are left."""

    __slots__ = ("facts", "healthy", "keyless", "out", "reasons", "rights", "tryable", "usable")

    def __init__(
        self,
        facts: TierFacts,
        usable: tuple[Option, ...],
        view: StateView,
        reasons: tuple[Reason, ...],
        out: bool,
    ) -> None:
        self.facts = facts
        self.usable = usable
        """The backends that have every right, best priority first."""
        self.healthy = usable
        """Of these, the ones that are neither ejected nor without their key."""
        self.tryable: tuple[Option, ...] = ()
        """Where none is healthy and `whenAllEjected` says TryOne: those that have their key."""
        self.keyless: tuple[Option, ...] = ()
        """The usable ones whose key is not here."""
        if view.ejected or view.keyless:
            keyed = tuple(option for option in usable if option.key not in view.keyless)
            self.keyless = tuple(option for option in usable if option.key in view.keyless)
            self.healthy = tuple(option for option in keyed if option.key not in view.ejected)
            if facts.try_one and not self.healthy:
                self.tryable = keyed
        self.reasons = reasons
        """The rights that it lacks, by precedence."""
        self.out = out
        """What was asked for cannot be had here: neither a right nor the route is in question."""
        self.rights = not reasons and not out

    @property
    def available(self) -> bool:
        return self.rights and bool(self.healthy)


class Rights:
    """What one call demands, put to one tier after another."""

    __slots__ = ("_asked", "_demands", "_entitled", "_features", "_view")

    def __init__(
        self,
        features: Features,
        asked: Asked,
        entitled: Entitled,
        demands: Demands,
        view: StateView,
    ) -> None:
        self._features = features
        self._asked = asked
        self._entitled = entitled
        self._demands = demands
        self._view = view

    def standing(self, facts: TierFacts) -> Standing:
        considered = self._asked.only.get(facts.name)
        out = considered is None and self._asked.closed
        options = facts.options if considered is None else considered
        speaking = self._speaking(facts, considered)
        usable = self._cleared(speaking) if self._demands.data else speaking
        reasons = self._tier_reasons(facts)
        if not usable:
            reasons = _merge(reasons, self._backend_reasons(options, speaking))
        return Standing(facts, usable, self._view, tuple(reasons), out)

    def _speaking(
        self, facts: TierFacts, considered: tuple[Option, ...] | None
    ) -> tuple[Option, ...]:
        dialect = self._features.dialect
        if self._features.endpoint is Endpoint.OTHER:
            return facts.pass_through[dialect]
        if considered is None:
            return facts.by_dialect[dialect]
        return tuple(option for option in considered if option.dialect is dialect)

    def _cleared(self, options: tuple[Option, ...]) -> tuple[Option, ...]:
        demands = self._demands.data
        return tuple(o for o in options if not any(d.objections(o) for d in demands))

    def _tier_reasons(self, facts: TierFacts) -> list[Reason]:
        found: list[Reason] = []
        if not self._entitled.allows(facts.name):
            found.append(Reason.NOT_ENTITLED)
        if self._demands.floor is not None and facts.rank < self._demands.floor:
            found.append(Reason.NEVER_BELOW)
        # What a path that is passed through needs is unknown: there is nothing to measure.
        if self._features.endpoint is not Endpoint.OTHER:
            if not fits(self._features, facts):
                found.append(Reason.CONTEXT_WINDOW)
            if not self._features.needs <= facts.capabilities:
                found.append(Reason.CAPABILITY)
        return found

    def _backend_reasons(
        self, options: Sequence[Option], speaking: Sequence[Option]
    ) -> set[Reason]:
        found = {
            reason
            for option in options
            for demand in self._demands.data
            for reason in demand.objections(option)
        }
        if len(speaking) < len(options):
            found.add(Reason.CAPABILITY)
        return found


def fits(features: Features, facts: TierFacts) -> bool:
    """Whether the estimated input fits, together with all the output that the caller asks room for.

    A caller that sets no limit asks for none: the model stops by itself where its window ends.
    """
    asked = features.max_tokens or 0
    window, longest = facts.context_window, facts.max_output_tokens
    if window is not None and features.tokens + asked > window:
        return False
    return longest is None or asked <= longest


def _merge(reasons: list[Reason], more: set[Reason]) -> list[Reason]:
    return [reason for reason in Reason if reason in more or reason in reasons]
