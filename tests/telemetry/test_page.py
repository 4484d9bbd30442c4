"""The page must work without a network and must not run what a caller wrote."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from tiermesh_sidecar.telemetry.decisions import page

HTML = page().body.decode()
(SCRIPT,) = re.findall(r"<script>(.*?)</script>", HTML, re.DOTALL)
(STYLE,) = re.findall(r"<style>(.*?)</style>", HTML, re.DOTALL)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(HTML)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_is_loaded_from_anywhere() -> None:
    assert "//" not in re.sub(r"^\s*//.*$", "", HTML, flags=re.MULTILINE)
    assert not re.search(r"url\(|@import", STYLE)
    names = {name for _, attributes in Elements().found for name in attributes}
    assert names & {"src", "href", "srcset", "action", "data"} == set()


@pytest.mark.parametrize(
    "word",
    [
        "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(",
        "setAttribute(\"style\"", "setAttribute(\"on", "srcdoc", "DOMParser", "javascript:",
    ],
)  # fmt: skip
def test_the_script_never_makes_markup_or_code_from_text(word: str) -> None:
    assert word not in SCRIPT


def test_no_element_carries_a_handler_or_style_of_its_own() -> None:
    for tag, attributes in Elements().found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag


def test_the_policy_lets_only_this_script_and_style_run() -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in page().headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": hash_of(SCRIPT),
        "style-src": hash_of(STYLE),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def hash_of(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def test_every_element_that_the_script_asks_for_exists_once() -> None:
    ids = [a["id"] for _, a in Elements().found if "id" in a]
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'\bat\("([a-z-]+)"\)', SCRIPT)) <= set(ids)


def test_the_page_can_be_read_by_more_than_eyes() -> None:
    found = Elements().found
    assert next(a for t, a in found if t == "html")["lang"] == "en"
    assert all(a.get("scope") == "col" for t, a in found if t == "th")
    assert any(a.get("aria-live") == "polite" for _, a in found)
    assert any(t == "caption" for t, _ in found)
    assert all(a.get("type") == "button" for t, a in found if t == "button")
    assert "prefers-color-scheme: dark" in STYLE
    assert ":focus-visible" in STYLE
