"""Calls as the shell records them, for every consumer's tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import policy_makers
import pytest

from tiermesh_sidecar.core.cost import cost
from tiermesh_sidecar.core.decision import (
    Candidate,
    Decision,
    ErrorCode,
    Plan,
    Reason,
    Refusal,
    Step,
)
from tiermesh_sidecar.core.features import Caller, Dialect, Endpoint, Features
from tiermesh_sidecar.core.outcome import AttemptRecord, Ending, Usage
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord, TraceContext
from tiermesh_sidecar.core.state import StateView
from tiermesh_spec.snapshot import (
    FallbackOn,
    Policy,
    Price,
    Tier,
)

PRICES = {
    "small": Price(input=150_000, output=600_000, cached_input=75_000, cache_write=190_000),
    "large": Price(
        input=2_500_000, output=10_000_000, cached_input=1_250_000, cache_write=3_125_000
    ),
}


def make_tier(name: str, rank: int) -> Tier:
    model = f"vendor/{name}-model"
    made = policy_makers.backend(f"{name}-a", model=model, price=PRICES[name])
    return policy_makers.tier(name, rank, replace(made, url=f"http://{name}.models.svc:8000/v1"))


@pytest.fixture
def policy() -> Policy:
    made = policy_makers.policy(
        tiers=(make_tier("small", 10), make_tier("large", 30)),
        fallback=policy_makers.fallback(on=frozenset({FallbackOn.SERVER_ERROR})),
    )
    return replace(made, generation="0a1b2c3d")


def make_attempt(
    number: int,
    tier: str,
    *,
    started_ms: float = 1.0,
    ended_ms: float = 250.0,
    status: int | None = 200,
    error: str | None = None,
    usage: Usage | None = None,
    **more: object,
) -> AttemptOutcome:
    made = AttemptOutcome(
        record=AttemptRecord(
            attempt=number,
            tier=tier,
            backend=f"{tier}-a",
            started_ms=started_ms,
            ended_ms=ended_ms,
            status=status,
            error=error,
        ),
        provider="OpenAI",
        model=f"vendor/{tier}-model",
        server_address=f"{tier}.models.svc",
        server_port=8000,
        span_id=f"{number:016x}",
        usage=usage,
        cost=cost(usage, PRICES[tier]) if usage is not None else None,
    )
    return replace(made, **more)  # type: ignore[arg-type]  # field names and values of a test


@pytest.fixture
def attempt() -> Callable[..., AttemptOutcome]:
    return make_attempt


@pytest.fixture
def decision(policy: Policy) -> Decision:
    return Decision(
        policy=policy.label,
        rule="steps",
        candidates=(
            Candidate(tier="small", kept=True, reason=Reason.CHOSEN),
            Candidate(tier="large", kept=True, reason=Reason.IN_PLAN, also=(Reason.NOT_IN_ROUTE,)),
        ),
        signals={"complexity": 0.25, "unsure": None},
        plan=Plan(
            steps=tuple(Step(tier=t, backend=t.backends[0]) for t in policy.tiers),
            max_attempts=3,
            fallback_on=frozenset(),
            call_ms=120_000,
            attempt_ms=60_000,
            first_byte_ms=20_000,
            stream_idle_ms=30_000,
            backoff_base_ms=100,
            backoff_max_ms=5_000,
        ),
        refusal=None,
    )


@pytest.fixture
def features() -> Features:
    return Features(
        endpoint=Endpoint.CHAT_COMPLETIONS,
        dialect=Dialect.OPENAI,
        model="auto",
        stream=True,
        tokens=42,
        max_tokens=256,
        caller=Caller(asserted={"plan": "free"}),
    )


@pytest.fixture
def call(policy: Policy, decision: Decision, features: Features) -> CallRecord:
    """A stream that the first attempt answered."""
    return CallRecord(
        id="01JD0000000000000000000001",
        at=1_732_300_000.123456,
        snapshot="ab" * 32,
        policy=policy,
        decision=decision,
        features=features,
        view=StateView(ejected=frozenset({"models/large/large-a"})),
        seed=7,
        trace=TraceContext(
            trace_id="0af7651916cd43dd8448eb211c80319c",
            span_id="b7ad6b7169203331",
            parent_span_id="00f067aa0ba902b7",
            sampled=True,
            state="vendor=value",
        ),
        method="POST",
        path="/v1/chat/completions?key=secret",
        status=200,
        ending=Ending.ANSWERED,
        error_code=None,
        attempts=(
            make_attempt(
                1,
                "small",
                usage=Usage(input=1000, output=100, cached_input=400),
                response_id="chatcmpl-1",
                response_model="small-2026",
                finish_reasons=("stop",),
                first_chunk_ms=120.0,
            ),
        ),
        answered_by=1,
        duration_ms=251.5,
        overhead_ms=0.75,
    )


@pytest.fixture
def refused(call: CallRecord, decision: Decision) -> CallRecord:
    """Nothing was sent: the first candidate fell for its region."""
    refusal = Refusal(
        code=ErrorCode.NOT_PERMITTED, message="no tier may see this", reason=Reason.REGION
    )
    fallen = (
        Candidate(tier="small", kept=False, reason=Reason.REGION, also=(Reason.CAPABILITY,)),
        Candidate(tier="large", kept=False, reason=Reason.RETENTION),
    )
    return replace(
        call,
        id="01JD0000000000000000000002",
        decision=replace(decision, candidates=fallen, plan=None, refusal=refusal),
        status=403,
        ending=Ending.REFUSED,
        error_code=ErrorCode.NOT_PERMITTED.value,
        attempts=(),
        answered_by=None,
    )


@pytest.fixture
def fallen_back(call: CallRecord) -> CallRecord:
    """The first tier failed, the second answered."""
    return replace(
        call,
        id="01JD0000000000000000000003",
        attempts=(
            make_attempt(1, "small", ended_ms=40.0, status=503, error="http_503"),
            make_attempt(2, "large", started_ms=140.0, usage=Usage(input=1000, output=100)),
        ),
        answered_by=2,
    )
