"""From a routed request's body to what a decision may know of it, by endpoint."""

from __future__ import annotations

from tiermesh_sidecar.core.decision import Refusal
from tiermesh_sidecar.core.features import Caller, Endpoint, Features
from tiermesh_sidecar.wire import anthropic, openai
from tiermesh_sidecar.wire.body import JsonObject
from tiermesh_sidecar.wire.paths import Target


def read_features(target: Target, body: JsonObject, caller: Caller) -> Features | Refusal:
    """The call's features, or a 400 that names the parameter. `target` is a `ROUTED` one."""
    match target.endpoint:
        case Endpoint.CHAT_COMPLETIONS:
            return openai.chat_features(body, caller)
        case Endpoint.COMPLETIONS:
            return openai.completion_features(body, caller)
        case Endpoint.EMBEDDINGS:
            return openai.embedding_features(body, caller)
        case Endpoint.MESSAGES:
            return anthropic.message_features(body, caller)
        case Endpoint.OTHER:
            # Paths that are passed through are not read: rights see the dialect and the caller.
            return Features(endpoint=Endpoint.OTHER, dialect=target.dialect, caller=caller)
