"""Random policies, calls and states of backends: small, often awkward, always valid.

A world is drawn from one integer. Drawing its hundred parts one by one takes hypothesis a hundred
times longer than the decision under test; the price is that a failing world is not shrunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TypeVar

from hypothesis import strategies as st
from policy_makers import (
    backend,
    constraint,
    fallback,
    features,
    grant,
    models,
    pin,
    policy,
    rule,
    threshold,
    tier,
    weighted,
    when,
)

from tiermesh_sidecar.core.active import ActivePolicy, activate_policy
from tiermesh_sidecar.core.decide import decide
from tiermesh_sidecar.core.decision import Decision
from tiermesh_sidecar.core.features import Caller, Capability, Dialect, Endpoint, Features
from tiermesh_sidecar.core.state import StateView, backend_key
from tiermesh_spec.snapshot import (
    Backend,
    Constraint,
    Entitlements,
    Expression,
    Fallback,
    FallbackOn,
    FallbackOrder,
    Match,
    Mode,
    Models,
    Policy,
    Provider,
    Route,
    Tier,
    WhenAllEjected,
)

T = TypeVar("T")

NAMES = ("small", "medium", "large", "huge")
BACKENDS = ("a", "b", "c")
MODELS = ("m", "n", "o")
CLASSES = ("public", "internal", "restricted")
HINTS = {"step": ("", "classify", "answer"), "task": ("", "credit"), "dataClass": CLASSES}
EXPRESSIONS: Sequence[Expression] = tuple(
    when(source)
    for source in (
        'caller.plan == "free"',
        'caller.dataClass == "restricted"',
        'caller.step == "classify" && caller.plan != "free"',
        'caller.dataClass == "restricted" && caller.step == ""',
        "request.tokens > 50",
        "signal.complexity > 0.5",
        "request.tokens / request.maxTokens > 1",
    )
)
MATCHES = (Match(), Match(steps=("classify",)), Match(steps=("classify", "answer")))


class Maker(Random):
    """Draws the parts of a world; `maybe` says how often a part is awkward, in percent."""

    def maybe(self, percent: int) -> bool:
        return self.randrange(100) < percent

    def some(self, values: Sequence[T]) -> tuple[T, ...]:
        return tuple(self.sample(values, self.randrange(len(values) + 1)))

    def condition(self) -> dict[str, Match | Expression | None]:
        return {
            "match": self.choice(MATCHES) if self.maybe(40) else None,
            "when": self.choice(EXPRESSIONS) if self.maybe(60) else None,
        }

    def backends(self) -> tuple[Backend, ...]:
        return tuple(
            backend(
                name,
                model=self.choice(MODELS),
                provider=Provider.ANTHROPIC if self.maybe(15) else Provider.OPENAI,
                priority=self.randrange(2),
                weight=self.randrange(4),
                region=self.choice(("eu", "eu", "us", None)),
                classifications=self.some(CLASSES) if self.maybe(30) else CLASSES,
                retention=self.choice(("None", "None", "30d", None)),
            )
            for name in self.sample(BACKENDS, self.choice((1, 1, 2, 3)))
        )

    def tier(self, name: str) -> Tier:
        return tier(
            name,
            self.choice((10, 20, 30, 40)),
            *self.backends(),
            aliases=(f"{name}-alias",) if self.maybe(50) else (),
            capabilities=("Tools",) if self.maybe(70) else (),
            context_window=100 if self.maybe(25) else None,
            max_output_tokens=20 if self.maybe(25) else None,
            when_all_ejected=self.choice(tuple(WhenAllEjected)),
        )

    def route(self, names: Sequence[str]) -> Route:
        kind = self.randrange(3)
        if kind == 0:
            return pin(self.choice(names), fallback=self.maybe(70))
        if kind == 1:
            return weighted(**{name: self.randrange(4) for name in (self.some(names) or names)})
        low, high = self.choice(names), self.choice(names)
        wish = self.choice(names) if self.maybe(50) else None
        return threshold((0.4, low), (None, high), on_abstain=wish)

    def constraint(self, names: Sequence[str]) -> Constraint:
        return constraint(
            "c",
            **self.condition(),
            regions=self.choice(((), ("eu",), ("eu", "us"))),
            classifications=self.choice(((), (), ("internal",), ("internal", "restricted"))),
            retention=self.choice(((), (), ("None",))),
            never_below=self.choice(names) if self.maybe(30) else None,
        )

    def entitlements(self, names: Sequence[str]) -> Entitlements:
        grants = tuple(
            grant(f"g{number}", *self.some(names), **self.condition())
            for number in range(self.choice((0, 0, 1, 2)))
        )
        return Entitlements(default_all=self.maybe(92), grants=grants)

    def fallback(self, names: Sequence[str]) -> Fallback:
        order = self.choice(tuple(FallbackOrder))
        listed = self.some(names) if order is FallbackOrder.LISTED else ()
        on = self.choice((tuple(FallbackOn), tuple(FallbackOn), (FallbackOn.TIMEOUT,), ()))
        return fallback(order, *listed, on=frozenset(on))

    def models(self, names: Sequence[str]) -> Models:
        return models(
            *self.choice((("*",), ("*",), ("x",), ())),
            direct=self.some((*MODELS, *BACKENDS)),
            pass_through=self.choice(names) if self.maybe(70) else None,
        )

    def policy(self) -> Policy:
        candidates = tuple(self.tier(name) for name in NAMES[: self.choice((1, 2, 3, 3, 4, 4))])
        names = [one.name for one in candidates]
        return policy(
            *(
                rule(f"r{number}", self.route(names), **self.condition())
                for number in range(self.randrange(4))
            ),
            tiers=tuple(self.sample(candidates, len(candidates))),
            default=self.route(names),
            models=self.models(names),
            constraints=tuple(self.constraint(names) for _ in range(self.choice((0, 0, 1, 2)))),
            entitlements=self.entitlements(names),
            fallback=self.fallback(names),
            mode=self.choice((Mode.ENFORCE, Mode.ENFORCE, Mode.OBSERVE, Mode.BASELINE)),
            max_attempts=self.randint(1, 6),
        )

    def hints(self) -> dict[str, str]:
        return {name: self.choice(v) for name, v in HINTS.items() if self.maybe(30)}

    def caller(self) -> Caller:
        asserted: dict[str, str] = {}
        if self.maybe(60):
            asserted["plan"] = self.choice(("", "free", "premium"))
        for name in ("step", "dataClass"):
            if self.maybe(30):
                asserted[name] = self.choice(HINTS[name])
        return hinting(asserted, self.hints())

    def call(self) -> Features:
        named = (*NAMES, "small-alias", *MODELS, *BACKENDS, "unknown")
        return features(
            self.choice(("", "Who wrote Hamlet?", "prove this theorem and explain why")),
            model=self.choice(named) if self.maybe(30) else "auto",
            endpoint=self.choice(tuple(Endpoint)) if self.maybe(30) else Endpoint.CHAT_COMPLETIONS,
            dialect=Dialect.ANTHROPIC if self.maybe(10) else Dialect.OPENAI,
            tokens=self.choice((10, 60, 90, 200)),
            max_tokens=self.choice((None, None, 15, 30)),
            needs=(Capability.TOOLS,) if self.maybe(30) else (),
            caller=self.caller(),
            stream=self.maybe(50),
        )

    def view(self, given: Policy) -> StateView:
        keys = [backend_key(one, served) for one in given.tiers for served in one.backends]
        ejected = frozenset(k for k in keys if self.maybe(40)) if self.maybe(50) else frozenset()
        keyless = frozenset(k for k in keys if self.maybe(20)) if self.maybe(30) else frozenset()
        return StateView(ejected=ejected, keyless=keyless)


def hinting(asserted: dict[str, str], hints: dict[str, str]) -> Caller:
    """As a request's headers are read: a data class that is hinted is kept apart as well."""
    return Caller(asserted=asserted, hinted=hints, data_class_hint=hints.get("dataClass", ""))


@dataclass(frozen=True, kw_only=True)
class World:
    """All that a decision depends on."""

    policy: Policy
    call: Features
    view: StateView
    seed: int
    signals: dict[str, float | str | None] | None

    @cached_property
    def active(self) -> ActivePolicy:
        return activate_policy(self.policy, {})

    def decide(self, *, deadline_ms: int | None = None) -> Decision:
        return decide(
            self.call,
            self.active,
            self.view,
            0.0,
            self.seed,
            signals=self.signals,
            deadline_ms=deadline_ms,
        )


def world_of(number: int) -> World:
    make = Maker(number)
    given = make.policy()
    score = make.choice((None, 0.2, 0.7))
    return World(
        policy=given,
        call=make.call(),
        view=make.view(given),
        seed=make.getrandbits(128),
        signals={"complexity": score} if make.maybe(60) else None,
    )


numbers = st.integers(min_value=0, max_value=2**64 - 1)
worlds = numbers.map(world_of)
hints = numbers.map(lambda number: Maker(number).hints())
