"""`tiermesh explain`, `validate`, `version` and what a wrong command is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from net_kit import CANARY, CHAT, ask, policy, secret, serving, tier, write_config

from tiermesh_sidecar.cli.main import COMMANDS, run
from tiermesh_sidecar.demo.providers.server import FakeProvider
from tiermesh_sidecar.telemetry.audit import as_json

RULES: dict[str, Any] = {
    "identity": [{"attribute": "plan", "header": "x-plan"}],
    "signals": [{"name": "complexity", "heuristic": {}}],
    "rules": [
        {
            "name": "premium",
            "when": 'caller.plan == "premium"',
            "route": {"pin": {"tier": "large", "fallback": "None"}},
        },
        {
            "name": "rest",
            "route": {
                "threshold": {
                    "signal": "complexity",
                    "bands": [{"below": "0.5", "tier": "small"}, {"tier": "large"}],
                }
            },
        },
    ],
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    return str(
        write_config(
            tmp_path / "policy.yaml",
            tier("small", "http://127.0.0.1:1", rank=1),
            tier("large", "http://127.0.0.1:1", rank=2, price="15"),
            policy("small", "large", **RULES),
            secret(),
        )
    )


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(CHAT))
    return str(path)


def test_explain_prints_the_contracts_json(
    config: str, request_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "-f", config, "--output", "json", request_file]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["decision"] == {
        "tier": "small",
        "rule": "rest",
        "policy": value["decision"]["policy"],
        "plan": [
            {"tier": "small", "backend": "small-a"},
            {"tier": "large", "backend": "large-a"},
        ],
    }
    assert value["candidates"] == [
        {"tier": "small", "kept": True, "reason": "Chosen", "also": []},
        {"tier": "large", "kept": True, "reason": "InPlan", "also": []},
    ]
    assert set(value["signals"]) == {"complexity"}
    assert value["cost"]["outputTokensAre"] == "assumed"
    assert float(value["cost"]["saved"]) > 0


def test_explain_tells_people_who_takes_it_and_why(
    config: str, request_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["explain", "-f", config, "--header", "x-plan: premium", request_file]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith("large takes this call\n")
    assert "small  NotInRoute" in text
    assert "rule    premium" in text
    assert "plan    large/large-a (large)" in text


def test_explain_reads_standard_input_and_other_dialects(tmp_path: Path) -> None:
    path = write_config(
        tmp_path / "p.yaml",
        tier("claude", "http://127.0.0.1:1", rank=1, provider="Anthropic"),
        policy("claude"),
        secret(),
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tiermesh_sidecar", "explain", "-f", path),
            *("--path", "/v1/messages", "--output", "json", "-"),
        ],
        input=json.dumps({**CHAT, "max_tokens": 7}).encode(),
        capture_output=True,
        check=True,
    )
    value = json.loads(done.stdout)
    assert value["decision"]["tier"] == "claude"
    assert value["cost"]["outputTokens"] == 7


def test_a_refused_request_exits_1_and_says_why(
    tmp_path: Path, request_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(
        tmp_path / "p.yaml",
        tier("small", "http://127.0.0.1:1", rank=1),
        policy("small", entitlements={"default": "None"}),
        secret(),
    )
    assert run(["explain", "-f", str(path), request_file]) == 1
    assert "refused: not_entitled" in capsys.readouterr().out
    assert run(["explain", "-f", str(path), "--output", "json", request_file]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["decision"]["tier"] is None
    assert value["decision"]["refusal"]["code"] == "not_entitled"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["missing.json"], "missing.json"),
        (["--header", "nocolon", "REQUEST"], "NAME: VALUE"),
        (["--header", "a b: v", "REQUEST"], "NAME: VALUE"),
        (["--header", "x-plan: a\r\nx: b", "REQUEST"], "NAME: VALUE"),
        (["--path", "/v2/x", "REQUEST"], "not_found"),
        (["--path", "/v1/models", "REQUEST"], "answers this path itself"),
        (["--namespace", "elsewhere", "REQUEST"], "no policy selects"),
        (["--label", "x", "REQUEST"], "KEY=VALUE"),
        ([], "REQUEST.json"),
        (["--replay", "missing.jsonl"], "missing.jsonl"),
    ],
)
def test_bad_input_exits_2_and_names_it(
    config: str,
    request_file: str,
    extra: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    extra = [request_file if word == "REQUEST" else word for word in extra]
    assert run(["explain", "-f", config, *extra]) == 2
    assert told in capsys.readouterr().err
    assert run(["explain", "-f", config, "--output", "json", *extra]) == 2
    assert told in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_header_of_other_bytes_than_utf8_is_taken_as_it_is(
    config: str, request_file: str
) -> None:
    odd = b"x-plan: \xff\xfe".decode("utf-8", "surrogateescape")
    assert run(["explain", "-f", config, "--header", odd, request_file]) == 0


@pytest.mark.parametrize(
    ("mode", "told"),
    [("Enforce", "small takes"), ("Observe", "small would take"), ("Disabled", "small would take")],
)
def test_a_policy_that_does_not_act_is_explained_as_what_would_be(
    mode: str,
    told: str,
    tmp_path: Path,
    request_file: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_config(
        tmp_path / "p.yaml",
        tier("small", "http://127.0.0.1:1", rank=1),
        policy("small", mode=mode),
        secret(),
    )
    assert run(["explain", "-f", str(path), request_file]) == 0
    assert capsys.readouterr().out.startswith(told)


def test_no_output_is_priced_where_there_is_none_or_nobody_can_say(
    tmp_path: Path, request_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(
        tmp_path / "p.yaml",
        tier("small", "http://127.0.0.1:1", rank=1),
        policy("small", models={"passThroughTier": "small"}),
        secret(),
    )
    asked = tmp_path / "embed.json"
    asked.write_text(json.dumps({"model": "small", "input": "word " * 40}))
    costs = []
    for where, request in (("/v1/embeddings", str(asked)), ("/v1/files", request_file)):
        line = ["explain", "-f", str(path), "--path", where, "--output", "json", request]
        assert run(line) == 0
        costs.append(json.loads(capsys.readouterr().out)["cost"])
    assert costs[0]["outputTokens"] == 0
    assert float(costs[0]["estimated"]) == costs[0]["inputTokens"] / 1e6
    assert costs[1]["estimated"] is None


def test_a_bad_policy_is_told_as_json_too(
    tmp_path: Path, request_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.yaml")
    assert run(["explain", "-f", missing, "--output", "json", request_file]) == 2
    assert json.loads(capsys.readouterr().out)["problems"][0]["file"] == missing


async def test_audit_records_are_decided_again_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.jsonl"
    async with FakeProvider(model=["small", "large"], key=CANARY) as provider:
        documents = (
            tier("small", provider.url, rank=1),
            tier("large", provider.url, rank=2),
            policy("small", "large", **RULES),
            secret(),
        )
        async with serving(tmp_path, *documents) as (sidecar, recorder):
            await ask(sidecar)
            await ask(sidecar, headers=[(b"x-plan", b"premium")])
            await ask(sidecar, b"{")
            await ask(sidecar, {**CHAT, "model": "large"})
    audit.write_text("".join(json.dumps(as_json(call)) + "\n" for call in recorder.calls))
    path = tmp_path / "policy.yaml"
    assert run(["explain", "-f", str(path), "--replay", str(audit)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("4 records: 3 same, 0 differ\n")
    assert "1 without a decision" in text

    changed = {**RULES, "rules": RULES["rules"][1:]}
    write_config(path, *documents[:2], policy("small", "large", **changed), secret())
    assert run(["explain", "-f", str(path), "--replay", str(audit), "--output", "json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["same"], value["differ"], value["policyChanged"]) == (2, 1, 3)
    assert value["differences"][0]["was"]["rule"] == "premium"
    assert value["differences"][0]["now"]["rule"] == "rest"
    assert value["differences"][0]["was"]["first"] == "large/large-a"


@pytest.mark.parametrize(
    "line",
    [
        '{"policy": "shop/checkout@1", "features": {}, "candidates": [{}]}',
        '{"policy": "shop/checkout@1", "features": {"caller": 5}, "candidates": [{}], '
        '"view": {"a": 1}, "signals": {}, "seed": 1, "at": "2026-01-01T00:00:00Z"}',
        "null",
        "{",
    ],
)
def test_what_is_no_audit_record_is_told_with_its_line(
    line: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.jsonl"
    good = '{"policy": null}'
    audit.write_text(f"{good}\n{line}\n{good}\n")
    assert run(["explain", "-f", config, "--replay", str(audit)]) == 2
    out = capsys.readouterr().out
    assert out.startswith("2 records: 0 same, 0 differ\n")
    assert "line 2 is no" in out


def test_a_record_may_hold_what_unicode_calls_a_line_end(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.jsonl"
    audit.write_text('{"policy": null, "model": "a\u2028b\x85c"}\n', encoding="utf-8")
    assert run(["explain", "-f", config, "--replay", str(audit)]) == 0
    assert capsys.readouterr().out.startswith("1 records: 0 same, 0 differ\n")


def test_output_that_cannot_be_written_is_no_traceback(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(text: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout.write", full)
    assert run(["validate", "-f", config]) == 1
    assert "tiermesh validate: [Errno 28]" in capsys.readouterr().err


def test_validate_says_that_all_is_well(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "-f", config]) == 0
    out = capsys.readouterr().out
    assert "shop/checkout@" in out
    assert out.endswith("no problems\n")


def test_validate_prints_every_problem_with_its_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = policy("small", "huge", modus="Enforce")
    path = write_config(tmp_path / "p.yaml", broken, tier("small", "http://h", rank=-1), secret())
    assert run(["validate", "-f", str(path), "--output", "json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {p["document"] for p in problems} == {1, 2}
    assert run(["validate", "-f", str(path)]) == 1
    out = capsys.readouterr().out
    assert out.count("  fix: ") == len(problems)
    assert out.endswith(f"{len(problems)} problems\n")


def test_validate_looks_for_keys_where_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(
        tmp_path / "p.yaml", tier("small", "http://127.0.0.1:1", rank=1), policy("small")
    )
    directory = tmp_path / "keys"
    assert run(["validate", "-f", str(path)]) == 0
    assert run(["validate", "-f", str(path), "--secrets-dir", str(directory)]) == 1
    assert str(directory / "keys" / "api-key") in capsys.readouterr().out
    (directory / "keys").mkdir(parents=True)
    (directory / "keys" / "api-key").write_text("sk")
    assert run(["validate", "-f", str(path), "--secrets-dir", str(directory)]) == 0


def test_an_unknown_command_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(["serve"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert all(command.name in error for command in COMMANDS)


def test_help_names_every_command_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command.summary in text for command in COMMANDS)
    assert "tiermesh sidecar -f policy.yaml" in text


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tiermesh 0.")


def test_a_wrong_setting_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sidecar", "--listen", "nowhere"]) == 2
    assert "--listen nowhere" in capsys.readouterr().err


def test_serving_imports_nothing_of_the_compiler() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, tiermesh_sidecar.net.app, tiermesh_sidecar.cli.sidecar, "
            "tiermesh_sidecar.net.lifecycle; "
            "print([m for m in ('pydantic', 'yaml', 'cel_expr_python') if m in sys.modules])",
        ],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"[]\n"
