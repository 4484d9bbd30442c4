"""The sidecar's settings: a flag each, and the same as an environment variable.

The table `OPTIONS` is the one list of them; the parser, the environment and the documentation's
test read it. A flag beats its variable. Every refusal names the flag and says what to give instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tiermesh_sidecar.net.logs import FORMATS, LEVELS
from tiermesh_sidecar.net.setting_values import (
    MIB,
    Address,
    SettingsError,
    is_loopback,
    one_of,
    parse_address,
    parse_labels,
    parse_seconds,
    parse_size,
)

__all__ = ["OPTIONS", "Address", "Option", "Settings", "SettingsError", "build_settings"]

LISTEN = Address(host="127.0.0.1", port=4480)
ADMIN = Address(host="127.0.0.1", port=4481)
HEALTH = Address(host="0.0.0.0", port=4482)  # the pod's address: probes come from outside
OPENAI_PUBLIC_URL = "https://api.openai.com/v1"
ANTHROPIC_PUBLIC_URL = "https://api.anthropic.com/v1"


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    flag: str
    variable: str
    default: str | None
    metavar: str
    help: str
    repeatable: bool = False
    separator: str = ""
    """Between the values of a repeatable option in its variable."""


OPTIONS: tuple[Option, ...] = (
    Option(
        flag="-f",
        variable="TIERMESH_FILES",
        default=None,
        metavar="FILE_OR_DIR",
        help="YAML or JSON of tiers, policies, secrets; or a directory of *.yaml, *.yml, *.json",
        repeatable=True,
        separator=os.pathsep,
    ),
    Option(
        flag="--listen",
        variable="TIERMESH_LISTEN",
        default=str(LISTEN),
        metavar="HOST:PORT",
        help="where applications call",
    ),
    Option(
        flag="--admin",
        variable="TIERMESH_ADMIN",
        default=str(ADMIN),
        metavar="HOST:PORT",
        help="the /decisions page and /config; a loopback address",
    ),
    Option(
        flag="--health",
        variable="TIERMESH_HEALTH",
        default=str(HEALTH),
        metavar="HOST:PORT",
        help="/healthz, /readyz and /metrics",
    ),
    Option(
        flag="--secrets-dir",
        variable="TIERMESH_SECRETS_DIR",
        default=None,
        metavar="DIR",
        help="provider keys as DIR/NAME/KEY, as Kubernetes mounts them",
    ),
    Option(
        flag="--namespace",
        variable="TIERMESH_NAMESPACE",
        default=None,
        metavar="NAME",
        help="the namespace this sidecar runs in; by default the only one the policies name",
    ),
    Option(
        flag="--label",
        variable="TIERMESH_LABELS",
        default=None,
        metavar="KEY=VALUE",
        help="a label of the pod, for policy selectors and identity",
        repeatable=True,
        separator=",",
    ),
    Option(
        flag="--audit",
        variable="TIERMESH_AUDIT",
        default="stdout",
        metavar="stdout|FILE|none",
        help="where one JSON line per call goes; a file is rotated",
    ),
    Option(
        flag="--max-body",
        variable="TIERMESH_MAX_BODY",
        default="64MiB",
        metavar="SIZE",
        help="largest request body, in bytes or with KiB or MiB; larger ones are answered 413",
    ),
    Option(
        flag="--drain",
        variable="TIERMESH_DRAIN",
        default="5",
        metavar="SECONDS",
        help="how long calls in flight may go on after SIGTERM",
    ),
    Option(
        flag="--log-level",
        variable="TIERMESH_LOG_LEVEL",
        default="info",
        metavar="|".join(LEVELS),
        help="least severe messages to log",
    ),
    Option(
        flag="--log-format",
        variable="TIERMESH_LOG_FORMAT",
        default="text",
        metavar="|".join(FORMATS),
        help="text, or json: one object a line",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    files: tuple[Path, ...] = ()
    listen: Address = LISTEN
    admin: Address = ADMIN
    health: Address = HEALTH
    secrets_dir: Path | None = None
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    audit: str = "stdout"
    """`stdout`, `none`, or a file's path."""
    max_body: int = 64 * MIB
    """Bytes."""
    drain_s: float = 5.0
    log_level: str = "info"
    log_format: str = "text"
    original_openai_url: str = OPENAI_PUBLIC_URL
    """Where OpenAI calls go when no policy acts: the app's own address before injection."""
    original_anthropic_url: str = ANTHROPIC_PUBLIC_URL


