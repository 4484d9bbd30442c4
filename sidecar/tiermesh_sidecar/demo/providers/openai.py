"""A strict provider of OpenAI's dialect: requests in, answers, streams or rejections out.

Pure: no clock, socket or fault here. Any chat model also serves the older completions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tiermesh_sidecar.demo.providers import openai_answers as answers
from tiermesh_sidecar.demo.providers import openai_checks as checks
from tiermesh_sidecar.demo.providers.generation import Saying, Tool, Wish, say
from tiermesh_sidecar.demo.providers.openai_fields import stops
from tiermesh_sidecar.demo.providers.reply import JSON, Call, Headers, Rejected, Reply, StreamReply
from tiermesh_sidecar.demo.providers.requests import (
    PromptCache,
    image_count,
    read_object,
    text_parts,
)
from tiermesh_sidecar.demo.providers.sse import data_event, encode
from tiermesh_sidecar.demo.providers.text import digest, token_count

_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
    "valid JSON.)"
)
_WRONG_TYPE = (
    "Unsupported content type: '{type}'. This API method only accepts 'application/json' requests, "
    "but you specified the header 'Content-Type: {type}'. Please try again with a supported "
    "content type."
)
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)
_FAULTS = {
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests. Try again later."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry!"),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
_CACHED_FROM, _CACHED_STEP = 1024, 128
_EMBEDDING_SIZE = 1536


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIProvider:
    models: tuple[str, ...]
    embedding_models: tuple[str, ...] = ()
    key: str | None
    """None: no key is asked for, as self-hosted servers do by default."""
    lenient: bool = False
    """Accept unknown parameters, as vLLM does."""
    context_window: int = 128_000
    cache: PromptCache = field(default_factory=lambda: PromptCache({}))

    def answer(self, call: Call) -> Reply | StreamReply:
        """The answer to one call.

        Raises Rejected where the real API would refuse.
        """
        self._authenticate(call)
        match (call.method, call.path):
            case ("GET", "/v1/models"):
                listed = [answers.model_object(m) for m in (*self.models, *self.embedding_models)]
                return Reply(body=encode({"object": "list", "data": listed}))
            case ("GET", path) if path.startswith("/v1/models/"):
                return self._model(path.removeprefix("/v1/models/"))
            case ("POST", "/v1/chat/completions"):
                return self._chat(call)
            case ("POST", "/v1/completions"):
                return self._completions(call)
            case ("POST", "/v1/embeddings"):
                return self._embeddings(call)
            case ("POST", "/v1/moderations"):
                return self._moderations(call)
        raise Rejected(404, f"Invalid URL ({call.method} {call.path})")

    def rejection(self, rejected: Rejected, call: Call | None, headers: Headers = ()) -> Reply:
        error = {
            "message": rejected.message,
            "type": rejected.type,
            "param": rejected.param,
            "code": rejected.code,
        }
        body = json.dumps({"error": error}, indent=2).encode() + b"\n"
        return Reply(status=rejected.status, headers=(*JSON, *headers), body=body)

    def fault(self, status: int, message: str | None) -> Rejected:
        """An error that the provider's own trouble causes, in its words."""
        type_, code, words = _FAULTS.get(
            status, ("server_error" if status >= 500 else "invalid_request_error", None, "Error.")
        )
        return Rejected(status, message or words, type=type_, code=code)

    def stream_error(self, message: str | None) -> bytes:
        words = message or "The server had an error while processing your request. Sorry!"
        error = {"message": words, "type": "server_error", "param": None, "code": None}
        return data_event({"error": error})

    def identity_headers(self, call: Call) -> Headers:
        return (("x-request-id", f"req_{digest(str(call.number), call.path, length=32)}"),)

    def _authenticate(self, call: Call) -> None:
        if self.key is None:
            return
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not given:
            raise Rejected(401, _NO_KEY)
        if given != self.key:
            shown = f"{given[:8]}{'*' * 8}{given[-4:]}" if len(given) > 16 else "*" * len(given)
            raise Rejected(
                401,
                f"Incorrect API key provided: {shown}. You can find your API key at "
                "https://platform.openai.com/account/api-keys.",
                code="invalid_api_key",
            )

    def _model(self, name: str) -> Reply:
        if name not in (*self.models, *self.embedding_models):
            raise _no_model(name, f"The model '{name}' does not exist", param="model")
        return Reply(body=encode(answers.model_object(name)))

    def _read(self, call: Call) -> dict[str, Any]:
        return read_object(call, not_json=_NOT_JSON, wrong_type=_WRONG_TYPE)

    def _generating(self, body: dict[str, Any], endpoint: str) -> str:
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise Rejected(400, "you must provide a model parameter")
        if model in self.embedding_models:
            raise Rejected(
                404,
                f"This is not a chat model and thus not supported in the v1/{endpoint} endpoint.",
                param="model",
            )
        if model not in self.models:
            raise _no_model(model)
        return model

    def _chat(self, call: Call) -> Reply | StreamReply:
        body = self._read(call)
        model = self._generating(body, "chat/completions")
        checks.check_chat(body, lenient=self.lenient)
        wish = _chat_wish(body, model)
        prompt = self._prompt_tokens(_chat_tokens(body), "messages", wish.limit)
        sayings = [say(wish, index) for index in range(body.get("n") or 1)]
        cached = self._cached(prompt, json.dumps(body["messages"]))
        output = sum(s.tokens for s in sayings)
        counts = answers.usage(prompt, output, cached)
        envelope = _envelope(call, model, "chatcmpl")
        top = (body.get("top_logprobs") or 0) if body.get("logprobs") else None
        if body.get("stream"):
            asked = counts if _wants_usage(body) else None
            return StreamReply(events=answers.chat_events(envelope, sayings, asked, top))
        return Reply(body=encode(answers.chat(envelope, sayings, counts, top)), tokens=output)

    def _completions(self, call: Call) -> Reply | StreamReply:
        body = self._read(call)
        model = self._generating(body, "completions")
        checks.check_completions(body, lenient=self.lenient)
        prompts = _prompts(body.get("prompt", "<|endoftext|>"))
        limit = body.get("max_tokens") or 16
        tokens = self._prompt_tokens(sum(map(token_count, prompts)), "prompt", limit)
        texts: list[tuple[str, Saying]] = []
        for prompt in prompts:
            wish = Wish(model=model, prompt=prompt, last_user="", limit=limit, stops=stops(body))
            said = [say(wish, index) for index in range(body.get("n") or 1)]
            texts += [((prompt if body.get("echo") else "") + s.text, s) for s in said]
        output = sum(s.tokens for _, s in texts)
        counts = answers.usage(tokens, output)
        envelope = _envelope(call, model, "cmpl")
        if body.get("stream"):
            asked = counts if _wants_usage(body) else None
            return StreamReply(events=answers.completion_events(envelope, texts, asked))
        return Reply(body=encode(answers.completion(envelope, texts, counts)), tokens=output)

    def _embeddings(self, call: Call) -> Reply:
        body = self._read(call)
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise Rejected(400, "you must provide a model parameter")
        if model in self.models and model not in self.embedding_models:
            raise Rejected(403, "You are not allowed to generate embeddings from this model")
        if model not in self.embedding_models:
            raise _no_model(model)
        checks.check_embeddings(body, lenient=self.lenient)
        items = _prompts(body["input"])
        size = body.get("dimensions") or _EMBEDDING_SIZE
        form = body.get("encoding_format") or "float"
        tokens = sum(map(token_count, items))
        return Reply(body=encode(answers.embeddings(model, items, size, form, tokens)))

    def _moderations(self, call: Call) -> Reply:
        body = self._read(call)
        checks.check_moderations(body, lenient=self.lenient)
        model = body.get("model") or "omni-moderation-latest"
        id_ = f"modr-{digest(str(call.number))}"
        return Reply(body=encode(answers.moderation(id_, model, _prompts(body["input"]))))

    def _prompt_tokens(self, tokens: int, param: str, limit: int | None) -> int:
        if tokens + (limit or 0) > self.context_window:
            raise Rejected(
                400,
                f"This model's maximum context length is {self.context_window} tokens. However, "
                f"your {param} resulted in {tokens} tokens. Please reduce the length of the "
                f"{param}.",
                param=param,
                code="context_length_exceeded",
            )
        return tokens

    def _cached(self, tokens: int, prompt: str) -> int:
        if tokens < _CACHED_FROM or not self.cache.hit(prompt):
            return 0
        return tokens // _CACHED_STEP * _CACHED_STEP


