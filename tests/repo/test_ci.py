"""`.ci/run`: what it runs, what it reports, and that it leaves nothing behind.

`make`, the cluster kit and `id` are replaced by scripts that say that they were called.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = """.PHONY: test e2e
test:
\t@echo TEST; exit $(TEST_CODE)
e2e:
\t@echo E2E $$CLUSTER; exit $(E2E_CODE)
"""


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "e2e").mkdir(parents=True)
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci")
    (folder / "Makefile").write_text(MAKEFILE)
    script(tmp_path / "bin" / "id", "echo 0")
    return folder


@pytest.fixture
def cluster(checkout: Path) -> Path:
    kit = checkout.parent / "shared" / "cluster"
    script(kit / "up", "echo export CLUSTER=mine")
    script(kit / "down", "echo DOWN")
    (checkout / "e2e" / "test_something.py").touch()
    return kit


def environment(checkout: Path, **more: str) -> dict[str, str]:
    path = f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    # Started by `make test`, a make would take itself for a part of that one.
    outside = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    return {**outside, "PATH": path, "TEST_CODE": "0", "E2E_CODE": "0", **more}


def run(checkout: Path, **more: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [checkout / ".ci" / "run"],
        env=environment(checkout, **more),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout.splitlines()


def test_without_end_to_end_tests_no_cluster_is_started(checkout: Path, cluster: Path) -> None:
    (checkout / "e2e" / "test_something.py").unlink()
    assert run(checkout) == (0, ["TEST", "e2e      skipped: no tests"])


def test_without_the_kit_the_end_to_end_tests_are_skipped(checkout: Path) -> None:
    (checkout / "e2e" / "test_something.py").touch()
    code, lines = run(checkout)
    assert code == 0
    assert lines[-1].startswith("e2e      skipped: needs root and")


def test_a_started_cluster_is_taken_down(checkout: Path, cluster: Path) -> None:
    assert run(checkout) == (0, ["TEST", "E2E mine", "DOWN"])


def test_failing_tests_fail_the_run_before_a_cluster_starts(checkout: Path, cluster: Path) -> None:
    code, lines = run(checkout, TEST_CODE="1")
    assert code != 0
    assert lines == ["TEST"]


def test_failing_end_to_end_tests_fail_the_run_and_the_cluster_goes(
    checkout: Path, cluster: Path
) -> None:
    code, lines = run(checkout, E2E_CODE="1")
    assert code != 0
    assert lines == ["TEST", "E2E mine", "DOWN"]


def test_a_cluster_that_did_not_come_up_is_cleaned_away(checkout: Path, cluster: Path) -> None:
    script(cluster / "up", "echo no space left >&2; exit 1")
    assert run(checkout) == (1, ["TEST", "DOWN"])


def test_somebody_elses_cluster_is_left_alone(checkout: Path, cluster: Path) -> None:
    script(cluster / "up", "echo already up: down first >&2; exit 1")
    assert run(checkout) == (1, ["TEST"])


def test_a_run_that_is_told_to_stop_ends_what_it_started(checkout: Path) -> None:
    waiting = ".PHONY: test\ntest:\n\t@echo $$$$; exec sleep 600\n"
    (checkout / "Makefile").write_text(waiting)
    with subprocess.Popen(
        [checkout / ".ci" / "run"],
        env=environment(checkout),
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout
        child = int(running.stdout.readline())
        os.kill(child, 0)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
