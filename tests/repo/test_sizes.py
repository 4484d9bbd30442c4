"""Files and functions stay small enough to be read in one go; the limits have no exceptions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES = 400
FUNCTION_LINES = 50
PACKAGES = ("crds", "sidecar", "operator")
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in PACKAGES
    for path in sorted((ROOT / folder).rglob("*.py"))
}
TREES = {name: ast.parse(text) for name, text in TEXTS.items()}

_MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and lines of each function, its decorators and docstring not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            header = node.body[0].lineno - node.lineno
            yield node.name, header + (body[-1].end_lineno or 0) - body[0].lineno + 1


def variables(tree: ast.Module) -> Iterator[str]:
    """Names at module level that hold a list, dict or set and are not written as constants."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, _MUTABLE):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                name = ast.unparse(target)
                if not name.lstrip("_").isupper() and name != "__all__":
                    yield name


def test_the_packages_are_found() -> None:
    assert len(TREES) > 100


def test_no_file_is_too_long() -> None:
    lines = {name: len(text.splitlines()) for name, text in TEXTS.items()}
    assert {name: n for name, n in lines.items() if n > FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    found = [(name, f, n) for name, tree in TREES.items() for f, n in functions(tree)]
    assert [(name, f, n) for name, f, n in found if n > FUNCTION_LINES] == []


def test_each_module_says_why_it_exists() -> None:
    assert [name for name, tree in TREES.items() if tree.body and not ast.get_docstring(tree)] == []


def test_no_module_holds_mutable_state() -> None:
    assert [(name, v) for name, tree in TREES.items() for v in variables(tree)] == []


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error")
    assert [(name, m) for name, text in TEXTS.items() for m in marks if m in text] == []


def test_the_measures_measure() -> None:
    long = "def long():\n    'doc'\n" + "    pass\n" * 60
    assert list(functions(ast.parse(long))) == [("long", 61)]
    assert list(variables(ast.parse("CONSTANT = [1]\ncache = {}\n"))) == ["cache"]
