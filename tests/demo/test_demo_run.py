"""The demo itself: real sockets, a real sidecar, fake models; and its policy file."""

import argparse
import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tiermesh_sidecar.demo.backdrop import demo_policy
from tiermesh_sidecar.demo.run import Options, add_arguments, demonstrate, run
from tiermesh_sidecar.demo.summary import Result, Tally

REPOSITORY = Path(__file__).resolve().parents[2]
START = (
    "import argparse, sys; from tiermesh_sidecar.demo.run import add_arguments, run;"
    "p = argparse.ArgumentParser(); add_arguments(p); sys.exit(run(p.parse_args()))"
)


class Watched:
    """A screen that keeps what it is shown."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.results: list[Result] = []
        self.notes: set[str] = set()

    def say(self, lines: Iterable[str]) -> None:
        self.said.extend(lines)

    def show(self, tally: Tally, result: Result | None, note: str) -> None:
        self.notes.add(note)
        if result is not None:
            self.results.append(result)

    def summarise(self, tally: Tally, seconds: float) -> None:
        raise AssertionError("not this one's business")

    def restore(self) -> None:
        raise AssertionError("not this one's business")


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([*arguments])


async def test_the_demo_uses_three_tiers_saves_and_says_why() -> None:
    screen = Watched()
    tally = await demonstrate(Options(calls=64, rate=40, port=0), screen, asyncio.Event())
    assert tally.calls == 64
    assert all(tally.by_tier[tier] >= 5 for tier in ("small", "medium", "large"))
    assert tally.saved > 0
    assert tally.failed == 0
    answered = [r for r in screen.results if r.code is None]
    assert all(r.reason in ("Chosen", "InPlan") and r.tier for r in answered)
    assert all(r.cost is not None and r.top_tier_cost is not None for r in answered)
    assert {r.code for r in screen.results if r.kind == "refused"} == {
        "not_entitled",
        "not_permitted",
    }
    assert tally.fallbacks > 0
    assert any("503" in note for note in screen.notes)


async def test_calls_go_where_the_policy_says() -> None:
    screen = Watched()
    await demonstrate(Options(calls=64, rate=100, port=0, seed=3), screen, asyncio.Event())
    by_kind = {r.kind: [x for x in screen.results if x.kind == r.kind] for r in screen.results}
    assert {r.tier for r in by_kind["task"]} == {"large"}
    assert "large" not in {r.tier for r in by_kind["restricted"]}
    assert {r.tier for r in by_kind["json"] if r.rule == "simple-steps"} == {"small"}
    assert {r.tier for r in by_kind["messages"]} <= {"medium", "large"}
    assert "small" not in {r.tier for r in by_kind["image"]}


async def test_a_stop_ends_it_early() -> None:
    stop = asyncio.Event()
    stop.set()
    tally = await demonstrate(Options(calls=None, rate=1, port=0), Watched(), stop)
    assert tally.calls <= 1


def test_json_output_is_the_summary_alone(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = parsed("--calls", "5", "--rate", "50", "--port", "0", "--output", "json")
    assert run(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["calls"] == 5
    assert sum(summary["tiers"].values()) + sum(summary["refusals"].values()) == 5


def test_lines_are_plain_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(parsed("--calls", "4", "--rate", "50", "--port", "0")) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "/decisions" in out
    assert "Summary" in out
    assert sum(line[:5].strip().isdigit() for line in out.splitlines()) == 4


def test_a_port_that_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(parsed("--calls", "1", "--port", str(port))) == 1
    error = capsys.readouterr().err
    assert error.startswith("tiermesh demo: ")
    # The demo takes three ports in a row; another process may hold one of the next two.
    assert any(str(port + offset) in error for offset in range(3))


@pytest.mark.parametrize(("arguments", "status"), [(("--forever",), 0), (("--calls", "1000"), 130)])
def test_ctrl_c_ends_it_cleanly(arguments: tuple[str, ...], status: int) -> None:
    command = [sys.executable, "-c", START, *arguments, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "OPENAI_BASE_URL" in line:
                break
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
    assert process.returncode == status
    assert "Summary" in out
    assert error == ""


def test_a_terminal_is_drawn_in_place_and_left_as_it_was() -> None:
    main, side = pty.openpty()
    command = [sys.executable, "-c", START, "--calls", "6", "--rate", "30", "--port", "0"]
    with subprocess.Popen(command, stdout=side, stderr=subprocess.PIPE) as process:
        os.close(side)
        shown = b""
        while True:
            try:
                part = os.read(main, 65536)
            except OSError:  # Linux says so when the other side has closed
                break
            if not part:
                break
            shown += part
        os.close(main)
        process.wait(20)
    assert process.returncode == 0
    text = shown.decode()
    assert text.count("\x1b[?25l") == 1
    assert text.rstrip().endswith("\x1b[?25h")
    assert "\x1b[17F\x1b[J" in text
    assert "6/6 calls" in text


def test_the_example_is_the_policy_that_the_demo_runs() -> None:
    assert (REPOSITORY / "examples" / "demo.yaml").read_bytes() == demo_policy()


@pytest.mark.parametrize(
    "arguments", [("--calls", "0"), ("--rate", "0"), ("--rate", "-1"), ("--port", "70000")]
)
def test_impossible_arguments_are_refused(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(*arguments)
    assert "give" in capsys.readouterr().err
