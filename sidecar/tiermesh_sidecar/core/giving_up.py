"""The errors of our own that end a call: what happened, to which backends, and what to change.

They name backends by the policy's words. Addresses, keys and bodies stay out: only the short
`detail` of a failure is repeated, cut to a line.
"""

from __future__ import annotations

from collections.abc import Sequence

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.events import Failure
from tiermesh_sidecar.core.flight import Flight

_DETAIL_LIMIT = 160


def upstream_failed(flights: Sequence[Flight]) -> Refusal:
    """No backend gave a usable answer, and none an error answer that could be passed on."""
    return Refusal(
        code=ErrorCode.UPSTREAM_FAILED,
        message=f"No backend gave a usable answer (tried {_tried(flights)}); "
        "check these backends, or let the policy's `fallback` and `retry` allow others.",
    )


def deadline_exceeded(flights: Sequence[Flight], call_ms: int) -> Refusal:
    """The call's own deadline passed before an answer began."""
    return Refusal(
        code=ErrorCode.DEADLINE_EXCEEDED,
        message=f"The call's deadline of {call_ms} ms passed without an answer "
        f"(tried {_tried(flights)}); raise `timeouts.call` in the policy, or the "
        "`x-tiermesh-deadline-ms` header if the request sets one.",
    )


def broke_off(flight: Flight) -> Refusal:
    """The answer that the caller was already reading will not be finished."""
    late = flight.error == Failure.DEADLINE
    return Refusal(
        code=ErrorCode.DEADLINE_EXCEEDED if late else ErrorCode.UPSTREAM_FAILED,
        message=f"The answer broke off after it had begun ({_what_became(flight)}); "
        "what came before is incomplete, and the call may be repeated.",
    )


def _tried(flights: Sequence[Flight]) -> str:
    return "; ".join(_what_became(flight) for flight in flights) or "none"


def _what_became(flight: Flight) -> str:
    name = f"{flight.step.tier.name}/{flight.step.backend.name}: {flight.error}"
    detail = " ".join(flight.detail.split())[:_DETAIL_LIMIT]
    return f"{name} ({detail})" if detail else name
