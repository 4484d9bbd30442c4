"""YAML as Kubernetes writes it, made safe: no tags, no surprises, bounded.

Differences from PyYAML's SafeLoader: `on`, `off`, `yes`, `no` are strings as in YAML 1.2 (PyYAML
follows 1.1), numbers keep to YAML 1.2's core schema, timestamps stay strings, a key that occurs
twice in a mapping is an error instead of the last one winning, and aliases may not multiply a
document beyond `MAX_NODES` (the "billion laughs").

Runs in the compile process only: importing yaml costs the sidecar memory that it has no use for.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 8 * 1024 * 1024
"""Of one file. The largest legal snapshot is far below."""
MAX_NODES = 200_000
"""Scalars, lists and maps of one document, each alias counted as often as it is used."""
MAX_DEPTH = 64


class YamlError(ValueError):
    """The text is not YAML that we accept."""

    def __init__(self, message: str, fix: str, *, document: int, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.document = document
        """Counted from 0."""
        self.line = line
        """Counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    number: int
    """Its place in the file, from 0; empty documents count but are not yielded."""
    line: int
    content: object


class _Loader(yaml.SafeLoader):
    """SafeLoader with the resolvers of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not a string: quote it", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} occurs twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """`<<` is an ordinary key in YAML 1.2."""


for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def _decimal_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Leading zeros are decimal in YAML 1.2 (octal in 1.1)."""
    return int(str(loader.construct_scalar(node)))


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal_int)


def read_yaml(text: bytes) -> Iterator[YamlDocument]:
    """The documents of one file, in order. Raises YamlError."""
    number = 0
    if len(text) > MAX_BYTES:
        raise YamlError(
            f"the file has {len(text)} bytes, the limit is {MAX_BYTES}",
            "split it into several files",
            document=0,
        )
    try:
        loader = _Loader(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise YamlError(f"not UTF-8: {error}", "save it as UTF-8", document=0) from error
    except yaml.YAMLError as error:
        raise _yaml_error(error, number) from error
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # check_node said so
            _check_size(node, number)
            content = loader.construct_document(node)
            if content is not None:
                yield YamlDocument(number=number, line=node.start_mark.line + 1, content=content)
            number += 1
    except yaml.YAMLError as error:
        raise _yaml_error(error, number) from error
    except RecursionError as error:
        raise YamlError("nested too deeply", "flatten it", document=number) from error
    finally:
        loader.dispose()


def _yaml_error(error: yaml.YAMLError, number: int) -> YamlError:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark is not None else None
    problem = getattr(error, "problem", None) or str(error)
    return YamlError(
        f"not valid YAML: {problem}",
        "correct the YAML" if line is None else f"correct the YAML at line {line}",
        document=number,
        line=line,
    )


def _check_size(root: yaml.Node, number: int) -> None:
    """Count what the document expands to before it is built; an alias is one node object in
    several places, so a shared subtree is counted from a cache and not walked again."""
    sizes: dict[int, int] = {}
    if _expanded(root, sizes, 0) > MAX_NODES:
        raise YamlError(
            f"the document expands to more than {MAX_NODES} values",
            "write fewer aliases (*name) or split the document",
            document=number,
        )


def _expanded(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    known = sizes.get(id(node))
    if known is not None:
        return known
    if depth > MAX_DEPTH:
        return MAX_NODES + 1
    sizes[id(node)] = MAX_NODES + 1  # an alias to its own ancestor would expand for ever
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_expanded(item, sizes, depth + 1) for item in node.value)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            total += _expanded(key, sizes, depth + 1) + _expanded(value, sizes, depth + 1)
    sizes[id(node)] = total
    return total
