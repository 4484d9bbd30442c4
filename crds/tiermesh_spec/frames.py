"""The frame of every document: its top-level fields, its metadata, and the shape of Secrets.

A Secret's content is looked at, never kept and never repeated; reading keys is the sidecar's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from tiermesh_spec.documents import Source
from tiermesh_spec.metadata import UNREAD_METADATA, ObjectMeta
from tiermesh_spec.problems import HIDDEN, Finding, closest
from tiermesh_spec.structure import findings

_TOP = {
    "ModelTier": ("spec", "status"),
    "RoutingPolicy": ("spec", "status"),
    "Secret": ("type", "data", "stringData", "immutable"),
    "Namespace": ("spec", "status"),
}


def metadata_of(source: Source) -> ObjectMeta:
    """The metadata of a document without findings."""
    return ObjectMeta.model_validate(_read_metadata(source))


def _read_metadata(source: Source) -> dict[str, object]:
    read = {k: v for k, v in source.metadata.items() if k not in UNREAD_METADATA}
    # `kubectl create --dry-run` prints an empty timestamp; it means the same as none.
    if read.get("creationTimestamp") is None:
        read.pop("creationTimestamp", None)
    return read


def frame_findings(source: Source) -> Iterator[Finding]:
    """What is wrong with a document apart from its `spec`."""
    known = ("apiVersion", "kind", "metadata", *_TOP[source.kind])
    for key in source.content:
        if key not in known:
            yield Finding(
                path=(str(key),),
                value=str(key),
                message=f"the field `{key}` is not supported by this version",
                fix=closest(str(key), known, what="known fields"),
            )
    metadata = source.content.get("metadata")
    if metadata is None:
        yield Finding(
            path=("metadata",),
            value=None,
            message="`metadata` is missing",
            fix="add `metadata: {name: NAME}`",
        )
    elif isinstance(metadata, dict):
        yield from findings(ObjectMeta, _read_metadata(source), ("metadata",))
    else:
        yield from findings(ObjectMeta, metadata, ("metadata",))
    if source.kind == "Secret":
        yield from _secret_findings(source)


def _secret_findings(source: Source) -> Iterator[Finding]:
    for name in ("data", "stringData"):
        content = source.content.get(name, {})
        if not isinstance(content, dict):
            yield _hidden((name,), "is not an object", f"write `{name}: {{KEY: VALUE}}`")
            continue
        for key, value in content.items():
            if not isinstance(value, str):
                yield _hidden((name, str(key)), "is not text", "put the value in quotes")
            elif name == "data" and not _is_base64(value):
                yield _hidden(
                    (name, str(key)), "is not base64", "encode the value, or use stringData"
                )


def _hidden(path: tuple[str, ...], message: str, fix: str) -> Finding:
    return Finding(path=path, value=HIDDEN, message=message, fix=fix)


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
