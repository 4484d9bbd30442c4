"""What is wrong with resources, as values: every problem says where it is and what to do about it.

`tiermesh validate`, `/config` and the operator's conditions all print these. A problem must never
carry a secret: `hidden` and `shown` decide what of an offending value may be repeated.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from tiermesh_spec.conditions import Reason

Path = tuple[str | int, ...]
"""Field names and 0-based list indexes, from the document's root."""

HIDDEN = "(hidden)"
"""Stands where a value could be a secret."""

_LONGEST_VALUE = 200
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem inside one document, before it is known which document that is."""

    path: Path
    value: object
    message: str
    fix: str
    reason: Reason = Reason.INVALID


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    file: str
    document: int
    """Which YAML document of the file, counted from 1; 0 where it is the file itself."""
    path: str
    """For example `spec.rules[2].when`; list indexes count from 0. "" is the document itself."""
    value: str
    """The offending value: text as it is, anything else as JSON; at most 200 characters."""
    message: str
    fix: str
    reason: Reason = Reason.INVALID
    """What a condition would say; not part of the printed problem."""

    def as_json(self) -> dict[str, object]:
        """The six fields that `/config` and `tiermesh validate --output json` print."""
        return {
            "file": self.file,
            "document": self.document,
            "path": self.path,
            "value": self.value,
            "message": self.message,
            "fix": self.fix,
        }

    @property
    def place(self) -> str:
        """File, document and path, as far as there are any."""
        document = f"document {self.document}" if self.document else ""
        return ", ".join(part for part in (self.file, document, self.path) if part)

    def __str__(self) -> str:
        end = "" if self.fix.endswith("?") else "."
        return f"{self.place}: {self.message}. Fix: {self.fix}{end}"


@dataclass(frozen=True, slots=True)
class Problems:
    """All problems of all documents, in the order of the documents. Never empty."""

    items: tuple[Problem, ...]

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.items)


def path_text(path: Iterable[str | int]) -> str:
    """`("spec", "rules", 2, "when")` -> `spec.rules[2].when`; odd keys go into brackets."""
    text = ""
    for part in path:
        if isinstance(part, str) and _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part}]"
    return text


def shown(value: object) -> str:
    """A value as a problem may repeat it."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    clean = text.encode("utf-8", "backslashreplace").decode()
    if len(clean) <= _LONGEST_VALUE:
        return clean
    return clean[: _LONGEST_VALUE - 3] + "..."


def closest(word: str, known: Collection[str], *, what: str) -> str:
    """A fix for a name that nobody declared: the closest ones, else what there is.

    `what`: a plural, what the known names are.
    """
    if not known:
        return f"there are no {what}"
    lowered = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.lower(), lowered, n=2, cutoff=0.6)
    if word.lower() in lowered:
        close = [word.lower()]
    if close:
        return "did you mean " + " or ".join(f"`{lowered[name]}`" for name in close) + "?"
    listed = sorted(known)
    more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
    return f"{what}: " + ", ".join(f"`{name}`" for name in listed[:12]) + more
