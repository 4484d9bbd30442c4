from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from tiermesh_sidecar.core.features import Dialect, Endpoint, Features
from tiermesh_sidecar.core.outcome import Ending, Usage
from tiermesh_sidecar.core.record import AttemptOutcome, CallRecord
from tiermesh_sidecar.telemetry.account import account
from tiermesh_sidecar.telemetry.metrics import Dropped, Metrics, ReloadResult

Make = Callable[..., AttemptOutcome]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], str]

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"')


def parse(exposition: bytes) -> Samples:
    """A strict reader of text format 0.0.4: every family announced once, every sample of it."""
    text = exposition.decode("utf-8")
    assert text.endswith("\n")
    samples: Samples = {}
    family, kind, announced = "", "", set()
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in announced
            announced.add(family)
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            assert kind in ("counter", "gauge", "histogram")
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        name, labels, value = found.groups()
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        assert name in {family + suffix for suffix in suffixes}, line
        pairs = tuple(PAIR.findall(labels or ""))
        assert ",".join(f'{key}="{text}"' for key, text in pairs) == (labels or "")
        assert Decimal(value) is not None
        assert (name, pairs) not in samples
        samples[name, pairs] = value
    return samples


def value_of(samples: Samples, name: str, **labels: str) -> str:
    return samples[name, tuple(labels.items())]


def record(metrics: Metrics, *calls: CallRecord) -> Samples:
    for call in calls:
        metrics.record(call, account(call))
    return parse(metrics.render())


def test_a_call_is_counted_by_what_decided_and_served_it(call: CallRecord) -> None:
    samples = record(Metrics(version="1.2.3"), call, call)
    assert (
        value_of(
            samples,
            "tiermesh_requests_total",
            policy="shop/checkout",
            rule="steps",
            tier="small",
            backend="small-a",
            code="200",
            stream="true",
        )
        == "2"
    )
    assert (
        value_of(samples, "tiermesh_attempts_total", tier="small", backend="small-a", outcome="ok")
        == "2"
    )
    name = "tiermesh_request_duration_seconds"
    assert value_of(samples, f"{name}_bucket", tier="small", stream="true", le="0.25") == "0"
    assert value_of(samples, f"{name}_bucket", tier="small", stream="true", le="0.5") == "2"
    assert value_of(samples, f"{name}_count", tier="small", stream="true") == "2"
    assert value_of(samples, "tiermesh_decision_overhead_seconds_bucket", le="0.001") == "2"
    assert value_of(samples, "tiermesh_time_to_first_chunk_seconds_count", tier="small") == "2"
    for tier, reason in (("small", "Chosen"), ("large", "InPlan")):
        assert value_of(samples, "tiermesh_candidates_total", tier=tier, reason=reason) == "2"


def test_tokens_cost_and_what_was_saved_add_up(call: CallRecord, fallen_back: CallRecord) -> None:
    samples = record(Metrics(version="1"), call, fallen_back)
    for direction, tokens in (("input", "1000"), ("output", "100"), ("cached_input", "400")):
        assert (
            value_of(samples, "tiermesh_tokens_total", tier="small", direction=direction) == tokens
        )
    small = Decimal(value_of(samples, "tiermesh_cost_dollars_total", tier="small"))
    large = Decimal(value_of(samples, "tiermesh_cost_dollars_total", tier="large"))
    top = Decimal(value_of(samples, "tiermesh_cost_top_tier_dollars_total"))
    assert (small, large, top) == (Decimal("0.00018"), Decimal("0.0035"), Decimal("0.0065"))
    assert Decimal(value_of(samples, "tiermesh_saved_dollars")) == top - small - large


