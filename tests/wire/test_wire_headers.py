"""What crosses the sidecar, and who calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.core.decision import ErrorCode, Refusal
from tiermesh_sidecar.core.features import Caller
from tiermesh_sidecar.wire.headers import (
    caller_headers,
    header,
    joined,
    read_caller,
    relayed_headers,
    speaks_anthropic,
    upstream_headers,
)
from tiermesh_spec.snapshot import IdentitySource, Provider

Pairs = list[tuple[bytes, bytes]]
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def upstream(
    raw: Pairs,
    *,
    provider: Provider = Provider.OPENAI,
    key: str | None = "sk-ours",
    pass_through: bool = False,
    identity: frozenset[str] = frozenset(),
    traceparent: str = TRACE,
    tracestate: str = "",
) -> Pairs:
    return upstream_headers(
        raw,
        provider=provider,
        key=key,
        pass_through=pass_through,
        identity_headers=identity,
        traceparent=traceparent,
        tracestate=tracestate,
    )


OURS: Pairs = [(b"Authorization", b"Bearer sk-ours"), (b"traceparent", TRACE.encode())]


def test_what_is_not_named_keeps_its_order_case_duplicates_and_bytes() -> None:
    kept: Pairs = [
        (b"X-Custom", b" odd \xff\xfe value "),
        (b"accept", b"*/*"),
        (b"x-custom", b"second"),
        (b"OpenAI-Organization", b"org-1"),
        (b"anthropic-beta", b""),
        (b"Cookie", b"a=b"),
        (b"Content-Type", b"application/json"),
    ]
    assert upstream(list(kept)) == kept + OURS


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Content-Length",
        "ACCEPT-ENCODING",
        "Connection",
        "keep-alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Proxy-Authenticate",
        "proxy-authorization",
        "Expect",
        "baggage",
        "Traceparent",
        "TraceState",
        "Authorization",
        "X-API-Key",
        "api-key",
        "x-tiermesh-task",
        "X-TierMesh-Anything",
        "x-tenant-id",
    ],
)
def test_what_must_not_leave_the_pod_does_not(name: str) -> None:
    out = upstream([(name.encode(), b"secret")], identity=frozenset({"x-tenant-id"}))
    assert out == OURS


def test_headers_that_connection_names_stay_on_this_hop() -> None:
    raw = [(b"Connection", b"keep-alive, X-Hop"), (b"x-hop", b"1"), (b"x-other", b"2")]
    assert upstream(raw) == [(b"x-other", b"2"), *OURS]
    assert caller_headers(raw) == [(b"x-other", b"2")]


def test_an_anthropic_backend_gets_its_key_as_it_wants_it_and_nothing_more() -> None:
    raw = [(b"anthropic-version", b"2023-06-01"), (b"authorization", b"Bearer app")]
    assert upstream(raw, provider=Provider.ANTHROPIC) == [
        raw[0],
        (b"x-api-key", b"sk-ours"),
        OURS[1],
    ]
    assert upstream([], provider=Provider.ANTHROPIC) == [(b"x-api-key", b"sk-ours"), OURS[1]]


def test_a_keyless_backend_gets_neither_key() -> None:
    assert upstream([(b"authorization", b"Bearer app"), (b"a", b"b")], key=None) == [
        (b"a", b"b"),
        OURS[1],
    ]


def test_credentials_pass_through_only_where_the_backend_says_so() -> None:
    raw = [(b"Authorization", b"Bearer app"), (b"x-api-key", b"app"), (b"api-key", b"app")]
    assert upstream(raw, key=None, pass_through=True) == [*raw, OURS[1]]
    # A key that should not be there is not sent beside them.
    assert upstream(raw, pass_through=True) == [*raw, OURS[1]]
    proxy = [(b"Proxy-Authorization", b"x")]
    assert upstream(proxy, key=None, pass_through=True) == [OURS[1]]


def test_an_identity_header_that_is_a_credential_stays_in_the_pod_even_when_passing_through() -> (
    None
):
    raw = [(b"Authorization", b"Bearer app")]
    out = upstream(raw, key=None, pass_through=True, identity=frozenset({"authorization"}))
    assert out == [OURS[1]]


def test_a_list_that_came_in_several_headers_is_one() -> None:
    raw = [(b"tracestate", b"a=1"), (b"X", b"y"), (b"TraceState", b""), (b"tracestate", b"b=2")]
    assert joined(raw, b"tracestate") == b"a=1,b=2"
    assert joined(raw, b"baggage") == b""


def test_trace_context_is_replaced() -> None:
    raw = [(b"Traceparent", b"old"), (b"tracestate", b"old=1")]
    assert upstream(raw, tracestate="v=1") == [*OURS, (b"tracestate", b"v=1")]
    assert upstream(raw, traceparent="", tracestate="v=1") == OURS[:1]


@pytest.mark.parametrize(
    "key", ["", "a\r\nx: y", "a\nb", "a\x00b", "ключ", "clé", "a\tb", " a", "a ", "\x7f"]
)
def test_a_key_that_could_split_or_spoil_a_header_is_refused_unquoted(key: str) -> None:
    for provider in Provider:
        with pytest.raises(ValueError, match="the key") as caught:
            upstream([], key=key, provider=provider)
        assert len(key) < 3 or key not in str(caught.value)


def test_relaying_without_a_policy_keeps_the_apps_own_credentials() -> None:
    raw = [
        (b"Host", b"x"),
        (b"Authorization", b"Bearer app"),
        (b"Accept-Encoding", b"gzip"),
        (b"traceparent", b"t"),
        (b"x-tiermesh-task", b"t"),
        (b"Content-Length", b"1"),
    ]
    assert relayed_headers(raw) == raw[1:4]


def test_an_answers_headers_reach_the_caller_but_for_framing_and_forged_ones() -> None:
    raw = [
        (b"Content-Type", b"application/json"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"Content-Encoding", b"gzip"),
        (b"Location", b"/elsewhere"),
        (b"x-request-id", b"req_\xff"),
        (b"retry-after", b"3"),
    ]
    dropped = [
        (b"Content-Length", b"12"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"close"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Trailer", b"x"),
        (b"X-Tiermesh-Tier", b"forged"),
    ]
    assert caller_headers(raw + dropped) == raw
    assert caller_headers(dropped + raw) == raw


names = st.sampled_from(
    [b"Host", b"X-A", b"x-a", b"authorization", b"X-Api-Key", b"x-tiermesh-step", b"x-plan",
     b"content-type", b"connection", b"te", b"baggage", b"traceparent"]
)  # fmt: skip


@given(
    st.lists(st.tuples(names, st.binary(max_size=6)), max_size=12),
    st.sampled_from(Provider),
    st.none() | st.just("k"),
)
def test_whatever_comes_the_rest_is_a_subsequence_and_no_credential_is_in_it(
    raw: Pairs, provider: Provider, key: str | None
) -> None:
    out = upstream(raw, provider=provider, key=key, identity=frozenset({"x-plan"}))
    added = 1 + (key is not None)
    kept = out[: len(out) - added]
    iterator = iter(raw)
    assert all(pair in iterator for pair in kept)
    held = {b"authorization", b"x-api-key", b"x-plan", b"x-tiermesh-step", b"baggage", b"host"}
    assert held.isdisjoint(name.lower() for name, _ in kept)
    named = {token.strip().lower() for n, v in raw if n == b"connection" for token in v.split(b",")}
    if not named & {b"x-a", b"content-type"}:
        assert [p for p in raw if p[0].lower() in (b"x-a", b"content-type")] == kept


IDENTITY = (
    IdentitySource(attribute="tenant", header="x-tenant-id"),
    IdentitySource(attribute="plan", header="x-plan"),
    IdentitySource(attribute="step", header="x-step"),
    IdentitySource(attribute="dataClass", header="x-class"),
    IdentitySource(attribute="team", pod_label="team"),
)


def caller(raw: Pairs, pod: dict[str, str] | None = None) -> tuple[Caller, int | None]:
    found = read_caller(raw, IDENTITY, pod or {})
    assert not isinstance(found, Refusal), found
    return found


def test_identity_comes_from_headers_and_pod_labels() -> None:
    who, deadline = caller([(b"X-Tenant-Id", b" acme "), (b"x-plan", b"free")], {"team": "pay"})
    assert who.asserted == {"tenant": "acme", "plan": "free", "team": "pay"}
    assert (who.hinted, who.data_class_hint, deadline) == ({}, "", None)


def test_of_a_repeated_header_the_first_counts() -> None:
    assert caller([(b"x-plan", b"free"), (b"X-Plan", b"premium")])[0].get("plan") == "free"


def test_every_hint_is_read() -> None:
    raw = [
        (b"X-Tiermesh-Task", b"code"),
        (b"x-tiermesh-priority", b"high"),
        (b"x-tiermesh-data-class", b"restricted"),
        (b"x-tiermesh-session", b"s"),
        (b"x-tiermesh-workflow", b"w"),
        (b"x-tiermesh-step", b"st"),
        (b"x-tiermesh-agent", b"a"),
        (b"x-tiermesh-deadline-ms", b"1500"),
    ]
    who, deadline = caller(raw)
    assert who.asserted == {}
    assert who.hinted == {
        "task": "code",
        "priority": "high",
        "dataClass": "restricted",
        "session": "s",
        "workflow": "w",
        "step": "st",
        "agent": "a",
    }
    assert (who.data_class_hint, deadline) == ("restricted", 1500)


def test_identity_beats_a_hint_but_a_hinted_data_class_is_not_forgotten() -> None:
    raw = [
        (b"x-step", b"classify"),
        (b"x-tiermesh-step", b"safety-check"),
        (b"x-class", b"public"),
        (b"x-tiermesh-data-class", b"restricted"),
    ]
    who, _ = caller(raw)
    assert who.asserted == {"step": "classify", "dataClass": "public"}
    assert who.hinted == {}
    assert who.data_class_hint == "restricted"


def test_where_identity_is_silent_the_hint_counts_and_an_empty_value_is_silence() -> None:
    who, _ = caller([(b"x-step", b"  "), (b"x-tiermesh-step", b"extract"), (b"x-plan", b"")])
    assert who.asserted == {}
    assert who.get("step") == "extract"
    assert caller([], {"team": ""})[0].asserted == {}


def test_values_are_utf8_else_latin1_and_bounded() -> None:
    who, _ = caller(
        [(b"x-tenant-id", "Zürich".encode()), (b"x-plan", b"Z\xfcrich"), (b"x-step", b"x" * 999)]
    )
    assert (who.get("tenant"), who.get("plan")) == ("Zürich", "Zürich")
    assert who.get("step") == "x" * 256


@pytest.mark.parametrize(
    "value",
    [b"0", b"-1", b"1.5", b"abc", b"1e3", b"10ms", b"\xb2", "٣".encode(), b"9" * 400, b"+5"],
)
def test_a_deadline_that_is_no_positive_number_is_refused_and_named(value: bytes) -> None:
    found = read_caller([(b"x-tiermesh-deadline-ms", value)], (), {})
    assert isinstance(found, Refusal)
    assert found.code is ErrorCode.INVALID_REQUEST
    assert "x-tiermesh-deadline-ms" in found.message


def test_an_empty_deadline_is_none() -> None:
    assert caller([(b"x-tiermesh-deadline-ms", b" ")])[1] is None
    assert caller([(b"x-tiermesh-deadline-ms", b" 0020 ")])[1] == 20


@given(
    st.lists(st.tuples(st.sampled_from([b"x-plan", b"x-tiermesh-task", b"x-step"]), st.binary()))
)
def test_any_bytes_make_attributes_that_can_be_encoded(raw: Pairs) -> None:
    who, _ = caller(raw)
    for value in (*who.asserted.values(), *who.hinted.values()):
        assert value.encode()
        assert len(value) <= 256


def test_an_anthropic_client_is_known_by_its_version_header() -> None:
    assert speaks_anthropic([(b"Anthropic-Version", b"2023-06-01")])
    assert not speaks_anthropic([(b"x", b"anthropic-version")])
    assert header([(b"A", b"1"), (b"a", b"2")], b"a") == b"1"
