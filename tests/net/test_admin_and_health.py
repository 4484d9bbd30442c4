"""The two small servers: who may look, and what probes are told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from net_kit import Answer, ask, policy, read_answer, secret, serving, tier

from tiermesh_sidecar.net.setting_values import Address

DOCUMENTS = tier("small", "http://127.0.0.1:1", rank=1), policy("small"), secret()


async def _get(
    address: Address, path: str, *headers: str, host: str = "localhost", method: str = "GET"
) -> Answer:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    lines = "".join(f"{header}\r\n" for header in (f"Host: {host}", *headers))
    writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
    answer = await read_answer(reader, head_only=method == "HEAD")
    writer.close()
    return answer


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4481", "10.0.0.1", "", "127.0.0.1.x"]
)
async def test_a_page_of_another_site_gets_nothing(tmp_path: Path, host: str) -> None:
    async with serving(tmp_path, *DOCUMENTS) as (sidecar, _):
        for path in ("/decisions", "/config", "/decisions/x"):
            answer = await _get(sidecar.admin, path, host=host)
            assert answer.status == 403
            assert answer.header("access-control-allow-origin") is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:4481", "[::1]:4481", "LOCALHOST:1"])
async def test_loopback_names_are_answered(tmp_path: Path, host: str) -> None:
    async with serving(tmp_path, *DOCUMENTS) as (sidecar, _):
        assert (await _get(sidecar.admin, "/config", host=host)).status == 200


async def test_decisions_are_a_page_in_a_browser_and_json_for_programs(tmp_path: Path) -> None:
    async with serving(tmp_path, *DOCUMENTS) as (sidecar, recorder):
        await ask(sidecar)
        call_id = recorder.calls[0].id
        page = await _get(sidecar.admin, "/decisions", "Accept: text/html,*/*;q=0.8")
        listed = await _get(sidecar.admin, "/decisions", "Accept: application/json")
        bare = await _get(sidecar.admin, "/decisions", "Accept: */*")
        one = await _get(sidecar.admin, f"/decisions/{call_id}", "Accept: application/json")
        none = await _get(sidecar.admin, "/decisions/0", "Accept: application/json")
        home = await _get(sidecar.admin, "/")
        posted = await _get(sidecar.admin, "/decisions", method="POST")
    assert (page.header("content-type") or "").startswith("text/html")
    assert listed.json()["decisions"][0]["id"] == call_id
    assert bare.json()["decisions"][0]["id"] == call_id
    assert one.json()["id"] == call_id
    assert one.json()["candidates"][0]["tier"] == "small"
    assert none.status == 404
    assert (home.status, home.header("location")) == (302, "/decisions")
    assert posted.status == 405


async def test_config_before_anything_was_loaded_has_its_whole_shape(tmp_path: Path) -> None:
    async with serving(tmp_path) as (sidecar, _):
        config = (await _get(sidecar.admin, "/config")).json()
    assert config == {
        "epoch": None,
        "revision": None,
        "hash": None,
        "loadedAt": None,
        "policies": [],
        "tiers": [],
        "lastRefused": None,
    }


async def test_probes_and_metrics(tmp_path: Path) -> None:
    async with serving(tmp_path, *DOCUMENTS) as (sidecar, _):
        await ask(sidecar)
        for path in ("/healthz", "/readyz"):
            assert (await _get(sidecar.health, path)).status == 200
        metrics = await _get(sidecar.health, "/metrics", host="10.1.2.3:4482")
        sidecar.readiness.reason = "shutting down"
        assert (await _get(sidecar.health, "/readyz")).status == 503
        assert (await _get(sidecar.health, "/healthz")).status == 200
        assert (await _get(sidecar.health, "/decisions")).status == 404
    assert b"tiermesh_" in metrics.body
    assert (metrics.header("content-type") or "").startswith("text/plain")


async def test_the_data_address_serves_no_admin_page(tmp_path: Path) -> None:
    async with serving(tmp_path, *DOCUMENTS) as (sidecar, _):
        for path in ("/config", "/decisions", "/metrics", "/healthz"):
            answer = await ask(sidecar, target=path, method="GET")
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (404, "not_found")
