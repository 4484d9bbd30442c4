"""Routes the calls that applications make to 127.0.0.1:4480 as the policies in files say.

Point an application at it with OPENAI_BASE_URL=http://127.0.0.1:4480/v1 or
ANTHROPIC_BASE_URL=http://127.0.0.1:4480, and see http://127.0.0.1:4481/decisions for what was
decided. Files are watched: a good change takes effect within two seconds, a bad one changes nothing
and is reported at http://127.0.0.1:4481/config.

Each option can be given as the environment variable named beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tiermesh_sidecar.net.setting_values import SettingsError
from tiermesh_sidecar.net.settings import OPTIONS, Settings, build_settings

EXIT_SETTINGS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for option in OPTIONS:
        default = f"; default {option.default}" if option.default else ""
        text = f"{option.help} ({option.variable}{default})".replace("%", "%%")
        if option.repeatable:
            parser.add_argument(
                option.flag,
                dest=option.flag,
                action="append",
                metavar=option.metavar,
                help=f"{text}; may be repeated",
            )
        else:
            parser.add_argument(option.flag, dest=option.flag, metavar=option.metavar, help=text)


def run(arguments: argparse.Namespace) -> int:
    flags: dict[str, str | Sequence[str] | None] = {
        option.flag: getattr(arguments, option.flag) for option in OPTIONS
    }
    try:
        settings = build_settings(flags, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"tiermesh sidecar: {error}\n")
        return EXIT_SETTINGS
    return _serve(settings)


def _serve(settings: Settings) -> int:
    from tiermesh_sidecar.net.lifecycle import serve

    return serve(settings)
