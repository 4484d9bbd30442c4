"""Laws 7 and 8 as properties: whatever configuration arrives, and whatever a key looks like."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from net_kit import RawUpstream, ask, json_answer, policy, secret, serving, tier

from tiermesh_sidecar.net import sources
from tiermesh_sidecar.net.compile_result import Compiled, Refused, problem_here
from tiermesh_sidecar.net.documents import compile_paths
from tiermesh_sidecar.net.sources import ConfigWatch, FileSource
from tiermesh_sidecar.net.state import SidecarState
from tiermesh_sidecar.telemetry.audit import as_json
from tiermesh_sidecar.telemetry.metrics import ReloadResult
from tiermesh_spec.snapshot import Pin, Route

REFUSED = Refused(problems=(problem_here("torn", "write it whole"),))


def _compiled(path: Path, mode: str) -> Compiled:
    documents = tier("small", "http://127.0.0.1:1", rank=1), policy("small", mode=mode), secret()
    path.write_text("\n---\n".join(json.dumps(document) for document in documents))
    result = compile_paths([path], None)
    assert isinstance(result, Compiled)
    return result


@pytest.fixture(scope="module")
def configurations() -> dict[str, Compiled | Refused]:
    """Two that are good, one that was refused, one that compiled but cannot be activated, and one
    that lost its policy."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.yaml"
        one, two = _compiled(path, "Enforce"), _compiled(path, "Baseline")
    (good,) = one.snapshot.policies
    dangling = replace(good, default=Route(pin=Pin(tier="gone")))
    broken = replace(one, snapshot=replace(one.snapshot, policies=(dangling,)))
    emptied = replace(one, snapshot=replace(one.snapshot, policies=()))
    return {"one": one, "two": two, "refused": REFUSED, "broken": broken, "emptied": emptied}


@given(
    arrivals=st.lists(st.sampled_from(["one", "two", "refused", "broken", "emptied"]), max_size=12)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_what_runs_is_the_last_good_configuration_whatever_came_after(
    configurations: dict[str, Compiled | Refused], arrivals: list[str]
) -> None:
    reports: list[ReloadResult] = []
    state = SidecarState(0.0)
    source = FileSource(paths=(), secrets_dir=None, namespace=None, labels={})
    watch = ConfigWatch(source, state, reports.append)
    for arrival in arrivals:
        before = state.running
        watch._take(configurations[arrival])
        good = arrival in ("one", "two")
        if arrival == "emptied":  # files that never held a policy may say so
            good = before is None or not before.snapshot.policies
        assert (state.last_refused is None) == good
        assert (reports[-1] is ReloadResult.REFUSED) == (not good)
        if good:
            assert state.running is not None
            arrived = configurations[arrival]
            assert isinstance(arrived, Compiled)
            assert state.running.snapshot.policies == arrived.snapshot.policies
        else:
            assert state.running is before


async def test_a_watch_that_stumbles_goes_on_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()
    times = 0

    async def poll(_: ConfigWatch) -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise RuntimeError("no such luck")
        looked.set()

    monkeypatch.setattr(ConfigWatch, "poll", poll)
    monkeypatch.setattr(sources, "POLL_S", 0.0)
    source = FileSource(paths=(), secrets_dir=None, namespace=None, labels={})
    watching = asyncio.ensure_future(ConfigWatch(source, SidecarState(0.0), print).watch())
    async with asyncio.timeout(5):
        await looked.wait()
    watching.cancel()


# Drawn text may be a word that records hold anyway, such as a path; nothing else begins like these.
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=44).map(
    "sk-~".__add__
)
PLACES = ("header", "body", "plain", "stream")


def _echo(key: str, place: str, status: int) -> bytes:
    """A provider's error that repeats the key that it was given."""
    line = f"{status} No".encode()
    if place == "header":
        return json_answer(b"{}", f"WWW-Authenticate: Bearer {key}".encode(), status=line)
    if place == "body":
        body = json.dumps({"error": {"message": f"Incorrect API key provided: {key}."}}).encode()
        return json_answer(body, status=line)
    if place == "plain":
        return json_answer(f"bad key {key}!".encode(), status=line)
    event = json.dumps({"error": {"message": f"key {key} was revoked"}}).encode()
    stream = b'data: {"id": "c1", "choices": []}\n\ndata: ' + event + b"\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    return head % len(stream) + stream


async def _leaks(folder: Path, key: str, place: str, status: int) -> tuple[bytes, str]:
    async with RawUpstream(_echo(key, place, status)) as upstream:
        documents: tuple[dict[str, Any], ...] = (
            tier("small", upstream.url, rank=1),
            policy("small", retry={"maxAttempts": 1}, audit={"content": "Full"}),
            secret(key),
        )
        async with serving(folder, *documents) as (sidecar, recorder):
            answer = await ask(sidecar, headers=[(b"Authorization", b"Bearer app-key")])
            record = as_json(await recorder.wait_for(1))
            told = json.dumps([record, sidecar.state.as_json()]) + repr(sidecar.state.secrets)
            told += recorder.metrics.render().decode()
        assert key.encode() in upstream.heads[0], "the provider never got the key"
        assert b"Bearer app-key" not in upstream.heads[0]
    return answer.raw + answer.body, told


@given(key=KEYS, place=st.sampled_from(PLACES), status=st.sampled_from([400, 401, 403, 429, 500]))
@settings(max_examples=60, deadline=None)
def test_no_key_leaves_the_sidecar_but_to_its_provider(key: str, place: str, status: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        answered, told = asyncio.run(_leaks(Path(folder), key, place, status))
    escaped = json.dumps(key)[1:-1]
    for form in {key, escaped}:
        assert form.encode() not in answered
        assert form not in told
