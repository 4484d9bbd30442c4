"""What a method and a raw target ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Dialect, Endpoint
from tiermesh_sidecar.wire.paths import Target, TargetKind, classify, dialect_of

ROUTED = {
    "/chat/completions": (Endpoint.CHAT_COMPLETIONS, Dialect.OPENAI),
    "/completions": (Endpoint.COMPLETIONS, Dialect.OPENAI),
    "/embeddings": (Endpoint.EMBEDDINGS, Dialect.OPENAI),
    "/messages": (Endpoint.MESSAGES, Dialect.ANTHROPIC),
}


def target(method: str, raw: str, *, anthropic_version: bool = False) -> Target:
    found = classify(method, raw, anthropic_version=anthropic_version)
    assert isinstance(found, Target), found
    return found


def refused(method: str, raw: str) -> Refusal:
    found = classify(method, raw)
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize("anthropic_version", [False, True])
@pytest.mark.parametrize("prefix", ["/v1", ""])
@pytest.mark.parametrize("stem", ROUTED)
def test_named_operations_are_routed_with_and_without_version(
    stem: str, prefix: str, anthropic_version: bool
) -> None:
    found = target("POST", prefix + stem, anthropic_version=anthropic_version)
    assert (found.endpoint, found.dialect) == ROUTED[stem]
    assert found.kind is TargetKind.ROUTED
    assert found.suffix == stem


@pytest.mark.parametrize("query", ["?", "?x=1", "?a=%2F%2e%2e&b=//&c=\\", "?q=a?b", "?ä=1"])
def test_a_query_is_kept_byte_for_byte(query: str) -> None:
    found = target("POST", "/v1/chat/completions" + query)
    assert found.kind is TargetKind.ROUTED
    assert found.suffix == "/chat/completions" + query


@pytest.mark.parametrize(
    "raw",
    ["/v1/%63hat/completions", "/%76%31/chat/completions", "/v1/chat/completions/"],
)
def test_another_spelling_of_a_routed_path_is_routed_too_and_forwarded_as_spelt(raw: str) -> None:
    found = target("POST", raw)
    assert found.kind is TargetKind.ROUTED
    assert found.endpoint is Endpoint.CHAT_COMPLETIONS
    assert raw.endswith(found.suffix)
    assert found.suffix.startswith("/")


def test_an_absolute_form_target_is_read_by_its_path() -> None:
    found = target("POST", "http://127.0.0.1:4480/v1/embeddings?x=1")
    assert (found.kind, found.suffix) == (TargetKind.ROUTED, "/embeddings?x=1")


@pytest.mark.parametrize(
    ("raw", "suffix"),
    [
        ("/v1/responses", "/responses"),
        ("/responses", "/responses"),
        ("/v1/messages/count_tokens", "/messages/count_tokens"),
        ("/messages/count_tokens", "/messages/count_tokens"),
        ("/v1/files/file-1/content?x=%20", "/files/file-1/content?x=%20"),
        ("/v1/a%20b", "/a%20b"),
        ("/v1/", "/"),
        ("/v1", ""),
        ("/v1?x", "?x"),
        ("/v1/chat/completions/chatcmpl-1", "/chat/completions/chatcmpl-1"),
        ("/v1/feedback/1", "/feedback/1"),
    ],
)
def test_other_paths_are_passed_through(raw: str, suffix: str) -> None:
    found = target("POST", raw)
    assert found.kind is TargetKind.PASS_THROUGH
    assert found.endpoint is Endpoint.OTHER
    assert found.suffix == suffix


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "PUT", "HEAD"])
def test_another_method_on_a_routed_path_is_another_operation_and_passed_through(
    method: str,
) -> None:
    assert target(method, "/v1/chat/completions?limit=3").kind is TargetKind.PASS_THROUGH


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_models_are_answered_here(prefix: str) -> None:
    assert target("GET", prefix + "/models?limit=3").kind is TargetKind.MODELS
    one = target("GET", prefix + "/models/gpt-4o%20x")
    assert (one.kind, one.model) == (TargetKind.MODEL, "gpt-4o x")
    slashed = target("GET", prefix + "/models/Qwen/Qwen2.5-7B-Instruct")
    assert (slashed.kind, slashed.model) == (TargetKind.MODEL, "Qwen/Qwen2.5-7B-Instruct")
    assert target("DELETE", prefix + "/models/ft:1").kind is TargetKind.PASS_THROUGH


@pytest.mark.parametrize(
    "raw",
    [
        "/",
        "",
        "*",
        "/v2/chat/completions",
        "/v1x",
        "/files",
        "/chat/completions/1",
        "/v1/feedback",
        "/feedback",
        "/decisions",
        "/V1/chat/completions",
        "v1/chat/completions",
    ],
)
def test_what_is_served_nowhere_is_not_found_and_says_what_is_served(raw: str) -> None:
    refusal = refused("POST", raw)
    assert refusal.code is ErrorCode.NOT_FOUND
    assert "/v1/chat/completions" in refusal.message


@pytest.mark.parametrize(
    "raw",
    [
        "/v1/./chat/completions",
        "/v1/files/../chat/completions",
        "/v1/..",
        "/v1/%2e%2e/x",
        "/v1/.%2E/x",
        "/v1/..;a=b/x",
        "/v1/files%2fx",
        "/v1/files%2Fx",
        "/v1/files%5cx",
        "/v1/files\\x",
        "/v1//chat/completions",
        "//v1/chat/completions",
        "/v1/x%00y",
        "/v1/x y",
        "/v1/x\ty",
        "/v1/x?a\rb",
        "/v1/x#fragment",
    ],
)
def test_a_path_that_two_servers_could_read_differently_is_refused(raw: str) -> None:
    assert refused("POST", raw).code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_that_would_echo_or_tunnel_are_refused(method: str) -> None:
    assert refused(method, "/v1/chat/completions").code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("raw", ["/v1/models", "/v1/files", "/v1/complete"])
def test_the_version_header_decides_the_dialect_where_the_path_does_not(raw: str) -> None:
    assert target("GET", raw).dialect is Dialect.OPENAI
    assert target("GET", raw, anthropic_version=True).dialect is Dialect.ANTHROPIC


def test_a_refused_request_still_has_a_dialect() -> None:
    assert dialect_of("/v1/messages/../x") is Dialect.ANTHROPIC
    assert dialect_of("/messages") is Dialect.ANTHROPIC
    assert dialect_of("/nowhere") is Dialect.OPENAI
    assert dialect_of("/nowhere", anthropic_version=True) is Dialect.ANTHROPIC
    assert dialect_of("/v1/chat/completions/../x", anthropic_version=True) is Dialect.OPENAI


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD"]),
    raw=st.text(max_size=40) | st.text("/v1%2e.f?#;chatmodels", max_size=30).map("/v1/".__add__),
    anthropic_version=st.booleans(),
)
def test_any_text_is_classified_or_refused_and_never_rewritten(
    method: str, raw: str, anthropic_version: bool
) -> None:
    found = classify(method, raw, anthropic_version=anthropic_version)
    if isinstance(found, Target):
        assert raw.endswith(found.suffix)
        assert found.dialect is dialect_of(raw, anthropic_version=anthropic_version)
        assert (found.model is not None) == (found.kind is TargetKind.MODEL)
