"""How fast a sidecar starts, and what it weighs, with everything on.

    python benchmarks/startup.py                      # as text
    python benchmarks/startup.py --output json
    python benchmarks/startup.py --otlp http://jaeger:4318

On: three tiers, five rules of which two are CEL, entitlements, a signal, export of every trace, an
audit file. A cold start is a new process and, as in a new pod, the compile process that it starts;
the files of Python are in the page cache and compiled. It ends with the last byte of the first
routed call's answer, 200, from a fake provider on the same machine.

Nothing here asserts: times of one machine say nothing about another. The tests hold the memory's
limit (`tests/net/test_process.py`).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIMIT_S = 30.0
"""For whatever is waited for."""
PACKAGES = (
    "tiermesh",
    "aiohttp",
    "uvloop",
    "orjson",
    "cel-expr-python",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
)
TIERS = {"small": "0.15", "medium": "0.80", "large": "3.00"}
KEY = "sk-of-the-provider"
_CHAT: dict[str, Any] = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": "You answer questions about orders."},
        {"role": "user", "content": "Where is my parcel, and when will it be here?"},
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="cold starts (5)")
    parser.add_argument("--calls", type=int, default=200, help="before the second weighing (200)")
    parser.add_argument("--otlp", help="a collector's address; by default one that only counts")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    args = parser.parse_args()
    result = measure(runs=max(1, args.runs), calls=max(1, args.calls), otlp=args.otlp)
    print(json.dumps(result, indent=2) if args.output == "json" else as_text(result))


def measure(*, runs: int, calls: int, otlp: str | None) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        policy = folder / "policy.yaml"
        url = stack.enter_context(provider())
        policy.write_text("\n---\n".join(json.dumps(d) for d in documents(url)), "utf-8")
        collector = None if otlp else stack.enter_context(counting_collector())
        endpoint = otlp or (collector.url if collector else "")
        with sidecar(folder, policy, endpoint) as first:  # fills the caches, and is not counted
            first.wait_for_answer()
        starts = [cold_start(folder, policy, endpoint) for _ in range(runs)]
        sizes = [weigh(folder, policy, endpoint, calls) for _ in range(3)]
        if collector is not None and not collector.exports:
            raise SystemExit("the collector got no spans: not everything was on")
    return {
        "coldStartMs": summary([clock for clock, _, _ in starts]),
        "cpuMs": {
            "sidecar": summary([own for _, own, _ in starts]),
            "compileProcess": summary([child for _, _, child in starts]),
        },
        "rssMiB": {
            "idle": summary([one["idle"] for one in sizes]),
            f"after{calls}Calls": summary([one["after"] for one in sizes]),
            "peak": max(one["peak"] for one in sizes),
        },
        "calls": calls,
        "otlp": "a collector that counts" if otlp is None else "a real collector",
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def cold_start(folder: Path, policy: Path, endpoint: str) -> tuple[float, float, float]:
    """From the start of the process to the end of its first answer: milliseconds by the clock, and
    of CPU in the sidecar and in the compile process, which run at the same time. The clock says
    more about a quiet machine, the CPU more about a busy one."""
    with sidecar(folder, policy, endpoint) as running:
        running.wait_for_answer()
        elapsed = (time.perf_counter() - running.began) * 1000
        return (elapsed, *running.cpu_ms())


def weigh(folder: Path, policy: Path, endpoint: str, calls: int) -> dict[str, float]:
    """MiB resident: when nothing has been asked yet, and after so many calls, half of them
    streams."""
    with sidecar(folder, policy, endpoint) as running:
        running.wait_until_ready()
        time.sleep(1.0)
        idle = running.resident("VmRSS")
        for number in range(calls):
            if running.call(stream=bool(number % 2)) != 200:
                raise SystemExit("a call failed")
        time.sleep(1.0)  # the last spans leave
        return {
            "idle": idle,
            "after": running.resident("VmRSS"),
            "peak": running.resident("VmHWM"),
        }


def summary(values: list[float]) -> dict[str, Any]:
    middle = statistics.median(values)
    figures = {"median": middle, "min": min(values), "max": max(values)}
    return {
        **{name: round(value, 1) for name, value in figures.items()},
        "runs": [round(value, 1) for value in values],
    }


@dataclass(slots=True)
class Running:
    process: subprocess.Popen[bytes]
    began: float
    port: int
    health: int

    def call(self, *, stream: bool = False) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            body = json.dumps({**_CHAT, "stream": stream})
            headers = {"content-type": "application/json", "x-plan": "pro"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def wait_for_answer(self) -> None:
        """The data port opens when there is a configuration: until then, nobody is there."""
        for _ in self._patience():
            try:
                if self.call() == 200:
                    return
            except OSError:
                continue

    def wait_until_ready(self) -> None:
        for _ in self._patience():
            connection = http.client.HTTPConnection("127.0.0.1", self.health, timeout=LIMIT_S)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                continue
            finally:
                connection.close()

    def _patience(self) -> Iterator[None]:
        while time.perf_counter() - self.began < LIMIT_S:
            if self.process.poll() is not None:
                break
            yield
            time.sleep(0.002)
        raise SystemExit("the sidecar did not come up")

    def cpu_ms(self) -> tuple[float, float]:
        """Milliseconds of CPU: its own, and of the processes that it started and that have ended
        (proc(5), fields 14 to 17)."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        ticks = [int(field) for field in stat.rpartition(")")[2].split()[11:15]]
        own, children = sum(ticks[:2]), sum(ticks[2:])
        unit = 1000 / os.sysconf("SC_CLK_TCK")
        return own * unit, children * unit

    def resident(self, name: str) -> float:
        """`VmRSS` or `VmHWM` in MiB (proc(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise SystemExit("no /proc here: memory is measured on Linux only")
        return round(int(found[1]) / 1024, 1)


@contextmanager
def sidecar(folder: Path, policy: Path, endpoint: str) -> Iterator[Running]:
    port, admin, health = free_ports(3)
    command = [
        *(sys.executable, "-m", "tiermesh_sidecar", "sidecar", "-f", str(policy)),
        *(f"--listen=127.0.0.1:{port}", f"--admin=127.0.0.1:{admin}"),
        *(f"--health=127.0.0.1:{health}", f"--audit={folder / 'audit.jsonl'}"),
        "--log-level=error",
    ]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TIERMESH_"))}
    tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    began = time.perf_counter()
    with subprocess.Popen(command, env={**clean, **tracing}) as process:
        try:
            yield Running(process, began, port, health)
        finally:
            process.terminate()
            try:
                process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def provider() -> Iterator[str]:
    """A fake provider of all tiers' models, as a process of its own; its address."""
    models = [part for name in TIERS for part in ("--model", f"{name}-2025")]
    command = [sys.executable, "-m", "tiermesh_sidecar.demo.providers", "--key", KEY, *models]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.terminate()


