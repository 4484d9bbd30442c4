"""OpenAI's answers: the objects and events of chat completions, completions, embeddings, models."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tiermesh_sidecar.demo.providers.generation import Saying
from tiermesh_sidecar.demo.providers.sse import DONE, data_event
from tiermesh_sidecar.demo.providers.text import digest, pieces, seeded, windows

_FINISH = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool": "tool_calls"}
_NO_OUTPUT_DETAILS = {
    "reasoning_tokens": 0,
    "audio_tokens": 0,
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every object and chunk of one call repeats."""

    id: str
    created: int
    model: str
    fingerprint: str

    def wrap(self, object_: str, choices: list[Any], **more: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": object_,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
            "system_fingerprint": self.fingerprint,
        }


def usage(prompt: int, completion: int, cached: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": _NO_OUTPUT_DETAILS,
    }


def chat(envelope: Envelope, sayings: Iterable[Saying], counts: Any, top: int | None) -> Any:
    choices = [
        {
            "index": index,
            "message": {
                "role": "assistant",
                "content": None if saying.tool else saying.text,
                **({"tool_calls": [_tool_call(envelope, index, saying)]} if saying.tool else {}),
                "refusal": None,
                "annotations": [],
            },
            "logprobs": _logprobs(pieces(saying.text), top),
            "finish_reason": _FINISH[saying.ended],
        }
        for index, saying in enumerate(sayings)
    ]
    return envelope.wrap("chat.completion", choices, usage=counts, service_tier="default")


def _tool_call(envelope: Envelope, index: int, saying: Saying) -> dict[str, Any]:
    assert saying.tool is not None
    return {
        "id": f"call_{digest(envelope.id, str(index))}",
        "type": "function",
        "function": {"name": saying.tool.name, "arguments": json.dumps(saying.arguments)},
    }


def _logprobs(tokens: Iterable[str], top: int | None) -> dict[str, Any] | None:
    if top is None:
        return None
    return {"content": [_logprob(token, top) for token in tokens], "refusal": None}


def _logprob(token: str, top: int) -> dict[str, Any]:
    rng = seeded(token, "logprob")
    first = -round(rng.uniform(0, 0.7), 6)
    named = {"token": token, "logprob": first, "bytes": list(token.encode())}
    others = [
        {"token": f" alt{n}", "logprob": first - n, "bytes": list(f" alt{n}".encode())}
        for n in range(1, top)
    ]
    return {**named, "top_logprobs": [named, *others][:top]}


def chat_events(
    envelope: Envelope, sayings: list[Saying], counts: Any | None, top: int | None
) -> tuple[bytes, ...]:
    """Every event of a chat stream. `counts` is None where the caller did not ask for usage."""
    more: dict[str, Any] = {"service_tier": "default"}
    if counts is not None:
        more["usage"] = None
    lines = [list(_deltas(envelope, i, s, top)) for i, s in enumerate(sayings)]
    chunks = [
        envelope.wrap("chat.completion.chunk", [choice], **more)
        for together in zip_longest(*lines)
        for choice in together
        if choice is not None
    ]
    if counts is not None:
        chunks.append(envelope.wrap("chat.completion.chunk", [], **{**more, "usage": counts}))
    return (*(data_event(chunk) for chunk in chunks), DONE)


def _deltas(
    envelope: Envelope, index: int, saying: Saying, top: int | None
) -> Iterator[dict[str, Any]]:
    def choice(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish, **more}

    if saying.tool:
        call = _tool_call(envelope, index, saying)
        arguments = call["function"]["arguments"]
        call["function"] = {**call["function"], "arguments": ""}
        opening = {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **call}]}
        yield choice({**opening, "refusal": None})
        for part in windows(arguments, 6):
            yield choice({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    else:
        yield choice({"role": "assistant", "content": "", "refusal": None})
        for piece in pieces(saying.text):
            yield choice({"content": piece}, logprobs=_logprobs([piece], top))
    yield choice({}, _FINISH[saying.ended])


def completion(envelope: Envelope, texts: list[tuple[str, Saying]], counts: Any) -> Any:
    choices = [
        {
            "text": text,
            "index": index,
            "logprobs": None,
            "finish_reason": _FINISH[saying.ended],
        }
        for index, (text, saying) in enumerate(texts)
    ]
    return envelope.wrap("text_completion", choices, usage=counts)


def completion_events(
    envelope: Envelope, texts: list[tuple[str, Saying]], counts: Any | None
) -> tuple[bytes, ...]:
    more: dict[str, Any] = {} if counts is None else {"usage": None}
    events = []
    for index, (text, saying) in enumerate(texts):
        ends: list[tuple[str, str | None]] = [(piece, None) for piece in pieces(text)]
        for piece, finish in [*ends, ("", _FINISH[saying.ended])]:
            choice = {"text": piece, "index": index, "logprobs": None, "finish_reason": finish}
            events.append(data_event(envelope.wrap("text_completion", [choice], **more)))
    if counts is not None:
        events.append(data_event(envelope.wrap("text_completion", [], usage=counts)))
    return (*events, DONE)


def embeddings(model: str, items: list[str], size: int, form: str, tokens: int) -> Any:
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(model, item, size, form)}
        for index, item in enumerate(items)
    ]
    counts = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": counts}


def _vector(model: str, item: str, size: int, form: str) -> list[float] | str:
    """A unit vector; in base64 as little-endian 32-bit floats."""
    rng = seeded(model, item)
    raw = [rng.gauss(0, 1) for _ in range(size)]
    length = math.sqrt(sum(x * x for x in raw))
    vector = [round(x / length, 8) for x in raw]
    if form == "base64":
        return base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
    return vector


def model_object(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_715_367_049, "owned_by": "demo"}


def moderation(id_: str, model: str, texts: list[str]) -> Any:
    names = ("harassment", "hate", "self-harm", "sexual", "violence")
    result = {
        "flagged": False,
        "categories": dict.fromkeys(names, False),
        "category_scores": dict.fromkeys(names, 0.0001),
    }
    return {"id": id_, "model": model, "results": [result for _ in texts]}
