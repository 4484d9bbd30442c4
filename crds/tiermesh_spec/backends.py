"""One backend of a tier: where it is, what it is asked for, and what it is paid with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tiermesh_spec.shape import ListOf, Shape, ShapeRule, exactly_one_of
from tiermesh_spec.snapshot.tiers import Provider
from tiermesh_spec.texts import (
    CaBundle,
    Dollars,
    ModelName,
    ModelUrl,
    Name,
    ResourceName,
    SecretKeyName,
    Word,
)


class Price(Shape):
    """Prices in dollars per million tokens, as text (`"0.15"`)."""

    input_per_million_tokens: Dollars
    """Price of a million input tokens."""
    output_per_million_tokens: Dollars
    """Price of a million output tokens, reasoning included."""
    cached_input_per_million_tokens: Dollars | None = None
    """Price of a million input tokens read from the provider's prompt cache; the input price when
    absent."""
    cache_write_per_million_tokens: Dollars | None = None
    """Price of a million input tokens written to the provider's prompt cache; the input price when
    absent."""


class Data(Shape):
    """Where data is processed and what may be sent there. What is absent fails every constraint
    that asks for it."""

    region: Word | None = None
    """Where the provider processes data, in your own words, for example `eu-west-1`."""
    classifications: Annotated[tuple[Word, ...], Field(max_length=16), ListOf("set")] = ()
    """The data classes that may be sent, for example `public` and `internal`."""
    retention: Word | None = None
    """How long the provider keeps data: `None` for not at all, else a name of your own such as
    `30d`."""


class Target(Shape):
    """Where a backend listens."""

    shape_rules = (
        exactly_one_of("url"),
        ShapeRule(
            cel="!has(self.caBundle) || self.url.startsWith('https://')",
            message="`caBundle` is for https addresses",
            fix="use an https address or remove `caBundle`",
            holds=lambda value: (
                "caBundle" not in value or str(value.get("url", "https")).startswith("https")
            ),
            field="caBundle",
        ),
    )

    url: ModelUrl | None = None
    """Absolute http or https address. What follows `/v1` in a call is appended; an address without
    a path gets `/v1`."""
    ca_bundle: CaBundle | None = None
    """Certificates that the backend's is verified with, in place of the system's: base64-encoded
    PEM, as in a webhook's `caBundle`."""


class SecretRef(Shape):
    """A key of a Secret in the tier's own namespace."""

    name: ResourceName
    """Name of the Secret."""
    key: SecretKeyName
    """Key of the Secret whose value is the provider's API key."""


class PassThrough(Shape):
    """Forward the application's own credentials."""


class NoCredentials(Shape):
    """Send no credentials."""


class Credentials(Shape):
    """What a backend is called with. The application's own key goes nowhere unless `passThrough` is
    set."""

    shape_rules = (exactly_one_of("secretRef", "passThrough", "none"),)

    secret_ref: SecretRef | None = None
    """Send the key that a Secret of the tier's namespace holds."""
    pass_through: PassThrough | None = None
    """Forward the application's own `Authorization` or `x-api-key`."""
    none: NoCredentials | None = None
    """Send no credentials, for models inside the cluster."""


class Backend(Shape):
    """One endpoint, model and credentials. The backends of a tier are interchangeable."""

    name: Name
    """Short name, unique in the tier: headers, spans and metrics show it."""
    provider: Provider
    """The API that the backend speaks: `OpenAI` (also vLLM, Ollama, most gateways) or `Anthropic`.
    It serves callers of the same API only."""
    model: ModelName
    """The model's name as the backend knows it: replaces the one that the caller sent."""
    target: Target
    """Where the backend is."""
    credentials: Credentials = Field(default_factory=lambda: Credentials(none=NoCredentials()))
    """What the backend is called with: exactly one of `secretRef`, `passThrough` and `none`."""
    priority: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    """Lower is tried first; backends of one priority share calls by weight."""
    weight: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    """Share of the calls among backends of the same priority."""
    price: Price | None = None
    """Replaces the tier's price as a whole."""
    data: Data | None = None
    """Replaces the tier's data handling as a whole."""
