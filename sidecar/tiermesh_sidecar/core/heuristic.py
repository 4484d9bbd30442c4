"""The built-in complexity signal: what the words and the shape of a request say, or nothing.

Most requests carry few cues, and a request without any is *not* a simple one: the heuristic then
abstains instead of giving a low score. Simplicity needs evidence of its own (a greeting, a short
question of fact), as difficulty does. The words are English; of other languages it judges code,
symbols and lists only.

Linear in a capped window: instructions stand at the beginning or the end of a message, the middle
is material. Single words are looked up in sets, since a set costs the same for ten words or for two
hundred, and one alternation regex costs more than everything here.
"""

from __future__ import annotations

from tiermesh_sidecar.core.features import Prompt

_HEAD, _TAIL = 600, 200
"""Characters of the message that are looked at, from its beginning and its end."""
_SHORT = 160
"""A longer question of fact hides a condition somewhere; it is no evidence of simplicity."""

_CODE = frozenset(
    b"algorithm api async bash benchmark bug class compile compiler concurrency cpp css database"
    b" deadlock debug def docker endpoint exception function golang haskell html implement import"
    b" java javascript json kotlin kubernetes latency lambda mutex null numpy pandas parser"
    b" postgres python query react recursion recursive refactor regex rust schema script sql stack"
    b" struct thread traceback typescript unittest".split()
)
_MATH = frozenset(
    b"abelian algebra asymptotic bijection bijective calculus coefficient combinatorics continuous"
    b" contradiction converge converges convergent corollary derivative determinant differentiable"
    b" differential eigenvalue eigenvalues equation equations factorial finite geometric group"
    b" homomorphism hypothesis induction inequality infinite infinitely integer integers integral"
    b" irrational isomorphic isomorphism lemma limit linear logarithm matrix modulo orthogonal"
    b" permutation polynomial prime primes probability proof proofs prove proven quadratic rational"
    b" series subgroup theorem topology triangle variance vector".split()
)
_REASONING = frozenset(
    b"alternatives analyse analyze approach architect architecture assess assumptions availability"
    b" bottleneck bottlenecks compare comparison consistency consistent contrast critique deduce"
    b" derive design diagnose distributed edge estimate evaluate evidence explain failure failures"
    b" fault forecast infer investigate justify mechanism migrate migration model optimal optimise"
    b" optimize partition plan prioritise prioritize propose rationale reason reasoning reconcile"
    b" replicated replication rigorous risks rollout scalable scale scenario scenarios simulate"
    b" strategy synthesize throughput tolerance tradeoff tradeoffs why".split()
)
_ARITHMETIC = frozenset(
    b"altogether average cost costs dollars double each earn earns half hours many minutes much"
    b" per percent remaining sells spend spends third times total triple twice week".split()
)
_CONSTRAINTS = frozenset(
    b"avoid between cannot constraint constraints ensure every exactly except guarantee least most"
    b" must never only require required requirement requirements satisfy should strictly unless"
    b" without".split()
)
_TASKS = frozenset(
    b"categorize classify correct draft email extract format grammar outline paraphrase proofread"
    b" rephrase rewrite shorten summarise summarize summary translate translation tldr".split()
)
_ORDERS = frozenset(b"define name spell".split())
_FACT = frozenset(b"are did does is what when where which who whose".split()) | _ORDERS
_COURTESY = frozenset(b"bye good hello hey hi morning no ok okay test thank thanks yes".split())
_CUES = _CODE | _MATH | _REASONING | _ARITHMETIC | _CONSTRAINTS | _TASKS

_SYMBOLS = frozenset("∀∃∈∑∏∫√∞≤≥≠≈→⇒⊂∂∇λπσθ")
"""Mathematics in any language."""
_FORMULAS = ("\\frac", "\\sum", "\\int", "\\sqrt", "\\mathbb", "\\begin{")


def _table() -> bytes:
    """Lower case for letters, digits as they are, a space for all else."""
    kept = b"abcdefghijklmnopqrstuvwxyz0123456789"
    table = bytearray(b" " * 256)
    for byte in kept:
        table[byte] = byte
        table[bytes([byte]).upper()[0]] = byte
    return bytes(table)


_WORDS = _table()


def complexity(prompt: Prompt) -> float | None:
    """How hard the request looks, in [0,1]; None where nothing in it says so either way."""
    text = prompt.last_user or (prompt.texts[-1] if prompt.texts else "")
    window = text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    words = window.encode("ascii", "replace").translate(_WORDS).split()
    found = _CUES.intersection(words)
    parts = _lexical(found) + _structural(window)
    # Length and depth weigh only beside other cues: neither says that a request is easy.
    if not any(parts) and not _simple(prompt, text, words):
        return None
    return _combined((*parts, _size(len(text)), _depth(prompt.turns)))


def _lexical(found: frozenset[bytes]) -> list[float]:
    """What the words say. One arithmetic word or one word of obligation is everyday language."""
    arithmetic = len(found & _ARITHMETIC) - 1
    constraints = len(found & _CONSTRAINTS) - 1
    return [
        min(0.5, 0.15 * len(found & _CODE)),
        min(0.65, 0.25 * len(found & _MATH)),
        min(0.6, 0.16 * len(found & _REASONING)),
        min(0.3, 0.1 * arithmetic) if arithmetic > 0 else 0.0,
        min(0.3, 0.08 * constraints) if constraints > 0 else 0.0,
        0.25 if found & _TASKS else 0.0,
    ]


def _structural(window: str) -> list[float]:
    """What its shape says: code, formulas, lists, several questions."""
    parts = []
    if "`" in window and "```" in window:
        parts.append(0.3)
    if "\\" in window and any(command in window for command in _FORMULAS):
        parts.append(0.3)
    if not window.isascii() and not _SYMBOLS.isdisjoint(window):
        parts.append(0.3)
    if "\n" in window:
        parts.append(_listed(window))
    questions = window.count("?")
    if questions > 1:
        parts.append(min(0.2, 0.06 * (questions - 1)))
    return parts


def _listed(window: str) -> float:
    """Several demands, as bullets or by number."""
    bullets = window.count("\n- ")
    numbered = 3 if "\n2" in window and "\n3" in window else 0
    return min(0.3, 0.06 * max(bullets, numbered)) if bullets > 1 or numbered else 0.0


def _simple(prompt: Prompt, text: str, words: list[bytes]) -> bool:
    """A short question of fact, or a greeting. Later in a conversation "yes" may mean anything."""
    if len(text) > _SHORT or not words:
        return False
    if words[0] in _FACT:
        return "?" in text or words[0] in _ORDERS
    return prompt.turns <= 1 and len(words) <= 4 and not _COURTESY.isdisjoint(words)


def _size(length: int) -> float:
    return min(0.25, length / 24_000)


def _depth(turns: int) -> float:
    return min(0.15, 0.03 * max(0, turns - 1))


def _combined(parts: tuple[float, ...]) -> float:
    """Each part takes its share of what is still missing to 1, so no one cue decides alone."""
    rest = 1.0
    for part in parts:
        rest *= 1.0 - part
    return 1.0 - rest
