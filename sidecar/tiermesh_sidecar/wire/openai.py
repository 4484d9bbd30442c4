"""OpenAI's request bodies as features: chat completions, completions, embeddings.

Refuses only what the decision cannot do without (model, stream, the walk over messages); all else
that is odd is the provider's to refuse.
"""

from __future__ import annotations

from functools import partial

from tiermesh_sidecar.core.decision import Refusal
from tiermesh_sidecar.core.features import Caller, Capability, Dialect, Endpoint, Features, Prompt
from tiermesh_sidecar.wire.body import JsonObject
from tiermesh_sidecar.wire.prompt import (
    TOKENS_PER_MESSAGE,
    Weight,
    check_messages,
    limit,
    model_and_stream,
    model_of,
    objects,
    parts_of,
    plain_needs,
    span_tokens,
    utf8_length,
)

# https://platform.openai.com/docs/guides/images-vision#calculating-costs: 85 tokens at low detail;
# else 85 and 170 for each 512-pixel tile. Images are not decoded here: four tiles, 1024 x 1024.
_LOW_DETAIL = 85
_FOUR_TILES = 85 + 4 * 170
_TEXT_PARTS = ("text", "input_text", "refusal")


def chat_features(body: JsonObject, caller: Caller) -> Features | Refusal:
    """Features of POST /v1/chat/completions."""
    value = body.value
    start = model_and_stream(value)
    if isinstance(start, Refusal):
        return start
    model, stream = start
    messages = check_messages(value.get("messages"))
    if isinstance(messages, Refusal):
        return messages
    weight = _weigh(messages)
    tools = bool(value.get("tools")) or bool(value.get("functions"))
    json_schema, wants_json = _json_wishes(value.get("response_format"))
    max_tokens = limit(value.get("max_completion_tokens"))
    return Features(
        endpoint=Endpoint.CHAT_COMPLETIONS,
        dialect=Dialect.OPENAI,
        model=model,
        stream=stream,
        tokens=weight.tokens + span_tokens(body.spans, "tools", "functions", "response_format"),
        max_tokens=limit(value.get("max_tokens")) if max_tokens is None else max_tokens,
        wants_json=wants_json,
        wants_tools=tools,
        has_images=weight.images,
        needs=_needs(value, tools=tools, json_schema=json_schema, images=weight.images),
        caller=caller,
        read_prompt=partial(_chat_prompt, messages),
    )


def completion_features(body: JsonObject, caller: Caller) -> Features | Refusal:
    """Features of POST /v1/completions."""
    value = body.value
    start = model_and_stream(value)
    if isinstance(start, Refusal):
        return start
    model, stream = start
    suffix = value.get("suffix")
    logprobs = value.get("logprobs")
    wants_logprobs = isinstance(logprobs, int) and logprobs is not False
    tokens = _longest_input(value.get("prompt"))
    if isinstance(suffix, str):
        tokens += _tokens(suffix)
    return Features(
        endpoint=Endpoint.COMPLETIONS,
        dialect=Dialect.OPENAI,
        model=model,
        stream=stream,
        tokens=tokens,
        max_tokens=limit(value.get("max_tokens")),
        needs=frozenset({Capability.LOGPROBS}) if wants_logprobs else frozenset(),
        caller=caller,
        read_prompt=partial(_plain_prompt, value.get("prompt")),
    )


def embedding_features(body: JsonObject, caller: Caller) -> Features | Refusal:
    """Features of POST /v1/embeddings."""
    model = model_of(body.value)
    if isinstance(model, Refusal):
        return model
    given = body.value.get("input")
    return Features(
        endpoint=Endpoint.EMBEDDINGS,
        dialect=Dialect.OPENAI,
        model=model,
        tokens=_longest_input(given),
        caller=caller,
        read_prompt=partial(_plain_prompt, given),
    )


def _weigh(messages: list[dict[str, object]]) -> Weight:
    weight = Weight(extra=TOKENS_PER_MESSAGE * len(messages))
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            weight.add_text(content)
        else:
            for part in objects(content):
                _weigh_part(part, weight)
        if len(message) > 2:
            _weigh_rest(message, weight)
    return weight


def _weigh_part(part: dict[str, object], weight: Weight) -> None:
    kind = part.get("type")
    if kind in _TEXT_PARTS:
        weight.add_text(part.get("text") or part.get("refusal"))
    elif kind in ("image_url", "input_image"):
        image = part.get("image_url")
        detail = image.get("detail") if isinstance(image, dict) else part.get("detail")
        weight.add_image(_LOW_DETAIL if detail == "low" else _FOUR_TILES)
    elif kind == "input_audio" and isinstance(audio := part.get("input_audio"), dict):
        weight.add_attachment(audio.get("data"))
    elif kind == "file" and isinstance(file := part.get("file"), dict):
        weight.add_attachment(file.get("file_data"))


def _weigh_rest(message: dict[str, object], weight: Weight) -> None:
    weight.add_text(message.get("name"))
    weight.add_text(message.get("refusal"))
    for text in _call_texts(message):
        weight.add_text(text)


def _call_texts(message: dict[str, object]) -> list[object]:
    calls = [call.get("function") for call in objects(message.get("tool_calls"))]
    calls.append(message.get("function_call"))
    return [c.get(key) for c in calls if isinstance(c, dict) for key in ("name", "arguments")]


def _json_wishes(response_format: object) -> tuple[bool, bool]:
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    return kind == "json_schema", kind in ("json_schema", "json_object")


def _needs(
    value: dict[str, object], *, tools: bool, json_schema: bool, images: bool
) -> frozenset[Capability]:
    needs = plain_needs(tools=tools, json_schema=json_schema, images=images)
    top = value.get("top_logprobs")
    if value.get("logprobs") is True or (isinstance(top, int) and top > 0):
        needs.add(Capability.LOGPROBS)
    if value.get("reasoning_effort") not in (None, "none"):
        needs.add(Capability.REASONING)
    return frozenset(needs)


def _chat_prompt(messages: list[dict[str, object]]) -> Prompt:
    texts: list[str] = []
    last_user = ""
    turns = 0
    for message in messages:
        own = list(parts_of(message.get("content"), *_TEXT_PARTS))
        texts += own
        if message["role"] == "user":
            turns += 1
            last_user = "\n".join(own)
    return Prompt(texts=tuple(texts), last_user=last_user, turns=turns)


def _plain_prompt(given: object) -> Prompt:
    """Of a text, or a list of texts. Token ids have no words for us."""
    if isinstance(given, str):
        given = [given]
    texts = tuple(t for t in given if isinstance(t, str)) if isinstance(given, list) else ()
    return Prompt(texts=texts, last_user="\n".join(texts), turns=1 if texts else 0)


def _longest_input(given: object) -> int:
    """Tokens of the longest of several inputs: each has a context window to itself."""
    if isinstance(given, str):
        return _tokens(given)
    if not isinstance(given, list) or not given:
        return 0
    if isinstance(given[0], int):
        return len(given)
    return max(
        _tokens(item) if isinstance(item, str) else len(item) if isinstance(item, list) else 0
        for item in given
    )


def _tokens(text: str) -> int:
    weight = Weight(text=utf8_length(text))
    return weight.tokens
