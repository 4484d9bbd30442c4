"""What reached a provider, byte for byte, for assertions and for looking.

Records what came and how it ended; it judges nothing but leaks.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

RawHeaders = tuple[tuple[bytes, bytes], ...]

_PRIVATE = (b"x-tiermesh-", b"baggage")
_CREDENTIALS = (b"authorization", b"x-api-key", b"api-key", b"proxy-authorization", b"cookie")


class Ending(StrEnum):
    ANSWERED = "answered"
    """Written whole, rejections included."""
    FAULTED = "faulted"
    """Broken off on purpose."""
    CLIENT_GONE = "client_gone"
    """The other side closed the connection first."""


@dataclass(slots=True, kw_only=True, eq=False)
class Received:
    """One request. `ended` and what follows are set while it is answered."""

    number: int
    """From 1, in the order of arrival."""
    at: float
    """The event loop's time in seconds."""
    method: str
    raw_path: str
    """As it stood in the request line, with the query."""
    raw_headers: RawHeaders
    """In the order and the letter case in which they came."""
    body: bytes
    status: int | None = None
    """None until a head was sent."""
    sent: int = 0
    """Body bytes handed to the transport."""
    ending: Ending | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `ending` is known: a test waits for it instead of sleeping."""

    def values(self, name: str) -> list[str]:
        """Every value of a header, whatever its letter case."""
        wanted = name.casefold().encode()
        return [v.decode("latin-1") for n, v in self.raw_headers if n.lower() == wanted]

    def header(self, name: str) -> str | None:
        """A header's only value, None without it.

        Raises ValueError when it came more than once.
        """
        found = self.values(name)
        if len(found) > 1:
            raise ValueError(f"{name} came {len(found)} times")
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)

    def leaks(self, key: str | None) -> list[str]:
        """Names of headers that must not have come: hints and baggage, and credentials that are
        not the provider's own key."""
        names = [n.lower() for n, _ in self.raw_headers if n.lower().startswith(_PRIVATE)]
        own = {f"Bearer {key}".encode(), (key or "").encode()} if key is not None else set()
        foreign = [
            n.lower() for n, v in self.raw_headers if n.lower() in _CREDENTIALS and v not in own
        ]
        return [name.decode("latin-1") for name in (*names, *foreign)]

    def finish(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self.done.set()
