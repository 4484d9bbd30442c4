"""Official SDKs without a network: their HTTP client answered by a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def http_of(sdk: ModuleType) -> ModuleType:
    """The HTTP library that an SDK is built on; its name differs between SDKs and versions."""
    for cls in sdk.DefaultHttpxClient.__mro__:
        root = cls.__module__.partition(".")[0]
        if root.startswith("httpx"):
            return import_module(root)
    raise AssertionError(f"{sdk.__name__} is built on no httpx")


def client(sdk: ModuleType, answer: Callable[[Mapping[str, str]], tuple[int, bytes, str]]) -> Any:
    """The SDK's client; `answer` gets a request's headers and gives status, body, content type."""
    http = http_of(sdk)

    def respond(request: Any) -> Any:
        status, body, kind = answer(request.headers)
        return http.Response(status, content=body, headers={"content-type": kind})

    options = {
        "api_key": "x",
        "base_url": "http://sidecar/v1" if sdk.__name__ == "openai" else "http://sidecar",
        "max_retries": 0,
        "http_client": http.Client(transport=http.MockTransport(respond)),
    }
    return sdk.OpenAI(**options) if sdk.__name__ == "openai" else sdk.Anthropic(**options)
