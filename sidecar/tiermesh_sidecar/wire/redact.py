"""Takes provider keys out of bytes that leave the sidecar (law 8 wins over law 9).

Providers echo a rejected key in their error. Used on error answers and error events, never on
whole answers of models.
"""

from __future__ import annotations

from collections.abc import Collection

_REPLACEMENT = b"[redacted]"
_HTML_SAFE = (b"&", b"<", b">", b"'", b"+", b"=")
"""What some encoders (Go, PHP, Ruby) escape in JSON though they need not."""


def redact(data: bytes, keys: Collection[bytes]) -> bytes:
    """`data` with each key replaced by `[redacted]`, plain or in any usual JSON escaping."""
    forms = {form for key in keys if key for form in _forms(key)}
    # The longest first: a key that contains another one must go whole.
    for form in sorted(forms, key=len, reverse=True):
        data = data.replace(form, _REPLACEMENT)
    return data


def _forms(key: bytes) -> set[bytes]:
    escaped = key.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    forms = {key, escaped, escaped.replace(b"/", b"\\/")}
    for upper in (False, True):
        html = escaped
        for character in (*_HTML_SAFE, b"/"):
            html = html.replace(character, _unicode(character[0], upper))
            forms.add(html)
        forms.add(b"".join(_unicode(byte, upper) for byte in key))
    return forms


def _unicode(byte: int, upper: bool) -> bytes:
    return b"\\u%04X" % byte if upper else b"\\u%04x" % byte
