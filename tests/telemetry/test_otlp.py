from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from tiermesh_sidecar.telemetry.otlp import export_wanted, open_export

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "zipkin"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, True),
    ],
)
def test_export_is_on_where_somebody_said_where_to(environ: dict[str, str], wanted: bool) -> None:
    assert export_wanted(environ) is wanted


def test_an_exporter_that_is_not_built_in_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_export({"OTEL_TRACES_EXPORTER": "zipkin"}, version="1") is None
    assert "zipkin" in caplog.text


def test_a_protocol_that_is_not_built_in_is_named_and_http_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        export = open_export({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, version="1")
    assert export is not None
    export.close(5.0)
    assert "OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc'" in caplog.text


@pytest.mark.parametrize(
    "address",
    ["not a url", "127.0.0.1:4318", "http://", "ftp://h:1", "http://h:99999", "http://[::1"],
)
def test_an_endpoint_that_is_no_address_is_said_at_once(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_export({"OTEL_EXPORTER_OTLP_ENDPOINT": address}, version="1") is None
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is no address" in caplog.text


def test_a_switch_that_is_neither_on_nor_off_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert export_wanted({**ENDPOINT, "OTEL_SDK_DISABLED": "maybe"})
    assert "OTEL_SDK_DISABLED: 'maybe'" in caplog.text


def test_opentelemetry_is_loaded_only_for_export() -> None:
    program = (
        "import sys; import tiermesh_sidecar.telemetry.recorder as r; "
        "r.open_recorder(audit='none', version='1', environ={}); "
        "sys.exit(any(m.split('.')[0] in ('opentelemetry', 'requests', 'urllib3', 'google') "
        "for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
