"""`ModelTier`: a rank, a price, capabilities, and one or more interchangeable backends."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tiermesh_spec.backends import Backend, Data, Price
from tiermesh_spec.metadata import LabelSelector
from tiermesh_spec.shape import ListOf, Shape, no_longer_than, only_with
from tiermesh_spec.snapshot.tiers import WhenAllEjected
from tiermesh_spec.texts import Alias, Duration


class Capability(StrEnum):
    """What a call can need of a model."""

    TOOLS = "Tools"
    JSON_SCHEMA = "JSONSchema"
    VISION = "Vision"
    LOGPROBS = "Logprobs"
    REASONING = "Reasoning"


class From(StrEnum):
    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


class AllowedNamespaces(Shape):
    """Whose policies may use the tier, and with it its key. Its own namespace always may."""

    shape_rules = (only_with("selector", when="from", equals="Selector", default="Same"),)

    from_: Annotated[From, Field(alias="from")] = From.SAME
    """`Same`: the tier's own namespace; `All`: every namespace; `Selector`: those whose labels
    `selector` selects."""
    selector: LabelSelector | None = None
    """Selects namespaces by label; with files, labels come from `v1/Namespace` documents, and
    `kubernetes.io/metadata.name` is always set."""


class OutlierDetection(Shape):
    """When a failing backend is left alone, and for how long."""

    shape_rules = (no_longer_than("ejectFor", "30s", "maxEjectFor", "5m"),)

    consecutive_failures: Annotated[int, Field(strict=True, ge=1, le=1000)] = 5
    """Failures in a row after which a backend is ejected: it gets no calls for a while."""
    eject_for: Duration = "30s"
    """How long a first ejection lasts; each further one lasts longer."""
    max_eject_for: Duration = "5m"
    """The longest ejection."""
    when_all_ejected: WhenAllEjected = WhenAllEjected.TRY_ONE
    """When no backend is left: `TryOne` tries one all the same, `Fail` refuses the call."""


class ModelTierSpec(Shape):
    """What the tier is, costs and can do."""

    rank: Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
    """Order of capability: escalation goes up, downgrade goes down. Leave gaps (10, 20, 30)."""
    aliases: Annotated[tuple[Alias, ...], Field(max_length=16), ListOf("set")] = ()
    """Further names that a caller may ask for, beside the policy's name of the tier."""
    price: Price | None = None
    """What tokens cost. A tier without a price is used, and its cost is reported as unknown."""
    capabilities: Annotated[tuple[Capability, ...], Field(max_length=5), ListOf("set")] = ()
    """What the model can do. A call that needs more is not sent here."""
    context_window: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] | None = None
    """Tokens of input and output together. A call that needs more is not sent here; absent: not
    checked."""
    max_output_tokens: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] | None = None
    """The most tokens that the model writes. A call that asks for more is not sent here; absent:
    not checked."""
    data: Data = Field(default_factory=Data)
    """Where data is processed and what may be sent there: what residency and data-class constraints
    look at."""
    outlier_detection: OutlierDetection = Field(default_factory=OutlierDetection)
    """When a failing backend is left alone, and for how long."""
    allowed_namespaces: AllowedNamespaces = Field(default_factory=AllowedNamespaces)
    """Whose policies may use the tier."""
    backends: Annotated[
        tuple[Backend, ...], Field(min_length=1, max_length=16), ListOf("map", "name")
    ]
    """Where calls go: interchangeable endpoints of this tier."""


class ModelTier(Shape):
    """A class of models that are equally good: a rank, a price, capabilities, and one or more
    interchangeable backends. Policies choose among tiers."""

    spec: ModelTierSpec
    """What the tier is, costs and can do."""
