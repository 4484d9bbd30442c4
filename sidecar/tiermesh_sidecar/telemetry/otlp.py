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
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
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
        from tiermesh_sidecar.telemetry.export import SpanExport

        return SpanExport(environ, version=version)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        _log.warning("traces are off: the OTLP exporter cannot start: %s", error)
        return None


def _warn_of_protocol(environ: Mapping[str, str]) -> None:
    name = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    protocol = environ.get(name) or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if protocol.strip().lower() != "http/protobuf":
        _log.warning("%s: %r is not built in, sending http/protobuf", name, protocol)
