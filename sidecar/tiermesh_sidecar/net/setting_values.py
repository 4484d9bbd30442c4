"""Values of settings from their text: addresses, sizes, labels, and what is said of a wrong one."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MIB = 1024 * 1024


class SettingsError(ValueError):
    """A flag or variable that cannot be used; the text names it and the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A TCP address to listen on; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str, flag: str) -> Address:
    """`host:port`, `[v6]:port` or `:port` (every address)."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"{flag} {text}: give HOST:PORT, such as 127.0.0.1:4480 or [::1]:4480")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise SettingsError(f"{flag} {text}: put an IPv6 address in brackets, such as [::1]:{port}")
    return Address(host=host or "0.0.0.0", port=int(port))


def parse_size(text: str, flag: str) -> int:
    """Bytes of `1048576`, `1024KiB` or `1MiB`."""
    for suffix, factor in (("KiB", 1024), ("MiB", MIB), ("", 1)):
        number = text.removesuffix(suffix)
        if text.endswith(suffix) and number.isascii() and number.isdigit() and int(number) > 0:
            return int(number) * factor
    raise SettingsError(f"{flag} {text}: give a size such as 64MiB, 512KiB or 1048576")


def parse_labels(texts: Sequence[str], flag: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise SettingsError(f"{flag} {text}: give KEY=VALUE, such as app=checkout")
        labels[key.strip()] = value.strip()
    return labels


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_seconds(text: str, flag: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise SettingsError(f"{flag} {text}: give seconds between 0 and 3600, such as 5")
    return seconds


def one_of(names: Sequence[str]) -> Callable[[str, str], str]:
    def parse(text: str, flag: str) -> str:
        if text.lower() not in names:
            raise SettingsError(f"{flag} {text}: give one of {', '.join(names)}")
        return text.lower()

    return parse
