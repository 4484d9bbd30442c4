"""How long a provider asks to be left alone: `retry-after-ms`, else `Retry-After`.

RFC 9110, 10.2.3 (seconds or a date) and 5.6.7 (the three date formats). The clock is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil

_NUMBER = re.compile(r"[+-]?(?:\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"[A-Za-z]{{3}}, (?P<day>\d\d) (?P<month>[A-Za-z]{{3}}) (?P<year>\d{{4}}) {_CLOCK} GMT",
        rf"[A-Za-z]{{6,9}}, (?P<day>\d\d)-(?P<month>[A-Za-z]{{3}})-(?P<year>\d\d) {_CLOCK} GMT",
        rf"[A-Za-z]{{3}} (?P<month>[A-Za-z]{{3}}) (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})",
    )
)


def retry_after_ms(headers: Sequence[tuple[bytes, bytes]], now_unix: float) -> int | None:
    """Milliseconds to wait, rounded up, at least 0; None where nothing readable was said."""
    milliseconds = _milliseconds(_first(headers, b"retry-after-ms"), 1)
    if milliseconds is not None:
        return milliseconds
    value = _first(headers, b"retry-after")
    seconds = _milliseconds(value, 1000)
    if seconds is not None or value is None:
        return seconds
    moment = _date(value, now_unix)
    return None if moment is None else max(0, ceil((moment - now_unix) * 1000))


def _first(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    for key, value in headers:
        if key.lower() == name:
            return value.decode("latin-1").strip(" \t")
    return None


def _milliseconds(value: str | None, unit: int) -> int | None:
    if value is None or _NUMBER.fullmatch(value) is None:
        return None
    # Rounded to a nanosecond first, so that 1.1 seconds are 1100 ms and not 1101.
    return max(0, ceil(round(float(value) * unit, 6)))


def _date(value: str, now_unix: float) -> float | None:
    match = next((m for m in (date.fullmatch(value) for date in _DATES) if m), None)
    if match is None or match["month"].title() not in _MONTHS:
        return None
    month = _MONTHS.index(match["month"].title()) + 1
    day = int(match["day"])
    clock = int(match["hour"]), int(match["minute"]), min(int(match["second"]), 59)
    try:
        year = _full_year(match["year"], now_unix)
        return datetime(year, month, day, *clock, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _full_year(digits: str, now_unix: float) -> int:
    """Two digits mean the year within 50 of now (RFC 9110, 5.6.7)."""
    if len(digits) == 4:
        return int(digits)
    this_year = datetime.fromtimestamp(now_unix, UTC).year
    year = this_year - this_year % 100 + int(digits)
    if year > this_year + 50:
        return year - 100
    return year + 100 if year < this_year - 50 else year
