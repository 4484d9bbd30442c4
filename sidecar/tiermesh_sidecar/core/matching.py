"""Conditions on a call: a typed `match`, then a CEL `when`; and an index that finds the first rule.

Prepared once per policy. The CEL library is loaded only by a policy that has expressions, and an
expression is given only the names that it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter

from tiermesh_sidecar.core.features import Endpoint, Features
from tiermesh_sidecar.core.glob import is_glob, matches_any
from tiermesh_sidecar.core.question import REQUEST, Attributes, Question
from tiermesh_spec.snapshot import Expression, Match

Facts = Mapping[str, float | str | int | bool]
Evaluate = Callable[[Facts], bool | None]
Compile = Callable[[Expression], Evaluate]
"""Makes an expression ready to run; the result is None where its evaluation fails."""


def compile_expression(expression: Expression) -> Evaluate:
    """The CEL program of an expression that the policy's compiler has type-checked."""
    from tiermesh_spec.expressions import Program

    return Program(expression).evaluate


class Matcher:
    """A `match`: every part that is given holds. What callers are is compared exactly; a model by
    globs."""

    __slots__ = ("_attributes", "_endpoints", "_flags", "_models", "reads")

    def __init__(self, match: Match) -> None:
        given = {
            "step": match.steps,
            "task": match.tasks,
            "agent": match.agents,
            "workflow": match.workflows,
            "priority": match.priorities,
        }
        self._attributes = tuple((name, frozenset(v)) for name, v in given.items() if v)
        self._endpoints = frozenset(match.endpoints)
        self._models = match.models
        flags = {
            "wantsJSON": match.wants_json,
            "wantsTools": match.wants_tools,
            "hasImages": match.has_images,
            "stream": match.stream,
        }
        self._flags = tuple((REQUEST[name], v) for name, v in flags.items() if v is not None)
        self.reads = tuple(name for name, _ in self._attributes)

    def holds(self, features: Features, attributes: Attributes) -> bool | None:
        """None where it depends on the body of a request whose body nobody read."""
        for name, values in self._attributes:
            if attributes.get(name, "") not in values:
                return False
        if self._endpoints and features.endpoint not in self._endpoints:
            return False
        if features.endpoint is Endpoint.OTHER and (self._flags or self._models):
            return None
        for read, wanted in self._flags:
            if read(features) is not wanted:
                return False
        return not self._models or matches_any(self._models, features.model)


class Condition:
    """`match` and `when`, both of which must hold; either may be missing."""

    __slots__ = ("_evaluate", "_matcher", "_names", "reads")

    def __init__(self, match: Match | None, when: Expression | None, compile_when: Compile) -> None:
        self._matcher = Matcher(match) if match is not None else None
        self._evaluate = compile_when(when) if when is not None else None
        self._names: tuple[tuple[str, str, str], ...] = tuple(
            (name, *_split(name)) for name in (when.names if when is not None else ())
        )
        matched = self._matcher.reads if self._matcher is not None else ()
        asked = (key for _, space, key in self._names if space == "caller")
        self.reads: tuple[str, ...] = tuple(dict.fromkeys((*matched, *asked)))
        """The caller's attributes that the outcome depends on."""

    def holds(self, question: Question, attributes: Attributes) -> bool | None:
        """None where `match` or `when` could not be evaluated, and neither is false: the reader
        decides what a doubt means."""
        matched = True
        if self._matcher is not None:
            found = self._matcher.holds(question.features, attributes)
            if found is False:
                return False
            matched = found is True
        if self._evaluate is None:
            return True if matched else None
        held = self._evaluate(self._facts(question, attributes))
        return held if matched or held is False else None

    def _facts(self, question: Question, attributes: Attributes) -> Facts:
        """What is not known is left out: reading it is then an evaluation error. That is an
        abstained signal, and all that a body says which nobody read."""
        unread = question.features.endpoint is Endpoint.OTHER
        facts: dict[str, float | str | int | bool] = {}
        for name, space, key in self._names:
            if space == "caller":
                facts[name] = attributes.get(key, "")
            elif unread:
                continue
            elif space == "request":
                facts[name] = REQUEST[key](question.features)
            else:
                value = question.signal(key)
                if value is not None:
                    facts[name] = value
        return facts


def _split(name: str) -> tuple[str, str]:
    space, _, key = name.partition(".")
    return space, key


_Numbered = tuple[int, Condition]

_FACETS: tuple[tuple[str, Callable[[Match], tuple[str, ...]]], ...] = (
    ("step", lambda match: match.steps),
    ("task", lambda match: match.tasks),
    ("agent", lambda match: match.agents),
    ("workflow", lambda match: match.workflows),
    ("priority", lambda match: match.priorities),
)
_MODEL = "model"
_position = itemgetter(0)


class RuleIndex:
    """Finds the first rule that holds, looking only at rules that one typed facet does not exclude.

    A rule is filed under the values of its first facet (step, task, agent, workflow, priority, or
    model names without a glob), so that hundreds of rules by step cost one lookup.
    """

    __slots__ = ("_filed", "_general")

    def __init__(self, rules: Sequence[tuple[Match | None, Condition]]) -> None:
        general: list[_Numbered] = []
        filed: dict[str, dict[str, list[_Numbered]]] = {}
        for position, (match, condition) in enumerate(rules):
            facet = _facet(match)
            if facet is None:
                general.append((position, condition))
                continue
            name, values = facet
            for value in dict.fromkeys(values):
                filed.setdefault(name, {}).setdefault(value, []).append((position, condition))
        self._general = general
        self._filed = tuple(filed.items())

    def first(self, question: Question) -> int | None:
        """The position of the first rule that holds. A rule in doubt does not match."""
        for position, condition in self._possible(question):
            if condition.holds(question, question.merged):
                return position
        return None

    def _possible(self, question: Question) -> list[_Numbered]:
        found = [self._general] if self._general else []
        for facet, by_value in self._filed:
            value = question.features.model if facet == _MODEL else question.merged.get(facet, "")
            rules = by_value.get(value)
            if rules is not None:
                found.append(rules)
        if len(found) <= 1:
            return found[0] if found else []
        return sorted(chain.from_iterable(found), key=_position)


def _facet(match: Match | None) -> tuple[str, tuple[str, ...]] | None:
    if match is None:
        return None
    for name, values_of in _FACETS:
        if values := values_of(match):
            return name, values
    if match.models and not any(is_glob(model) for model in match.models):
        return _MODEL, match.models
    return None
