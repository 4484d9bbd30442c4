"""The program that `compile_process` starts: a request on standard input, a result on its output.

Its memory holds keys, so it prints nothing else, and a crash shows no values.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path

from tiermesh_sidecar.net.compile_result import Compiled, write_compiled, write_refused


def main() -> None:
    gc.disable()  # a tenth of the time goes there, and the process ends before memory matters
    # Imported before the request is read: at a cold start the parent is busy importing too, and
    # sends it when it gets round to it.
    import_module("tiermesh_sidecar.net.documents")
    request = json.loads(sys.stdin.buffer.read())
    paths = [Path(name) for name in request["files"]]
    try:
        output = compiled_output(paths, request["namespace"])
    except Exception as error:
        # The frames say where; the exception's text could quote a document.
        print_crash(error)
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
    os._exit(0)  # nothing to clean up, and tearing down the libraries takes as long as compiling


def compiled_output(paths: list[Path], namespace: str | None) -> bytes:
    from tiermesh_sidecar.net.documents import compile_paths
    from tiermesh_spec.snapshot import dump

    result = compile_paths(paths, namespace)
    if isinstance(result, Compiled):
        return write_compiled(dump(result.snapshot), result.namespace, result.keys)
    return write_refused(result.problems)


def print_crash(error: Exception) -> None:
    sys.stderr.write(f"compiling crashed with {type(error).__name__}\n")
    sys.stderr.writelines(traceback.format_tb(error.__traceback__))


if __name__ == "__main__":
    main()