def build_settings(
    flags: Mapping[str, str | Sequence[str] | None], environment: Mapping[str, str]
) -> Settings:
    """Settings from parsed flags (by `Option.flag`) over `environment` over defaults.

    Raises SettingsError with the flag's or variable's name and what to give instead.
    """
    read = _Reader(flags, environment)
    admin, admin_name = read.parsed("--admin", parse_address)
    if not is_loopback(admin.host):
        raise SettingsError(
            f"{admin_name} {admin}: decisions show who calls, so this must be a loopback address, "
            f"such as 127.0.0.1:{admin.port}"
        )
    secrets_dir = read.text("--secrets-dir")[0]
    labels, labels_name = read.many("--label")
    return Settings(
        files=tuple(Path(name) for name in read.many("-f")[0]),
        listen=read.parsed("--listen", parse_address)[0],
        admin=admin,
        health=read.parsed("--health", parse_address)[0],
        secrets_dir=Path(secrets_dir) if secrets_dir else None,
        namespace=read.text("--namespace")[0] or None,
        labels=parse_labels(labels, labels_name),
        audit=read.text("--audit")[0] or "stdout",
        max_body=read.parsed("--max-body", parse_size)[0],
        drain_s=read.parsed("--drain", parse_seconds)[0],
        log_level=read.parsed("--log-level", one_of(LEVELS))[0],
        log_format=read.parsed("--log-format", one_of(FORMATS))[0],
        original_openai_url=_openai_url(environment),
        original_anthropic_url=_anthropic_url(environment),
    )


class _Reader:
    """Looks one option up in the flags, the environment, the defaults, in that order."""

    def __init__(
        self, flags: Mapping[str, str | Sequence[str] | None], environment: Mapping[str, str]
    ) -> None:
        self._flags = flags
        self._environment = environment
        self._options = {option.flag: option for option in OPTIONS}

    def text(self, flag: str) -> tuple[str, str]:
        """The value ("" when unset) and the name of the place it came from."""
        option = self._options[flag]
        given = self._flags.get(flag)
        if isinstance(given, str):
            return given, flag
        if self._environment.get(option.variable):
            return self._environment[option.variable], option.variable
        return option.default or "", flag

    def many(self, flag: str) -> tuple[list[str], str]:
        option = self._options[flag]
        given = self._flags.get(flag)
        if given and not isinstance(given, str):
            return list(given), flag
        value = self._environment.get(option.variable, "")
        return [part for part in value.split(option.separator) if part], option.variable

    def parsed(self, flag: str, parse: Callable[[str, str], T]) -> tuple[T, str]:
        text, name = self.text(flag)
        return parse(text, name), name


def _openai_url(environment: Mapping[str, str]) -> str:
    """OpenAI clients append to a base that already holds the version; a bare host gets `/v1`."""
    url = _url(environment, "TIERMESH_ORIGINAL_OPENAI_URL", OPENAI_PUBLIC_URL)
    return url if "/" in url.partition("://")[2] else f"{url}/v1"


def _anthropic_url(environment: Mapping[str, str]) -> str:
    """Anthropic clients append `/v1/messages` to their base, whatever its path."""
    url = _url(environment, "TIERMESH_ORIGINAL_ANTHROPIC_URL", ANTHROPIC_PUBLIC_URL)
    return url if url.endswith("/v1") else f"{url}/v1"


def _url(environment: Mapping[str, str], variable: str, default: str) -> str:
    url = (environment.get(variable) or default).rstrip("/")
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("http", "https") or not rest:
        raise SettingsError(f"{variable} {url}: give a URL such as {default}")
    return url
