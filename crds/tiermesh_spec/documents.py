"""Documents as they come from files or a cluster, and what kind of resource each is.

The parser of YAML or JSON is the caller's; this sorts what it yielded, and refuses what a tiermesh
file does not hold. Nothing of a Secret's content is ever repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tiermesh_spec.metadata import API_VERSION, DEFAULT_NAMESPACE, GROUP
from tiermesh_spec.problems import HIDDEN, Finding, Problem, closest, path_text, shown

KINDS = {
    "ModelTier": API_VERSION,
    "RoutingPolicy": API_VERSION,
    "Secret": "v1",
    "Namespace": "v1",
}
_HELD = "tiermesh files hold ModelTier, RoutingPolicy, Secret and Namespace"


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed document and where it came from."""

    file: str
    index: int
    """Which document of the file, counted from 1."""
    content: object = field(repr=False)
    """What the parser yielded; None (an empty document) is skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document that is an object of a known kind. Its fields are not checked yet."""

    document: Document
    kind: str
    content: dict[str, object] = field(repr=False)

    @property
    def metadata(self) -> dict[str, object]:
        metadata = self.content.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def name(self) -> str:
        """`metadata.name`, "" when there is none that could be used."""
        name = self.metadata.get("name")
        return name if isinstance(name, str) else ""

    @property
    def namespace(self) -> str:
        if self.kind == "Namespace":
            return ""
        namespace = self.metadata.get("namespace")
        return namespace if isinstance(namespace, str) else DEFAULT_NAMESPACE

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.namespace, self.name

    def problem(self, finding: Finding) -> Problem:
        """A finding, placed in this document."""
        return placed(self.document, finding)


def placed(document: Document, finding: Finding) -> Problem:
    return Problem(
        file=document.file,
        document=document.index,
        path=path_text(finding.path),
        value=shown(finding.value),
        message=finding.message,
        fix=finding.fix,
        reason=finding.reason,
    )


def sort_documents(documents: Iterable[Document]) -> tuple[list[Source], list[Problem]]:
    """The documents of known kinds, and a problem for every other one."""
    sources: list[Source] = []
    problems: list[Problem] = []
    for document in documents:
        if document.content is None:
            continue
        finding = _kind_fault(document.content)
        if finding is not None:
            problems.append(placed(document, finding))
        elif isinstance(document.content, dict):
            kind = str(document.content["kind"])
            sources.append(Source(document=document, kind=kind, content=document.content))
    problems += _duplicates(sources)
    return sources, problems


def _kind_fault(content: object) -> Finding | None:
    if not isinstance(content, dict):
        return Finding(
            path=(),
            value=HIDDEN,
            message=f"the document is {_kind(content)}, not an object",
            fix="start it with `apiVersion:` and `kind:`",
        )
    kind, version = content.get("kind"), content.get("apiVersion")
    for name, value in (("apiVersion", version), ("kind", kind)):
        if not isinstance(value, str) or not value:
            return Finding(
                path=(name,),
                value=HIDDEN if value is not None else value,
                message=f"the document has no `{name}`",
                fix=f"add `{name}:`, for example `{_EXAMPLES[name]}`",
            )
    assert isinstance(kind, str)
    assert isinstance(version, str)
    if KINDS.get(kind) == version:
        return None
    return _unknown_kind(kind, version)


_EXAMPLES = {"apiVersion": f"apiVersion: {API_VERSION}", "kind": "kind: RoutingPolicy"}


def _unknown_kind(kind: str, version: str) -> Finding:
    if kind == "List" or (kind.endswith("List") and kind[:-4] in KINDS):
        return Finding(
            path=("kind",),
            value=kind,
            message="is a list, as kubectl get prints one",
            fix="write each of its items as a document of its own, with --- between them",
        )
    if kind in KINDS:
        return Finding(
            path=("apiVersion",),
            value=version,
            message=f"a {kind} of this apiVersion is not known",
            fix=f"write `apiVersion: {KINDS[kind]}`",
        )
    group = version.partition("/")[0]
    if group == GROUP or closest(kind, KINDS, what="known kinds").startswith("did you mean"):
        return Finding(
            path=("kind",),
            value=kind,
            message=f"{version} has no kind {kind}",
            fix=closest(kind, KINDS, what="known kinds"),
        )
    return Finding(
        path=("kind",),
        value=kind,
        message=f"{kind} ({version}) is no business of tiermesh",
        fix=f"move the document to another file: {_HELD}",
    )


def _kind(content: object) -> str:
    if isinstance(content, list):
        return "a list"
    return "text" if isinstance(content, str) else f"a {type(content).__name__}"


def _duplicates(sources: Iterable[Source]) -> Iterator[Problem]:
    first: dict[tuple[str, str, str], Source] = {}
    for source in sources:
        if not source.name:
            continue
        earlier = first.setdefault(source.key, source)
        if earlier is not source:
            where = f"{earlier.document.file}, document {earlier.document.index}"
            yield source.problem(
                Finding(
                    path=("metadata", "name"),
                    value=source.name,
                    message=f"this {source.kind} is already in {where}",
                    fix="rename one of the two or remove it",
                )
            )
