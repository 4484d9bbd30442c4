"""How the demo looks: figures in, lines of text out. Pure; `screen` puts them on a terminal.

Colours say nothing that the words do not say as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from textwrap import wrap

from tiermesh_sidecar.demo.summary import Result, Tally

_BAR = 30
_PROSE_WIDTH = 80
_PLAIN_WIDTH = 140
_GREEN, _YELLOW, _RED, _DIM, _BOLD = "32", "33", "31", "2", "1"
_TIER_COLOURS = (_GREEN, _YELLOW, _RED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Colours, or none."""

    colour: bool
    tiers: tuple[str, ...]

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def tier(self, text: str, tier: str | None) -> str:
        if tier not in self.tiers:
            return text
        place = min(self.tiers.index(tier), len(_TIER_COLOURS) - 1)
        return self(text, _TIER_COLOURS[place])


def introduction(*, data_url: str, admin_url: str, forever: bool) -> list[str]:
    """What a newcomer is looking at, in three sentences, and the addresses."""
    ending = "Ctrl-C ends it." if forever else "It ends by itself."
    said = (
        "An application calls one tiermesh sidecar, which sends each call to the cheapest model "
        "tier that is good enough.",
        "The sidecar, its policy, the HTTP and the prompts are real; the models behind the three "
        f"tiers are fakes. {ending}",
        "Watch: which tier each call got and why, what that cost, and what it would have cost "
        "had `large` answered all.",
    )
    return [
        *(line for sentence in said for line in wrap(sentence, _PROSE_WIDTH)),
        "",
        f"  every decision, in a browser   {admin_url}/decisions",
        f"  send it a call of your own     OPENAI_BASE_URL={data_url}/v1",
        "",
    ]


def live(tally: Tally, *, total: int | None, note: str, width: int, colour: bool) -> list[str]:
    """The block that is drawn anew while calls run; no line is wider than `width`."""
    paint = Paint(colour=colour, tiers=tally.tiers)
    of = f"/{total}" if total is not None else ""
    lines = [
        clip(f"{tally.calls}{of} calls   {_money(tally)}", width),
        clip(f"{_times(tally)}   {_troubles(tally)}", width),
        "",
        *(_bar(tally, tier, paint) for tier in tally.tiers),
        "",
        paint(clip(f"{'tier':<8}{'cost':>11}{'ms':>8}  why", width), _DIM),
    ]
    lines += [paint.tier(clip(decision(r), width), r.tier) for r in tally.last]
    lines += [""] * ((tally.last.maxlen or 0) - len(tally.last))
    return [*lines, paint(clip(note, width), _BOLD)]


def decision(result: Result) -> str:
    """One call on one line: tier, cost, time, why, and how the prompt starts."""
    tier = result.tier or ("refused" if result.code else "failed")
    cost = f"${result.cost:.6f}" if result.cost is not None else "-"
    return f"{tier:<8}{cost:>11}{result.latency_ms:>8.0f}  {why(result):<38}  {result.prompt}"


def why(result: Result) -> str:
    """The rule and what else decided, in few words."""
    held_back = [f"{tier}: {reason}" for tier, reason in result.passed_over.items()]
    if result.code is not None:
        return ", ".join([f"{result.status} {result.code}", *held_back])
    if result.tier is None:
        return f"status {result.status}" if result.status else "no answer"
    words = [result.rule or "named by the caller"]
    if result.scored:
        score = "abstains" if result.score is None else f"{result.score:.2f}"
        words.append(f"complexity {score}")
    if result.reason == "InPlan":
        words.append(f"fallback, attempt {result.attempts}")
    if result.status >= 400:
        words.append(f"status {result.status}")
    words += held_back
    if result.broken:
        words.append("stream broke")
    return ", ".join(words)


def plain_line(result: Result) -> str:
    """For logs and pipes, one line a call."""
    return clip(f"{result.number:>5}  {decision(result)}", _PLAIN_WIDTH)


def table(tally: Tally, *, seconds: float, colour: bool) -> list[str]:
    """The summary at the end."""
    paint = Paint(colour=colour, tiers=tally.tiers)
    rows = [*_rows(tally, seconds)]
    wide = max(len(name) for name, _ in rows)
    lines = ["", paint("Summary", _BOLD)]
    return [*lines, *(f"  {name:<{wide}}   {value}" for name, value in rows), ""]


def _rows(tally: Tally, seconds: float) -> Iterator[tuple[str, str]]:
    yield "calls", f"{tally.calls}, {tally.streams} of them streams, in {seconds:.0f} s"
    answered = sum(tally.by_tier.values()) or 1
    for tier in tally.tiers:
        count = tally.by_tier[tier]
        yield f"tier {tier}", f"{count} ({100 * count / answered:.0f} %)"
    yield "cost", _dollars(tally.cost)
    yield f"with {tally.tiers[-1]} for all", _dollars(tally.top_tier_cost)
    saved = tally.saved_percent
    yield "saved", f"{_dollars(tally.saved)} ({saved} %)" if saved is not None else "-"
    yield "fallbacks", str(tally.fallbacks)
    refusals = ", ".join(f"{count} {code}" for code, count in sorted(tally.refusals.items()))
    yield "refused by policy", refusals or "none"
    yield "failed", str(tally.failed)
    yield "p50, p95", f"{_ms(tally.p50_ms)}, {_ms(tally.p95_ms)}"
    rules = [f"{rule} {count}" for rule, count in tally.by_rule.most_common()]
    first, *more = _listed(rules) or ["-"]
    yield "decided by", first
    yield from (("", line) for line in more)


def _listed(items: list[str]) -> list[str]:
    """Lines of a list that break between two items only."""
    unbroken = ", ".join(item.replace(" ", "\xa0") for item in items)
    return [line.replace("\xa0", " ") for line in wrap(unbroken, _PROSE_WIDTH)]


def _money(tally: Tally) -> str:
    saved = tally.saved_percent
    share = f" ({saved} %)" if saved is not None else ""
    return (
        f"cost {_dollars(tally.cost)}   with {tally.tiers[-1]} for all "
        f"{_dollars(tally.top_tier_cost)}   saved {_dollars(tally.saved)}{share}"
    )


def _times(tally: Tally) -> str:
    return f"p50 {_ms(tally.p50_ms)}   p95 {_ms(tally.p95_ms)}"


def _troubles(tally: Tally) -> str:
    refused = sum(tally.refusals.values())
    return f"fallbacks {tally.fallbacks}   refused by policy {refused}   failed {tally.failed}"


def _bar(tally: Tally, tier: str, paint: Paint) -> str:
    count = tally.by_tier[tier]
    most = max(tally.by_tier.values(), default=0)
    length = round(_BAR * count / most) if most else 0
    return f"{tier:<8}" + paint.tier("█" * max(length, 1 if count else 0), tier) + f" {count}"


def _dollars(amount: Decimal) -> str:
    return f"${amount:.4f}"


def _ms(value: float | None) -> str:
    return f"{value:.0f} ms" if value is not None else "-"


def clip(text: str, width: int) -> str:
    """At most `width` characters, with an ellipsis where something is missing."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
