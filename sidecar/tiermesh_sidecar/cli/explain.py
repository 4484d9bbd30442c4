"""Decides a request without sending anything, and says why every tier is where it is.

The request is the JSON body that an application would send; - reads it from standard input. Every
backend is taken to be healthy and to have its key. With --replay, audit records are decided again
from what they recorded, and differences are printed.

Exit status: 0 decided, 1 refused (or a replayed decision differs), 2 bad input.

examples:
  tiermesh explain -f policy.yaml request.json
  tiermesh explain -f policy.yaml --header 'x-plan: premium' --output json request.json
  tiermesh explain -f policy.yaml --path /v1/messages - < message.json
  tiermesh explain -f policy.yaml --replay audit.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tiermesh_sidecar.cli.configuration import (
    EXIT_BAD_INPUT,
    add_file_arguments,
    bad_input,
    compile_arguments,
    labels_of,
    problems_as_json,
    write_problems,
)
from tiermesh_sidecar.cli.explanation import as_json, as_text
from tiermesh_sidecar.core.active import activate
from tiermesh_sidecar.core.decide import conclude, examine
from tiermesh_sidecar.core.decision import Refusal
from tiermesh_sidecar.core.explanations import explained
from tiermesh_sidecar.core.question import Question
from tiermesh_sidecar.core.state import StateView
from tiermesh_sidecar.net.asked import understand
from tiermesh_sidecar.net.compile_result import Compiled, Refused
from tiermesh_sidecar.net.setting_values import SettingsError
from tiermesh_sidecar.wire.headers import speaks_anthropic
from tiermesh_sidecar.wire.paths import TargetKind, classify

EXIT_REFUSED = 1
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2."""
_BREAK = re.compile(rb"[\r\n\x00]")

_ANSWERED_HERE = (
    "{}: the sidecar answers this path itself, with what the policy lists for the caller; "
    "nothing is decided, so there is nothing to explain"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file_arguments(parser)
    parser.add_argument("request", nargs="?", metavar="REQUEST.json", help="a JSON body, or -")
    parser.add_argument(
        "--header",
        dest="headers",
        action="append",
        metavar="'NAME: VALUE'",
        help="a header of the request; may be repeated",
    )
    parser.add_argument(
        "--path",
        default="/v1/chat/completions",
        metavar="PATH",
        help="where the request goes; default: /v1/chat/completions",
    )
    parser.add_argument(
        "--label",
        dest="labels",
        action="append",
        metavar="KEY=VALUE",
        help="a label of the pod; may be repeated",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="fixes chance, for weighted routes; default: 0"
    )
    parser.add_argument(
        "--replay", metavar="FILE", help="decide audit records (JSON lines) again; - reads them"
    )


def run(arguments: argparse.Namespace) -> int:
    result = compile_arguments(arguments)
    if isinstance(result, Refused):
        write_problems(result.problems)
        if arguments.output == "json":
            sys.stdout.write(problems_as_json(result.problems) + "\n")
        return EXIT_BAD_INPUT
    try:
        labels = labels_of(arguments)
    except SettingsError as error:
        return bad_input("explain", error, arguments.output)
    if (arguments.replay is None) == (arguments.request is None):
        message = "give either REQUEST.json (- for standard input) or --replay"
        return bad_input("explain", message, arguments.output)
    if arguments.replay is not None:
        from tiermesh_sidecar.cli.replay import replay

        return replay(arguments.replay, result, labels, arguments.output)
    return _explain(arguments, result, labels)


def _explain(arguments: argparse.Namespace, compiled: Compiled, labels: dict[str, str]) -> int:
    active = activate(compiled.snapshot, compiled.namespace, labels)
    if active is None:
        return bad_input(
            "explain",
            f"no policy selects a pod of namespace {compiled.namespace} with these labels: "
            "give --namespace or --label as the pod has them",
            arguments.output,
        )
    try:
        body = _read(arguments.request)
        headers = _headers(arguments.headers or ())
    except OSError as error:
        return bad_input("explain", f"{arguments.request}: {error.strerror}", arguments.output)
    except SettingsError as error:
        return bad_input("explain", str(error), arguments.output)
    anthropic = speaks_anthropic(headers)
    read = classify("GET", arguments.path, anthropic_version=anthropic)
    if not isinstance(read, Refusal) and read.kind is not TargetKind.PASS_THROUGH:
        return bad_input("explain", _ANSWERED_HERE.format(arguments.path), arguments.output)
    target = classify("POST", arguments.path, anthropic_version=anthropic)
    asked = target if isinstance(target, Refusal) else understand(target, headers, body, active)
    if isinstance(asked, Refusal):
        return bad_input("explain", f"{asked.code.value}: {asked.message}", arguments.output)
    features, policy = asked.features, active.policy
    case = examine(Question(features, active.signals, None), active, StateView(), arguments.seed)
    decision, choice = conclude(case, asked.deadline_ms)
    if arguments.output == "json":
        value = as_json(decision, features, policy)
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write(as_text(decision, explained(decision, case, choice), features, policy))
    return 0 if decision.refusal is None else EXIT_REFUSED


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def _headers(texts: Sequence[str]) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for text in texts:
        name, colon, value = text.partition(":")
        raw = os.fsencode(value.strip())
        if not colon or not _NAME.fullmatch(name.strip()) or _BREAK.search(raw):
            shown = text.encode("utf-8", "backslashreplace").decode()
            raise SettingsError(f"--header {shown!r}: give 'NAME: VALUE', as HTTP has it")
        headers.append((name.strip().encode(), raw))
    return headers
