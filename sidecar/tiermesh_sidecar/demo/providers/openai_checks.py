"""What OpenAI's API rejects, endpoint by endpoint: the fakes must not be kinder than the real one.

Messages, types, codes and `param` follow the public API
(https://platform.openai.com/docs/guides/error-codes/api-errors).
"""

from __future__ import annotations

from typing import Any

from tiermesh_sidecar.demo.providers import openai_fields as fields
from tiermesh_sidecar.demo.providers.openai_fields import Body
from tiermesh_sidecar.demo.providers.openai_messages import (
    check_messages,
    check_response_format,
    check_tools,
)
from tiermesh_sidecar.demo.providers.reply import Rejected

_CHAT_NAMES = """audio frequency_penalty function_call functions logit_bias logprobs
max_completion_tokens max_tokens messages metadata modalities model moderation n parallel_tool_calls
prediction presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention
reasoning_effort response_format safety_identifier seed service_tier stop store stream
stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options"""
_COMPLETIONS_NAMES = """best_of echo frequency_penalty logit_bias logprobs max_tokens model n
presence_penalty prompt seed stop stream stream_options suffix temperature top_p user"""
_CHAT = frozenset(_CHAT_NAMES.split())
_COMPLETIONS = frozenset(_COMPLETIONS_NAMES.split())
_EMBEDDINGS = frozenset(("dimensions", "encoding_format", "input", "model", "user"))
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_SERVICE_TIERS = ("auto", "default", "flex", "scale", "priority", "fast")


def check_chat(body: Body, *, lenient: bool) -> None:
    if not lenient:
        fields.known_only(body, _CHAT)
    check_messages(body)
    fields.sampling(body)
    _output_limit(body)
    _logprobs(body)
    check_tools(body)
    check_response_format(body)
    fields.boolean(body, "store")
    fields.one_of(body, "reasoning_effort", _EFFORTS)
    fields.one_of(body, "verbosity", ("low", "medium", "high"))
    fields.one_of(body, "service_tier", _SERVICE_TIERS)


def _output_limit(body: Body) -> None:
    fields.integer(body, "max_completion_tokens", 1)
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise Rejected(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )


def _logprobs(body: Body) -> None:
    wanted = fields.boolean(body, "logprobs")
    top = fields.integer(body, "top_logprobs", 0, 20)
    if top is not None and not wanted:
        raise Rejected(
            400,
            "Invalid value for 'top_logprobs': 'top_logprobs' is only allowed when 'logprobs' is "
            "enabled.",
            param="top_logprobs",
        )


def check_completions(body: Body, *, lenient: bool) -> None:
    if not lenient:
        fields.known_only(body, _COMPLETIONS)
    prompt = body.get("prompt", "<|endoftext|>")
    if not (isinstance(prompt, str) or _texts(prompt) or _token_lists(prompt)):
        raise fields.invalid_type("prompt", "one of a string or array of strings", prompt)
    fields.sampling(body)
    fields.integer(body, "logprobs", 0, 5)
    fields.integer(body, "best_of", 1, 20)
    fields.boolean(body, "echo")
    fields.optional_text(body, "suffix")


def check_embeddings(body: Body, *, lenient: bool) -> None:
    if not lenient:
        fields.known_only(body, _EMBEDDINGS)
    if "input" not in body:
        raise fields.missing("input")
    wanted: Any = body["input"]
    items = wanted if isinstance(wanted, list) else [wanted]
    valid = isinstance(wanted, str) or _texts(wanted) or _token_lists(wanted)
    if not valid or any(item == "" for item in items):
        raise Rejected(400, "'$.input' is invalid. Please check the API reference.")
    if len(items) > 2048:
        raise Rejected(400, "'$.input' is invalid. Expected at most 2048 items.", param="input")
    fields.integer(body, "dimensions", 1)
    fields.one_of(body, "encoding_format", ("float", "base64"))
    fields.optional_text(body, "user")


def check_moderations(body: Body, *, lenient: bool) -> None:
    if not lenient:
        fields.known_only(body, ("input", "model"))
    if "input" not in body:
        raise fields.missing("input")
    if not (isinstance(body["input"], str) or _texts(body["input"])):
        raise fields.invalid_type("input", "one of a string or array of strings", body["input"])


def _texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)


def _token_lists(value: object) -> bool:
    """Tokens, or a list of lists of tokens."""
    if not isinstance(value, list) or not value:
        return False
    lists = value if all(isinstance(v, list) and v for v in value) else [value]
    return all(isinstance(t, int) and not isinstance(t, bool) for one in lists for t in one)
