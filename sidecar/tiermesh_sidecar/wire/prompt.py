"""Counting what a request's content weighs, and taking its words out: shared by both dialects.

The count is made for every call and must be cheap; the words are taken only when a signal asks.
Neither validates: what a provider would refuse and we do not need is forwarded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Capability

BYTES_PER_TOKEN = 4
"""Of UTF-8: right for English text, and nearer than characters for scripts of several bytes, whose
characters are worth more tokens."""
TOKENS_PER_MESSAGE = 4
"""What the role and the separators of a message cost in the chat formats."""
_ATTACHMENT_BYTES_PER_TOKEN = 64
"""Of base64. A PDF page is some 100 KB and, by Anthropic's documentation, 1,500 to 3,000 tokens."""


@dataclass(slots=True)
class Weight:
    """What content was seen so far: a counter of one request, filled while walking it."""

    text: int = 0
    """UTF-8 bytes of text."""
    extra: int = 0
    """Tokens of what is not text: images, documents, message frames."""
    images: bool = False

    def add_text(self, value: object) -> None:
        if isinstance(value, str):
            self.text += utf8_length(value)

    def add_image(self, tokens: int) -> None:
        self.extra += tokens
        self.images = True

    def add_attachment(self, data: object) -> None:
        if isinstance(data, str):
            self.extra += len(data) // _ATTACHMENT_BYTES_PER_TOKEN

    @property
    def tokens(self) -> int:
        return -(-self.text // BYTES_PER_TOKEN) + self.extra


def utf8_length(value: str) -> int:
    # isascii() reads a flag: for English text nothing is encoded.
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def span_tokens(spans: dict[str, tuple[int, int]], *names: str) -> int:
    """Tokens of members that are counted by their JSON's length, such as tool definitions."""
    return sum(
        (spans[name][1] - spans[name][0]) // BYTES_PER_TOKEN for name in names if name in spans
    )


def plain_needs(*, tools: bool, json_schema: bool, images: bool) -> set[Capability]:
    """The capabilities that calls of either dialect ask for in the same way."""
    needs: set[Capability] = set()
    if tools:
        needs.add(Capability.TOOLS)
    if json_schema:
        needs.add(Capability.JSON_SCHEMA)
    if images:
        needs.add(Capability.VISION)
    return needs


def parts_of(content: object, *kinds: str) -> Iterator[str]:
    """The texts of a content: a string, or parts of these types with a `text`."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and part.get("type") in kinds:
                value = part.get("text")
                if isinstance(value, str):
                    yield value


def objects(value: object) -> Iterator[dict[str, object]]:
    """The objects of a list; nothing for anything else."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item


def flag(value: object, name: str) -> bool | Refusal:
    """An optional boolean: absent and null are false."""
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    return invalid(f"{name} must be true or false.", param=name)


def limit(value: object) -> int | None:
    """A caller's limit on tokens; None for what is no positive whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 < value < 2**53 and value == int(value) else None


def model_of(value: dict[str, object]) -> str | Refusal:
    model = value.get("model")
    if not isinstance(model, str) or not model.strip():
        return invalid(
            "model must be a non-empty string: name a model, a tier, or `auto`.", param="model"
        )
    if not model.isascii() and any("\ud800" <= character <= "\udfff" for character in model):
        return invalid("model has a lone surrogate, which no model's name has.", param="model")
    return model


def model_and_stream(value: dict[str, object]) -> tuple[str, bool] | Refusal:
    """What every operation that can stream begins with."""
    model = model_of(value)
    if isinstance(model, Refusal):
        return model
    stream = flag(value.get("stream"), "stream")
    return stream if isinstance(stream, Refusal) else (model, stream)


def check_messages(messages: object) -> list[dict[str, object]] | Refusal:
    """The messages, each an object with a role and a content that can be walked."""
    if not isinstance(messages, list):
        return invalid("messages must be a list of messages.", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            return invalid(f"messages[{index}] must be an object.", param="messages")
        if not isinstance(message.get("role"), str):
            return invalid(f"messages[{index}].role must be a string.", param="messages")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            return invalid(
                f"messages[{index}].content must be a string, a list of parts, or null.",
                param="messages",
            )
    return messages


def invalid(message: str, *, param: str) -> Refusal:
    return Refusal(code=ErrorCode.INVALID_REQUEST, message=message, param=param)
