"""How backends are named where policies share them."""

from __future__ import annotations

from dataclasses import replace

from policy_makers import backend, tier

from tiermesh_sidecar.core.state import backend_key


def test_two_policies_that_share_a_tier_share_its_backends_keys() -> None:
    qwen = backend("qwen")
    small = tier("small", 1, qwen)
    assert backend_key(small, qwen) == "models/small/qwen"
    assert backend_key(replace(small, name="cheap"), qwen) == "models/small/qwen"
    assert backend_key(replace(small, resource="other/small"), qwen) == "other/small/qwen"
