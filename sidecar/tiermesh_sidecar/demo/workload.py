"""The calls that the demo sends: read from the packaged file, in an order that a seed decides.

Nothing here sends anything; `data/README.md` names the sources of the prompts.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the policy is expected to answer instead of a model."""

    status: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCall:
    id: str
    kind: str
    source: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    refused: Refusal | None

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True

    @property
    def prompt(self) -> str:
        """The last words of the user, on one line."""
        if "prompt" in self.body:
            return " ".join(str(self.body["prompt"]).split())
        said = [m["content"] for m in self.body["messages"] if m["role"] == "user"][-1]
        if not isinstance(said, str):
            said = " ".join(part["text"] for part in said if part["type"] == "text")
        return " ".join(said.split())


def load() -> tuple[DemoCall, ...]:
    """Every call of the packaged workload, in the file's order."""
    text = (files("tiermesh_sidecar.demo") / "data" / "prompts.jsonl").read_text("utf-8")
    return tuple(_call(json.loads(line)) for line in text.splitlines())


def _call(row: dict[str, Any]) -> DemoCall:
    refused = row.pop("refused", None)
    return DemoCall(**row, refused=Refusal(**refused) if refused else None)


def endless(calls: Sequence[DemoCall], seed: int) -> Iterator[DemoCall]:
    """The calls again and again, each pass in another order; the same order for the same seed."""
    rng = random.Random(seed)
    while True:
        yield from rng.sample(calls, k=len(calls))
