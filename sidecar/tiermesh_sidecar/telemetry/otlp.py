"""Where spans go, by OpenTelemetry's standard variables
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/).

Export is on where an OTLP endpoint is named, or asked for by OTEL_TRACES_EXPORTER=otlp: a sidecar
that nobody told of a collector must not knock on localhost for ever. The OpenTelemetry packages are
loaded only then; they cost some 6 MB.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tiermesh_sidecar.telemetry.export import SpanExport

SETTINGS = (
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
)
"""Every variable that has an effect here; `docs/observability.md` explains each."""

_log = logging.getLogger(__name__)


def export_wanted(environ: Mapping[str, str]) -> bool:
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower()
    if disabled == "true":
        return False
    if disabled not in ("", "false"):
        _log.warning("OTEL_SDK_DISABLED: %r is neither true nor false, taken as false", disabled)
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter not in ("", "otlp", "none"):
        _log.warning("OTEL_TRACES_EXPORTER: %r is not built in (otlp, none): no traces", exporter)
    if exporter == "":
        return any(
            environ.get(name)
            for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        )
    return exporter == "otlp"


def open_export(environ: Mapping[str, str], *, version: str) -> SpanExport | None:
    """The running export, or None where none is wanted or it cannot start (logged: a wrong setting
    of telemetry must not keep a sidecar from serving)."""
    if not export_wanted(environ):
        return None
    _warn_of_protocol(environ)
    try:
        _check_endpoint(environ)
        from tiermesh_sidecar.telemetry.export import SpanExport

        return SpanExport(environ, version=version)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        _log.warning("traces are off: the OTLP exporter cannot start: %s", error)
        return None


def _warn_of_protocol(environ: Mapping[str, str]) -> None:
    names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    name = next((name for name in names if environ.get(name)), None)
    if name is not None and environ[name].strip().lower() != "http/protobuf":
        _log.warning(
            "%s: %r is not built in, sending http/protobuf: the endpoint must take that "
            "(a collector's port 4318, not 4317)",
            name,
            environ[name],
        )


def _check_endpoint(environ: Mapping[str, str]) -> None:
    """Raises ValueError for an address that no request could ever reach."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    name = next((name for name in names if environ.get(name)), None)
    if name is None:
        return
    text = environ[name].strip()
    try:
        url = urlsplit(text)
        good = url.scheme.lower() in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        good = False
    if not good or any(character.isspace() for character in text):
        # Not quoted: an address may carry a password.
        raise ValueError(f"{name} is no address: write one such as http://collector:4318")
