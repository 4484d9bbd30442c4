"""What an operator reads when a sidecar starts: taken addresses, missing keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from net_kit import ANY_PORT, Recording, eventually, policy, secret, tier, write_config

from tiermesh_sidecar.net.app import running_sidecar
from tiermesh_sidecar.net.settings import Address, Settings

SETTINGS = Settings(listen=ANY_PORT, admin=ANY_PORT, health=ANY_PORT, audit="none", drain_s=0.5)
NOWHERE = "http://127.0.0.1:1"


async def test_a_taken_address_is_named(tmp_path: Path) -> None:
    async with running_sidecar(SETTINGS, recorder=Recording()) as sidecar:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its text is what is tested
            async with running_sidecar(
                replace(SETTINGS, admin=sidecar.admin), recorder=Recording()
            ):
                pass
    assert caught.value.strerror == f"cannot listen on {sidecar.admin}: Address already in use"


async def test_an_address_of_another_machine_is_named() -> None:
    foreign = replace(SETTINGS, listen=Address(host="192.0.2.1", port=0))  # RFC 5737: nobody's
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        async with running_sidecar(foreign, recorder=Recording()):
            pass


async def test_backends_without_a_key_are_named_once_until_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_config(tmp_path / "p.yaml", tier("small", NOWHERE, rank=1), policy("small"))
    async with running_sidecar(replace(SETTINGS, files=(path,)), recorder=Recording()) as sidecar:
        told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert told == [
            "no key for shop/small/small-a: never tried until a Secret document or --secrets-dir"
            " has it"
        ]
        write_config(path, tier("small", NOWHERE, rank=1), policy("small"), secret())

        async def keyed() -> bool:
            return not sidecar.state.keyless

        await eventually(keyed)
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1
