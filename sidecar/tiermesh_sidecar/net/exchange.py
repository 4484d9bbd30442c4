"""What one call asks of whichever backend gets it: the request for a step of the plan.

Pure but for the key looked up at the last moment, so that a rotated key serves the next attempt.
Nothing here sends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tiermesh_sidecar.core.decision import Step
from tiermesh_sidecar.core.features import Dialect, Endpoint
from tiermesh_sidecar.core.record import TraceContext
from tiermesh_sidecar.net.call import Call, RawHeaders
from tiermesh_sidecar.net.upstream import UpstreamRequest
from tiermesh_sidecar.wire.body import JsonObject
from tiermesh_sidecar.wire.headers import header, relayed_headers, upstream_headers
from tiermesh_sidecar.wire.paths import Target, TargetKind
from tiermesh_sidecar.wire.rewrite import must_ask_usage, rewrite
from tiermesh_sidecar.wire.tracecontext import format_traceparent
from tiermesh_spec.snapshot import SecretKey


class KeyMissingError(LookupError):
    """The backend's key is not here (any more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call, ready to be asked of any step of its plan."""

    call: Call
    target: Target
    body: JsonObject | None
    """The parsed body of a routed call; None: the bytes go as they are."""
    identity_headers: frozenset[str]
    trace: TraceContext
    find_key: Callable[[SecretKey], str | None]
    relayed: bool = False
    """No policy acts: credentials, trace context and all else stay the app's own."""

    @property
    def dialect(self) -> Dialect:
        return self.target.dialect

    @property
    def endpoint(self) -> Endpoint:
        return self.target.endpoint

    @property
    def routed(self) -> bool:
        """The answer must be readable JSON before it is relayed."""
        return self.target.kind is TargetKind.ROUTED and not self.relayed

    @property
    def asks_usage(self) -> bool:
        """A stream whose usage we ask for and hide again."""
        return self.body is not None and must_ask_usage(self.body, self.endpoint)

    def request(self, step: Step, span_id: str) -> UpstreamRequest:
        """What to send to this step's backend. Raises KeyMissingError."""
        call, backend = self.call, step.backend
        if self.relayed:
            headers: RawHeaders = relayed_headers(call.headers)
        else:
            headers = [*self._headers(step, span_id), (b"Accept-Encoding", b"identity")]
        body: bytes | None = call.body if call.has_body else None
        if self.body is not None:
            body = rewrite(self.body, model=backend.model, ask_usage=self.asks_usage)
        return UpstreamRequest(
            method=call.method,
            url=backend.url + self.target.suffix,
            headers=headers,
            body=body,
            ca_bundle=backend.ca_bundle,
        )

    def _headers(self, step: Step, span_id: str) -> RawHeaders:
        credentials = step.backend.credentials
        key = self.find_key(credentials.secret) if credentials.secret else None
        if credentials.secret is not None and key is None:
            secret = credentials.secret
            raise KeyMissingError(f"the key {secret.key} of Secret {secret.name} is not here")
        return upstream_headers(
            self.call.headers,
            provider=step.backend.provider,
            key=key,
            pass_through=credentials.pass_through,
            identity_headers=self.identity_headers,
            traceparent=format_traceparent(
                self.trace.trace_id, span_id, sampled=self.trace.sampled
            ),
            tracestate=self.trace.state,
        )


def announces_body(headers: RawHeaders) -> bool:
    return (
        header(headers, b"content-length") is not None
        or header(headers, b"transfer-encoding") is not None
    )
