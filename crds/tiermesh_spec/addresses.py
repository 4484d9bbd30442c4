"""Where a backend is: its address as written and as used, and the certificates it is trusted by."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import urlsplit

MODEL_URL_PATTERN = r"https?://[^/?#@ ]+(/[^?# ]*)?"
"""What the API server can check of an address; `url_fault` checks the rest."""

Fault = tuple[str, str]


def url_fault(url: str) -> Fault | None:
    """What is wrong with a backend's address and what to write instead; None if it is usable."""
    example = "for example http://small.models.svc:8000/v1"
    if not re.fullmatch(r"[!-~]+", url):
        return "has spaces or letters outside ASCII", f"write a plain address, {example}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has no valid host or port", f"write an absolute address, {example}"
    if parts.scheme not in ("http", "https"):
        return "is not an http or https address", f"write an absolute address, {example}"
    if "@" in parts.netloc:
        return "carries credentials", "take them out and use credentials.secretRef"
    if not parts.hostname or port == 0:
        return "has no valid host or port", f"write an absolute address, {example}"
    if "?" in url or "#" in url:
        return "has a query or a fragment", "end the address with its path"
    if any(part in (".", "..") for part in parts.path.split("/")) or "%" in parts.path:
        return "has dot segments or escapes in its path", f"write the path plainly, {example}"
    return None


def without_secrets(url: str) -> str:
    """The address as a problem may repeat it: credentials and query hidden."""
    bare = re.sub(r"//[^/]*@", "//(hidden)@", url)
    return re.sub(r"\?.*", "?(hidden)", bare, flags=re.DOTALL)


def normalized(url: str) -> str:
    """As a sidecar uses it: no trailing slash, and `/v1` where there is no path."""
    bare = url.rstrip("/")
    return bare if urlsplit(bare).path else f"{bare}/v1"


def bundle_fault(bundle: str) -> Fault | None:
    """What is wrong with base64-encoded PEM certificates; None if they can be trusted by."""
    fix = "write the PEM certificates as base64 on one line: `base64 -w0 ca.pem`"
    try:
        pem = decoded_bundle(bundle)
    except ValueError:
        return "is not base64-encoded text", fix
    if "-----BEGIN CERTIFICATE-----" not in pem:
        return "holds no PEM certificate", fix
    import ssl  # only where a bundle is given: it costs a sidecar's compile step a few milliseconds

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        return "holds a certificate that cannot be read", fix
    return None


def decoded_bundle(bundle: str) -> str:
    """The PEM text. Raises ValueError when it is not base64 of ASCII text."""
    try:
        return base64.b64decode(bundle, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not base64-encoded text") from error