def test_an_answer_of_unknown_cost_is_counted_and_kept_out_of_the_savings(
    call: CallRecord, attempt: Make
) -> None:
    unpriced = replace(call, attempts=(attempt(1, "small", usage=Usage(input=9), cost=None),))
    samples = record(Metrics(version="1"), unpriced)
    assert value_of(samples, "tiermesh_unpriced_attempts_total", tier="small") == "1"
    assert value_of(samples, "tiermesh_cost_top_tier_dollars_total") == "0"
    assert value_of(samples, "tiermesh_saved_dollars") == "0"


def test_refusals_are_counted_by_our_code_and_leave_the_overhead_alone(
    refused: CallRecord,
) -> None:
    samples = record(Metrics(version="1"), refused)
    assert value_of(samples, "tiermesh_refusals_total", code="not_permitted") == "1"
    assert value_of(samples, "tiermesh_candidates_total", tier="small", reason="Region") == "1"
    assert value_of(samples, "tiermesh_decision_overhead_seconds_count") == "0"


def test_nothing_that_a_caller_writes_becomes_a_label(call: CallRecord) -> None:
    hostile = Features(
        endpoint=Endpoint.CHAT_COMPLETIONS, dialect=Dialect.OPENAI, model='evil"}\nmodel'
    )
    metrics = Metrics(version="1")
    record(metrics, replace(call, features=hostile, path="/evil", method="EVIL", status=987_654))
    samples = parse(metrics.render())
    assert "evil" not in repr(samples).lower()
    assert any(("code", "other") in labels for _, labels in samples)


def test_an_undecided_call_is_counted_under_empty_labels(call: CallRecord) -> None:
    early = replace(
        call,
        policy=None,
        decision=None,
        features=None,
        attempts=(),
        status=503,
        ending=Ending.REFUSED,
        error_code="no_config",
    )
    samples = record(Metrics(version="1"), early)
    labels = {"policy": "", "rule": "", "tier": "", "backend": "", "code": "503"}
    assert value_of(samples, "tiermesh_requests_total", **labels, stream="false") == "1"


def test_what_telemetry_lost_is_visible_from_the_first_scrape_on() -> None:
    metrics = Metrics(version="1")
    name = "tiermesh_telemetry_dropped_total"
    samples = parse(metrics.render())
    assert [value_of(samples, name, kind=kind) for kind in Dropped] == ["0"] * len(Dropped)
    metrics.watch_dropped(Dropped.AUDIT_QUEUE_FULL, lambda: 41)
    metrics.dropped(Dropped.AUDIT_QUEUE_FULL)
    assert value_of(parse(metrics.render()), name, kind="audit_queue_full") == "42"


def test_the_running_config_is_one_series_whatever_ran_before() -> None:
    metrics = Metrics(version="1")
    metrics.config_running(snapshot="ab" * 32, policy="shop/checkout@1", revision=1)
    metrics.config_running(snapshot="cd" * 32, policy="shop/checkout@2", revision=2)
    metrics.reloaded(ReloadResult.REFUSED)
    samples = parse(metrics.render())
    infos = [labels for name, labels in samples if name == "tiermesh_config_info"]
    assert infos == [(("snapshot", "cd" * 6), ("policy", "shop/checkout@2"), ("revision", "2"))]
    reloads = [
        value_of(samples, "tiermesh_config_reloads_total", result=result) for result in ReloadResult
    ]
    assert reloads == ["0", "0", "1"]


def test_the_process_and_the_calls_in_flight_are_read_when_scraped() -> None:
    metrics = Metrics(version="1.2.3")
    metrics.watch_in_flight(lambda: 3)
    samples = parse(metrics.render())
    assert value_of(samples, "tiermesh_requests_in_flight") == "3"
    assert value_of(samples, "tiermesh_build_info", version="1.2.3") == "1"
    assert int(value_of(samples, "process_resident_memory_bytes")) > 10_000_000
    assert float(value_of(samples, "process_cpu_seconds_total")) > 0


def test_every_metric_of_ours_has_our_prefix_once() -> None:
    names = Metrics(version="1").names
    assert len(set(names)) == len(names)
    assert all(name.startswith(("tiermesh_", "process_")) for name in names)
