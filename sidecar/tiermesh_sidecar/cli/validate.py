"""Checks tiers, policies and secrets, and prints every problem: where, what, and how to fix it.

The same check that a sidecar makes before it takes a file over. Exit status: 0 when there is
nothing to fix, 1 when there is.

example:
  tiermesh validate -f policy.yaml -f tiers/
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tiermesh_sidecar.cli.configuration import (
    add_file_arguments,
    compile_arguments,
    problem_text,
    problems_as_json,
)
from tiermesh_sidecar.net.compile_result import Compiled, Refused, problem_here
from tiermesh_sidecar.net.secrets import Keys, read_secrets_dir
from tiermesh_spec.problems import Problem
from tiermesh_spec.snapshot import SecretKey

EXIT_PROBLEMS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file_arguments(parser)
    parser.add_argument(
        "--secrets-dir",
        metavar="DIR",
        help="also check that every key a backend names is here (DIR/NAME/KEY) or in the files",
    )


def run(arguments: argparse.Namespace) -> int:
    result = compile_arguments(arguments)
    if isinstance(result, Refused):
        problems = list(result.problems)
    else:
        problems = _key_problems(result, arguments.secrets_dir)
    if arguments.output == "json":
        sys.stdout.write(problems_as_json(problems) + "\n")
    elif problems:
        sys.stdout.writelines(problem_text(problem) for problem in problems)
        sys.stdout.write(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}\n")
    elif isinstance(result, Compiled):
        sys.stdout.write(_summary(result))
    return EXIT_PROBLEMS if problems else 0


def _key_problems(compiled: Compiled, secrets_dir: str | None) -> list[Problem]:
    """Keys may arrive later than policies, so they are asked for only where a place was named."""
    if secrets_dir is None:
        return []
    directory: Keys
    directory, refused = read_secrets_dir(Path(secrets_dir))
    problems = [
        problem_here(sentence, "write the key as the provider gave it", file=secrets_dir)
        for sentence in refused
    ]
    for ref in _named_keys(compiled):
        here = (ref.namespace, ref.name, ref.key) in compiled.keys
        if not here and ("", ref.name, ref.key) not in directory:
            problems.append(
                problem_here(
                    f"no key {ref.key} of Secret {ref.namespace}/{ref.name}, which a backend names",
                    f"put it into {Path(secrets_dir) / ref.name / ref.key}",
                    file=secrets_dir,
                )
            )
    return problems


def _named_keys(compiled: Compiled) -> list[SecretKey]:
    named = {
        backend.credentials.secret
        for policy in compiled.snapshot.policies
        for tier in policy.tiers
        for backend in tier.backends
        if backend.credentials.secret is not None
    }
    return sorted(named, key=lambda ref: (ref.namespace, ref.name, ref.key))


def _summary(compiled: Compiled) -> str:
    lines = [
        f"{policy.label}: {len(policy.tiers)} tiers, {len(policy.rules)} rules, "
        f"mode {policy.mode.value}\n"
        for policy in compiled.snapshot.policies
    ]
    return "".join([*lines, "no problems\n"])
