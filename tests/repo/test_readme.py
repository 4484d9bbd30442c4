"""The README's first screen is true: its policy is the example's, its decision is what is printed.

Blocks stand between `<!-- NAME:begin -->` and `<!-- NAME:end -->`. A failure says what to write.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLE = ROOT / "examples" / "quickstart.yaml"


def block(name: str) -> str:
    """What the one fenced block of that name holds."""
    found = re.findall(
        rf"<!-- {name}:begin -->\n+```\w*\n(.*?)```\n+<!-- {name}:end -->", README, re.DOTALL
    )
    assert len(found) == 1, f"one block {name}"
    return str(found[0])


def request_body() -> dict[str, object]:
    """The body that the README's curl command sends."""
    sent = re.search(r"-d '(\{.*\})'", block("request"), re.DOTALL)
    assert sent
    body = json.loads(sent[1])
    assert isinstance(body, dict)
    return body


def explain(folder: Path) -> str:
    headers = re.findall(r"-H '(x-[^']+)'", block("request"))
    (folder / "request.json").write_text(json.dumps(request_body()))
    command = [sys.executable, "-m", "tiermesh_sidecar", "explain", "-f", str(EXAMPLE)]
    command += [part for header in headers for part in ("--header", header)]
    done = subprocess.run(
        [*command, "request.json"], cwd=folder, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_policy_is_part_of_the_example() -> None:
    assert block("policy").strip() in EXAMPLE.read_text()


def test_the_printed_decision_is_what_the_command_prints(tmp_path: Path) -> None:
    command, _, printed = block("explain").partition("\n")
    assert command.startswith("$ .venv/bin/tiermesh explain -f examples/quickstart.yaml")
    real = "\n".join(line.rstrip() for line in explain(tmp_path).strip().splitlines())
    assert printed.strip() == real, f"the README should say:\n{real}"


def test_the_decision_stands_on_the_first_screens() -> None:
    """Whoever opens the file meets it before any other chapter."""
    assert README.index("<!-- explain:end -->") < README.index("\n## ")
    assert README[: README.index("<!-- explain:end -->")].count("\n") <= 90
