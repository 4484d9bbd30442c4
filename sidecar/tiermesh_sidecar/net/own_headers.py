"""The `x-tiermesh-*` headers of an answer. Pure: they print what decision and attempts say."""

from __future__ import annotations

from collections.abc import Iterable

from tiermesh_sidecar.core.cost import cost, dollars, total_cost
from tiermesh_sidecar.core.decision import Decision, candidate_for
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_sidecar.net.attempt import Attempt

Headers = list[tuple[bytes, bytes]]


def call_headers(call_id: str, policy: str | None) -> Headers:
    """What every answer tells: where to look the call up, and the policy that ran."""
    return _encoded((("decision", call_id), ("policy", policy)))


def decision_headers(call_id: str, decision: Decision) -> Headers:
    """What an answer of our own tells of the decision that led to it."""
    reason = decision.refusal.reason if decision.refusal else None
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
    """Picodollars of all attempts; None where one of them cost an unknown amount."""

    def bought(attempt: Attempt) -> tuple[Usage | None, int | None, bool]:
        usage = attempt.usage(input_tokens)
        price = cost(usage, attempt.step.backend.price) if usage else None
        return usage, price, attempt.ended and attempt.status is not None and attempt.status < 400

    return total_cost(map(bought, attempts))


def _encoded(pairs: Iterable[tuple[str, str | None]]) -> Headers:
    return [
        (f"x-tiermesh-{name}".encode(), value.encode("ascii", "backslashreplace"))
        for name, value in pairs
        if value is not None
    ]
