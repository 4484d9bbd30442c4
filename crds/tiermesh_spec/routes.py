"""What a rule does with a call: pin, weighted, threshold."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tiermesh_spec.quantities import score
from tiermesh_spec.shape import ListOf, Object, Shape, ShapeRule, exactly_one_of, has
from tiermesh_spec.texts import Identifier, Name, Score


class PinFallback(StrEnum):
    INHERIT = "Inherit"
    NONE = "None"


class Pin(Shape):
    """One tier."""

    tier: Name
    """The policy's name of the tier."""
    fallback: PinFallback = PinFallback.INHERIT
    """`Inherit`: the policy's `fallback` applies; `None`: this tier or an error, provably."""


class WeightedTier(Shape):
    """A tier and its share."""

    tier: Name
    """The policy's name of the tier."""
    weight: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    """Share of the calls, relative to the other weights."""


class Weighted(Shape):
    """Calls shared by weight among the tiers that are eligible: A/B tests and canaries."""

    tiers: Annotated[
        tuple[WeightedTier, ...], Field(min_length=1, max_length=8), ListOf("map", "tier")
    ]
    """The tiers and their shares."""


class Band(Shape):
    """Scores below a limit, and the tier that takes them."""

    below: Score | None = None
    """Scores below this go to the tier, as text from 0 to 1 (`"0.35"`); left out in the last band
    alone, which takes the rest."""
    tier: Name
    """The policy's name of the tier."""


def _bands(value: Object) -> list[Object]:
    bands = value.get("bands")
    return [band for band in bands if isinstance(band, dict)] if isinstance(bands, list) else []


def _last_is_open(value: Object) -> bool:
    bands = _bands(value)
    return [has(band, "below") for band in bands] == [True] * (len(bands) - 1) + [False] * bool(
        bands
    )


def _ascending(value: Object) -> bool:
    try:
        limits = [score(str(band["below"])) for band in _bands(value) if has(band, "below")]
    except ValueError:
        return True  # a value of its own that is reported where it stands
    return all(low < high for low, high in zip([0.0, *limits], limits, strict=False))


class Threshold(Shape):
    """A signal's score chooses among bands."""

    shape_rules = (
        ShapeRule(
            cel="self.bands.filter(band, !has(band.below)).size() == 1"
            " && !has(self.bands[size(self.bands) - 1].below)",
            message="the last band, and no other, must be without `below`",
            fix="leave `below` out of the last band and give it to every other",
            holds=_last_is_open,
            field="bands",
        ),
        ShapeRule(
            cel="double(self.bands[0].?below.orValue('1')) > 0.0 && [1, 2, 3, 4, 5, 6, 7].all(i,"
            " i >= size(self.bands) || !has(self.bands[i].below) || !has(self.bands[i - 1].below)"
            " || double(self.bands[i - 1].below) < double(self.bands[i].below))",
            message="the bands must ascend",
            fix="order the bands so that each `below` is higher than the one before, the first"
            " above 0",
            holds=_ascending,
            field="bands",
        ),
    )

    signal: Identifier
    """One of `spec.signals`."""
    bands: Annotated[tuple[Band, ...], Field(min_length=1, max_length=8), ListOf("atomic")]
    """Ascending; the first whose `below` is above the score takes the call."""
    on_abstain: Name | None = None
    """The tier that takes calls on which the signal has nothing to say; when absent, the
    highest-ranked that is eligible."""


class Route(Shape):
    """What is done with a call. A tier that may not take the call is replaced by the nearest rank
    above that may, else below."""

    shape_rules = (exactly_one_of("pin", "weighted", "threshold"),)

    pin: Pin | None = None
    """Always this tier."""
    weighted: Weighted | None = None
    """Shares by weight."""
    threshold: Threshold | None = None
    """By a signal's score."""
