"""Counters, gauges and histograms in Prometheus' text format 0.0.4
(https://prometheus.io/docs/instrumenting/exposition_formats/).

Small on purpose: an increment is a dictionary look-up and an addition (the usual client library
costs several times that under locks that one thread does not need). Only the thread of the event
loop may touch these. The number of series of a metric is capped, whatever comes in as labels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_SERIES = 2000
"""Of one metric. What comes after is counted under `OVERFLOW` in every label."""
OVERFLOW = "_overflow"

Labels = tuple[str, ...]


def _plain_integer(value: int) -> str:
    return str(value)


class Counter:
    """Sums integers exactly; `show` turns a sum into a decimal (picodollars into dollars, say)."""

    kind = "counter"

    def __init__(
        self,
        name: str,
        text: str,
        labels: Labels = (),
        *,
        show: Callable[[int], str] = _plain_integer,
    ) -> None:
        self.name = name
        self.text = text
        self.labels = labels
        self._show = show
        self._sums: dict[Labels, int] = {}
        if not labels:
            self._sums[()] = 0

    def add(self, values: Labels = (), amount: int = 1) -> None:
        sums = self._sums
        if values not in sums:
            values = _admitted(values, len(sums))
        sums[values] = sums.get(values, 0) + amount

    def lines(self) -> list[str]:
        return [
            f"{self.name}{_rendered(self.labels, values)} {self._show(value)}"
            for values, value in self._sums.items()
        ]


class Gauge:
    """Read when scraped: `read` returns label values and a number as text."""

    def __init__(
        self,
        name: str,
        text: str,
        read: Callable[[], Sequence[tuple[Labels, str]]],
        labels: Labels = (),
        *,
        kind: str = "gauge",
    ) -> None:
        self.name = name
        self.text = text
        self.labels = labels
        self.kind = kind
        self._read = read

    def lines(self) -> list[str]:
        return [
            f"{self.name}{_rendered(self.labels, values)} {value}" for values, value in self._read()
        ]


class Histogram:
    """Cumulative buckets with upper bounds `bounds`, ascending; `+Inf` is added."""

    kind = "histogram"

    def __init__(
        self, name: str, text: str, bounds: tuple[float, ...], labels: Labels = ()
    ) -> None:
        self.name = name
        self.text = text
        self.labels = labels
        self._bounds = bounds
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        if not labels:
            self._open(())

    def observe(self, values: Labels, value: float) -> None:
        counts = self._counts.get(values)
        if counts is None:
            values = _admitted(values, len(self._counts))
            counts = self._counts.get(values) or self._open(values)
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[values] += value

    def lines(self) -> list[str]:
        lines = []
        for values, counts in self._counts.items():
            total = 0
            for bound, count in zip((*self._bounds, None), counts, strict=True):
                total += count
                le = "+Inf" if bound is None else repr(bound)
                labels = _rendered((*self.labels, "le"), (*values, le))
                lines.append(f"{self.name}_bucket{labels} {total}")
            labels = _rendered(self.labels, values)
            lines.append(f"{self.name}_sum{labels} {self._sums[values]!r}")
            lines.append(f"{self.name}_count{labels} {total}")
        return lines

    def _open(self, values: Labels) -> list[int]:
        self._sums[values] = 0.0
        return self._counts.setdefault(values, [0] * (len(self._bounds) + 1))


Metric = Counter | Gauge | Histogram


def render(metrics: Sequence[Metric]) -> bytes:
    """The exposition of all metrics, each with HELP and TYPE."""
    lines: list[str] = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {_escaped_help(metric.text)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(metric.lines())
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _admitted(values: Labels, series: int) -> Labels:
    return values if series < MAX_SERIES else (OVERFLOW,) * len(values)


def _rendered(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _escaped_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