@dataclass(slots=True)
class Collector:
    url: str
    exports: list[int] = field(default_factory=list)
    """Bytes of each export."""


@contextmanager
def counting_collector() -> Iterator[Collector]:
    class Take(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            self.rfile.read(length)
            collector.exports.append(length)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_request(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for held in sockets:
        held.bind(("127.0.0.1", 0))
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def documents(url: str) -> list[dict[str, Any]]:
    api = {"apiVersion": "tiermesh.dev/v1alpha1"}
    place = {"namespace": "shop"}
    tiers = [
        {
            **api,
            "kind": "ModelTier",
            "metadata": {"name": name, **place},
            "spec": {
                "rank": rank,
                "price": {"inputPerMillionTokens": price, "outputPerMillionTokens": price},
                "capabilities": ["Tools", "JSONSchema", "Vision"],
                "contextWindow": 131072,
                "backends": [
                    {
                        "name": name,
                        "provider": "OpenAI",
                        "model": f"{name}-2025",
                        "target": {"url": url},
                        "credentials": {"secretRef": {"name": "keys", "key": "api-key"}},
                    }
                ],
            },
        }
        for rank, (name, price) in enumerate(TIERS.items(), 1)
    ]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", **place},
        "stringData": {"api-key": KEY},
    }
    policy = {**api, "kind": "RoutingPolicy", "metadata": {"name": "checkout", **place}}
    return [*tiers, secret, {**policy, "spec": policy_spec()}]


def policy_spec() -> dict[str, Any]:
    bands = [{"below": "0.35", "tier": "small"}, {"below": "0.70", "tier": "medium"}]
    return {
        "tiers": [{"name": name} for name in TIERS],
        "identity": [
            {"attribute": "plan", "header": "x-plan"},
            {"attribute": "step", "header": "x-step"},
        ],
        "signals": [{"name": "complexity", "heuristic": {}}],
        "entitlements": {
            "grants": [
                {"name": "free", "when": 'caller.plan == "free"', "tiers": ["small"]},
                {"name": "paid", "when": 'caller.plan != "free"', "tiers": [*TIERS]},
            ]
        },
        "rules": [
            {"name": "steps", "match": {"steps": ["classify"]}, "route": pin("small")},
            {"name": "pictures", "match": {"hasImages": True}, "route": pin("large")},
            {
                "name": "long",
                "when": 'caller.plan == "premium" && request.tokens > 200',
                "route": pin("large"),
            },
            {"name": "huge", "when": "request.tokens > 50000", "route": pin("medium")},
            {
                "name": "rest",
                "route": {
                    "threshold": {
                        "signal": "complexity",
                        "bands": [*bands, {"tier": "large"}],
                        "onAbstain": "medium",
                    }
                },
            },
        ],
        "default": {"route": pin("large")},
    }


def pin(tier: str) -> dict[str, Any]:
    return {"pin": {"tier": tier}}


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        model = found[1] if found else model
    except OSError:
        pass  # not Linux
    python = f"{platform.python_implementation()} {platform.python_version()}"
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {os.cpu_count()} CPUs, {system}, {python}, load {load}"


def as_text(result: dict[str, Any]) -> str:
    rss, cpu = result["rssMiB"], result["cpuMs"]
    calls = result["calls"]
    rows = [
        ("cold start", "ms", result["coldStartMs"]),
        ("  CPU, sidecar", "ms", cpu["sidecar"]),
        ("  CPU, compiling", "ms", cpu["compileProcess"]),
        ("idle RSS", "MiB", rss["idle"]),
        (f"after {calls} calls", "MiB", rss[f"after{calls}Calls"]),
    ]
    lines = [
        f"{name:<19}{row['median']:>8} {unit:<4} {row['min']} to {row['max']}, median of "
        f"{len(row['runs'])}"
        for name, unit, row in rows
    ]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    peak = f"{'peak':<19}{rss['peak']:>8} MiB"
    return "\n".join([*lines, peak, "", result["machine"], versions])


if __name__ == "__main__":
    main()
