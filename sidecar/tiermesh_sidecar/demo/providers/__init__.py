"""Strict fake model providers: the public names."""

from tiermesh_sidecar.demo.providers.faults import (
    Behaviours,
    Chance,
    Fault,
    FaultKind,
    broken,
    rate_limited,
    slow_head,
    stall,
    status,
)
from tiermesh_sidecar.demo.providers.received import Ending, Received
from tiermesh_sidecar.demo.providers.reply import Reply, StreamReply
from tiermesh_sidecar.demo.providers.server import Dialect, FakeProvider

__all__ = [
    "Behaviours",
    "Chance",
    "Dialect",
    "Ending",
    "FakeProvider",
    "Fault",
    "FaultKind",
    "Received",
    "Reply",
    "StreamReply",
    "broken",
    "rate_limited",
    "slow_head",
    "stall",
    "status",
]
