"""JSON as people and programs really write it: odd numbers, escapes, spaces. Returns text, so a
test knows every byte of what it sends."""

from __future__ import annotations

import json

from hypothesis import strategies as st

NUMBERS = [
    "0", "-0", "-0.0", "1", "1.0", "1.10", "1E5", "1e-7", "1e400", "-1e400", "0.1e+2",
    "18446744073709551616", "12345678901234567890123456789012345678901", "9007199254740993",
    "2e-400",
]  # fmt: skip
STRINGS = [
    '""', '"x"', r'"\""', r'"\\"', r'"\\\""', r'"a\\"', r'"\u0041"', r'"\ud83d\ude00"', r'"\ud800"',
    '"ä€😀"', r'"\/"', r'"{\"model\":1}"', r'"]}\\\"[{"', r'"\n\t\b\f\r"', '"\x7f"', '"\u2028"',
    '"model"', '"usage"',
]  # fmt: skip
SPACES = ["", "", "", " ", "\n", "\t", "\r\n", "  \n "]

spaces = st.sampled_from(SPACES)
scalars = (
    st.sampled_from([*NUMBERS, *STRINGS, "true", "false", "null"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(json.dumps)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(
        lambda text: json.dumps(text, ensure_ascii=False)
    )
)


@st.composite
def _array(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(inner, max_size=3))
    parts = [draw(spaces) + item + draw(spaces) for item in items]
    return "[" + (",".join(parts) if parts else draw(spaces)) + "]"


@st.composite
def _object(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    pairs = draw(st.lists(st.tuples(st.sampled_from(STRINGS), inner), max_size=3))
    parts = [
        draw(spaces) + key + draw(spaces) + ":" + draw(spaces) + value + draw(spaces)
        for key, value in pairs
    ]
    return "{" + (",".join(parts) if parts else draw(spaces)) + "}"


values = st.recursive(scalars, lambda inner: _array(inner) | _object(inner), max_leaves=8)
