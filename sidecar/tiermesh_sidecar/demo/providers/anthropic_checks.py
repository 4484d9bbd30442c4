"""What Anthropic's Messages API rejects, with its own messages.

Errors follow the public API (https://docs.anthropic.com/en/api/errors): all of these are 400
`invalid_request_error`, and the message starts with the field's path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiermesh_sidecar.demo.providers.anthropic_messages import check_messages, check_system
from tiermesh_sidecar.demo.providers.reply import Rejected

Body = Mapping[str, Any]

_COUNT_NAMES = """cache_control context_management mcp_servers messages model output_config speed
system thinking tool_choice tools user_profile_id workspace_id"""
_CREATE_NAMES = """container diagnostics inference_geo max_tokens metadata service_tier
stop_sequences stream temperature top_k top_p"""
_COUNT = frozenset(_COUNT_NAMES.split())
_CREATE = _COUNT | frozenset(_CREATE_NAMES.split())
_CHOICES = ("auto", "any", "tool", "none")
_LEAST_THINKING = 1024


def check_create(body: Body, *, lenient: bool) -> None:
    _known(body, _CREATE, lenient)
    _require(body, "model", "max_tokens", "messages")
    _at_least(body, "max_tokens", 0)  # 0 fills the prompt cache and generates nothing
    _common(body)
    _fraction(body, "temperature")
    _fraction(body, "top_p")
    _at_least(body, "top_k", 0)
    _stop_sequences(body.get("stop_sequences"))
    if body.get("stream") is not None and not isinstance(body["stream"], bool):
        raise _rejected("stream", "Input should be a valid boolean")
    _thinking(body)


def check_count(body: Body, *, lenient: bool) -> None:
    _known(body, _COUNT, lenient)
    _require(body, "model", "messages")
    _common(body)


def _common(body: Body) -> None:
    if not isinstance(body["model"], str):
        raise _rejected("model", "Input should be a valid string")
    check_system(body.get("system"))
    check_messages(body["messages"])
    _tools(body)


def _rejected(path: str, message: str) -> Rejected:
    return Rejected(400, f"{path}: {message}")


def _known(body: Body, known: frozenset[str], lenient: bool) -> None:
    unknown = sorted(set(body) - known)
    if unknown and not lenient:
        raise _rejected(unknown[0], "Extra inputs are not permitted")


def _require(body: Body, *names: str) -> None:
    for name in names:
        if name not in body:
            raise _rejected(name, "Field required")


def _fraction(body: Body, name: str) -> None:
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _rejected(name, "Input should be a valid number")
    if not 0 <= value <= 1:
        raise _rejected(name, "range: 0..1")


def _at_least(body: Body, name: str, low: int) -> None:
    value = body.get(name, low)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _rejected(name, "Input should be a valid integer")
    if value < low:
        raise _rejected(name, f"Input should be greater than or equal to {low}")


def _stop_sequences(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        raise _rejected("stop_sequences", "Input should be a valid list")
    for number, stop in enumerate(value):
        if not isinstance(stop, str):
            raise _rejected(f"stop_sequences.{number}", "Input should be a valid string")
        if not stop.strip():
            raise _rejected("stop_sequences", "each stop sequence must contain non-whitespace")


def _thinking(body: Body) -> None:
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return
    budget = thinking.get("budget_tokens")
    at = "thinking.enabled.budget_tokens"
    if not isinstance(budget, int):
        raise _rejected(at, "Field required")
    if budget < _LEAST_THINKING:
        raise _rejected(at, f"Input should be greater than or equal to {_LEAST_THINKING}")
    if budget >= body["max_tokens"]:
        raise Rejected(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _tools(body: Body) -> None:
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise _rejected("tools", "Input should be a valid list")
    names = [_tool(tool, f"tools.{number}") for number, tool in enumerate(tools or ())]
    if len(set(names)) < len(names):
        raise _rejected("tools", "Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not isinstance(choice, dict) or choice.get("type") not in _CHOICES:
        raise _rejected("tool_choice", f"Input should be a valid choice of {', '.join(_CHOICES)}")
    if not names and choice["type"] != "none":
        raise _rejected("tool_choice", "may only be specified while providing `tools`.")
    if choice["type"] == "tool" and choice.get("name") not in names:
        raise Rejected(400, f"Tool '{choice.get('name')}' not found in provided tools")


def _tool(tool: object, at: str) -> str:
    if not isinstance(tool, dict):
        raise _rejected(at, "Input should be a valid dictionary")
    name = tool.get("name")
    if not isinstance(name, str):
        raise _rejected(f"{at}.custom.name", "Field required")
    if tool.get("type", "custom") == "custom":
        schema = tool.get("input_schema")
        if not isinstance(schema, dict):
            raise _rejected(f"{at}.custom.input_schema", "Field required")
        if schema.get("type") != "object":
            raise _rejected(f"{at}.custom.input_schema.type", "Input should be 'object'")
    return name
