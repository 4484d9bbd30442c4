"""Calls that no policy acts on go where the app would have called without us.

One attempt, the app's own credentials, no deadline of ours: the attempts machine runs it like any
other plan, so that there is one engine.
"""

from __future__ import annotations

from tiermesh_sidecar.core.decision import Plan, Step
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.net.settings import Settings
from tiermesh_spec.snapshot import (
    Backend,
    Credentials,
    DataHandling,
    OutlierDetection,
    Provider,
    Tier,
    WhenAllEjected,
)

ORIGINAL = "original"
"""The tier that records show for such a call; it is no candidate of any policy."""
_DAY_MS = 24 * 3600 * 1000


def original_plan(settings: Settings, dialect: Dialect, model: str) -> Plan:
    """`model`: as the caller asked, for the record; nothing is rewritten."""
    anthropic = dialect is Dialect.ANTHROPIC
    backend = Backend(
        name=dialect.value.lower(),
        provider=Provider.ANTHROPIC if anthropic else Provider.OPENAI,
        model=model,
        url=settings.original_anthropic_url if anthropic else settings.original_openai_url,
        ca_bundle=None,
        credentials=Credentials(pass_through=True),
        priority=0,
        weight=1,
        price=None,
        data=DataHandling(region=None, classifications=(), retention=None),
    )
    tier = Tier(
        name=ORIGINAL,
        resource=ORIGINAL,
        rank=0,
        aliases=(),
        capabilities=frozenset(),
        context_window=None,
        max_output_tokens=None,
        outlier_detection=OutlierDetection(
            consecutive_failures=1,
            eject_for_ms=0,
            max_eject_for_ms=0,
            when_all_ejected=WhenAllEjected.TRY_ONE,
        ),
        backends=(backend,),
    )
    return Plan(
        steps=(Step(tier=tier, backend=backend),),
        max_attempts=1,
        fallback_on=frozenset(),
        call_ms=_DAY_MS,
        attempt_ms=_DAY_MS,
        first_byte_ms=_DAY_MS,
        stream_idle_ms=_DAY_MS,
        backoff_base_ms=0,
        backoff_max_ms=0,
    )
