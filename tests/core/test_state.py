"""How backends are named where policies share them."""

from __future__ import annotations

from dataclasses import replace

from tiermesh_sidecar.core.state import backend_key
from tiermesh_spec.snapshot import (
    Backend,
    Credentials,
    DataHandling,
    OutlierDetection,
    Provider,
    Tier,
    WhenAllEjected,
)


def test_two_policies_that_share_a_tier_share_its_backends_keys() -> None:
    backend = Backend(
        name="qwen",
        provider=Provider.OPENAI,
        model="m",
        url="http://qwen.test/v1",
        ca_bundle=None,
        credentials=Credentials(),
        priority=0,
        weight=1,
        price=None,
        data=DataHandling(region=None, classifications=(), retention=None),
    )
    tier = Tier(
        name="small",
        resource="models/small",
        rank=1,
        aliases=(),
        capabilities=frozenset(),
        context_window=None,
        max_output_tokens=None,
        outlier_detection=OutlierDetection(
            consecutive_failures=1,
            eject_for_ms=1,
            max_eject_for_ms=1,
            when_all_ejected=WhenAllEjected.FAIL,
        ),
        backends=(backend,),
    )
    assert backend_key(tier, backend) == "models/small/qwen"
    assert backend_key(replace(tier, name="cheap"), backend) == "models/small/qwen"
    assert backend_key(replace(tier, resource="other/small"), backend) == "other/small/qwen"
