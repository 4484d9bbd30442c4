"""A snapshot survives its own JSON, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spec_resources import compiled, policy, two_tiers

from tiermesh_spec.snapshot import (
    FORMAT_MAJOR,
    Policy,
    Snapshot,
    SnapshotError,
    content_hash,
    dump,
    load,
)

SNAPSHOTS = st.builds(
    Snapshot,
    format=st.just(FORMAT_MAJOR),
    epoch=st.text(max_size=20).filter(lambda t: t.isprintable()),
    revision=st.integers(0, 2**53),
    policies=st.lists(st.from_type(Policy), max_size=2).map(tuple),
)


def example() -> Snapshot:
    rules = [
        {
            "name": "one",
            "match": {"steps": ["a"], "stream": True},
            "when": "caller.task == 'x'",
            "route": {"pin": {"tier": "small"}},
        },
        {
            "name": "two",
            "route": {"weighted": {"tiers": [{"tier": "small", "weight": 1}]}},
        },
    ]
    return compiled(
        *two_tiers(), policy(rules=rules, selector={"matchLabels": {"app": "x"}}), policy("b")
    )


def _encodable(snapshot: Snapshot) -> bool:
    try:
        dump(snapshot)
    except (UnicodeEncodeError, ValueError):
        return False
    return True


@settings(max_examples=25, deadline=None)
@given(SNAPSHOTS.filter(_encodable))
def test_any_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    # Not `==` on objects alone: NaN bounds are not equal to themselves.
    assert dump(load(dump(snapshot))) == dump(snapshot)


def test_a_compiled_snapshot_comes_back_equal() -> None:
    assert load(dump(example())) == example()


def test_equal_content_has_an_equal_hash_whatever_the_revision() -> None:
    first = example()
    later = Snapshot(
        format=FORMAT_MAJOR, epoch="2026-01-01T00:00:00Z", revision=9, policies=first.policies
    )
    assert content_hash(first) == content_hash(later)


def raw() -> dict[str, Any]:
    data = json.loads(dump(example()))
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("cut", [0, 1, 10, 100, 1000])
def test_a_torn_snapshot_is_refused(cut: int) -> None:
    with pytest.raises(SnapshotError, match="not a snapshot"):
        load(dump(example())[:cut])


def test_a_snapshot_that_was_tampered_with_is_refused() -> None:
    data = raw()
    data["policies"][0]["mode"] = "Disabled"
    with pytest.raises(SnapshotError, match="hash does not match"):
        load(json.dumps(data).encode())


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_changed_byte_of_the_policies_goes_unnoticed(data: st.DataObject) -> None:
    text = dump(example())
    start = text.index(b'"policies":')
    at = data.draw(st.integers(start, text.index(b',"revision"') - 1))
    other = data.draw(st.integers(33, 126).filter(lambda c: c != text[at]))
    try:
        loaded = load(text[:at] + bytes([other]) + text[at + 1 :])
    except SnapshotError:
        return
    assert loaded == example()


def test_a_newer_major_format_is_refused_with_what_to_do() -> None:
    data = {**raw(), "format": FORMAT_MAJOR + 1}
    with pytest.raises(SnapshotError, match="upgrade the sidecar"):
        load(json.dumps(data).encode())


def test_fields_that_a_newer_minor_adds_are_ignored() -> None:
    data = raw()
    data["policies"][0]["added"] = {"later": True}
    canonical = json.dumps(
        data["policies"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    data["hash"] = hashlib.sha256(canonical.encode()).hexdigest()
    assert load(json.dumps({**data, "more": 1}).encode()) == example()


@pytest.mark.parametrize("text", ["null", "[]", "{}", '"x"', "1", '{"format": 1}', "\xff"])
def test_other_json_is_no_snapshot(text: str) -> None:
    with pytest.raises(SnapshotError):
        load(text.encode("latin-1"))
