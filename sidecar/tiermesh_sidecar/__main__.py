"""`tiermesh` and `python -m tiermesh_sidecar`: hands over to the command line."""

from __future__ import annotations

import sys

from tiermesh_sidecar.cli.main import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
