"""What each field means, read from the docstring under it: for the CRDs and the documentation.

Read from the source when a CRD or the reference is generated, not when a model is imported: a
sidecar's compile step starts in a fraction of a second and shows nobody a description.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

from tiermesh_spec.shape import Shape


def of_object(shape: type[Shape]) -> str:
    """The docstring of an object, as one line."""
    return _one_line(inspect.getdoc(shape) or "")


def of_fields(shape: type[Shape]) -> dict[str, str]:
    """The description of each field, by its Python name, as one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(shape))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, after in zip(tree.body, tree.body[1:], strict=False):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[statement.target.id] = _one_line(str(after.value.value))
    return found


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
