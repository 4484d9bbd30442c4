"""Prints the version of tiermesh."""

from __future__ import annotations

import argparse
import sys

from tiermesh_sidecar.net.version import version


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(arguments: argparse.Namespace) -> int:
    sys.stdout.write(f"tiermesh {version()}\n")
    return 0
