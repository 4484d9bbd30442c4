"""Words for fake answers: the same prompt and model give the same text, of a realistic length.

Nothing here is a language model; the words only have to look right in a terminal, hold some
characters of more than one byte, and cost tokens.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from itertools import pairwise

_SUBJECTS = (
    "the answer",
    "this approach",
    "the second step",
    "each part",
    "the total",
    "a simple check",
    "the naïve reading",
    "the café example",
    "the remaining term",
    "one alternative",
    "the given value",
    "the main idea",
)
_VERBS = (
    "follows from",
    "depends on",
    "adds up with",
    "agrees with",
    "is limited by",
    "comes before",
    "explains",
    "cancels out",
    "is close to",
    "builds on",
)
_OBJECTS = (
    "the numbers in the question",
    "what was said above",
    "the first condition",
    "the usual definition",
    "an estimate of about ½",
    "the order of the steps",
    "the smaller of the two",
    "what we already know",
    "the evidence — as far as it goes",
    "the rest of the terms",
)
_TOKEN = re.compile(r"\s?\S{1,5}|\s+")
_SHORTEST, _LONGEST = 24, 180


def token_count(text: str) -> int:
    """Tokens by the rule of thumb of four characters each; none for no text."""
    return math.ceil(len(text) / 4)


def seeded(*parts: str) -> random.Random:
    """A generator that depends on nothing but the words given."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def digest(*parts: str, length: int = 24) -> str:
    """Hex digits for ids."""
    whole = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return whole[:length]


def prose(rng: random.Random) -> str:
    """Some sentences, 24 to 180 tokens."""
    wanted = 4 * rng.randint(_SHORTEST, _LONGEST)
    sentences: list[str] = []
    length = 0
    while length < wanted:
        words = f"{rng.choice(_SUBJECTS)} {rng.choice(_VERBS)} {rng.choice(_OBJECTS)}."
        sentences.append(words[0].upper() + words[1:])
        length += len(words) + 1
    return " ".join(sentences)


def cut(text: str, limit: int | None, stops: tuple[str, ...] = ()) -> tuple[str, str, str | None]:
    """The text up to the first stop sequence and at most `limit` tokens, why it ended
    (`stop`, `length`, `stop_sequence`), and the stop sequence met."""
    found = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    reason, met = "stop", None
    if found:
        at, met = min(found)
        text, reason = text[:at], "stop_sequence"
    if limit is not None and token_count(text) > limit:
        text, reason, met = text[: limit * 4], "length", None
    return text, reason, met


def pieces(text: str) -> list[str]:
    """The text in token-like pieces; joined they give it back."""
    return _TOKEN.findall(text)


def names_tool(prompt: str, tool: str) -> bool:
    """Whether the prompt asks for a tool: it has a word of four letters or more of its name."""
    words = {word.casefold() for word in re.split(r"[^A-Za-z0-9]+", tool) if len(word) > 3}
    return bool(words & {word.casefold() for word in re.findall(r"[A-Za-z0-9]+", prompt)})


def windows(text: str, size: int) -> list[str]:
    """The text in slices of `size` characters, at least one."""
    edges = [*range(0, len(text), size), len(text)]
    return [text[a:b] for a, b in pairwise(edges)] or [""]
