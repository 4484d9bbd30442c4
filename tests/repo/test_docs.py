"""The documentation names everything that a user can meet: settings, errors, reasons, laws.

The lists come from the code, so that something new fails here until it is written down. What leaves
the sidecar as telemetry is checked beside it, in `tests/telemetry/test_documented.py`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.decision import Reason as DecisionReason
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.net.settings import OPTIONS
from tiermesh_sidecar.wire.errors import STATUS, render
from tiermesh_spec.conditions import ConditionType
from tiermesh_spec.conditions import Reason as ConditionReason

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "e2e" / "README.md", *DOCS.glob("*.md")])
SOURCES = sorted((ROOT / "sidecar").rglob("*.py"))
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (DOCS / name).read_text()


def headings(path: Path) -> set[str]:
    """The anchors that a Markdown viewer makes of a page's headings."""
    lines = FENCE.sub("", path.read_text()).splitlines()
    titles = [line.lstrip("#").strip() for line in lines if re.match(r"#{1,6} ", line)]
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def test_every_variable_of_the_source_is_documented() -> None:
    used = {v for path in SOURCES for v in re.findall(r"\bTIERMESH_[A-Z_]+\b", path.read_text())}
    assert used
    assert {v for v in used if f"`{v}`" not in page("configuration.md")} == set()


def test_no_variable_is_documented_that_the_source_does_not_read() -> None:
    used = {v for path in SOURCES for v in re.findall(r"\bTIERMESH_[A-Z_]+\b", path.read_text())}
    assert set(re.findall(r"\bTIERMESH_[A-Z_]+\b", page("configuration.md"))) <= used


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_every_flag_stands_with_its_variable_and_default(option: object) -> None:
    flag, variable, default = (getattr(option, n) for n in ("flag", "variable", "default"))
    rows = [line for line in page("configuration.md").splitlines() if f"`{flag}" in line]
    assert any(f"`{variable}`" in row and (not default or f"`{default}`" in row) for row in rows)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_has_a_section_with_its_status(code: ErrorCode) -> None:
    sections = re.split(r"^## ", page("troubleshooting.md"), flags=re.MULTILINE)
    section = next((s for s in sections if s.startswith(f"`{code.value}`")), "")
    assert section, f"docs/troubleshooting.md has no section `{code.value}`"
    assert str(STATUS[code]) in section.splitlines()[0]
    assert "```json" in section
    assert all(word in section for word in ("**What happened.**", "**What to change.**"))


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_example_of_an_error_is_what_a_client_gets(code: ErrorCode) -> None:
    section = page("troubleshooting.md").split(f"\n## `{code.value}`", 1)[1]
    example = json.loads(section.split("```json\n", 1)[1].split("```", 1)[0])
    error = example["error"]
    refusal = Refusal(code=code, message=error["message"], param=error["param"])
    assert json.loads(render(refusal, Dialect.OPENAI)) == example
    assert len(error["message"]) > 20


def test_no_error_code_is_documented_that_does_not_exist() -> None:
    titled = re.findall(r"^## `(\w+)`", page("troubleshooting.md"), re.MULTILINE)
    assert set(titled) == {code.value for code in ErrorCode}


@pytest.mark.parametrize(
    "name",
    [*(r.value for r in DecisionReason), *ConditionType, *(r.value for r in ConditionReason)],
)
def test_every_reason_and_condition_is_explained(name: str) -> None:
    assert f"`{name}`" in page("concepts.md")


def test_every_law_that_code_refers_to_is_written_down() -> None:
    code = [*SOURCES, *(ROOT / "crds").rglob("*.py"), *(ROOT / "tests").rglob("test_*.py")]
    cited = {n for path in code for n in re.findall(r"\b[Ll]aws? (\d+)", path.read_text())}
    written = set(re.findall(r"^(\d+)\. ", page("contributing.md"), re.MULTILINE))
    assert cited
    assert cited <= written


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", path.read_text())):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_every_page_is_reached_from_the_readme(path: Path) -> None:
    assert f"docs/{path.name}" in (ROOT / "README.md").read_text()
