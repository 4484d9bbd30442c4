from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.cost import dollars
from tiermesh_sidecar.telemetry.exposition import (
    MAX_SERIES,
    OVERFLOW,
    Counter,
    Gauge,
    Histogram,
    render,
)


def lines_of(*metrics: Counter | Gauge | Histogram) -> list[str]:
    return render(metrics).decode().splitlines()


def test_a_metric_has_its_help_and_type_before_its_samples() -> None:
    counter = Counter("calls_total", 'Calls.\nWith \\ and "quotes".')
    counter.add()
    assert lines_of(counter) == [
        '# HELP calls_total Calls.\\nWith \\\\ and "quotes".',
        "# TYPE calls_total counter",
        "calls_total 1",
    ]


def test_a_counter_without_labels_is_there_before_it_counted() -> None:
    assert lines_of(Counter("calls_total", "Calls."))[-1] == "calls_total 0"


@given(st.text())
def test_a_label_comes_back_as_it_went_in(value: str) -> None:
    counter = Counter("calls_total", "Calls.", ("name",))
    counter.add((value,))
    exposed = render([counter]).decode().split("\n", 2)[2]
    found = re.fullmatch(r'calls_total\{name="((?:[^"\\\n]|\\["\\n])*)"\} 1\n', exposed, re.DOTALL)
    assert found, exposed
    unescaped = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), found[1], flags=re.DOTALL)
    assert unescaped == value


def test_a_lone_surrogate_cannot_break_the_exposition() -> None:
    counter = Counter("calls_total", "Calls.", ("name",))
    counter.add(("\ud800",))
    assert b'name="?"' in render([counter])


def test_buckets_are_cumulative_and_their_bounds_inclusive() -> None:
    histogram = Histogram("wait_seconds", "Waits.", (0.1, 1.0), ("tier",))
    for value in (0.1, 0.5, 1.0, 7.0):
        histogram.observe(("small",), value)
    assert lines_of(histogram)[2:] == [
        'wait_seconds_bucket{tier="small",le="0.1"} 1',
        'wait_seconds_bucket{tier="small",le="1.0"} 3',
        'wait_seconds_bucket{tier="small",le="+Inf"} 4',
        'wait_seconds_sum{tier="small"} 8.6',
        'wait_seconds_count{tier="small"} 4',
    ]


def test_series_beyond_the_cap_are_counted_together_and_none_is_lost() -> None:
    counter = Counter("calls_total", "Calls.", ("a", "b"))
    histogram = Histogram("wait_seconds", "Waits.", (1.0,), ("a",))
    for number in range(MAX_SERIES + 50):
        counter.add((str(number), "x"))
        histogram.observe((str(number),), 0.5)
    lines = lines_of(counter)[2:]
    assert len(lines) == MAX_SERIES + 1
    assert lines[-1] == f'calls_total{{a="{OVERFLOW}",b="{OVERFLOW}"}} 50'
    assert f'wait_seconds_count{{a="{OVERFLOW}"}} 50' in lines_of(histogram)
    counter.add(("0", "x"))
    assert 'calls_total{a="0",b="x"} 2' in lines_of(counter)


def test_money_is_summed_exactly_where_doubles_would_lose_it() -> None:
    counter = Counter("cost_dollars_total", "Cost.", show=dollars)
    counter.add((), 10**24)
    counter.add((), 1)
    assert lines_of(counter)[-1] == "cost_dollars_total 1000000000000.000000000001"


def test_a_gauge_is_read_when_asked() -> None:
    values = ["1"]
    gauge = Gauge("now", "Now.", lambda: [((), value) for value in values])
    assert lines_of(gauge)[-1] == "now 1"
    values[:] = ["2"]
    assert lines_of(gauge)[-1] == "now 2"
