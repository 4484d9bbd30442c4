"""What reaches the log, and how."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tiermesh_sidecar.net.logs import configure


@pytest.fixture
def _root() -> Iterator[None]:
    """The root logger and those that `configure` sets, as they were."""
    loggers = [logging.getLogger(name) for name in ("", "opentelemetry", "urllib3")]
    before = [(logger, logger.level, [*logger.handlers]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.mark.usefixtures("_root")
@pytest.mark.parametrize("style", ["text", "json"])
def test_the_exporters_library_is_told_in_one_line(
    style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("info", style)
    for name in ("opentelemetry.sdk.trace", "tiermesh"):
        try:
            int("abc")
        except ValueError:
            logging.getLogger(name).exception("cannot read %s", "X")
    library, *own = capsys.readouterr().err.splitlines()
    assert "cannot read X: ValueError(" in library
    assert "Traceback" not in library
    assert "Traceback" in "".join(own)  # our own faults keep theirs
