"""A decision for people and for programs, as `tiermesh explain` prints it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tiermesh_sidecar.core.cost import cost, dollars, top_tier_cost
from tiermesh_sidecar.core.decision import Decision
from tiermesh_sidecar.core.features import Endpoint, Features
from tiermesh_sidecar.core.outcome import Usage
from tiermesh_spec.snapshot import Mode, Policy

ASSUMED_OUTPUT = 500
"""Output tokens for the cost where the request sets no limit: to compare tiers, not to predict."""


def as_json(decision: Decision, features: Features, policy: Policy) -> dict[str, object]:
    plan = decision.plan
    steps = plan.steps if plan else ()
    summary: dict[str, object] = {
        "tier": decision.tier,
        "rule": decision.rule,
        "policy": decision.policy,
        "plan": [{"tier": s.tier.name, "backend": s.backend.name} for s in steps],
    }
    if decision.refusal is not None:
        summary["refusal"] = {
            "code": decision.refusal.code.value,
            "message": decision.refusal.message,
        }
    return {
        "decision": summary,
        "candidates": [candidate.as_json() for candidate in decision.candidates],
        "signals": dict(decision.signals),
        "cost": _cost(decision, features, policy),
    }


def as_text(decision: Decision, why: Mapping[str, str], features: Features, policy: Policy) -> str:
    """`why` has words for every candidate, as `core.explanations` gives them."""
    rows = [(c.tier, c.reason.value, why[c.tier]) for c in decision.candidates]
    acts = policy.mode in (Mode.ENFORCE, Mode.BASELINE)
    lines = [*_headline(decision, acts=acts), "", *_table(("tier", "reason", "why"), rows), ""]
    facts = [("policy", decision.policy), ("rule", decision.rule or "none asked")]
    if policy.mode is not Mode.ENFORCE:
        facts.append(("mode", _MODES[policy.mode]))
    facts += [("signal", f"{name} = {_value(v)}") for name, v in decision.signals.items()]
    if decision.plan is not None:
        facts.append(("plan", " -> ".join(_steps(decision))))
    facts += _cost_lines(_cost(decision, features, policy))
    lines += [f"{name:8}{value}" for name, value in facts]
    return "\n".join(lines) + "\n"


_MODES = {
    Mode.OBSERVE: "Observe: this is recorded, the call itself is relayed as if no policy acted",
    Mode.BASELINE: "Baseline: the highest rank serves every call",
    Mode.DISABLED: "Disabled: nothing is decided, the call is relayed as if there were no policy",
}


def _headline(decision: Decision, *, acts: bool) -> Iterable[str]:
    refusal = decision.refusal
    if refusal is None:
        return (f"{decision.tier} {'takes' if acts else 'would take'} this call",)
    return (f"{'' if acts else 'would be '}refused: {refusal.code.value}", refusal.message)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _steps(decision: Decision) -> Iterable[str]:
    steps = decision.plan.steps if decision.plan else ()
    return (f"{step.tier.name}/{step.backend.name} ({step.backend.model})" for step in steps)


def _value(value: float | str | None) -> str:
    if value is None:
        return "abstains"
    return value if isinstance(value, str) else f"{value:.3f}"


def _cost(decision: Decision, features: Features, policy: Policy) -> dict[str, object]:
    """What the first step would cost, and the top tier; null where a price is not known."""
    output, whence = _output(features)
    usage = Usage(input=features.tokens, output=output, estimated=True)
    # A path that is not read may cost anything.
    known = decision.plan is not None and features.endpoint is not Endpoint.OTHER
    first = decision.plan.steps[0].backend if decision.plan and known else None
    own = cost(usage, first.price) if first else None
    top = top_tier_cost(policy, usage) if first else None
    saved = top - own if own is not None and top is not None else None
    return {
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "outputTokensAre": whence,
        "estimated": _money(own),
        "topTier": _money(top),
        "saved": _money(saved),
    }


def _output(features: Features) -> tuple[int, str]:
    """Output tokens to reckon with, and where the number is from."""
    if features.endpoint is Endpoint.EMBEDDINGS:
        return 0, "embeddings have none"
    if features.max_tokens is None:
        return ASSUMED_OUTPUT, "assumed"
    return features.max_tokens, "the request's limit"


def _money(picodollars: int | None) -> str | None:
    return None if picodollars is None else dollars(picodollars)


def _cost_lines(figures: dict[str, object]) -> Iterable[tuple[str, str]]:
    if figures["estimated"] is None:
        return
    tokens = (
        f"{figures['inputTokens']} input and {figures['outputTokens']} output tokens "
        f"({figures['outputTokensAre']})"
    )
    yield "cost", f"${figures['estimated']} for {tokens}"
    if figures["topTier"] is not None:
        yield "saved", f"${figures['saved']}: the highest tier would cost ${figures['topTier']}"
