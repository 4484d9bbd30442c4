"""Files that change under a running sidecar, through the real compile process."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from net_kit import (
    ANY_PORT,
    CANARY,
    RawUpstream,
    Recording,
    ask,
    eventually,
    json_answer,
    policy,
    secret,
    tier,
    write_config,
)

from tiermesh_sidecar.net.app import Sidecar, running_sidecar
from tiermesh_sidecar.net.settings import Settings

SETTINGS = Settings(listen=ANY_PORT, admin=ANY_PORT, health=ANY_PORT, audit="none", drain_s=0.5)
NOWHERE = "http://127.0.0.1:1"


async def _config(sidecar: Sidecar) -> Any:
    reader, writer = await asyncio.open_connection(sidecar.admin.host, sidecar.admin.port)
    writer.write(b"GET /config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    raw = await reader.read()
    writer.close()
    return json.loads(raw.partition(b"\r\n\r\n")[2])


async def _until(sidecar: Sidecar, holds: Any) -> Any:
    """`/config` as soon as it is so."""
    last: Any = None

    async def reached() -> bool:
        nonlocal last
        last = await _config(sidecar)
        return bool(holds(last))

    await eventually(reached)
    return last


async def test_good_bad_and_fixed_files(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    tiers = tier("small", NOWHERE, rank=1), tier("large", NOWHERE, rank=2), secret()
    write_config(path, *tiers, policy("small", "large"))
    async with running_sidecar(replace(SETTINGS, files=(path,)), recorder=Recording()) as sidecar:
        first = await _config(sidecar)
        assert first["revision"] == 1
        assert first["lastRefused"] is None
        assert first["policies"][0]["name"] == "checkout"
        assert first["tiers"] == ["shop/large", "shop/small"]

        write_config(path, *tiers, policy("small", "huge"))
        refused = await _until(sidecar, lambda c: c["lastRefused"] is not None)
        assert {**refused, "lastRefused": None} == first
        problem = refused["lastRefused"]["problems"][0]
        assert set(problem) == {"file", "document", "path", "value", "message", "fix"}
        assert (problem["file"], problem["document"]) == (str(path), 4)

        path.write_text("kind: [\n")
        torn = await _until(sidecar, lambda c: "YAML" in c["lastRefused"]["problems"][0]["message"])
        assert torn["hash"] == first["hash"]

        write_config(path, *tiers)  # cut between two documents: all of it is valid
        cut = await _until(
            sidecar, lambda c: "RoutingPolicy" in c["lastRefused"]["problems"][0]["message"]
        )
        assert cut["policies"] == first["policies"]

        path.unlink()
        await _until(sidecar, lambda c: "no such" in c["lastRefused"]["problems"][0]["message"])

        write_config(path, *tiers, policy("large"))
        fixed = await _until(sidecar, lambda c: c["lastRefused"] is None)
        assert fixed["revision"] == 2
        assert fixed["epoch"] == first["epoch"]
        assert fixed["hash"] != first["hash"]
        answer = await ask(sidecar)
        assert answer.header("x-tiermesh-policy") == (
            f"shop/checkout@{fixed['policies'][0]['generation']}"
        )
        metrics = sidecar.recorder.metrics.render().decode()
        assert 'result="refused"} 4' in metrics
        assert 'result="applied"} 2' in metrics


async def test_a_config_that_comes_later_ends_no_config(tmp_path: Path) -> None:
    path = tmp_path / "late"
    path.mkdir()
    async with running_sidecar(replace(SETTINGS, files=(path,)), recorder=Recording()) as sidecar:
        assert sidecar.readiness.reason is None
        assert (await ask(sidecar)).code == "no_config"
        config = await _config(sidecar)
        assert config["hash"] is None
        assert config["lastRefused"]["problems"][0]["file"] == str(path)
        write_config(path / "a.yaml", tier("small", NOWHERE, rank=1), policy("small"), secret())
        await _until(sidecar, lambda c: c["hash"] is not None)
        assert (await ask(sidecar)).code == "upstream_failed"


async def test_files_written_together_are_taken_over_together(tmp_path: Path) -> None:
    tiers, rules = tmp_path / "a-tiers.yaml", tmp_path / "b-policy.yaml"
    write_config(tiers, tier("small", NOWHERE, rank=1), secret())
    write_config(rules, policy("small"))
    settings = replace(SETTINGS, files=(tmp_path,))
    async with running_sidecar(settings, recorder=Recording()) as sidecar:
        hash_before = (await _config(sidecar))["hash"]
        write_config(rules, policy("large"))
        await asyncio.sleep(0.05)
        write_config(tiers, tier("large", NOWHERE, rank=1), secret())
        after = await _until(sidecar, lambda c: c["hash"] != hash_before)
        assert after["lastRefused"] is None
        assert after["revision"] == 2
        assert 'result="refused"} 0' in sidecar.recorder.metrics.render().decode()


async def test_a_configmap_swapped_by_its_symlink_is_seen(tmp_path: Path) -> None:
    for name, target in (("..v1", "small"), ("..v2", "large")):
        (tmp_path / name).mkdir()
        write_config(
            tmp_path / name / "policy.yaml",
            tier(target, NOWHERE, rank=1),
            policy(target),
            secret(),
        )
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    settings = replace(SETTINGS, files=(tmp_path,))
    async with running_sidecar(settings, recorder=Recording()) as sidecar:
        assert (await _config(sidecar))["tiers"] == ["shop/small"]
        (tmp_path / "..new").symlink_to("..v2")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        await _until(sidecar, lambda c: c["tiers"] == ["shop/large"])


async def test_keys_rotate_in_files_and_in_the_directory(tmp_path: Path) -> None:
    key = tmp_path / "keys" / "keys" / "api-key"
    key.parent.mkdir(parents=True)
    key.write_text("sk-one\n")
    async with RawUpstream(json_answer({"choices": []})) as upstream:
        path = write_config(
            tmp_path / "policy.yaml", tier("small", upstream.url, rank=1), policy("small")
        )
        settings = replace(SETTINGS, files=(path,), secrets_dir=tmp_path / "keys")
        async with running_sidecar(settings, recorder=Recording()) as sidecar:

            async def key_used() -> bytes:
                assert (await ask(sidecar)).status == 200
                return upstream.heads[-1].partition(b"Bearer ")[2].partition(b"\r\n")[0]

            async def uses_the_second() -> bool:
                return await key_used() == b"sk-two"

            async def is_refused() -> bool:
                return (await ask(sidecar)).status != 200

            async def is_served() -> bool:
                return (await ask(sidecar)).status == 200

            assert await key_used() == b"sk-one"
            key.write_text("sk-two")
            await eventually(uses_the_second)
            key.write_text("not a key\r\nx-evil: 1")
            await eventually(is_refused)
            assert b"x-evil" not in b"".join(upstream.heads)
            write_config(path, tier("small", upstream.url, rank=1), policy("small"), secret(CANARY))
            await eventually(is_served)
            assert await key_used() == CANARY.encode()


async def test_a_reload_of_the_same_content_is_no_new_revision(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    documents = tier("small", NOWHERE, rank=1), policy("small"), secret()
    write_config(path, *documents)
    async with running_sidecar(replace(SETTINGS, files=(path,)), recorder=Recording()) as sidecar:
        before = await _config(sidecar)
        running = sidecar.state.running
        write_config(path, *documents)
        await sidecar.watch.poll()
        assert await _config(sidecar) == before
        assert sidecar.state.running is running
