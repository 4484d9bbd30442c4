"""A finished call as spans: one `tiermesh.route` for the call, one CLIENT child per attempt, named
and attributed by the OpenTelemetry GenAI conventions
(https://github.com/open-telemetry/semantic-conventions-genai).

The route span is of kind SERVER: it serves the call that the application's client sent, and is the
child of that client's span. Token usage stands on the attempts alone, so that whoever sums over all
spans counts it once. No prompt, answer, header or key is ever an attribute.

This module knows no SDK: values in, values out. `export` hands them to OpenTelemetry.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermesh_sidecar.core.features import Endpoint, Features
from tiermesh_sidecar.core.outcome import Ending, Usage
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord
from tiermesh_sidecar.telemetry.account import Account
from tiermesh_spec.snapshot import PICODOLLARS

SCOPE = "tiermesh"
SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
"""Of the GenAI conventions, which have no stable version yet."""

ROUTE_SPAN = "tiermesh.route"

Value = str | bool | int | float | tuple[str, ...]

_OPERATIONS = {
    Endpoint.CHAT_COMPLETIONS: "chat",
    Endpoint.MESSAGES: "chat",
    Endpoint.COMPLETIONS: "text_completion",
    Endpoint.EMBEDDINGS: "embeddings",
}
_TEXT_LIMIT = 256
"""Characters kept of a text that a caller or provider wrote (model names, ids, paths)."""
_INT64_MAX = 2**63 - 1
"""OTLP's integers end here; JSON's do not."""
_CANCELLED = "cancelled"
_LEFT_BEFORE_ANSWER = 499
"""Not sent to anyone: see `CallRecord.status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedSpan:
    name: str
    server: bool
    """Kind SERVER, else CLIENT."""
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    """Unix time in nanoseconds."""
    attributes: dict[str, Value]
    error: str | None
    """The status is ERROR with this description; None leaves it unset."""


def finished_spans(call: CallRecord, sums: Account) -> tuple[FinishedSpan, ...]:
    """The route span first, then the attempts in the order sent."""
    # In whole microseconds first: a double holds today's nanoseconds to 256 only.
    began = round(call.at * 1_000_000) * 1_000
    return (
        _route_span(call, sums, began),
        *(_attempt_span(call, attempt, began) for attempt in call.attempts),
    )


def _route_span(call: CallRecord, sums: Account, began: int) -> FinishedSpan:
    error = _route_error(call)
    attributes: dict[str, Value] = {
        "tiermesh.decision.id": call.id,
        "tiermesh.ending": str(call.ending),
        "http.request.method": _text(call.method),
        "url.path": _text(call.path.partition("?")[0]),
        "url.scheme": "http",
    }
    _put_request(attributes, call.features)
    if call.features is not None and call.features.model:
        attributes["gen_ai.request.model"] = _text(call.features.model)
    if call.status != _LEFT_BEFORE_ANSWER:
        attributes["http.response.status_code"] = call.status
    _put_decision(attributes, call)
    _put(attributes, "tiermesh.tier", sums.tier)
    _put(attributes, "tiermesh.backend", sums.backend)
    _put(attributes, "tiermesh.reason", str(sums.reason) if sums.reason else None)
    _put_money(attributes, "tiermesh.cost", sums.cost)
    _put_money(attributes, "tiermesh.cost.top_tier", sums.top_tier_cost)
    _put(attributes, "error.type", error)
    return FinishedSpan(
        name=ROUTE_SPAN,
        server=True,
        span_id=call.trace.span_id,
        parent_id=call.trace.parent_span_id,
        start_ns=began,
        end_ns=began + int(call.duration_ms * 1_000_000),
        attributes=attributes,
        error=error,
    )


def _attempt_span(call: CallRecord, attempt: AttemptOutcome, began: int) -> FinishedSpan:
    record, operation = attempt.record, _operation(call.features)
    attributes: dict[str, Value] = {
        "tiermesh.attempt.number": record.attempt,
        "tiermesh.tier": record.tier,
        "tiermesh.backend": record.backend,
        "gen_ai.provider.name": attempt.provider.lower(),
        "server.address": attempt.server_address,
        "server.port": attempt.server_port,
        "http.request.method": _text(call.method),
    }
    _put_request(attributes, call.features)
    if operation is not None:
        attributes["gen_ai.request.model"] = _text(attempt.model)
    _put_response(attributes, attempt)
    if call.features is not None and call.features.stream and attempt.first_chunk_ms is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = attempt.first_chunk_ms / 1000
    if attempt.usage is not None:
        _put_usage(attributes, attempt.usage)
    _put_money(attributes, "tiermesh.cost", attempt.cost)
    error = _attempt_error(attempt)
    _put(attributes, "error.type", error)
    return FinishedSpan(
        name=f"{operation} {_text(attempt.model)}" if operation else _text(call.method),
        server=False,
        span_id=attempt.span_id,
        parent_id=call.trace.span_id,
        start_ns=began + int(record.started_ms * 1_000_000),
        end_ns=began + int(record.ended_ms * 1_000_000),
        attributes=attributes,
        error=None if error == _CANCELLED else error,
    )


def _route_error(call: CallRecord) -> str | None:
    """What kept the caller from a usable answer. That it left by itself is no error of ours."""
    if call.ending is Ending.CLIENT_GONE:
        return None
    if call.error_code is not None:
        return call.error_code
    if call.ending is Ending.BROKEN:
        failed = _attempt_error(call.attempts[-1]) if call.attempts else None
        return failed or str(call.ending)
    return str(call.status) if call.status >= 400 else None


def _attempt_error(attempt: AttemptOutcome) -> str | None:
    """The conventions want the bare status code where a status is the error."""
    error = attempt.record.error
    return error.removeprefix("http_") if error is not None else None


def _operation(features: Features | None) -> str | None:
    return _OPERATIONS.get(features.endpoint) if features is not None else None


def _put_request(attributes: dict[str, Value], features: Features | None) -> None:
    operation = _operation(features)
    if features is None or operation is None:
        return
    attributes["gen_ai.operation.name"] = operation
    if features.stream:
        attributes["gen_ai.request.stream"] = True
    if features.max_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = min(features.max_tokens, _INT64_MAX)


def _put_decision(attributes: dict[str, Value], call: CallRecord) -> None:
    decision = call.decision
    if decision is None:
        if call.policy is not None:
            attributes["tiermesh.policy"] = call.policy.label
        return
    attributes["tiermesh.policy"] = decision.policy
    _put(attributes, "tiermesh.rule", decision.rule)
    attributes["tiermesh.candidates"] = tuple(f"{c.tier}={c.reason!s}" for c in decision.candidates)
    for name, value in decision.signals.items():
        if value is not None:
            attributes[f"tiermesh.signal.{name}"] = value


def _put_response(attributes: dict[str, Value], attempt: AttemptOutcome) -> None:
    if attempt.record.status is not None:
        attributes["http.response.status_code"] = attempt.record.status
    if attempt.response_id is not None:
        attributes["gen_ai.response.id"] = _text(attempt.response_id)
    if attempt.response_model is not None:
        attributes["gen_ai.response.model"] = _text(attempt.response_model)
    if attempt.finish_reasons:
        attributes["gen_ai.response.finish_reasons"] = tuple(
            _text(reason) for reason in attempt.finish_reasons[:16]
        )


def _put_usage(attributes: dict[str, Value], usage: Usage) -> None:
    attributes["gen_ai.usage.input_tokens"] = min(usage.input, _INT64_MAX)
    attributes["gen_ai.usage.output_tokens"] = min(usage.output, _INT64_MAX)
    if usage.cached_input:
        attributes["gen_ai.usage.cache_read.input_tokens"] = min(usage.cached_input, _INT64_MAX)
    if usage.cache_write:
        attributes["gen_ai.usage.cache_write.input_tokens"] = min(usage.cache_write, _INT64_MAX)
    if usage.estimated:
        attributes["tiermesh.usage.estimated"] = True


def _put(attributes: dict[str, Value], name: str, value: str | None) -> None:
    if value is not None:
        attributes[name] = value


def _put_money(attributes: dict[str, Value], name: str, picodollars: int | None) -> None:
    if picodollars is not None:
        attributes[name] = picodollars / PICODOLLARS


def _text(value: str) -> str:
    """Cut, and without the lone surrogates that JSON allows and protobuf refuses."""
    value = value[:_TEXT_LIMIT]
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
