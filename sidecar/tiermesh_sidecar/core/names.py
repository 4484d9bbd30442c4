"""What the model's name in a call asks for: to be routed, or for one tier, backend or model.

Resolved once per policy into one dictionary; a name that leads nowhere is unknown,
never guessed. Embeddings have their own table, because their model never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tiermesh_sidecar.core.candidates import Option, TierFacts
from tiermesh_sidecar.core.glob import is_glob, matches_any
from tiermesh_spec.snapshot import Models

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a call is served as far as its name says so."""

    pin: tuple[str, ...] = ()
    """Tiers, lowest rank first; several only where they serve the same model. Empty: routed."""
    only: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    """Of these tiers, these backends alone. Other tiers take part whole, unless `closed`."""
    closed: bool = False
    """No other tier may take part: not by fallback either."""
    fallback: bool = True
    """Whether a failure while the call runs may move it to another tier."""


ROUTED = Asked()


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTable:
    """Every name of one policy, resolved."""

    exact: Mapping[str, Asked]
    candidates: Mapping[str, Asked]
    """What a glob of `models.direct` may lead to."""
    direct_globs: tuple[str, ...]
    route_globs: tuple[str, ...]
    embeddings: Mapping[str, Asked]
    pass_through: Asked | None

    def resolve(self, model: str) -> Asked | None:
        """None: no such model."""
        asked = self.exact.get(model)
        if asked is not None:
            return asked
        if matches_any(self.direct_globs, model):
            return self.candidates.get(model)
        return ROUTED if matches_any(self.route_globs, model) else None


def prepare(models: Models, ranked: Sequence[TierFacts]) -> NameTable:
    """`ranked` is lowest rank first: of two tiers that serve one model the lower is asked first."""
    tiers = _tier_names(ranked)
    candidates = {**_backend_names(ranked), **tiers}
    direct = {n: candidates[n] for n in models.direct if n in candidates}
    routed = dict.fromkeys((AUTO, *(n for n in models.route if not is_glob(n))), ROUTED)
    return NameTable(
        exact={**tiers, **direct, **routed},
        candidates=candidates,
        # A plain name that leads nowhere is a pattern that matches itself, and so is unknown.
        direct_globs=tuple(n for n in models.direct if n not in direct),
        route_globs=tuple(n for n in models.route if is_glob(n)),
        embeddings=_embedding_names(ranked),
        pass_through=_pass_through(models, ranked),
    )


def _tier_names(ranked: Sequence[TierFacts]) -> dict[str, Asked]:
    names: dict[str, Asked] = {}
    for facts in ranked:
        for alias in facts.tier.aliases:
            names.setdefault(alias, Asked(pin=(facts.name,)))
    names.update({facts.name: Asked(pin=(facts.name,)) for facts in ranked})
    return names


def _served_models(ranked: Sequence[TierFacts]) -> dict[str, dict[str, tuple[Option, ...]]]:
    """By model, then by tier, the backends that serve it."""
    found: dict[str, dict[str, tuple[Option, ...]]] = {}
    for facts in ranked:
        for option in facts.options:
            tiers = found.setdefault(option.step.backend.model, {})
            tiers[facts.name] = (*tiers.get(facts.name, ()), option)
    return found


def _backend_names(ranked: Sequence[TierFacts]) -> dict[str, Asked]:
    """Pins to single backends by name, and to all that serve a model by the model's.

    Backends of two tiers may share a name and not be alike: the lower tier's is meant then.
    """
    models = _served_models(ranked)
    names = {model: Asked(pin=tuple(tiers), only=tiers) for model, tiers in models.items()}
    for facts in reversed(ranked):
        for option in facts.options:
            pin = Asked(pin=(facts.name,), only={facts.name: (option,)})
            names[option.step.backend.name] = pin
    return names


def _embedding_names(ranked: Sequence[TierFacts]) -> dict[str, Asked]:
    """Models first, then tiers of one model. Everything else is out, so the model cannot change."""
    by_name = {facts.name: facts for facts in ranked}
    names: dict[str, Asked] = {}
    for name, asked in _tier_names(ranked).items():
        facts = by_name[asked.pin[0]]
        if len({option.step.backend.model for option in facts.options}) == 1:
            names[name] = Asked(pin=asked.pin, only={facts.name: facts.options}, closed=True)
    for model, tiers in _served_models(ranked).items():
        names[model] = Asked(pin=tuple(tiers), only=tiers, closed=True)
    return names


def _pass_through(models: Models, ranked: Sequence[TierFacts]) -> Asked | None:
    """Other tiers cannot stand in: nothing is known of the path, or of ids that a provider made."""
    tier = models.pass_through_tier
    if tier is None:
        return None
    options = {facts.name: facts.options for facts in ranked if facts.name == tier}
    return Asked(pin=(tier,), only=options, closed=True, fallback=False)
