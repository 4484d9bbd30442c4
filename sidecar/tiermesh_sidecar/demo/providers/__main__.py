"""One fake provider as a process: `python -m tiermesh_sidecar.demo.providers --model small`.

For benchmarks, clusters and trying things out by hand; tests use `FakeProvider` itself.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from tiermesh_sidecar.demo.providers.faults import Behaviours
from tiermesh_sidecar.demo.providers.server import Dialect, FakeProvider


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tiermesh_sidecar.demo.providers")
    parser.add_argument("--model", action="append", required=True, help="repeatable")
    parser.add_argument("--embedding-model", action="append", default=[], help="repeatable")
    parser.add_argument("--key", help="the API key that is asked for; none by default")
    parser.add_argument("--dialect", choices=[d.value for d in Dialect], default="OpenAI")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--head-ms", type=float, default=0.0, help="before each answer")
    parser.add_argument("--token-ms", type=float, default=0.0, help="per output token")
    parser.add_argument("--lenient", action="store_true", help="accept unknown parameters")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    provider = FakeProvider(
        model=args.model,
        key=args.key,
        dialect=Dialect(args.dialect),
        behaviours=Behaviours(head_s=args.head_ms / 1000, token_s=args.token_ms / 1000),
        embedding_models=args.embedding_model,
        lenient=args.lenient,
        remember=10,
        host=args.host,
        port=args.port,
    )
    async with provider:
        sys.stdout.write(f"{provider.url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    main()
