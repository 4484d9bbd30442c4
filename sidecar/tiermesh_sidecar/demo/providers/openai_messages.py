"""Checks of `messages`, `tools` and `response_format` in OpenAI chat completions."""

from __future__ import annotations

import json
import re
from typing import Any

from tiermesh_sidecar.demo.providers import openai_fields as fields
from tiermesh_sidecar.demo.providers.openai_fields import Body
from tiermesh_sidecar.demo.providers.reply import Rejected

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_PARTS = {
    "system": ("text",),
    "developer": ("text",),
    "tool": ("text",),
    "assistant": ("text", "refusal"),
    "user": ("text", "image_url", "input_audio", "file"),
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FORMATS = ("text", "json_object", "json_schema")


def check_messages(body: Body) -> None:
    if "messages" not in body:
        raise fields.missing("messages")
    messages = fields.array(body, "messages", least=1)
    if messages is None:
        raise fields.invalid_type("messages", "an array of objects", None)
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        at = f"messages[{number}]"
        message = fields.obj(message, at)
        role = fields.text(message, "role", f"{at}.")
        if role not in _ROLES:
            raise fields.invalid_value(f"{at}.role", role, _ROLES)
        if role == "tool":
            _tool_message(message, number, open_calls)
        elif open_calls:
            raise _unanswered(open_calls, number)
        _content(message, role, at)
        open_calls = _tool_calls(message, at) if role == "assistant" else open_calls
    if open_calls:
        raise _unanswered(open_calls, len(messages))


def _tool_message(message: Body, number: int, open_calls: list[str]) -> None:
    at = f"messages.[{number}]"
    if "tool_call_id" not in message:
        raise Rejected(
            400,
            "Missing parameter 'tool_call_id': messages with role 'tool' must have a "
            "'tool_call_id'.",
            param=f"{at}.tool_call_id",
        )
    if message["tool_call_id"] not in open_calls:
        raise Rejected(
            400,
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'.",
            param=f"{at}.role",
        )
    open_calls.remove(message["tool_call_id"])


def _unanswered(ids: list[str], number: int) -> Rejected:
    return Rejected(
        400,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        "each 'tool_call_id'. The following tool_call_ids did not have response messages: "
        + ", ".join(ids),
        param=f"messages.[{number}].role",
    )


def _content(message: Body, role: str, at: str) -> None:
    content = message.get("content")
    if content is None:
        if role == "assistant" and (message.get("tool_calls") or message.get("refusal")):
            return
        raise Rejected(
            400,
            f"Invalid value for 'content': expected a string, got null. (param: {at}.content)",
            param=f"{at}.content",
        )
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise fields.invalid_type(f"{at}.content", "one of a string or array of objects", content)
    for number, part in enumerate(content):
        _part(part, role, f"{at}.content[{number}]")


def _part(part: object, role: str, at: str) -> None:
    found = fields.obj(part, at)
    type_ = fields.text(found, "type", f"{at}.")
    supported = _PARTS.get(role, ("text",))
    if type_ not in supported:
        raise fields.invalid_value(f"{at}.type", type_, supported)
    if type_ in ("text", "refusal"):
        fields.text(found, type_, f"{at}.")
    if type_ == "image_url":
        _image(found, at)


def _image(part: Body, at: str) -> None:
    if "image_url" not in part:
        raise fields.missing(f"{at}.image_url")
    url = fields.text(fields.obj(part["image_url"], f"{at}.image_url"), "url", f"{at}.image_url.")
    if not url.startswith(("https://", "http://", "data:image/")):
        raise Rejected(
            400,
            "Invalid image URL. Expected a base64-encoded data URL with an image MIME type, "
            "or an http(s) URL.",
            param=f"{at}.image_url.url",
            code="invalid_image_url",
        )


def _tool_calls(message: Body, at: str) -> list[str]:
    calls = message.get("tool_calls")
    if calls is None:
        return []
    if not isinstance(calls, list) or not calls:
        raise fields.invalid_type(f"{at}.tool_calls", "a non-empty array of objects", calls)
    ids = []
    for number, call in enumerate(calls):
        where = f"{at}.tool_calls[{number}]."
        found = fields.obj(call, where[:-1])
        ids.append(fields.text(found, "id", where))
        fields.text(found, "type", where)
        function = fields.obj(found.get("function"), f"{where}function")
        fields.text(function, "name", f"{where}function.")
        fields.text(function, "arguments", f"{where}function.")
    return ids


def check_tools(body: Body) -> None:
    tools = fields.array(body, "tools", least=1, most=128)
    names = [_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools or ())]
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if body.get(name) is not None:
                raise Rejected(
                    400,
                    f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are "
                    "specified.",
                    param=name,
                )
        return
    fields.boolean(body, "parallel_tool_calls")
    _tool_choice(body.get("tool_choice"), names)


