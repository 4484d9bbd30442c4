"""Addresses are absolute, plain, and without secrets; certificates can be read."""

from __future__ import annotations

import base64

import pytest
from spec_resources import backend, compiled, policy, tier

from tiermesh_spec.addresses import (
    bundle_fault,
    decoded_bundle,
    normalized,
    url_fault,
    without_secrets,
)

BUNDLE = (
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJoekNDQVMyZ0F3SUJBZ0lVVFRPdlZxcW5DdytzdWJU"
    "dFBwR3J6eWYrQWVrd0NnWUlLb1pJemowRUF3SXcKR0RFV01CUUdBMVVFQXd3TmRHbGxjbTFsYzJndGRHVnpk"
    "REFnRncweU5qRXhNakl5TWpNMU1EVmFHQTh5TVRJMgpNVEF5T1RJeU16VXdOVm93R0RFV01CUUdBMVVFQXd3"
    "TmRHbGxjbTFsYzJndGRHVnpkREJaTUJNR0J5cUdTTTQ5CkFnRUdDQ3FHU000OUF3RUhBMElBQkRJWi8vSDFa"
    "ZnJJVENaTzdRN3JsMTljekpDL0Y5WU1BdjM0TlcweXhFQkYKdVlTNWpJT0J4TEZJbWp1ZGp0MFdwckphRnJS"
    "RWplUE5WL3kyRCsvck9iYWpVekJSTUIwR0ExVWREZ1FXQkJSYgpDZ0craTJQL0QxUGp2N3ZTalQyWGhpV2Vh"
    "akFmQmdOVkhTTUVHREFXZ0JSYkNnRytpMlAvRDFQanY3dlNqVDJYCmhpV2VhakFQQmdOVkhSTUJBZjhFQlRB"
    "REFRSC9NQW9HQ0NxR1NNNDlCQU1DQTBnQU1FVUNJUUNwVG1hTndUejUKQzMvL3c0b0N5WjJCTXFXNnpmejlT"
    "VnZIZkRyVm1OcWdtd0lnZnpLRFk2OEtaV0pJMHBuMWJDRm1nZzMwMHhFNAp4MnhwcE5EVUNzY09tOWs9Ci0t"
    "LS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
)
"""A self-signed certificate without a use, valid for a century."""


@pytest.mark.parametrize(
    "url",
    [
        "http://small.models.svc:8000/v1",
        "https://api.anthropic.com",
        "https://[::1]:8443/openai/v1/",
        "http://10.0.0.1",
    ],
)
def test_an_absolute_address_is_usable(url: str) -> None:
    assert url_fault(url) is None


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("small:8000/v1", "http or https"),
        ("ftp://small/v1", "http or https"),
        ("http:///v1", "host or port"),
        ("http://small:99999/v1", "host or port"),
        ("http://small:0/v1", "host or port"),
        ("http://[::1/v1", "host or port"),
        ("http://user:pw@small/v1", "credentials"),
        ("http://small/v1?key=1", "query"),
        ("http://small/v1#x", "fragment"),
        ("http://small/../v1", "dot segments"),
        ("http://small/%2e%2e/v1", "escapes"),
        ("http://small /v1", "spaces"),
        ("http://smäll/v1", "ASCII"),
    ],
)
def test_an_address_that_cannot_be_used_says_why(url: str, what: str) -> None:
    fault = url_fault(url)
    assert fault is not None
    assert what in fault[0]


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://small:8000", "http://small:8000/v1"),
        ("http://small:8000/", "http://small:8000/v1"),
        ("http://small:8000/v1/", "http://small:8000/v1"),
        ("https://gateway/openai", "https://gateway/openai"),
    ],
)
def test_an_address_without_a_path_gets_v1(url: str, used: str) -> None:
    assert normalized(url) == used


def test_what_is_shown_of_an_address_holds_no_secret() -> None:
    shown = without_secrets("https://user:hunter2@small/v1?key=sk-1234")
    assert "hunter2" not in shown
    assert "sk-1234" not in shown
    assert "small/v1" in shown


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hello", "no PEM"),
        ("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n", "cannot be read"),
    ],
)
def test_a_bundle_without_a_certificate_is_refused(text: str, what: str) -> None:
    fault = bundle_fault(base64.b64encode(text.encode()).decode())
    assert fault is not None
    assert what in fault[0]


def test_a_bundle_that_is_pem_itself_is_refused_with_the_command_that_encodes_it() -> None:
    fault = bundle_fault("-----BEGIN CERTIFICATE-----")
    assert fault is not None
    assert "base64 -w0" in fault[1]


def test_a_readable_certificate_is_trusted_as_pem() -> None:
    assert bundle_fault(BUNDLE) is None
    assert decoded_bundle(BUNDLE).startswith("-----BEGIN CERTIFICATE-----")


def test_a_certificate_arrives_in_the_snapshot_as_pem() -> None:
    target = {"url": "https://small.example", "caBundle": BUNDLE}
    small = tier(backends=[backend(target=target)])
    (policy_,) = compiled(small, policy(tiers=[{"name": "small"}])).policies
    assert policy_.tiers[0].backends[0].ca_bundle == decoded_bundle(BUNDLE)
