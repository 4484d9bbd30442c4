"""The policy files of a command that decides or checks without serving."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tiermesh_sidecar.net.compile_result import CompileResult
from tiermesh_sidecar.net.documents import compile_paths
from tiermesh_sidecar.net.setting_values import SettingsError, parse_labels
from tiermesh_spec.problems import Problem

EXIT_BAD_INPUT = 2


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        dest="files",
        action="append",
        required=True,
        metavar="FILE_OR_DIR",
        help="YAML or JSON of tiers and policies, or a directory of such files; may be repeated",
    )
    parser.add_argument(
        "--namespace", metavar="NAME", help="the pod's namespace; by default the policies' only one"
    )
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")


def compile_arguments(arguments: argparse.Namespace) -> CompileResult:
    return compile_paths([Path(name) for name in arguments.files], arguments.namespace)


def labels_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Raises SettingsError."""
    return parse_labels(arguments.labels or (), "--label")


def problems_as_json(problems: Iterable[Problem]) -> str:
    entries = [problem.as_json() for problem in problems]
    return json.dumps({"problems": entries}, ensure_ascii=False, indent=2)


def problem_text(problem: Problem) -> str:
    """Three lines: where, what, and the fix."""
    value = f": {problem.value}" if problem.value else ""
    place = problem.place or "all files together"
    return f"{place}{value}\n  {problem.message}\n  fix: {problem.fix}\n"


def write_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        sys.stderr.write(problem_text(problem))


def bad_input(command: str, message: str | SettingsError, output: str) -> int:
    """`output` json: standard output is JSON all the same, for what reads it without looking at
    the exit status."""
    sys.stderr.write(f"tiermesh {command}: {message}\n")
    if output == "json":
        value = {"error": {"message": str(message)}}
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    return EXIT_BAD_INPUT
