"""What tracked files must not say: a machine's paths, a registry's host, how they were made."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THIS = Path(__file__).relative_to(ROOT)

HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|registry\.yarnpkg|ghcr\.io|quay\.io|gcr\.io"
    r"|registry\.k8s\.io|proxy\.golang\.org|index-url|find-links",
)
MACHINE = re.compile(r"(?<![\w.])/(work|root|home/\w+|Users/\w+|opt/wheels|tmp/\w+/v)/")
MAKING = re.compile(
    r"co-authored-by|generated (by|with) (an? )?(ai|llm|claude|gpt|copilot|codex)\b"
    r"|\bas an ai\b|\bai[- ](assisted|written|generated)\b|\bcoding agent"
    r"|\b(shared|\.\.)/(design|style|peers|performance|kubernetes)\.md|\bissues? #?3\b"
    r"|\bdesign §|\bthe lead\b|\bother builders?\b|\bthe brief\b",
    re.IGNORECASE,
)


def texts() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = (Path(name) for name in listed.split("\0") if name)
    return sorted(path for path in names if path != THIS and (ROOT / path).is_file())


@pytest.mark.parametrize(
    "pattern", [HOSTS, MACHINE, MAKING], ids=["registry hosts", "machine paths", "the making"]
)
def test_no_tracked_file_says_what_does_not_belong_there(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in texts()
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (HOSTS, "--" + "index-url https://mirror.example/simple"),
        (MACHINE, "see /" + "work/main/README.md"),
        (MAKING, "Co-" + "Authored-By: somebody"),
        (MAKING, "as design " + "§5 says"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


def test_nothing_large_is_tracked() -> None:
    large = [(str(p), (ROOT / p).stat().st_size) for p in texts()]
    assert [(path, size) for path, size in large if size > 512 * 1024] == []
