"""One call from its bytes to its record: parse, decide, run, record.

The order of things is here and nowhere else. What each step means is `wire`'s and `core`'s affair;
this module adds only what they may not touch: time, chance and the sidecar's state.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from tiermesh_sidecar.core.active import ActivePolicy
from tiermesh_sidecar.core.decide import decide
from tiermesh_sidecar.core.decision import ErrorCode, Plan, Refusal, Step
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.core.outcome import AttemptRecord, Ending
from tiermesh_sidecar.core.record import TraceContext
from tiermesh_sidecar.net.asked import Asked, understand
from tiermesh_sidecar.net.call import Call, RawHeaders
from tiermesh_sidecar.net.exchange import Exchange
from tiermesh_sidecar.net.identifiers import Identifiers
from tiermesh_sidecar.net.original import original_plan
from tiermesh_sidecar.net.own_headers import call_headers
from tiermesh_sidecar.net.recording import Ledger, attempt_outcomes
from tiermesh_sidecar.net.relay import JSON, Relayer
from tiermesh_sidecar.net.runner import Runner, Surroundings
from tiermesh_sidecar.net.settings import Settings
from tiermesh_sidecar.net.state import SidecarState
from tiermesh_sidecar.net.tasks import Tasks
from tiermesh_sidecar.net.upstream import Upstream
from tiermesh_sidecar.telemetry.recorder import Recorder
from tiermesh_sidecar.wire.headers import header, joined, speaks_anthropic
from tiermesh_sidecar.wire.models import listing, model_object
from tiermesh_sidecar.wire.paths import Target, TargetKind, classify, dialect_of
from tiermesh_sidecar.wire.tracecontext import parse_traceparent
from tiermesh_spec.snapshot import Mode

NO_CONFIG = Refusal(
    code=ErrorCode.NO_CONFIG,
    message="This sidecar has no configuration yet, so it cannot know where calls may go. Start it "
    "with -f POLICY, or see /config on its admin address for why the files were refused.",
)


_OUR_FAULT = Refusal(
    code=ErrorCode.UPSTREAM_FAILED,
    message="The sidecar itself failed on this call. That is a bug: its log tells where, under the "
    "id in x-tiermesh-decision. Other calls go on.",
)

_log = logging.getLogger("tiermesh")


class DataPlane:
    """Serves calls. `serve` may run many times at once, on one event loop."""

    def __init__(
        self,
        *,
        settings: Settings,
        state: SidecarState,
        upstream: Upstream,
        recorder: Recorder,
        tasks: Tasks,
        unix_time: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._state = state
        self._upstream = upstream
        self._recorder = recorder
        self._tasks = tasks
        self._unix_time = unix_time
        self._identifiers = Identifiers()
        self._runners: set[Runner] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        return len(self._runners)

    async def wait_idle(self) -> None:
        """Until no call is in flight."""
        await self._idle.wait()

    def stop_all(self, refusal: Refusal) -> None:
        """End every call now with this error."""
        for runner in [*self._runners]:
            runner.stop(refusal)

    async def serve(self, call: Call) -> None:
        """Answer one call and record it. Cancelled when the caller goes away: recorded all the
        same."""
        ledger = self._open_ledger(call)
        try:
            await self._serve(call, ledger)
        except Exception:
            # The edge: whatever we did wrong, the caller gets an answer, the operator a trace.
            _log.exception("call %s failed in the sidecar itself", ledger.id)
            self._apologise(ledger)
        finally:
            self._recorder.record(ledger.record(time.monotonic()))

    def _apologise(self, ledger: Ledger) -> None:
        reply = ledger.call.reply
        if reply.started:
            reply.abort()
            ledger.ending, ledger.refusal = Ending.BROKEN, _OUR_FAULT
        else:
            self._refuse(ledger, _OUR_FAULT, _dialect(ledger.call))

    def refuse(self, call: Call, refusal: Refusal) -> None:
        """Answer a call that the framing could not take whole, and record it."""
        ledger = self._open_ledger(call)
        self._refuse(ledger, refusal, _dialect(call))
        self._recorder.record(ledger.record(time.monotonic()))

    def _open_ledger(self, call: Call) -> Ledger:
        # What the record can hold: a replay must see the very same time.
        now = round(self._unix_time(), 6)
        return Ledger(
            call=call,
            id=self._identifiers.call(),
            at=now,
            seed=self._identifiers.seed(),
            trace=self._trace(call.headers),
            view=self._state.view(now),
        )

    async def _serve(self, call: Call, ledger: Ledger) -> None:
        running = self._state.running
        if running is None:
            self._refuse(ledger, NO_CONFIG, _dialect(call))
            return
        ledger.snapshot = running.hash
        ledger.policy = running.active.policy if running.active else None
        anthropic = speaks_anthropic(call.headers)
        target = classify(call.method, call.target, anthropic_version=anthropic)
        if isinstance(target, Refusal):
            self._refuse(ledger, target, _dialect(call))
        elif running.active is None or running.active.policy.mode is Mode.DISABLED:
            await self._relay(ledger, target)
        else:
            await self._decided(ledger, target, running.active)

    async def _decided(self, ledger: Ledger, target: Target, active: ActivePolicy) -> None:
        observing = active.policy.mode is Mode.OBSERVE
        asked = understand(target, ledger.call.headers, ledger.call.body, active)
        if isinstance(asked, Refusal):
            if observing:
                await self._relay(ledger, target)
            else:
                self._refuse(ledger, asked, target.dialect)
            return
        ledger.features = asked.features
        if target.kind in (TargetKind.MODELS, TargetKind.MODEL) and not observing:
            self._list_models(ledger, asked, active)
            return
        if target.kind in (TargetKind.ROUTED, TargetKind.PASS_THROUGH):
            ledger.decision = decide(
                asked.features,
                active,
                ledger.view,
                ledger.at,
                ledger.seed,
                deadline_ms=asked.deadline_ms,
            )
        if observing or ledger.decision is None:
            await self._relay(ledger, target)
        elif ledger.decision.plan is not None:
            await self._run(ledger, self._exchange(ledger, asked, active), ledger.decision.plan)
        elif ledger.decision.refusal is not None:
            self._refuse(ledger, ledger.decision.refusal, target.dialect)

    def _list_models(self, ledger: Ledger, asked: Asked, active: ActivePolicy) -> None:
        tiers = active.tiers_for(asked.features)
        dialect = asked.target.dialect
        if asked.target.model is None:
            body: bytes | Refusal = listing(active.policy, tiers, dialect)
        else:
            body = model_object(active.policy, tiers, dialect, asked.target.model)
        if isinstance(body, Refusal):
            self._refuse(ledger, body, dialect)
            return
        reply = ledger.call.reply
        own = call_headers(ledger.id, active.label)
        reply.start(200, b"OK", [JSON, *own], length=len(body))
        reply.write(body)
        reply.finish()
        ledger.status, ledger.ending = 200, Ending.ANSWERED

    async def _relay(self, ledger: Ledger, target: Target) -> None:
        """Disabled, Observe, or no policy: where the app would have called, as it would have."""
        model = ledger.features.model if ledger.features else ""
        exchange = Exchange(
            call=ledger.call,
            target=target,
            body=None,
            identity_headers=frozenset(),
            trace=ledger.trace,
            find_key=self._state.secrets.get,
            relayed=True,
        )
        await self._run(ledger, exchange, original_plan(self._settings, target.dialect, model))

    def _exchange(self, ledger: Ledger, asked: Asked, active: ActivePolicy) -> Exchange:
        return Exchange(
            call=ledger.call,
            target=asked.target,
            body=asked.body,
            identity_headers=active.identity_headers,
            trace=ledger.trace,
            find_key=self._state.secrets.get,
        )

    async def _run(self, ledger: Ledger, exchange: Exchange, plan: Plan) -> None:
        relayer = self._relayer(ledger, exchange.dialect, relayed=exchange.relayed)
        around = Surroundings(
            upstream=self._upstream,
            tasks=self._tasks,
            unix_time=self._unix_time,
            new_span_id=self._identifiers.span,
            settled=partial(self._settled, ledger, exchange.relayed),
        )
        runner = Runner(exchange, plan, ledger.seed, relayer, around)
        self._runners.add(runner)
        self._idle.clear()
        try:
            outcome = await runner.run()
        finally:
            self._runners.discard(runner)
            if not self._runners:
                self._idle.set()
        ledger.ending = outcome.ending
        ledger.status = relayer.status
        ledger.answered_by = relayer.answered
        ledger.refusal = outcome.refusal
        ledger.first_sent_ms = outcome.first_sent_ms
        ledger.attempts = attempt_outcomes(outcome.records, outcome.attempts, ledger.input_tokens)

    def _settled(self, ledger: Ledger, relayed: bool, step: Step, record: AttemptRecord) -> None:
        if not relayed and ledger.policy is not None:
            self._state.attempt_settled(
                step,
                record,
                now=self._unix_time(),
                call_timeout_ms=ledger.policy.timeouts.call_ms,
            )

    def _refuse(self, ledger: Ledger, refusal: Refusal, dialect: Dialect) -> None:
        relayer = self._relayer(ledger, dialect, relayed=False)
        relayer.refuse(refusal, 0)
        ledger.refusal = refusal
        ledger.status = relayer.status
        ledger.ending = Ending.REFUSED

    def _relayer(self, ledger: Ledger, dialect: Dialect, *, relayed: bool) -> Relayer:
        return Relayer(
            reply=ledger.call.reply,
            dialect=dialect,
            call_id=ledger.id,
            decision=None if relayed else ledger.decision,
            policy=ledger.policy.label if ledger.policy else None,
            input_tokens=ledger.input_tokens,
            keys=lambda: self._state.secrets.values,
        )

    def _trace(self, headers: RawHeaders) -> TraceContext:
        parent = parse_traceparent(header(headers, b"traceparent"))
        if parent is None:
            trace_id = self._identifiers.trace()
            return TraceContext(
                trace_id=trace_id,
                span_id=self._identifiers.span(),
                parent_span_id=None,
                sampled=self._recorder.should_sample(None, trace_id),
            )
        trace_id, parent_span_id, sampled = parent
        state = joined(headers, b"tracestate")
        return TraceContext(
            trace_id=trace_id,
            span_id=self._identifiers.span(),
            parent_span_id=parent_span_id,
            sampled=self._recorder.should_sample(sampled, trace_id),
            state=state.decode("latin-1"),
        )


def _dialect(call: Call) -> Dialect:
    """Of an error's shape, where the call has no target yet that would say it."""
    return dialect_of(call.target, anthropic_version=speaks_anthropic(call.headers))
