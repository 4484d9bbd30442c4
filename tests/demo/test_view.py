"""What the terminal shows, word for word."""

from decimal import Decimal

from tiermesh_sidecar.demo.summary import Result, Tally
from tiermesh_sidecar.demo.view import (
    clip,
    decision,
    introduction,
    live,
    plain_line,
    table,
    why,
)

RESULTS = (
    Result(
        number=1,
        kind="chat",
        prompt="What is the capital of Peru?",
        status=200,
        latency_ms=151.4,
        tier="small",
        rule="difficulty",
        reason="Chosen",
        attempts=1,
        cost=Decimal("0.00004"),
        top_tier_cost=Decimal("0.001"),
        scored=True,
        score=0.1,
        passed_over={"large": "NotEntitled"},
    ),
    Result(
        number=2,
        kind="stream",
        prompt="Name three rivers.",
        status=200,
        latency_ms=900,
        stream=True,
        tier="large",
        rule="difficulty",
        reason="InPlan",
        attempts=2,
        cost=Decimal("0.002"),
        top_tier_cost=Decimal("0.002"),
        scored=True,
    ),
    Result(
        number=3,
        kind="refused",
        prompt="Write a limerick.",
        status=403,
        latency_ms=2,
        code="not_entitled",
        reason="NotEntitled",
        passed_over={"large": "NotEntitled"},
    ),
)


def tally() -> Tally:
    made = Tally(tiers=("small", "medium", "large"))
    for one in RESULTS:
        made.add(one)
    return made


def test_the_live_block() -> None:
    lines = live(tally(), total=10, note="medium-eu is down", width=86, colour=False)
    assert lines == [
        "3/10 calls   cost $0.0020   with large for all $0.0030   saved $0.0010 (32.0 %)",
        "p50 151 ms   p95 900 ms   fallbacks 1   refused by policy 1   failed 0",
        "",
        "small   ██████████████████████████████ 1",
        "medium   0",
        "large   ██████████████████████████████ 1",
        "",
        "tier           cost      ms  why",
        "small     $0.000040     151  difficulty, complexity 0.10, large: NotEntitled  What is…",
        "large     $0.002000     900  difficulty, complexity abstains, fallback, attempt 2  Na…",
        "refused           -       2  403 not_entitled, large: NotEntitled    Write a limerick.",
        *[""] * 5,
        "medium-eu is down",
    ]


def test_the_block_keeps_its_height_whatever_happened() -> None:
    empty = live(Tally(tiers=("a", "b", "c")), total=None, note="", width=80, colour=True)
    full = live(tally(), total=None, note="x", width=80, colour=True)
    assert len(empty) == len(full)


def test_no_line_is_wider_than_the_terminal() -> None:
    for width in (20, 40, 80):
        lines = live(tally(), total=10, note="n" * 300, width=width, colour=False)
        assert max(map(len, lines)) <= max(width, 40)


def test_colours_only_decorate() -> None:
    plain = live(tally(), total=1, note="x", width=90, colour=False)
    coloured = live(tally(), total=1, note="x", width=90, colour=True)
    assert any("\x1b[" in line for line in coloured)
    assert not any("\x1b" in line for line in plain)


def test_the_summary_table() -> None:
    assert table(tally(), seconds=3.4, colour=False) == [
        "",
        "Summary",
        "  calls                3, 1 of them streams, in 3 s",
        "  tier small           1 (50 %)",
        "  tier medium          0 (0 %)",
        "  tier large           1 (50 %)",
        "  cost                 $0.0020",
        "  with large for all   $0.0030",
        "  saved                $0.0010 (32.0 %)",
        "  fallbacks            1",
        "  refused by policy    1 not_entitled",
        "  failed               0",
        "  p50, p95             151 ms, 900 ms",
        "  decided by           difficulty 2",
        "",
    ]


def test_the_table_of_nothing() -> None:
    lines = table(Tally(tiers=("a", "b")), seconds=0, colour=False)
    assert "  saved               -" in lines
    assert "  p50, p95            -, -" in lines


def test_reasons_are_said_in_words() -> None:
    def reason(**fields: object) -> str:
        usual = {"number": 1, "kind": "chat", "prompt": "", "status": 200, "latency_ms": 1.0}
        return why(Result(**{**usual, **fields}))  # type: ignore[arg-type]  # a table of fields

    assert reason(tier="small") == "named by the caller"
    assert reason(tier="small", rule="steps", broken=True) == "steps, stream broke"
    assert reason(tier="small", rule="steps", status=503) == "steps, status 503"
    assert reason(status=502) == "status 502"
    assert reason(status=0) == "no answer"


def test_the_first_lines_say_what_one_sees_and_where() -> None:
    url = {"data_url": "http://127.0.0.1:1", "admin_url": "http://127.0.0.1:2"}
    lines = introduction(**url, forever=False)
    assert max(map(len, lines)) <= 80, "a narrow terminal would break words"
    assert any("http://127.0.0.1:2/decisions" in line for line in lines)
    assert any("OPENAI_BASE_URL=http://127.0.0.1:1/v1" in line for line in lines)
    assert "It ends by itself." in " ".join(lines)
    assert "Ctrl-C" in " ".join(introduction(**url, forever=True))


def test_a_plain_line_is_bounded() -> None:
    long = Result(number=7, kind="chat", prompt="x" * 500, status=200, latency_ms=1.0)
    assert len(plain_line(long)) == 140
    assert plain_line(long).startswith("    7  failed")
    assert decision(RESULTS[0]).startswith("small     $0.000040")


def test_clipping_marks_what_is_missing() -> None:
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "ab…"
    assert clip("abcd", 0) == "…"
