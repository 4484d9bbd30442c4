"""One call with all that was found out about it before anything is chosen.

The parts of `decide` hand this on instead of long argument lists. It outlives no call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tiermesh_sidecar.core.active import ActivePolicy
from tiermesh_sidecar.core.constraints import Demands
from tiermesh_sidecar.core.eligibility import Standing
from tiermesh_sidecar.core.entitlement import Entitled
from tiermesh_sidecar.core.names import Asked
from tiermesh_sidecar.core.question import Question


@dataclass(slots=True, kw_only=True)
class Case:
    active: ActivePolicy
    question: Question
    seed: int
    asked: Asked | None
    """None: the model's name means nothing here."""
    entitled: Entitled
    demands: Demands
    standings: Mapping[str, Standing]
    """By tier, in the policy's order."""
