"""A strict provider of Anthropic's dialect: requests in, messages, events or rejections out.

Pure: no clock, socket or fault here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tiermesh_sidecar.demo.providers.anthropic_answers import (
    Usage,
    message,
    message_events,
    model_object,
)
from tiermesh_sidecar.demo.providers.anthropic_checks import check_count, check_create
from tiermesh_sidecar.demo.providers.generation import Tool, Wish, say
from tiermesh_sidecar.demo.providers.reply import JSON, Call, Headers, Rejected, Reply, StreamReply
from tiermesh_sidecar.demo.providers.requests import (
    PromptCache,
    image_count,
    read_object,
    text_parts,
)
from tiermesh_sidecar.demo.providers.sse import encode, named_event
from tiermesh_sidecar.demo.providers.text import digest, token_count

_VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
_NOT_JSON = "The request body is not valid JSON: expected value at line 1 column 1"
_WRONG_TYPE = "content-type: expected application/json, got '{type}'"
_FAULTS = {
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "Not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicProvider:
    models: tuple[str, ...]
    key: str | None
    """None: no key is asked for."""
    lenient: bool = False
    """Accept unknown parameters."""
    context_window: int = 200_000
    cache: PromptCache = field(default_factory=lambda: PromptCache({}))

    def answer(self, call: Call) -> Reply | StreamReply:
        """The answer to one call.

        Raises Rejected where the real API would refuse.
        """
        self._authenticate(call)
        match (call.method, call.path):
            case ("POST", "/v1/messages"):
                return self._create(call)
            case ("POST", "/v1/messages/count_tokens"):
                body = self._read(call)
                check_count(body, lenient=self.lenient)
                self._model(body["model"])
                return Reply(body=encode({"input_tokens": _input_tokens(body)}))
            case ("GET", "/v1/models"):
                listed = [model_object(name) for name in self.models]
                page = {"has_more": False, "first_id": self.models[0], "last_id": self.models[-1]}
                return Reply(body=encode({"data": listed, **page}))
            case ("GET", path) if path.startswith("/v1/models/"):
                name = path.removeprefix("/v1/models/")
                self._model(name)
                return Reply(body=encode(model_object(name)))
        raise Rejected(404, "Not Found", type="not_found_error")

    def rejection(self, rejected: Rejected, call: Call | None, headers: Headers = ()) -> Reply:
        id_ = f"req_{digest(str(call.number if call else 0))}"
        error = {"type": rejected.type, "message": rejected.message}
        body = encode({"type": "error", "error": error, "request_id": id_})
        return Reply(status=rejected.status, headers=(*JSON, *headers), body=body)

    def fault(self, status: int, message: str | None) -> Rejected:
        """An error that the provider's own trouble causes, in its words."""
        type_, words = _FAULTS.get(
            status, ("api_error" if status >= 500 else "invalid_request_error", "Error")
        )
        return Rejected(status, message or words, type=type_)

    def stream_error(self, message: str | None) -> bytes:
        error = {"type": "overloaded_error", "message": message or "Overloaded"}
        return named_event({"type": "error", "error": error})

    def identity_headers(self, call: Call) -> Headers:
        return (("request-id", f"req_{digest(str(call.number))}"),)

    def _authenticate(self, call: Call) -> None:
        if self.key is not None:
            bearer = call.headers.get("authorization", "").removeprefix("Bearer ")
            given = {key for key in (call.headers.get("x-api-key"), bearer) if key}
            if not given:
                raise Rejected(401, "x-api-key header is required", type="authentication_error")
            if given != {self.key}:
                raise Rejected(401, "invalid x-api-key", type="authentication_error")
        version = call.headers.get("anthropic-version")
        if version is None:
            raise Rejected(400, "anthropic-version: header is required")
        if version not in _VERSIONS:
            raise Rejected(400, f'anthropic-version: "{version}" is not a valid version.')

    def _read(self, call: Call) -> dict[str, Any]:
        return read_object(call, not_json=_NOT_JSON, wrong_type=_WRONG_TYPE)

    def _model(self, name: str) -> None:
        if name not in self.models:
            raise Rejected(404, f"model: {name}", type="not_found_error")

    def _create(self, call: Call) -> Reply | StreamReply:
        body = self._read(call)
        check_create(body, lenient=self.lenient)
        self._model(body["model"])
        tokens = _input_tokens(body)
        if tokens > self.context_window:
            raise Rejected(
                400, f"prompt is too long: {tokens} tokens > {self.context_window} maximum"
            )
        saying = say(_wish(body))
        usage = self._usage(body, tokens, saying.tokens)
        id_ = f"msg_{digest(str(call.number), call.body.decode('latin-1'))}"
        if body.get("stream"):
            return StreamReply(events=message_events(id_, body["model"], saying, usage))
        answer = message(id_, body["model"], saying, usage)
        return Reply(body=encode(answer), tokens=saying.tokens)

    def _usage(self, body: dict[str, Any], tokens: int, output: int) -> Usage:
        prefix = _cached_prefix(body)
        marked = min(tokens, token_count(prefix))
        if not marked:
            return Usage(input=tokens, output=output)
        if self.cache.hit(f"{body['model']}\x1f{prefix}"):
            return Usage(input=tokens - marked, output=output, cache_read=marked)
        return Usage(input=tokens - marked, output=output, cache_write=marked)


def _blocks(body: dict[str, Any]) -> list[Any]:
    """Every block of the prompt in order, bare strings as text blocks."""
    contents = [body.get("system") or [], *(m["content"] for m in body["messages"])]
    return [
        block
        for content in contents
        for block in (content if isinstance(content, list) else [{"text": content}])
    ]


def _cached_prefix(body: dict[str, Any]) -> str:
    """What stands before the last cache mark; "" without one."""
    blocks = _blocks(body)
    if body.get("cache_control"):
        return "".join(text_parts(blocks))
    marks = [n for n, block in enumerate(blocks) if block.get("cache_control")]
    return "".join(text_parts(blocks[: marks[-1] + 1])) if marks else ""


def _input_tokens(body: dict[str, Any]) -> int:
    words = token_count("".join(text_parts(_blocks(body))))
    images = sum(image_count(m["content"]) for m in body["messages"])
    tools = token_count(json.dumps(body["tools"])) if body.get("tools") else 0
    return 7 + 4 * len(body["messages"]) + words + 85 * images + tools


def _wish(body: dict[str, Any]) -> Wish:
    last = body["messages"][-1]
    results = isinstance(last["content"], list) and any(
        block["type"] == "tool_result" for block in last["content"]
    )
    tools = tuple(
        Tool(name=tool["name"], parameters=tool.get("input_schema", {}))
        for tool in body.get("tools") or ()
    )
    wanted = (body.get("output_config") or {}).get("format") or {}
    return Wish(
        model=body["model"],
        prompt=json.dumps([body.get("system"), body["messages"]]),
        last_user="" if results else " ".join(text_parts(last["content"])),
        tools=tools,
        tool=_tool_choice(body.get("tool_choice") or {}),
        schema=wanted.get("schema"),
        limit=body["max_tokens"],
        stops=tuple(body.get("stop_sequences") or ()),
    )


def _tool_choice(choice: dict[str, Any]) -> str:
    names = {"any": "required", "none": "none", "tool": f"={choice.get('name')}"}
    return names.get(choice.get("type", "auto"), "auto")
