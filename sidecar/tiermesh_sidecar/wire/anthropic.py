"""Anthropic's messages as features (https://docs.anthropic.com/en/api/messages).

Refuses only what the decision cannot do without; all else that is odd is the provider's to refuse.
"""

from __future__ import annotations

from functools import partial

from tiermesh_sidecar.core.decision import Refusal
from tiermesh_sidecar.core.features import Caller, Capability, Dialect, Endpoint, Features, Prompt
from tiermesh_sidecar.wire.body import JsonObject
from tiermesh_sidecar.wire.prompt import (
    BYTES_PER_TOKEN,
    TOKENS_PER_MESSAGE,
    Weight,
    check_messages,
    invalid,
    limit,
    model_and_stream,
    objects,
    parts_of,
    plain_needs,
    span_tokens,
)

# https://docs.anthropic.com/en/docs/build-with-claude/vision: width x height / 750 tokens, scaled
# down to about 1,600 at most. Images are not decoded here, so the most is assumed.
_IMAGE = 1600


def message_features(body: JsonObject, caller: Caller) -> Features | Refusal:
    """Features of POST /v1/messages."""
    value = body.value
    start = model_and_stream(value)
    if isinstance(start, Refusal):
        return start
    model, stream = start
    system = value.get("system")
    if system is not None and not isinstance(system, str | list):
        return invalid("system must be a string or a list of text blocks.", param="system")
    messages = check_messages(value.get("messages"))
    if isinstance(messages, Refusal):
        return messages
    weight = _weigh(system, messages)
    tools = bool(value.get("tools"))
    wants_json = _wants_schema(value)
    return Features(
        endpoint=Endpoint.MESSAGES,
        dialect=Dialect.ANTHROPIC,
        model=model,
        stream=stream,
        tokens=weight.tokens + span_tokens(body.spans, "tools", "output_format", "output_config"),
        max_tokens=limit(value.get("max_tokens")),
        wants_json=wants_json,
        wants_tools=tools,
        has_images=weight.images,
        needs=_needs(value, tools=tools, json_schema=wants_json, images=weight.images),
        caller=caller,
        read_prompt=partial(_read_prompt, system, messages),
    )


def _weigh(system: object, messages: list[dict[str, object]]) -> Weight:
    weight = Weight(extra=TOKENS_PER_MESSAGE * len(messages))
    for text in parts_of(system, "text"):
        weight.add_text(text)
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            weight.add_text(content)
        else:
            for block in objects(content):
                _weigh_block(block, weight)
    return weight


def _weigh_block(block: dict[str, object], weight: Weight) -> None:
    kind = block.get("type")
    if kind == "text":
        weight.add_text(block.get("text"))
    elif kind == "image":
        weight.add_image(_IMAGE)
    elif kind == "thinking":
        weight.add_text(block.get("thinking"))
    elif kind == "document":
        _weigh_document(block.get("source"), weight)
    elif kind == "tool_use":
        weight.add_text(block.get("name"))
        weight.extra += _json_length(block.get("input")) // BYTES_PER_TOKEN
    elif kind == "tool_result":
        inner = block.get("content")
        if isinstance(inner, str):
            weight.add_text(inner)
        else:
            # A tool's result holds text, images and documents, never another result.
            for part in objects(inner):
                if part.get("type") != "tool_result":
                    _weigh_block(part, weight)


def _weigh_document(source: object, weight: Weight) -> None:
    if not isinstance(source, dict):
        return
    if source.get("type") == "text":
        weight.add_text(source.get("data"))
    elif source.get("type") == "content":
        for text in parts_of(source.get("content"), "text"):
            weight.add_text(text)
    else:
        weight.add_attachment(source.get("data"))


def _json_length(value: object) -> int:
    """About how long a value is as JSON, walked without recursion."""
    total = 0
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            total += len(item) + 2
        elif isinstance(item, dict):
            total += 4 * len(item)
            stack += item.keys()
            stack += item.values()
        elif isinstance(item, list):
            total += len(item)
            stack += item
        else:
            total += 4
    return total


def _wants_schema(value: dict[str, object]) -> bool:
    config = value.get("output_config")
    shapes = (
        value.get("output_format"),
        config.get("format") if isinstance(config, dict) else None,
    )
    return any(isinstance(s, dict) and s.get("type") == "json_schema" for s in shapes)


def _needs(
    value: dict[str, object], *, tools: bool, json_schema: bool, images: bool
) -> frozenset[Capability]:
    needs = plain_needs(tools=tools, json_schema=json_schema, images=images)
    thinking = value.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"):
        needs.add(Capability.REASONING)
    return frozenset(needs)


def _read_prompt(system: object, messages: list[dict[str, object]]) -> Prompt:
    texts = list(parts_of(system, "text"))
    last_user = ""
    turns = 0
    for message in messages:
        content = message.get("content")
        own = list(parts_of(content, "text"))
        results = [
            text
            for block in objects(content)
            if block.get("type") == "tool_result"
            for text in parts_of(block.get("content"), "text")
        ]
        # A user message that only returns tool results is not the user speaking again.
        if message["role"] == "user" and (own or not _has_results(content)):
            turns += 1
            last_user = "\n".join(own)
        texts += results
        texts += own
    return Prompt(texts=tuple(texts), last_user=last_user, turns=turns)


def _has_results(content: object) -> bool:
    return any(block.get("type") == "tool_result" for block in objects(content))
