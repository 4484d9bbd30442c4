"""Writes what is generated from the models: the CRDs and the policy reference.

python crds/generate.py          write the files that are out of date
python crds/generate.py --check  write nothing; exit 1 when a file is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from tiermesh_spec.crdgen import KINDS, crd
from tiermesh_spec.docsgen import reference

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Generated from crds/tiermesh_spec by crds/generate.py. Do not edit.\n"


class _Plain(yaml.SafeDumper):
    """Spells every value out: an anchor would be lost on readers of the CRD."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def generated() -> dict[Path, str]:
    """Every generated file's path, from the repository's root, and its text."""
    files = {
        Path("crds") / f"{kind.plural}.yaml": HEADER
        + yaml.dump(crd(kind), Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
        for kind in KINDS
    }
    return {**files, Path("docs/policy-reference.md"): reference(_examples())}


def _examples() -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted((ROOT / "examples").iterdir())}


def stale() -> list[Path]:
    """The generated files whose text is not what the models say."""
    return [
        path
        for path, text in generated().items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text("utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    texts = generated()
    out_of_date = stale()
    if "--check" in arguments:
        for path in out_of_date:
            sys.stderr.write(f"{path} is out of date: run python crds/generate.py\n")
        return 1 if out_of_date else 0
    for path in out_of_date:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(texts[path], "utf-8")
        sys.stderr.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
