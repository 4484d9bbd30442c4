"""Whether a call is traced: asked when it begins, because the answer travels upstream in
`traceparent`. The standard samplers by their standard names, without the SDK
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), which stays
unloaded while nothing is exported.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

_SAMPLERS = frozenset({"always_on", "always_off", "traceidratio"})
_PARENT_BASED = "parentbased_"
_LOW_64_BITS = (1 << 64) - 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    parent_based: bool
    """A caller that sent `traceparent` has decided already."""
    bound: int
    """A root is traced where the low 64 bits of its trace id are below: 0 never, 2^64 always."""

    def should_sample(self, parent_sampled: bool | None, trace_id: str) -> bool:
        """`parent_sampled`: the flag of the caller's `traceparent`, None where it sent none.

        `trace_id` is 32 hex digits.
        """
        if self.parent_based and parent_sampled is not None:
            return parent_sampled
        return int(trace_id[16:], 16) < self.bound


NOT_TRACING = Sampler(parent_based=True, bound=0)
"""Without an exporter: the caller's flag goes on upstream, and we ask nobody to record for us."""


def read_sampler(environ: Mapping[str, str]) -> Sampler:
    """The sampler that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG name.

    What cannot be understood is logged and taken as the standard's default, parentbased_always_on.
    """
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    parent_based = name.startswith(_PARENT_BASED)
    root = name.removeprefix(_PARENT_BASED)
    if root not in _SAMPLERS:
        _log.warning("OTEL_TRACES_SAMPLER: %r is unknown, using parentbased_always_on", name)
        return Sampler(parent_based=True, bound=_LOW_64_BITS + 1)
    rate = {"always_on": 1.0, "always_off": 0.0}.get(root)
    if rate is None:
        rate = _ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", ""))
    return Sampler(parent_based=parent_based, bound=round(rate * (_LOW_64_BITS + 1)))


def _ratio(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if 0.0 <= rate <= 1.0:
        return rate
    if text:
        _log.warning("OTEL_TRACES_SAMPLER_ARG: %r is no number from 0 to 1, using 1.0", text)
    return 1.0
