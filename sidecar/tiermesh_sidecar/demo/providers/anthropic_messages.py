"""Checks of `messages` and `system` in Anthropic's Messages API.

Roles need not alternate any more (neighbours of one role are joined), but the first message is the
user's, and each `tool_use` is answered in the very next message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tiermesh_sidecar.demo.providers.reply import Rejected

_BLOCKS = {
    "user": {"text", "image", "document", "search_result", "tool_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking"},
}
_REQUIRED = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}


def check_system(system: object) -> None:
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise Rejected(400, "system: Input should be a valid list")
    for number, block in enumerate(system):
        _block(block, "system", {"text"}, f"system.{number}")


def check_messages(messages: object) -> None:
    if not isinstance(messages, list):
        raise Rejected(400, "messages: Input should be a valid list")
    if not messages:
        raise Rejected(400, "messages: at least one message is required")
    for number, message in enumerate(messages):
        _message(message, number, last=number == len(messages) - 1)
    if messages[0]["role"] != "user":
        raise Rejected(400, 'messages: first message must use the "user" role')
    _tool_pairs(messages)


def _message(message: object, number: int, *, last: bool) -> None:
    at = f"messages.{number}"
    if not isinstance(message, dict):
        raise Rejected(400, f"{at}: Input should be a valid dictionary")
    for name in ("role", "content"):
        if name not in message:
            raise Rejected(400, f"{at}.{name}: Field required")
    extra = sorted(set(message) - {"role", "content"})
    if extra:
        raise Rejected(400, f"{at}.{extra[0]}: Extra inputs are not permitted")
    _role(message["role"], at)
    _content(message["content"], message["role"], number, last=last)


def _role(role: object, at: str) -> None:
    if role == "system":
        raise Rejected(
            400,
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` '
            'parameter, not "system" as an input message role.',
        )
    if role not in ("user", "assistant"):
        raise Rejected(400, f"{at}.role: Input should be 'user' or 'assistant'")


def _content(content: object, role: str, number: int, *, last: bool) -> None:
    at = f"messages.{number}"
    if not isinstance(content, str | list):
        raise Rejected(400, f"{at}.content: Input should be a valid list")
    if not content and not (last and role == "assistant"):
        raise Rejected(
            400,
            f"{at}: all messages must have non-empty content except for the optional final "
            "assistant message",
        )
    if isinstance(content, list):
        for index, block in enumerate(content):
            _block(block, role, _BLOCKS[role], f"{at}.content.{index}")
    elif last and role == "assistant" and content != content.rstrip():
        raise Rejected(
            400,
            "messages: final assistant content cannot end with trailing whitespace",
        )


def _block(block: object, role: str, allowed: set[str], at: str) -> None:
    if not isinstance(block, dict):
        raise Rejected(400, f"{at}: Input should be a valid dictionary")
    type_ = block.get("type")
    if type_ is None:
        raise Rejected(400, f"{at}.type: Field required")
    if type_ not in allowed:
        raise Rejected(
            400,
            f"{at}: Input tag '{type_}' found using 'type' does not match any of the expected "
            f"tags in {role} content: " + ", ".join(f"'{name}'" for name in sorted(allowed)),
        )
    for name in _REQUIRED.get(type_, ()):
        if name not in block:
            raise Rejected(400, f"{at}.{type_}.{name}: Field required")
    if type_ == "text":
        _text(block["text"], at)
    if type_ == "image":
        _source(block["source"], at)


def _text(text: object, at: str) -> None:
    if not isinstance(text, str):
        raise Rejected(400, f"{at}.text.text: Input should be a valid string")
    if not text:
        raise Rejected(400, "messages: text content blocks must be non-empty")


def _source(source: object, at: str) -> None:
    kinds = {"base64": ("media_type", "data"), "url": ("url",), "file": ("file_id",)}
    if not isinstance(source, dict) or source.get("type") not in kinds:
        raise Rejected(400, f"{at}.image.source: Input should be base64, url or file")
    for name in kinds[source["type"]]:
        if not isinstance(source.get(name), str):
            raise Rejected(400, f"{at}.image.source.{source['type']}.{name}: Field required")


def _tool_pairs(messages: Sequence[Mapping[str, Any]]) -> None:
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        answered = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        for index, id_ in enumerate(answered):
            if id_ not in waiting:
                raise Rejected(
                    400,
                    f"messages.{number}.content.{index}: unexpected `tool_use_id` found in "
                    f"`tool_result` blocks: {id_}. Each `tool_result` block must have a "
                    "corresponding `tool_use` block in the previous message.",
                )
        if waiting - set(answered):
            raise _unanswered(number - 1, waiting - set(answered))
        waiting = {b["id"] for b in blocks if b["type"] == "tool_use"}
    if waiting:
        raise _unanswered(len(messages) - 1, waiting)


def _unanswered(number: int, ids: set[str]) -> Rejected:
    return Rejected(
        400,
        f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately "
        f"after: {', '.join(sorted(ids))}. Each `tool_use` block must have a corresponding "
        "`tool_result` block in the next message.",
    )
