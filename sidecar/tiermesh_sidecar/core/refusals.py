"""Refusals of a decision in words: what happened, why (tier by tier), and what to change.

Built only when a call is refused. Which code a refusal has follows from the reasons alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from tiermesh_sidecar.core.case import Case
from tiermesh_sidecar.core.decision import ErrorCode, Reason, Refusal
from tiermesh_sidecar.core.eligibility import Standing
from tiermesh_sidecar.core.explanations import why
from tiermesh_sidecar.core.features import Endpoint
from tiermesh_sidecar.core.names import AUTO

CODES: Mapping[Reason, ErrorCode] = {
    Reason.NOT_ENTITLED: ErrorCode.NOT_ENTITLED,
    Reason.DATA_CLASS: ErrorCode.NOT_PERMITTED,
    Reason.REGION: ErrorCode.NOT_PERMITTED,
    Reason.RETENTION: ErrorCode.NOT_PERMITTED,
    Reason.NEVER_BELOW: ErrorCode.NOT_PERMITTED,
    Reason.CONTEXT_WINDOW: ErrorCode.CONTEXT_LENGTH_EXCEEDED,
    Reason.CAPABILITY: ErrorCode.CAPABILITY_UNAVAILABLE,
    Reason.UNHEALTHY: ErrorCode.UPSTREAM_UNAVAILABLE,
}
"""By the precedence of reasons, which is also that of the codes."""

_WHAT = {
    ErrorCode.NOT_ENTITLED: "This caller may not use a tier that could serve the call.",
    ErrorCode.NOT_PERMITTED: "A constraint keeps the call from every tier that could serve it.",
    ErrorCode.CONTEXT_LENGTH_EXCEEDED: "The call is too long for every tier that could serve it.",
    ErrorCode.CAPABILITY_UNAVAILABLE: "No tier that could serve the call is capable of it.",
    ErrorCode.UPSTREAM_UNAVAILABLE: "Every backend that could serve the call is unavailable.",
}

_FIX = {
    ErrorCode.NOT_ENTITLED: "Ask for a model that /v1/models lists, or extend spec.entitlements",
    ErrorCode.NOT_PERMITTED: "Give one of the tiers a backend that meets the constraint, or"
    " change spec.constraints",
    ErrorCode.CONTEXT_LENGTH_EXCEEDED: "Shorten the input, lower the limit on output tokens, or"
    " add a tier with a larger window",
    ErrorCode.CAPABILITY_UNAVAILABLE: "Drop what the tiers lack from the request, or add a tier"
    " that has it",
    ErrorCode.UPSTREAM_UNAVAILABLE: "Try again soon; if it lasts, look at the backends and their"
    " credentials",
}

_LONGEST_NAME = 100


def rejected(standings: Iterable[Standing], case: Case) -> Refusal:
    """None of these tiers can take the call.

    A tier with all rights fell for its health alone: that can pass, so it outweighs what the others
    lack. Else the first reason by precedence names the code.
    """
    fallen = [s for s in standings if not s.out and not s.available]
    reason = Reason.UNHEALTHY
    if not any(standing.rights for standing in fallen):
        leading = {standing.reasons[0] for standing in fallen}
        reason = next(reason for reason in CODES if reason in leading)
    code = CODES[reason]
    message = "{what} {why}. {fix} (policy {policy}).".format(
        what=_WHAT[code],
        why="; ".join(f"{standing.facts.name}: {why(standing, case)}" for standing in fallen),
        fix=_FIX[code],
        policy=case.active.label,
    )
    return Refusal(code=code, message=message, reason=reason)


def unknown_model(case: Case) -> Refusal:
    """The name asked for means nothing here; lists what would."""
    asked = case.question.features.model
    names = askable(case)
    shown = asked if len(asked) <= _LONGEST_NAME else f"{asked[:_LONGEST_NAME]}..."
    near = get_close_matches(asked[:_LONGEST_NAME], names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) or "nothing"
    message = (
        f"The model {shown!r} is not served by policy {case.active.label}.{hint}"
        f" What may be asked for: {listed}."
    )
    return Refusal(code=ErrorCode.MODEL_NOT_FOUND, message=message, param="model")


def unknown_path(case: Case) -> Refusal:
    message = (
        f"This path is not one that tiermesh routes, and policy {case.active.label} has no tier for"
        " other paths. Set spec.models.passThroughTier to relay them."
    )
    return Refusal(code=ErrorCode.NOT_FOUND, message=message)


def askable(case: Case) -> tuple[str, ...]:
    """Names that this caller's calls of this kind may ask for; patterns are shown as they are."""
    tiers = [facts for facts in case.active.tiers if case.entitled.allows(facts.name)]
    if case.question.features.endpoint is Endpoint.EMBEDDINGS:
        mine = {facts.name for facts in tiers}
        table = case.active.names.embeddings
        return tuple(name for name, asked in table.items() if mine.intersection(asked.pin))
    models = case.active.policy.models
    own = (name for facts in tiers for name in (facts.name, *facts.tier.aliases))
    return tuple(dict.fromkeys((AUTO, *models.route, *models.direct, *own)))