def _tool(tool: object, at: str) -> str:
    found = fields.obj(tool, at)
    if fields.text(found, "type", f"{at}.") != "function":
        raise fields.invalid_value(f"{at}.type", found["type"], ("function",))
    function = fields.obj(found.get("function"), f"{at}.function")
    name = fields.text(function, "name", f"{at}.function.")
    if not _NAME.fullmatch(name):
        raise Rejected(
            400,
            f"Invalid '{at}.function.name': string does not match pattern. Expected a string that "
            "matches the pattern '^[a-zA-Z0-9_-]+$'.",
            param=f"{at}.function.name",
            code="invalid_value",
        )
    if function.get("parameters") is not None:
        fields.obj(function["parameters"], f"{at}.function.parameters")
    return name


def _tool_choice(choice: object, names: list[str]) -> None:
    if choice is None:
        return
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise fields.invalid_value("tool_choice", choice, ("none", "auto", "required"))
        return
    found = fields.obj(choice, "tool_choice")
    function = fields.obj(found.get("function"), "tool_choice.function")
    if fields.text(function, "name", "tool_choice.function.") not in names:
        raise Rejected(
            400,
            f"Tool choice '{function['name']}' not found in 'tools' parameter.",
            param="tool_choice",
        )


def check_response_format(body: Body) -> None:
    wanted = body.get("response_format")
    if wanted is None:
        return
    found = fields.obj(wanted, "response_format")
    kind = fields.text(found, "type", "response_format.")
    if kind not in _FORMATS:
        raise fields.invalid_value("response_format.type", kind, _FORMATS)
    if kind == "json_object" and "json" not in json.dumps(body["messages"]).casefold():
        raise Rejected(
            400,
            "'messages' must contain the word 'json' in some form, to use 'response_format' of "
            "type 'json_object'.",
            param="messages",
        )
    if kind == "json_schema":
        _json_schema(found)


def _json_schema(wanted: Body) -> None:
    at = "response_format.json_schema"
    if "json_schema" not in wanted:
        raise fields.missing(at)
    described = fields.obj(wanted["json_schema"], at)
    name = fields.text(described, "name", f"{at}.")
    if "schema" not in described:
        raise fields.missing(f"{at}.schema")
    schema = fields.obj(described["schema"], f"{at}.schema")
    if described.get("strict"):
        _strict(schema, name, ())


def _strict(schema: Any, name: str, path: tuple[str, ...]) -> None:
    """Strict schemas close every object and require every property."""
    if isinstance(schema, list):
        for part in schema:
            _strict(part, name, path)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        where = f"Invalid schema for response_format '{name}': In context={path!r}, "
        if schema.get("additionalProperties") is not False:
            text = "'additionalProperties' is required to be supplied and to be false."
            raise Rejected(400, where + text, param="response_format")
        absent = set(schema.get("properties", {})) - set(schema.get("required", ()))
        if absent:
            text = (
                "'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{min(absent)}'."
            )
            raise Rejected(400, where + text, param="response_format")
    for key, part in schema.items():
        _strict(part, name, (*path, key))
