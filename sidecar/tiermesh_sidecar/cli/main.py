"""The command line: which commands there are, and what each takes.

A command's module is imported when that command runs: `tiermesh sidecar` must not pay for what
`tiermesh validate` needs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

EXIT_USAGE = 2

_INTRODUCTION = """\
Sends every call to a language model to the cheapest tier that is good enough for it.

A policy is YAML: ModelTier resources (what there is) and a RoutingPolicy (who gets which).
The same files work with kubectl in a cluster and here."""

_EXAMPLES = """\
examples:
  tiermesh demo                                      see it work, with fake providers
  tiermesh validate -f policy.yaml                   every mistake, with its fix
  tiermesh explain -f policy.yaml request.json       which tier would take this request, and why
  tiermesh sidecar -f policy.yaml                    route calls: OPENAI_BASE_URL=http://127.0.0.1:4480/v1

`tiermesh COMMAND --help` explains a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    name: str
    module: str
    """Has `add_arguments(parser)` and `run(arguments) -> int`."""
    summary: str


COMMANDS = (
    Command(
        name="sidecar",
        module="tiermesh_sidecar.cli.sidecar",
        summary="route calls as the policies in files say",
    ),
    Command(
        name="explain",
        module="tiermesh_sidecar.cli.explain",
        summary="decide a request without sending anything, and say why",
    ),
    Command(
        name="validate",
        module="tiermesh_sidecar.cli.validate",
        summary="check files and print every problem with its fix",
    ),
    Command(
        name="demo",
        module="tiermesh_sidecar.demo.run",
        summary="fake providers, real routing, a live view",
    ),
    Command(
        name="version",
        module="tiermesh_sidecar.cli.version",
        summary="print the version",
    ),
)


def run(arguments: Sequence[str]) -> int:
    """The exit status of `tiermesh ARGUMENTS`."""
    if sys.stdout is None:  # started with it closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  lives as long as we do
    name = arguments[0] if arguments else "--help"
    command = next((c for c in COMMANDS if c.name == name), None)
    if command is not None:
        return _run_command(command, arguments[1:])
    parser = _overview()
    if name in ("-h", "--help", "help"):
        parser.print_help()
        return 0
    if name == "--version":
        return _run_command(COMMANDS[-1], ())
    known = ", ".join(c.name for c in COMMANDS)
    parser.exit(EXIT_USAGE, f"tiermesh: there is no command {name!r}\ncommands: {known}\n")


def _run_command(command: Command, arguments: Sequence[str]) -> int:
    module = import_module(command.module)
    parser = argparse.ArgumentParser(
        prog=f"tiermesh {command.name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments: Callable[[argparse.ArgumentParser], None] = module.add_arguments
    execute: Callable[[argparse.Namespace], int] = module.run
    add_arguments(parser)
    chosen = parser.parse_args(arguments)
    try:
        status = execute(chosen)
        sys.stdout.flush()
    except BrokenPipeError:
        return _unwritten()  # `| head`: who has read enough has no problem
    except OSError as error:
        sys.stderr.write(f"tiermesh {command.name}: {error}\n")
        return _unwritten()
    return status


def _unwritten() -> int:
    """Keeps the interpreter from failing once more on what could not be written."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _overview() -> argparse.ArgumentParser:
    width = max(len(command.name) for command in COMMANDS) + 2
    listed = "\n".join(f"  {c.name:{width}}{c.summary}" for c in COMMANDS)
    return argparse.ArgumentParser(
        prog="tiermesh",
        usage="tiermesh COMMAND ...",
        description=f"{_INTRODUCTION}\n\ncommands:\n{listed}",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
