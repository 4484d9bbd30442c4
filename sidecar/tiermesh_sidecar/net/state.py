"""What one sidecar knows now: its running policy, the last refusal, its backends' health, its keys.

One owner. Each part is an immutable value behind one reference, replaced whole, so a call that has
read it keeps what it saw. Nothing here waits.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tiermesh_sidecar.core.active import ActivePolicy, activate
from tiermesh_sidecar.core.decision import Step
from tiermesh_sidecar.core.health import HealthState, ejected, observe
from tiermesh_sidecar.core.outcome import AttemptRecord
from tiermesh_sidecar.core.state import BackendKey, StateView, backend_key
from tiermesh_sidecar.net.secrets import Keys, SecretStore
from tiermesh_spec.problems import Problem
from tiermesh_spec.snapshot import Policy, Snapshot, content_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A configuration that was accepted."""

    snapshot: Snapshot
    hash: str
    loaded_at: float
    """Unix time in seconds."""
    active: ActivePolicy | None
    """None: no policy selects this sidecar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRefused:
    at: float
    problems: tuple[Problem, ...]


class SidecarState:
    """The references that reload and calls share. Changed from the event loop's thread only."""

    __slots__ = ("_epoch", "_health", "_keyless", "last_refused", "running", "secrets")

    def __init__(self, began: float) -> None:
        """`began`: the Unix time from which revisions of files are counted."""
        self._epoch = _utc(began)
        self.running: Running | None = None
        self.last_refused: LastRefused | None = None
        self.secrets = SecretStore()
        self._health = HealthState()
        self._keyless: frozenset[BackendKey] = frozenset()

    def accept(
        self,
        snapshot: Snapshot,
        namespace: str,
        labels: Mapping[str, str],
        keys: Keys,
        now: float,
    ) -> Running:
        """Run this snapshot, with the keys that came with it, from the next call on.

        The same content as before is not activated anew. Revisions count the contents that this
        process has run, since its epoch. Raises ValueError, and changes nothing, where the snapshot
        cannot be activated.
        """
        running, digest = self.running, content_hash(snapshot)
        if running is None or running.hash != digest:
            revision = running.snapshot.revision + 1 if running else 1
            running = Running(
                snapshot=replace(snapshot, epoch=self._epoch, revision=revision),
                hash=digest,
                loaded_at=now,
                active=activate(snapshot, namespace, labels),
            )
        self.running = running
        self.last_refused = None
        self.secrets.replace_documents(keys)
        self.keys_changed()
        return running

    def refuse(self, problems: tuple[Problem, ...], now: float) -> None:
        """Note why a configuration does not run; what runs goes on (law 7)."""
        self.last_refused = LastRefused(at=now, problems=problems)

    def keys_changed(self) -> None:
        active = self.running.active if self.running else None
        self._keyless = _keyless(active.policy, self.secrets) if active else frozenset()

    @property
    def keyless(self) -> frozenset[BackendKey]:
        """Backends of the running policy whose key is not here."""
        return self._keyless

    def view(self, now: float) -> StateView:
        """What `decide` may see of the past. `now` is Unix time in seconds."""
        return StateView(ejected=ejected(self._health, now), keyless=self._keyless)

    def attempt_settled(
        self,
        step: Step,
        record: AttemptRecord,
        *,
        now: float,
        call_timeout_ms: int,
    ) -> None:
        """Let outlier detection see an attempt as soon as it is known how it went. `now`: as in
        `view`; `call_timeout_ms`: the policy's own `timeouts.call`."""
        self._health = observe(
            self._health,
            backend_key(step.tier, step.backend),
            step.tier.outlier_detection,
            record,
            now=now,
            call_timeout_ms=call_timeout_ms,
        )

    def as_json(self) -> dict[str, object]:
        """`/config`: what runs, and the last configuration that did not and why."""
        running = self.running
        policies = running.snapshot.policies if running else ()
        refused = self.last_refused
        return {
            "epoch": running.snapshot.epoch if running else None,
            "revision": running.snapshot.revision if running else None,
            "hash": running.hash if running else None,
            "loadedAt": _utc(running.loaded_at) if running else None,
            "policies": [
                {"namespace": p.namespace, "name": p.name, "generation": p.generation}
                for p in policies
            ],
            "tiers": sorted({tier.resource for p in policies for tier in p.tiers}),
            "lastRefused": None
            if refused is None
            else {
                "at": _utc(refused.at),
                "problems": [problem.as_json() for problem in refused.problems],
            },
        }


def _keyless(policy: Policy, secrets: SecretStore) -> frozenset[BackendKey]:
    return frozenset(
        backend_key(tier, backend)
        for tier in policy.tiers
        for backend in tier.backends
        if backend.credentials.secret and secrets.get(backend.credentials.secret) is None
    )


def _utc(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
