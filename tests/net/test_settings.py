"""Flags, environment, defaults; and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiermesh_sidecar.net.setting_values import Address, SettingsError, parse_address
from tiermesh_sidecar.net.settings import OPTIONS, build_settings


def test_defaults_are_the_contracts() -> None:
    settings = build_settings({}, {})
    assert str(settings.listen) == "127.0.0.1:4480"
    assert str(settings.admin) == "127.0.0.1:4481"
    assert str(settings.health) == "0.0.0.0:4482"
    assert settings.audit == "stdout"
    assert settings.max_body == 64 * 1024 * 1024
    assert settings.drain_s == 5
    assert settings.original_openai_url == "https://api.openai.com/v1"
    assert settings.original_anthropic_url == "https://api.anthropic.com/v1"


def test_every_option_has_a_variable_of_its_own() -> None:
    variables = [option.variable for option in OPTIONS]
    assert all(name.startswith("TIERMESH_") for name in variables)
    assert len(set(variables)) == len(variables)


def test_a_flag_beats_its_variable_and_a_variable_the_default() -> None:
    environment = {"TIERMESH_LISTEN": "127.0.0.1:1", "TIERMESH_DRAIN": "7"}
    settings = build_settings({"--listen": "127.0.0.1:2"}, environment)
    assert settings.listen.port == 2
    assert settings.drain_s == 7


def test_repeatable_options_are_read_from_both() -> None:
    environment = {"TIERMESH_FILES": "a.yaml:dir", "TIERMESH_LABELS": "app=checkout,team=pay"}
    settings = build_settings({}, environment)
    assert settings.files == (Path("a.yaml"), Path("dir"))
    assert settings.labels == {"app": "checkout", "team": "pay"}
    given = build_settings({"-f": ["x"], "--label": ["a=b=c"]}, environment)
    assert given.files == (Path("x"),)
    assert given.labels == {"a": "b=c"}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[::1]:4480", Address(host="::1", port=4480)),
        (":0", Address(host="0.0.0.0", port=0)),
        ("localhost:1", Address(host="localhost", port=1)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text, "--listen") == address


def test_an_ipv6_address_is_printed_in_brackets() -> None:
    assert str(Address(host="::1", port=1)) == "[::1]:1"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"--listen": "4480"}, "--listen 4480: give HOST:PORT"),
        ({"--listen": "::1:4480"}, "[::1]:4480"),
        ({"--listen": "a:99999"}, "HOST:PORT"),
        ({"--admin": "0.0.0.0:4481"}, "loopback"),
        ({"--max-body": "1GB"}, "64MiB"),
        ({"--max-body": "0"}, "64MiB"),
        ({"--drain": "soon"}, "seconds"),
        ({"--drain": "nan"}, "seconds"),
        ({"--label": ["app"]}, "KEY=VALUE"),
        ({"--log-level": "loud"}, "debug, info"),
        ({"--log-format": "xml"}, "text, json"),
    ],
)
def test_a_wrong_value_is_told_with_its_flag_and_a_fix(
    flags: dict[str, str | list[str]], told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        build_settings(flags, {})
    assert next(iter(flags)) in str(caught.value)
    assert told in str(caught.value)


def test_a_wrong_variable_is_told_by_its_own_name() -> None:
    with pytest.raises(SettingsError, match="TIERMESH_DRAIN"):
        build_settings({}, {"TIERMESH_DRAIN": "x"})
    with pytest.raises(SettingsError, match="TIERMESH_ORIGINAL_OPENAI_URL"):
        build_settings({}, {"TIERMESH_ORIGINAL_OPENAI_URL": "api.openai.com"})


@pytest.mark.parametrize(
    ("given", "openai", "anthropic"),
    [
        ("http://h", "http://h/v1", "http://h/v1"),
        ("http://h/v1/", "http://h/v1", "http://h/v1"),
        ("http://h/proxy", "http://h/proxy", "http://h/proxy/v1"),
    ],
)
def test_the_original_addresses_are_what_the_sdks_would_append_to(
    given: str, openai: str, anthropic: str
) -> None:
    settings = build_settings(
        {}, {"TIERMESH_ORIGINAL_OPENAI_URL": given, "TIERMESH_ORIGINAL_ANTHROPIC_URL": given}
    )
    assert settings.original_openai_url == openai
    assert settings.original_anthropic_url == anthropic


@pytest.mark.parametrize(("size", "count"), [("1", 1), ("2KiB", 2048), ("3MiB", 3 * 1024 * 1024)])
def test_sizes(size: str, count: int) -> None:
    assert build_settings({"--max-body": size}, {}).max_body == count
