"""`match`: typed conditions on a call that a policy can index, unlike an expression."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tiermesh_spec.shape import Flag, ListOf, Shape
from tiermesh_spec.texts import ModelGlob, Value


class MatchedEndpoint(StrEnum):
    """The operations that a call can be."""

    CHAT_COMPLETIONS = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"
    OTHER = "other"


Values = Annotated[tuple[Value, ...], Field(min_length=1, max_length=32), ListOf("set")]


class Match(Shape):
    """Conditions that must all hold; a list holds when the call's value is in it."""

    steps: Values | None = None
    """The caller's workflow step (`caller.step`)."""
    tasks: Values | None = None
    """The caller's task (`caller.task`)."""
    agents: Values | None = None
    """The calling agent (`caller.agent`)."""
    workflows: Values | None = None
    """The caller's workflow (`caller.workflow`)."""
    priorities: Values | None = None
    """The caller's priority (`caller.priority`)."""
    models: (
        Annotated[tuple[ModelGlob, ...], Field(min_length=1, max_length=32), ListOf("set")] | None
    ) = None
    """The model's name as the caller sent it; `*` stands for any run of characters."""
    endpoints: (
        Annotated[tuple[MatchedEndpoint, ...], Field(min_length=1, max_length=5), ListOf("set")]
        | None
    ) = None
    """What is called, as its path after `/v1`; `other` for paths that are passed through."""
    wants_json: Annotated[Flag | None, Field(alias="wantsJSON")] = None
    """Whether the caller asks for JSON (`response_format`)."""
    wants_tools: Flag | None = None
    """Whether the call offers tools."""
    has_images: Flag | None = None
    """Whether the call carries images."""
    stream: Flag | None = None
    """Whether the caller asks for a stream."""
