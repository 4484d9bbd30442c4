"""From an attempt's answer, or an error of ours, to the caller's reply.

Bytes of providers go through unchanged but for the framing, hop-by-hop headers, our own headers,
and keys in error answers (law 8 wins over law 9). The one place that writes to a `Reply`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from tiermesh_sidecar.core.decision import Decision, Refusal
from tiermesh_sidecar.core.features import Dialect
from tiermesh_sidecar.net.attempt import Attempt, Body
from tiermesh_sidecar.net.call import RawHeaders, Reply
from tiermesh_sidecar.net.own_headers import (
    answer_headers,
    call_headers,
    decision_headers,
    price_so_far,
)
from tiermesh_sidecar.wire.answer import decode_body
from tiermesh_sidecar.wire.errors import STATUS, render, stream_error
from tiermesh_sidecar.wire.headers import caller_headers, header
from tiermesh_sidecar.wire.redact import redact

JSON = (b"Content-Type", b"application/json")


class Relayer:
    """Writes one call's reply. `decision` None: no policy acts, and nothing is said of one."""

    def __init__(
        self,
        *,
        reply: Reply,
        dialect: Dialect,
        call_id: str,
        decision: Decision | None,
        policy: str | None,
        input_tokens: int,
        keys: Callable[[], tuple[bytes, ...]],
    ) -> None:
        self.reply = reply
        self.status = 0
        """What the caller got; 0 before the head."""
        self._dialect = dialect
        self._call_id = call_id
        self._decision = decision
        self._policy = policy
        self._input_tokens = input_tokens
        self._keys = keys
        self.answered: int | None = None
        """The number of the attempt that was relayed."""
        self._streaming = False
        self._told_failure = False

    def relay(self, answer: Attempt, attempts: Mapping[int, Attempt]) -> None:
        """The commit: the answer's head, and all that is held of its body."""
        response = answer.response
        assert response is not None  # the machine commits what has a head
        data, raw = answer.release(), response.headers
        if response.status >= 400:
            data, raw = self._clean(data, raw, answer.encoding)
        elif answer.body is Body.STREAM:
            self._streaming = True
        self.answered = answer.number
        headers = [*caller_headers(raw), *self._own(answer, attempts)]
        self.status = response.status
        self.reply.start(
            response.status,
            response.reason.encode("utf-8", "surrogateescape"),
            headers,
            length=len(data) if answer.ended else _length(answer, raw),
        )
        self.reply.write(data)

    def write(self, data: bytes, *, failed: bool) -> None:
        """More of the answer. `failed`: the provider's own report of an error is in it."""
        if failed:
            self._told_failure = True
            data = redact(data, self._keys())
        self.reply.write(data)

    def refuse(self, refusal: Refusal, attempts: int) -> None:
        """An error of ours as the answer."""
        if self._decision is None:
            own = call_headers(self._call_id, self._policy)
        else:
            own = decision_headers(self._call_id, self._decision)
        if attempts:
            own.append((b"x-tiermesh-attempts", b"%d" % attempts))
        body = render(refusal, self._dialect)
        self.status = STATUS[refusal.code]
        phrase = HTTPStatus(self.status).phrase.encode()
        self.reply.start(self.status, phrase, [JSON, *own], length=len(body))
        self.reply.write(body)
        self.reply.finish()

    def break_off(self, refusal: Refusal) -> None:
        """End an answer that will not be whole, so that nobody takes it for whole (law 4)."""
        if not self._streaming:
            self.reply.abort()
            return
        if not self._told_failure:
            self.reply.write(stream_error(refusal, self._dialect))
        self.reply.finish()

    def without_keys(self, text: str) -> str:
        """A provider's words as they may stand in an error or a record of ours."""
        clean = redact(text.encode("utf-8", "surrogateescape"), self._keys())
        return clean.decode("utf-8", "replace")

    def _own(self, answer: Attempt, attempts: Mapping[int, Attempt]) -> RawHeaders:
        if self._decision is None:
            return call_headers(self._call_id, self._policy)
        price = None
        if answer.ended:
            price = price_so_far(attempts.values(), self._input_tokens)
        return answer_headers(self._call_id, self._decision, answer, len(attempts), price)

    def _clean(self, data: bytes, raw: RawHeaders, encoding: str) -> tuple[bytes, RawHeaders]:
        """An error answer without our keys; as it came where it has none."""
        keys = self._keys()
        plain = decode_body(data, encoding)
        if plain is not None:
            cleaned = redact(plain, keys)
            if cleaned != plain:
                data = cleaned
                raw = [pair for pair in raw if pair[0].lower() != b"content-encoding"]
        return data, [(name, redact(value, keys)) for name, value in raw]


def _length(answer: Attempt, raw: RawHeaders) -> int | None:
    """The length that the provider announced for a body that is relayed as it comes."""
    value = header(raw, b"content-length")
    if answer.body is not Body.OPAQUE or value is None or not value.isdigit():
        return None
    return int(value)
