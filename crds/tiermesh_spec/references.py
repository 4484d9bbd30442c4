"""What a policy names must be there: tiers, signals, attributes, and names that callers ask for.

Works on the raw document, so that a policy with one broken field still hears of all its broken
references. Nothing here decides whether a field is well formed: `structure` does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tiermesh_spec.expressions import LONGEST, Checker, Fault, declared_names
from tiermesh_spec.problems import Finding, Path, closest


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a document that may hold anything."""

    value: object
    path: Path = ()

    def field(self, name: str) -> Node:
        value = self.value.get(name) if isinstance(self.value, dict) else None
        return Node(value, (*self.path, name))

    def items(self) -> Iterator[Node]:
        for index, item in enumerate(self.value if isinstance(self.value, list) else ()):
            yield Node(item, (*self.path, index))

    @property
    def text(self) -> str | None:
        return self.value if isinstance(self.value, str) and self.value else None


def unknown_tiers(spec: Node) -> Iterator[Finding]:
    """Places that name a tier which is no candidate of the policy."""
    known = {name.text for name in _each(spec.field("tiers"), "name") if name.text}
    if not known:
        return
    for mention in _tier_mentions(spec):
        if mention.text is not None and mention.text not in known:
            yield Finding(
                path=mention.path,
                value=mention.text,
                message=f"no candidate tier is named {mention.text}",
                fix=closest(mention.text, known, what="candidates"),
            )


def _tier_mentions(spec: Node) -> Iterator[Node]:
    for route in _routes(spec):
        yield route.field("pin").field("tier")
        yield from _each(route.field("weighted").field("tiers"), "tier")
        yield from _each(route.field("threshold").field("bands"), "tier")
        yield route.field("threshold").field("onAbstain")
    yield from _each(spec.field("constraints"), "neverBelow")
    for grant in spec.field("entitlements").field("grants").items():
        yield from grant.field("tiers").items()
    yield from spec.field("fallback").field("tiers").items()
    yield spec.field("models").field("passThroughTier")


def unknown_signals(spec: Node) -> Iterator[Finding]:
    """Thresholds over a signal that the policy does not declare."""
    known = _names(spec.field("signals"), "name")
    for route in _routes(spec):
        signal = route.field("threshold").field("signal")
        if signal.text is not None and signal.text not in known:
            yield Finding(
                path=signal.path,
                value=signal.text,
                message=f"no signal is named {signal.text}",
                fix=closest(signal.text, known, what="signals under spec.signals"),
            )


def bad_expressions(spec: Node, checker: Checker) -> Iterator[Finding]:
    """Expressions that do not compile, read an undeclared name, or yield no boolean."""
    sources = [node for node in _expressions(spec) if node.text and len(node.text) <= LONGEST]
    for node in sources:
        result = checker.check(node.text or "")
        if isinstance(result, Fault):
            yield Finding(path=node.path, value=node.text, message=result.message, fix=result.fix)


def checker_of(spec: Node) -> Checker:
    """Checks expressions against what the policy declares. Names that could not be read are left
    out: they are problems of their own."""
    attributes = _names(spec.field("identity"), "attribute")
    signals = _names(spec.field("signals"), "name")
    usable = {name for name in attributes | signals if name.isidentifier() and name.isascii()}
    return Checker(declared_names(attributes & usable, signals & usable))


def unresolvable_names(tiers: Mapping[str, Collection[str]], spec: Node) -> Iterator[Finding]:
    """Names that a caller may ask for and that two candidates bear.

    `tiers`: the aliases of each candidate that could be resolved, by the policy's name of it.
    """
    bearers: dict[str, str] = {name: name for name in tiers}
    paths = {node.text: node.path for node in _each(spec.field("tiers"), "name")}
    for name, aliases in tiers.items():
        for alias in aliases:
            other = bearers.setdefault(alias, name)
            if other != name:
                yield Finding(
                    path=paths.get(name, ("spec", "tiers")),
                    value=name,
                    message=f"callers may ask {name} and {other} for the same name, {alias}",
                    fix="remove the alias from one of the tiers, or rename the candidate",
                )


def undirected_names(bearing: Collection[str], spec: Node) -> Iterator[Finding]:
    """Entries of `models.direct` that lead nowhere, or are routed before they could.

    `bearing`: every name, alias and model of the candidates and their backends.
    """
    models = spec.field("models")
    routed = {node.text for node in models.field("route").items()}
    for node in models.field("direct").items():
        if node.text is None or "*" in node.text:
            continue
        if node.text in routed or node.text == "auto":
            yield Finding(
                path=node.path,
                value=node.text,
                message=f"{node.text} is routed, so it never goes straight",
                fix="keep it in models.route or in models.direct",
            )
        elif node.text not in bearing:
            yield Finding(
                path=node.path,
                value=node.text,
                message=f"no candidate tier or backend has the name, alias or model {node.text}",
                fix=closest(node.text, bearing, what="known names"),
            )


def _routes(spec: Node) -> Iterator[Node]:
    yield from _each(spec.field("rules"), "route")
    yield spec.field("default").field("route")


def _expressions(spec: Node) -> Iterator[Node]:
    yield from _each(spec.field("constraints"), "when")
    yield from _each(spec.field("entitlements").field("grants"), "when")
    yield from _each(spec.field("rules"), "when")


def _each(items: Node, field: str) -> Iterator[Node]:
    for item in items.items():
        yield item.field(field)


def _names(items: Node, field: str) -> set[str]:
    return {node.text for node in _each(items, field) if node.text is not None}
