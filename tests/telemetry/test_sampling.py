from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from tiermesh_sidecar.telemetry.sampling import NOT_TRACING, read_sampler

LOW = "0" * 31 + "1"
HIGH = "f" * 32


@pytest.mark.parametrize(
    ("name", "root", "under_sampled", "under_unsampled"),
    [
        ("", True, True, False),
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_always_on", True, True, False),
        ("parentbased_always_off", False, True, False),
        ("nonsense", True, True, False),
    ],
)
def test_the_standard_samplers_answer_as_the_standard_says(
    name: str, root: bool, under_sampled: bool, under_unsampled: bool
) -> None:
    sampler = read_sampler({"OTEL_TRACES_SAMPLER": name})
    for trace_id in (LOW, HIGH):
        assert sampler.should_sample(None, trace_id) is root
        assert sampler.should_sample(True, trace_id) is under_sampled
        assert sampler.should_sample(False, trace_id) is under_unsampled


def test_without_an_exporter_the_callers_flag_goes_on_and_nothing_is_sampled_anew() -> None:
    assert NOT_TRACING.should_sample(True, LOW)
    assert not NOT_TRACING.should_sample(False, LOW)
    assert not NOT_TRACING.should_sample(None, LOW)


@given(
    trace_id=st.integers(1, 2**128 - 1),
    rate=st.floats(0, 1).map(lambda rate: round(rate, 6)),
    parent=st.sampled_from([None, True, False]),
)
def test_the_ratio_chooses_the_same_traces_as_the_sdk(
    trace_id: int, rate: float, parent: bool | None
) -> None:
    context = None
    if parent is not None:
        flags = TraceFlags(TraceFlags.SAMPLED if parent else TraceFlags.DEFAULT)
        context = set_span_in_context(NonRecordingSpan(SpanContext(trace_id, 1, True, flags)))
    environ = {"OTEL_TRACES_SAMPLER_ARG": repr(rate)}
    for name, sdk in (
        ("traceidratio", TraceIdRatioBased(rate)),
        ("parentbased_traceidratio", ParentBasedTraceIdRatio(rate)),
    ):
        ours = read_sampler({**environ, "OTEL_TRACES_SAMPLER": name})
        theirs = sdk.should_sample(context, trace_id, "tiermesh.route").decision.is_sampled()
        assert ours.should_sample(parent, f"{trace_id:032x}") is theirs


@pytest.mark.parametrize("text", ["", "two", "1.5", "-1", "nan"])
def test_a_ratio_that_is_none_means_every_trace_and_says_so(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        sampler = read_sampler(
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": text}
        )
    assert sampler.should_sample(None, HIGH)
    assert ("OTEL_TRACES_SAMPLER_ARG" in caplog.text) is (text != "")
