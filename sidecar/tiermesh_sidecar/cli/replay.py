"""Decides audit records again, from what they recorded, and compares. No prompt is needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tiermesh_sidecar.cli.configuration import EXIT_BAD_INPUT, bad_input
from tiermesh_sidecar.core.active import ActivePolicy, activate_policy
from tiermesh_sidecar.core.decide import decide
from tiermesh_sidecar.core.decision import Decision
from tiermesh_sidecar.core.replay import features_from_json, view_from_json
from tiermesh_sidecar.net.compile_result import Compiled

EXIT_DIFFERS = 1


@dataclass(slots=True)
class _Tally:
    same: int = 0
    differ: int = 0
    undecided: int = 0
    """Records of calls that were refused or relayed before a decision."""
    absent: int = 0
    """Records of policies that are not in the files."""
    changed: int = 0
    """Records of another generation of their policy; compared all the same."""
    unreadable: list[str] = field(default_factory=list)
    """Lines that are no audit records, such as one that a killed process left half written."""
    notes: list[dict[str, object]] = field(default_factory=list)

    @property
    def records(self) -> int:
        return self.same + self.differ + self.undecided + self.absent


def replay(name: str, compiled: Compiled, labels: Mapping[str, str], output: str) -> int:
    """The exit status: 1 where a decision differs, else 2 where a line cannot be read. The others
    are compared all the same."""
    active = {
        f"{policy.namespace}/{policy.name}": activate_policy(policy, labels)
        for policy in compiled.snapshot.policies
    }
    tally = _Tally()
    try:
        for number, line in _lines(name):
            try:
                _compare(number, _record(line), active, tally)
            except ValueError as error:
                tally.unreadable.append(f"line {number} {error}")
    except (OSError, ValueError) as error:
        return bad_input("explain", f"--replay {name}: {error}", output)
    sys.stdout.write(_as_json(tally) if output == "json" else _as_text(tally))
    if tally.differ:
        return EXIT_DIFFERS
    return EXIT_BAD_INPUT if tally.unreadable else 0


def _lines(name: str) -> Iterator[tuple[int, str]]:
    text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    # Not `splitlines`: a record's strings may hold U+2028 and other line ends that JSON allows.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _record(line: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise ValueError("is no audit record")
    return record


def _compare(
    number: int, record: dict[str, object], active: Mapping[str, ActivePolicy], tally: _Tally
) -> None:
    label, features = record.get("policy"), record.get("features")
    recorded = record.get("candidates")
    if not isinstance(label, str) or not isinstance(features, dict) or not recorded:
        tally.undecided += 1
        return
    policy = active.get(label.partition("@")[0])
    if policy is None:
        tally.absent += 1
        return
    changed = policy.label != label
    try:
        decision = _decide(record, features, policy)
        before, after = _recorded(record), _verdict(decision)
    except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"is no audit record: {error}") from error
    if "first" not in before:
        after.pop("first", None)
    tally.changed += changed
    if before == after:
        tally.same += 1
        return
    tally.differ += 1
    note = {"line": number, "id": record.get("id"), "was": before, "now": after}
    tally.notes.append({**note, "policyChanged": label if changed else None})


def _decide(
    record: dict[str, object], features: dict[str, object], active: ActivePolicy
) -> Decision:
    view, signals, seed = record["view"], record["signals"], record["seed"]
    if not isinstance(view, dict) or not isinstance(signals, dict) or not isinstance(seed, int):
        raise ValueError("view, signals or seed is missing")
    now = datetime.fromisoformat(str(record["at"])).timestamp()
    return decide(
        features_from_json(features), active, view_from_json(view), now, seed, signals=signals
    )


def _recorded(record: dict[str, object]) -> dict[str, object]:
    candidates, attempts = record["candidates"], record.get("attempts")
    if not isinstance(candidates, list):
        raise ValueError("candidates are no list")
    verdict = {"rule": record.get("rule"), "candidates": candidates}
    if isinstance(attempts, list) and attempts:
        first = attempts[0]
        # A call that is only observed goes to the application's own provider: no candidate.
        if any(first["tier"] == candidate["tier"] for candidate in candidates):
            verdict["first"] = f"{first['tier']}/{first['backend']}"
    return verdict


def _verdict(decision: Decision) -> dict[str, object]:
    verdict: dict[str, object] = {
        "rule": decision.rule,
        "candidates": [candidate.as_json() for candidate in decision.candidates],
    }
    if decision.plan is not None:
        first = decision.plan.steps[0]
        verdict["first"] = f"{first.tier.name}/{first.backend.name}"
    return verdict


def _as_json(tally: _Tally) -> str:
    value = {
        "records": tally.records,
        "same": tally.same,
        "differ": tally.differ,
        "withoutDecision": tally.undecided,
        "policyAbsent": tally.absent,
        "policyChanged": tally.changed,
        "differences": tally.notes,
        "unreadable": tally.unreadable,
    }
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _as_text(tally: _Tally) -> str:
    lines = [f"{tally.records} records: {tally.same} same, {tally.differ} differ"]
    for count, what in (
        (tally.undecided, "without a decision (refused or relayed before one)"),
        (tally.absent, "of policies that are not in these files"),
        (tally.changed, "of another generation of their policy (policy changed; compared anyway)"),
    ):
        if count:
            lines.append(f"  {count} {what}")
    for note in tally.notes:
        changed = f", policy changed since {note['policyChanged']}" if note["policyChanged"] else ""
        lines.append(f"line {note['line']}, {note['id']}{changed}:")
        lines.append(f"  was {_line(note['was'])}")
        lines.append(f"  now {_line(note['now'])}")
    lines += (f"{problem} (skipped)" for problem in tally.unreadable)
    return "\n".join(lines) + "\n"


def _line(verdict: object) -> str:
    if not isinstance(verdict, dict):
        return ""
    tiers = " ".join(
        f"{c['tier']}={'+'.join([c['reason'], *c['also']])}" for c in verdict["candidates"]
    )
    first = f", first {verdict['first']}" if "first" in verdict else ""
    return f"{verdict['rule'] or '-'}: {tiers}{first}"
