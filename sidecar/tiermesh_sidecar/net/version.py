"""The version of this distribution, as metrics, spans and `tiermesh version` print it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version


def version() -> str:
    """For example `0.1.0`; `unknown` where the code runs without having been installed."""
    try:
        return distribution_version("tiermesh")
    except PackageNotFoundError:
        return "unknown"
