"""A provider's count of tokens, read from either dialect into one meaning.

`Usage.input` includes cached and cache-writing tokens. OpenAI's `prompt_tokens` already does;
Anthropic's `input_tokens` does not. Reasoning tokens are part of the output in both.
"""

from __future__ import annotations

from collections.abc import Mapping

from tiermesh_sidecar.core.outcome import Usage


def openai_usage(value: object) -> Usage | None:
    """`usage` of chat completions, completions, embeddings, or (`input_tokens` ...) responses."""
    if not isinstance(value, dict):
        return None
    prompt = count(value, "prompt_tokens")
    if prompt is None:
        prompt = count(value, "input_tokens")
    completion = count(value, "completion_tokens")
    if completion is None:
        completion = count(value, "output_tokens")
    if prompt is None and completion is None:
        return None
    details = value.get("prompt_tokens_details") or value.get("input_tokens_details")
    cached = count(details, "cached_tokens") if isinstance(details, dict) else None
    prompt = prompt or 0
    return Usage(input=prompt, output=completion or 0, cached_input=min(cached or 0, prompt))


def anthropic_usage(value: object) -> Usage | None:
    """`usage` of a message."""
    if not isinstance(value, dict):
        return None
    uncached = count(value, "input_tokens")
    output = count(value, "output_tokens")
    if uncached is None and output is None:
        return None
    read = count(value, "cache_read_input_tokens") or 0
    written = count(value, "cache_creation_input_tokens") or 0
    return Usage(
        input=(uncached or 0) + read + written,
        output=output or 0,
        cached_input=read,
        cache_write=written,
    )


def count(value: Mapping[str, object], name: str) -> int | None:
    """A number of tokens; None for what is none (absent, null, negative, text)."""
    number = value.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    if not 0 <= number < 2**53:
        return None
    return int(number)
