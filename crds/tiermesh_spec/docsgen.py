"""The policy reference, from the models: every object, field, default and rule, with examples.

Returns text; `crds/generate.py` writes it to docs/policy-reference.md.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum

import annotated_types

from tiermesh_spec import descriptions
from tiermesh_spec.conditions import MEANING, REASONS
from tiermesh_spec.crdgen import KINDS, Kind
from tiermesh_spec.expressions import LONGEST, REQUEST_TYPES, declared_names
from tiermesh_spec.metadata import API_VERSION
from tiermesh_spec.schemas import default_of
from tiermesh_spec.shape import FieldShape, Shape, TypeShape, fields_of
from tiermesh_spec.texts import Text

_INTRODUCTION = f"""\
# Policy reference

<!-- Generated from crds/tiermesh_spec by crds/generate.py. Do not edit. -->

tiermesh knows two resources of `{API_VERSION}`: a [ModelTier](#modeltier) says what a class of
models is, costs and can do; a [RoutingPolicy](#routingpolicy) says which calls go to which tier.
The same documents work with `kubectl apply -f` and with `tiermesh sidecar -f`.

Files may also hold `v1/Secret` documents (the keys of backends) and `v1/Namespace` documents (the
labels that `allowedNamespaces` looks at). A document without `metadata.namespace` belongs to
`default`. A field that is not listed here is refused, with the closest known name;
`tiermesh validate -f FILE` reports everything that is wrong at once.

How values are written:

| type | notation |
|---|---|
| duration | a number and a unit, also several: `300ms`, `2s`, `5m`, `1h30m`; at most a day |
| price | dollars per million tokens as text, at most six decimals: `"0.15"` |
| number from 0 to 1 | text, at most six decimals: `"0.35"` |
| name | lower-case letters, digits and `-`, at most 63 |
| identifier | letters, digits and `_`, not starting with a digit: expressions read it |
| model's name or glob | ASCII without spaces; `*` stands for any run of characters |
| expression | CEL, at most {LONGEST} characters: see [Expressions](#expressions) |

One field's name needs quotes: `"on"` of `fallback`, which kubectl reads as the boolean true when it
stands bare.
"""

_EXPRESSIONS = """\
## Expressions

`when` is a [CEL](https://cel.dev) expression that yields true or false. It may read these names and
no others; a name that is not declared, or a comparison of two types, is reported when the policy is
compiled.

| name | type | meaning |
|---|---|---|
"""

_EXPRESSIONS_END = """
Every attribute is always set: one that nobody gave is `""`, so `has()` is neither needed nor
allowed. `match` is asked first and is cheaper; `when` is evaluated only where `match` held. Reading
a signal that abstained is an evaluation error: a rule then does not hold, a constraint applies, a
grant gives nothing and the default of `entitlements` is then `None`.
"""

_MEANINGS = {
    "request.model": "the model's name as the caller sent it",
    "request.tokens": "estimated input tokens",
    "request.maxTokens": "the caller's limit on output tokens, 0 when there is none",
    "request.stream": "whether a stream is asked for",
    "request.wantsJSON": "whether JSON is asked for",
    "request.wantsTools": "whether tools are offered",
    "request.hasImages": "whether images are sent",
}


def reference(examples: Mapping[str, str]) -> str:
    """The whole page. `examples`: the example files' texts by name; the quickstart is shown."""
    parts = [_INTRODUCTION]
    shown: set[type[Shape]] = set()
    for kind in KINDS:
        parts.append(_kind(kind, examples, shown))
    parts += [_expressions(), _conditions(), _example_list(examples)]
    return "\n".join(parts)


def _kind(kind: Kind, examples: Mapping[str, str], shown: set[type[Shape]]) -> str:
    (spec,) = fields_of(kind.shape).values()
    lines = [f"## {kind.name}", "", descriptions.of_object(kind.shape), ""]
    lines += [f"`kubectl get {kind.short}`, `kubectl explain {kind.short}.spec`.", ""]
    example = _document(examples.get("quickstart.yaml", ""), kind.name)
    if example:
        lines += ["```yaml", example, "```", ""]
    for shape in _objects(spec.type):
        if shape not in shown:
            shown.add(shape)
            lines += _object(shape)
    return "\n".join(lines)


def _document(text: str, kind: str) -> str:
    """The last document of a kind, as it stands in the file."""
    found = [part for part in text.split("\n---\n") if f"\nkind: {kind}\n" in f"\n{part}"]
    return found[-1].strip() if found else ""


def _objects(kind: TypeShape) -> Iterator[type[Shape]]:
    """The object and all objects in it that have fields, each where it first stands."""
    if kind.item is not None:
        yield from _objects(kind.item)
    if not issubclass(kind.base, Shape) or not fields_of(kind.base):
        return
    yield kind.base
    for field in fields_of(kind.base).values():
        yield from _objects(field.type)


def _object(shape: type[Shape]) -> list[str]:
    described = descriptions.of_fields(shape)
    lines = [f"### {shape.__name__}", "", descriptions.of_object(shape), ""]
    lines += ["| field | type | default | description |", "|---|---|---|---|"]
    for name, field in fields_of(shape).items():
        cells = (f"`{name}`", _type(field.type), _default(field), described[field.attribute])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines.append("")
    for rule in shape.shape_rules:
        lines.append(f"- {rule.message[0].upper()}{rule.message[1:]}.")
    return [*lines, ""] if shape.shape_rules else lines


def _type(kind: TypeShape) -> str:
    if issubclass(kind.base, Shape):
        name = kind.base.__name__
        return f"[{name}](#{name.lower()})" if fields_of(kind.base) else "`{}`"
    if issubclass(kind.base, StrEnum):
        return ", ".join(f"`{option}`" for option in kind.base)
    if kind.base is tuple:
        assert kind.item is not None
        low, high = _range(kind, annotated_types.MinLen, annotated_types.MaxLen)
        count = f"up to {high}" if not low else f"{low} to {high}"
        return f"list of {count}: {_type(kind.item)}"
    if kind.base is dict:
        return "map of labels"
    if kind.base is int:
        low, high = _range(kind, annotated_types.Ge, annotated_types.Le)
        return f"whole number, {low} to {high}"
    if kind.base is bool:
        return "`true`, `false`"
    text = next(entry for entry in kind.metadata if isinstance(entry, Text))
    return text.what.removeprefix("an ").removeprefix("a ")


def _range(kind: TypeShape, low: type, high: type) -> tuple[object, object]:
    found: dict[type, object] = {}
    for entry in kind.metadata:
        if isinstance(entry, annotated_types.Ge | annotated_types.Le):
            found[type(entry)] = entry.ge if isinstance(entry, annotated_types.Ge) else entry.le
        elif isinstance(entry, annotated_types.MinLen):
            found[type(entry)] = entry.min_length
        elif isinstance(entry, annotated_types.MaxLen):
            found[type(entry)] = entry.max_length
    return found.get(low), found.get(high)


def _default(field: FieldShape) -> str:
    if field.info.is_required():
        return "required"
    default = default_of(field)
    if default is None or default in ([], {}):
        return ""
    if isinstance(default, dict):
        # Its fields say their own defaults, but for a union, of which it is the variant.
        return "`none: {}`" if default == {"none": {}} else ""
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def _expressions() -> str:
    rows = [f"| `{name}` | {REQUEST_TYPES[name]} | {_MEANINGS[name]} |" for name in REQUEST_TYPES]
    callers = [name for name in declared_names((), ()) if name.startswith("caller.")]
    rows.append(
        f"| {', '.join(f'`{name}`' for name in callers)} | string | what `identity` says, else the"
        " caller's hint (`x-tiermesh-task` and so on); grants do not see hints |"
    )
    rows.append("| `caller.NAME` | string | every attribute that `identity` declares |")
    rows.append("| `signal.NAME` | double | every signal that `signals` declares |")
    return _EXPRESSIONS + "\n".join(rows) + "\n" + _EXPRESSIONS_END


def _conditions() -> str:
    lines = ["## Conditions", "", "| condition | True means |", "|---|---|"]
    lines += [f"| `{condition}` | {meaning} |" for condition, meaning in MEANING.items()]
    lines += ["", "| reason | of | meaning |", "|---|---|---|"]
    lines += [f"| `{reason}` | `{of}` | {text} |" for reason, (of, text) in REASONS.items()]
    return "\n".join([*lines, ""])


def _first_sentence(text: str) -> str:
    """Of the comment that a file begins with."""
    comment = " ".join(
        line.removeprefix("#").strip()
        for line in itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    )
    return comment.partition(". ")[0].removesuffix(".") + "."


def _example_list(examples: Mapping[str, str]) -> str:
    lines = ["## Examples", ""]
    for name, text in examples.items():
        if name.endswith(".yaml"):
            lines.append(f"- [examples/{name}](../examples/{name}): {_first_sentence(text)}")
    return "\n".join([*lines, ""])
