"""What the end-to-end tests are given: a Jaeger's addresses, and a clean environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jaeger_client import Jaeger

_FOREIGN = ("OTEL_", "TIERMESH_")
_OURS = "TIERMESH_E2E_"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer's shell sets must reach neither the sidecar nor the application."""
    for name in os.environ:
        foreign = name.startswith(_FOREIGN) and not name.startswith(_OURS)
        if foreign or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def jaeger() -> Jaeger:
    names = ("TIERMESH_E2E_OTLP", "TIERMESH_E2E_JAEGER")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not set: see e2e/README.md")
    otlp, query = (os.environ[name].rstrip("/") for name in names)
    return Jaeger(otlp=otlp, query=query)