def _no_model(name: str, message: str | None = None, param: str | None = None) -> Rejected:
    words = message or f"The model `{name}` does not exist or you do not have access to it."
    return Rejected(404, words, param=param, code="model_not_found")


def _envelope(call: Call, model: str, prefix: str) -> answers.Envelope:
    return answers.Envelope(
        id=f"{prefix}-{digest(str(call.number), call.path, call.body.decode('latin-1'))}",
        created=call.now,
        model=model,
        fingerprint=f"fp_{digest(model, length=10)}",
    )


def _wants_usage(body: dict[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _chat_tokens(body: dict[str, Any]) -> int:
    per_message = sum(
        4 + token_count("".join(text_parts(m.get("content")))) + 85 * image_count(m.get("content"))
        for m in body["messages"]
    )
    tools = token_count(json.dumps(body["tools"])) if body.get("tools") else 0
    return 3 + per_message + tools


def _chat_wish(body: dict[str, Any], model: str) -> Wish:
    messages = body["messages"]
    last = messages[-1]
    tools = tuple(
        Tool(name=t["function"]["name"], parameters=t["function"].get("parameters") or {})
        for t in body.get("tools") or ()
    )
    return Wish(
        model=model,
        prompt=json.dumps(messages),
        last_user=" ".join(text_parts(last.get("content"))) if last["role"] == "user" else "",
        tools=tools,
        tool=_tool_choice(body.get("tool_choice")),
        schema=_schema(body.get("response_format")),
        limit=body.get("max_completion_tokens") or body.get("max_tokens"),
        stops=stops(body),
    )


def _tool_choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return f"={choice['function']['name']}"
    return choice or "auto"


def _schema(wanted: Any) -> dict[str, Any] | None:
    if not wanted or wanted["type"] == "text":
        return None
    return wanted["json_schema"]["schema"] if wanted["type"] == "json_schema" else {}


def _prompts(value: Any) -> list[str]:
    """Every prompt or input as text; tokens are shown by their numbers."""
    if isinstance(value, str):
        return [value]
    if isinstance(value[0], int):
        return [" ".join(map(str, value))]
    return [v if isinstance(v, str) else " ".join(map(str, v)) for v in value]
