"""The `x-tiermesh-*` headers of an answer. Pure: they print what decision and attempts say."""

from __future__ import annotations

from collections.abc import Iterable

from tiermesh_sidecar.core.cost import cost, dollars
from tiermesh_sidecar.core.decision import Decision, candidate_for
from tiermesh_sidecar.net.attempt import Attempt

Headers = list[tuple[bytes, bytes]]


def call_headers(call_id: str, policy: str | None) -> Headers:
    """What every answer tells: where to look the call up, and the policy that ran."""
    return _encoded((("decision", call_id), ("policy", policy)))


def decision_headers(call_id: str, decision: Decision) -> Headers:
    """What an answer of our own tells of the decision that led to it."""
    refused = decision.refusal is not None
    first = next((c for c in decision.candidates if not c.kept), None)
    reason = first.reason.value if refused and first is not None else None
    return [
        *call_headers(call_id, decision.policy),
        *_encoded((("rule", decision.rule), ("reason", reason))),
    ]


def answer_headers(
    call_id: str, decision: Decision, answer: Attempt, attempts: int, price: int | None
) -> Headers:
    """What a backend's answer tells: who answered and why it was asked. `price`: picodollars of the
    call so far, None where it is not known yet."""
    tier = answer.step.tier.name
    candidate = candidate_for(decision, tier)
    return [
        *call_headers(call_id, decision.policy),
        *_encoded(
            (
                ("rule", decision.rule),
                ("tier", tier),
                ("backend", answer.step.backend.name),
                ("model", answer.step.backend.model),
                ("reason", candidate.reason.value if candidate else None),
                ("attempts", str(attempts)),
                ("cost", None if price is None else dollars(price)),
            )
        ),
    ]


def price_so_far(attempts: Iterable[Attempt], input_tokens: int) -> int | None:
    """Picodollars of all attempts that used something; None where one of them has no price."""
    total = 0
    for attempt in attempts:
        usage = attempt.usage(input_tokens)
        if usage is None:
            continue
        price = cost(usage, attempt.step.backend.price)
        if price is None:
            return None
        total += price
    return total


def _encoded(pairs: Iterable[tuple[str, str | None]]) -> Headers:
    return [
        (f"x-tiermesh-{name}".encode(), value.encode("ascii", "backslashreplace"))
        for name, value in pairs
        if value is not None
    ]
