"""The models that a caller may ask for, in its dialect. Globs are not names and are not listed."""

from __future__ import annotations

from collections.abc import Collection

import orjson

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.core.glob import is_glob
from tiermesh_spec.snapshot import Policy


def names(policy: Policy, tiers: Collection[str]) -> list[str]:
    """`auto`, the plain names of `models.route` and `models.direct`, then the names and aliases of
    the tiers that the caller is entitled to (`tiers`, short names)."""
    plain = [n for n in (*policy.models.route, *policy.models.direct) if not is_glob(n)]
    found = dict.fromkeys(["auto", *plain])
    for tier in policy.tiers:
        if tier.name in tiers:
            found.update(dict.fromkeys((tier.name, *tier.aliases)))
    return list(found)


def listing(policy: Policy, tiers: Collection[str], dialect: Dialect) -> bytes:
    """The answer to GET /v1/models."""
    listed = names(policy, tiers)
    data = [_model(name, dialect) for name in listed]
    if dialect is Dialect.ANTHROPIC:
        return orjson.dumps(
            {"data": data, "has_more": False, "first_id": listed[0], "last_id": listed[-1]}
        )
    return orjson.dumps({"object": "list", "data": data})


def model_object(
    policy: Policy, tiers: Collection[str], dialect: Dialect, name: str
) -> bytes | Refusal:
    """The answer to GET /v1/models/{name}: the same object as in the list, or a refusal."""
    if name in names(policy, tiers):
        return orjson.dumps(_model(name, dialect))
    return Refusal(
        code=ErrorCode.MODEL_NOT_FOUND,
        message=(
            f"The model {name!r} is not one that {policy.label} lists for this caller: "
            "GET /v1/models says which are."
        ),
        param="model",
    )


def _model(name: str, dialect: Dialect) -> dict[str, object]:
    if dialect is Dialect.ANTHROPIC:
        return {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": "1970-01-01T00:00:00Z",
        }
    return {"id": name, "object": "model", "created": 0, "owned_by": "tiermesh"}
