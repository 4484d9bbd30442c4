"""The condition types of both resources and their reasons: what `status.conditions` may say.

One list for the operator, the CRDs' printer columns, the documentation and the problems of
`compile()`. A reason that nothing can produce does not belong here.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """Each is True, False or Unknown, and carries the `observedGeneration` it speaks of."""

    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    PROGRAMMED = "Programmed"


class Reason(StrEnum):
    """Why a condition is as it is."""

    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    CONFLICTED = "Conflicted"
    RESOLVED_REFS = "ResolvedRefs"
    TIER_NOT_FOUND = "TierNotFound"
    REF_NOT_PERMITTED = "RefNotPermitted"
    PROGRAMMED = "Programmed"
    OVERRIDDEN = "Overridden"
    NO_SIDECARS = "NoSidecars"


MEANING: dict[ConditionType, str] = {
    ConditionType.ACCEPTED: "The resource is valid and nothing takes its place.",
    ConditionType.RESOLVED_REFS: "Every tier that the policy refers to exists and may be used.",
    ConditionType.PROGRAMMED: "The live sidecars that the policy selects run this generation.",
}

REASONS: dict[Reason, tuple[ConditionType, str]] = {
    Reason.ACCEPTED: (ConditionType.ACCEPTED, "The resource is valid."),
    Reason.INVALID: (ConditionType.ACCEPTED, "A value cannot be used; the message says which."),
    Reason.CONFLICTED: (
        ConditionType.ACCEPTED,
        "The policy selects pods, and another policy wins each of them.",
    ),
    Reason.RESOLVED_REFS: (ConditionType.RESOLVED_REFS, "All references resolve."),
    Reason.TIER_NOT_FOUND: (
        ConditionType.RESOLVED_REFS,
        "The policy's own namespace has no ModelTier of that name.",
    ),
    Reason.REF_NOT_PERMITTED: (
        ConditionType.RESOLVED_REFS,
        "The ModelTier is in another namespace and not open to this one, or does not exist:"
        " which of the two is not told.",
    ),
    Reason.PROGRAMMED: (
        ConditionType.PROGRAMMED,
        "Every live sidecar that the policy selects acknowledged this generation.",
    ),
    Reason.OVERRIDDEN: (
        ConditionType.PROGRAMMED,
        "The policy runs on the pods that it wins; another policy wins the rest.",
    ),
    Reason.NO_SIDECARS: (ConditionType.PROGRAMMED, "No live sidecar is selected yet."),
}
"""What each reason belongs to and means."""
