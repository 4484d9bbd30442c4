"""TLS to providers: the system's trust store, or a backend's own `caBundle`, and nothing laxer."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from net_kit import ask, json_answer, policy, secret, serving, tier

from tiermesh_sidecar.net.lifecycle import roots_unread

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate")


def _certificate(directory: Path, name: str) -> tuple[Path, Path]:
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    subject = f"/CN={name}"
    san = f"subjectAltName=DNS:{name},IP:127.0.0.1"
    subprocess.run(
        [*command.split(), "-keyout", key, "-out", certificate, "-subj", subject, "-addext", san],
        check=True,
        capture_output=True,
    )
    return certificate, key


@asynccontextmanager
async def _tls_provider(certificate: Path, key: Path) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(json_answer({"choices": []}, b"Connection: close"))
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _documents(url: str, bundle: str | None) -> tuple[dict[str, Any], ...]:
    small = tier("small", url, rank=1)
    if bundle is not None:
        small["spec"]["backends"][0]["target"]["caBundle"] = base64.b64encode(
            bundle.encode()
        ).decode()
    return small, policy("small"), secret()


async def test_a_ca_bundle_is_what_its_backend_is_trusted_by(tmp_path: Path) -> None:
    own = _certificate(tmp_path, "provider")
    other = _certificate(tmp_path, "other")
    bundles = {"own": own[0].read_text(), "other": other[0].read_text(), "system": None}
    found: dict[str, str | None] = {}
    async with _tls_provider(*own) as url:
        for name, bundle in bundles.items():
            async with serving(tmp_path, *_documents(url, bundle)) as (sidecar, recorder):
                await ask(sidecar)
                found[name] = recorder.calls[0].attempts[0].record.error
    assert found == {"own": None, "other": "tls_failed", "system": "tls_failed"}


async def test_the_system_store_is_the_one_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _certificate(tmp_path, "provider")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with (
        _tls_provider(certificate, key) as url,
        serving(tmp_path, *_documents(url, None)) as (sidecar, recorder),
    ):
        await ask(sidecar)
        assert recorder.calls[0].attempts[0].record.error is None


@pytest.mark.parametrize("named", [None, "/some/store.pem"])
def test_a_start_leaves_the_environment_as_it_was(
    named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if named is not None:
        monkeypatch.setenv("SSL_CERT_FILE", named)
    with roots_unread():
        assert os.environ["SSL_CERT_FILE"] == os.devnull
    assert os.environ.get("SSL_CERT_FILE") == named
