"""What a decision may know of a call: no content leaves here but through signals.

`wire` builds one `Features` per call from the request's bytes; `replay` builds one from an audit
record. Both give `decide` the same values, so a decision can be repeated without the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Dialect(StrEnum):
    """The API family a caller speaks; a backend serves calls of its own dialect only."""

    OPENAI = "OpenAI"
    ANTHROPIC = "Anthropic"


class Endpoint(StrEnum):
    """The operations that are routed by content. Everything else under /v1 is `OTHER`."""

    CHAT_COMPLETIONS = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"
    OTHER = "other"


class Capability(StrEnum):
    """What a call can need of a model, as `ModelTier.spec.capabilities` names it."""

    TOOLS = "Tools"
    JSON_SCHEMA = "JSONSchema"
    VISION = "Vision"
    LOGPROBS = "Logprobs"
    REASONING = "Reasoning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The words of a request, as signals read them."""

    texts: tuple[str, ...] = ()
    """Every text part in order: system, user, assistant, tool results."""
    last_user: str = ""
    """The text of the last user message (all its parts joined by newlines)."""
    turns: int = 0
    """Number of user messages: the depth of the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, as `caller.NAME` in expressions. An attribute that nobody set is absent here."""

    asserted: Mapping[str, str] = field(default_factory=dict)
    """What the policy's `identity` yields: grants and exemptions see these alone."""
    hinted: Mapping[str, str] = field(default_factory=dict)
    """What `x-tiermesh-*` hints add where `identity` is silent: they choose routes and tighten."""
    data_class_hint: str = ""
    """The hinted data class, even where `identity` names one: a constraint that either of them
    meets applies."""

    def get(self, name: str) -> str:
        """The attribute's value, `identity` first, then the hint; "" when unset."""
        return self.asserted.get(name) or self.hinted.get(name, "")


def _no_prompt() -> Prompt:
    return Prompt()


class Features:
    """One call, as rules and rights see it. The prompt is extracted when first asked for."""

    __slots__ = (
        "_prompt",
        "_read_prompt",
        "caller",
        "dialect",
        "endpoint",
        "has_images",
        "max_tokens",
        "model",
        "needs",
        "stream",
        "tokens",
        "wants_json",
        "wants_tools",
    )

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        dialect: Dialect,
        model: str = "",
        stream: bool = False,
        tokens: int = 0,
        max_tokens: int | None = None,
        wants_json: bool = False,
        wants_tools: bool = False,
        has_images: bool = False,
        needs: frozenset[Capability] = frozenset(),
        caller: Caller | None = None,
        read_prompt: Callable[[], Prompt] = _no_prompt,
    ) -> None:
        self.endpoint = endpoint
        self.dialect = dialect
        self.model = model
        """As the caller sent it."""
        self.stream = stream
        self.tokens = tokens
        """Estimated input tokens."""
        self.max_tokens = max_tokens
        """The caller's own limit on output tokens; None when silent."""
        self.wants_json = wants_json
        self.wants_tools = wants_tools
        self.has_images = has_images
        self.needs = needs
        self.caller = caller if caller is not None else Caller()
        self._read_prompt = read_prompt
        self._prompt: Prompt | None = None

    @property
    def prompt(self) -> Prompt:
        if self._prompt is None:
            self._prompt = self._read_prompt()
        return self._prompt
