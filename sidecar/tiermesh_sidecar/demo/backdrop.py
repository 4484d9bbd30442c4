"""The demo's surroundings, made from its policy file: a fake provider for each backend of it.

The policy is used as it stands but for the addresses, which are the fakes'.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from tiermesh_sidecar.demo.providers import Behaviours, Chance, Dialect, FakeProvider, status
from tiermesh_sidecar.net.yaml_text import read_yaml

OUTAGE_OF = "medium-eu"
"""The backend that the demo takes down for a while."""

_PACE = {
    "small": Behaviours(head_s=0.08, token_s=0.001, jitter=0.3),
    "medium": Behaviours(head_s=0.2, token_s=0.002, jitter=0.3),
    "large": Behaviours(head_s=0.45, token_s=0.003, jitter=0.3),
}
"""Time to the first token and per token: real models' order, three to five times as fast."""
_FAILING = {"medium": 0.02, "small": 0.01}
"""Share of calls that a tier answers with 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdrop:
    providers: Mapping[str, FakeProvider]
    """By backend name."""
    tiers: tuple[str, ...]
    """In order of rank, lowest first."""
    policy: Path
    """The file that the sidecar is started with."""

    def outage(self, *, on: bool) -> None:
        """Takes the one backend down, or brings it back."""
        self.providers[OUTAGE_OF].outage = status(503) if on else None


def demo_policy() -> bytes:
    """The packaged policy; `examples/demo.yaml` is the same file."""
    return (files("tiermesh_sidecar.demo") / "policies" / "demo.yaml").read_bytes()


@asynccontextmanager
async def backdrop(directory: Path, seed: int) -> AsyncIterator[Backdrop]:
    """Starts the providers and writes the policy that names them into `directory`."""
    documents = [document.content for document in read_yaml(demo_policy())]
    tiers = [d for d in documents if isinstance(d, dict) and d["kind"] == "ModelTier"]
    keys = {d["metadata"]["name"]: d["stringData"] for d in _of_kind(documents, "Secret")}
    async with AsyncExitStack() as stack:
        providers: dict[str, FakeProvider] = {}
        for tier in tiers:
            for backend in tier["spec"]["backends"]:
                fake = _provider(tier["metadata"]["name"], backend, keys, seed + len(providers))
                providers[backend["name"]] = await stack.enter_async_context(fake)
                backend["target"]["url"] = fake.url
        policy = directory / "demo.yaml"
        # JSON documents are YAML documents.
        policy.write_text("\n---\n".join(json.dumps(d) for d in documents), "utf-8")
        ranked = sorted(tiers, key=lambda tier: int(tier["spec"]["rank"]))
        names = tuple(str(tier["metadata"]["name"]) for tier in ranked)
        yield Backdrop(providers=providers, tiers=names, policy=policy)


def _of_kind(documents: list[object], kind: str) -> Iterator[dict[str, Any]]:
    return (d for d in documents if isinstance(d, dict) and d["kind"] == kind)


def _provider(
    tier: str, backend: Mapping[str, Any], keys: Mapping[str, Mapping[str, str]], seed: int
) -> FakeProvider:
    pace = _PACE[tier]
    reference = backend["credentials"]["secretRef"]
    failing = _FAILING.get(tier)
    return FakeProvider(
        model=backend["model"],
        key=keys[reference["name"]][reference["key"]],
        dialect=Dialect(backend["provider"]),
        behaviours=Behaviours(
            head_s=pace.head_s,
            token_s=pace.token_s,
            jitter=pace.jitter,
            chances=(Chance(probability=failing, fault=status(503)),) if failing else (),
            seed=seed,
        ),
    )
