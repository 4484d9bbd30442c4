"""Obeys the attempts machine: sends, reads, waits, relays. It chooses nothing itself.

One runner per call. Every event is handed to the machine as it happens, and its commands are obeyed
in order, all on the event loop's thread and without waiting in between; only the attempts' own
tasks and `run` wait. After `RelayRest` an attempt's task writes to the caller by itself and the
machine hears of it again when it ends, breaks or falls silent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from tiermesh_sidecar.core.attempts import Attempts
from tiermesh_sidecar.core.commands import (
    Cancel,
    Command,
    Record,
    Relay,
    RelayRest,
    Respond,
    Send,
    Wait,
)
from tiermesh_sidecar.core.decision import Plan, Refusal, Step
from tiermesh_sidecar.core.events import (
    AnswerEnded,
    AttemptFailed,
    ChunkReceived,
    ClientGone,
    DeadlinePassed,
    Event,
    Failure,
    HeadReceived,
)
from tiermesh_sidecar.core.outcome import AttemptRecord, Ending
from tiermesh_sidecar.net.attempt import Attempt, Body
from tiermesh_sidecar.net.exchange import Exchange, KeyMissingError
from tiermesh_sidecar.net.relay import Relayer
from tiermesh_sidecar.net.tasks import Tasks
from tiermesh_sidecar.net.upstream import Upstream, UpstreamError, UpstreamResponse
from tiermesh_sidecar.wire.retry_after import retry_after_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a runner uses of the sidecar."""

    upstream: Upstream
    tasks: Tasks
    unix_time: Callable[[], float]
    new_span_id: Callable[[], str]
    settled: Callable[[Step, AttemptRecord], None]
    """Told of every attempt as soon as it is known how it went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    ending: Ending
    records: tuple[AttemptRecord, ...]
    attempts: dict[int, Attempt]
    refusal: Refusal | None
    first_sent_ms: float | None
    """When the first attempt set out, in milliseconds since the call began."""


class Runner:
    """`run` once. `stop` ends a call from outside, when the sidecar shuts down."""

    def __init__(
        self, exchange: Exchange, plan: Plan, seed: int, relayer: Relayer, around: Surroundings
    ) -> None:
        self._exchange = exchange
        self._machine = Attempts(plan, seed=seed)
        self._relayer = relayer
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._attempts: dict[int, Attempt] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[Record] = self._loop.create_future()
        self._refusal: Refusal | None = None
        self._stopped = False

    async def run(self) -> Outcome:
        """The whole call. When the caller goes away meanwhile (this task is cancelled), the
        attempts are closed and the outcome says so; the caller of `run` re-raises."""
        self._obey(self._machine.start(self._now_ms()))
        try:
            record = await asyncio.shield(self._done)
        except asyncio.CancelledError:
            self._event(ClientGone())
            record = self._done.result()
        finally:
            self._clean_up()
        return Outcome(
            ending=Ending.BROKEN if self._stopped else record.ending,
            records=record.attempts,
            attempts=self._attempts,
            refusal=self._refusal,
            first_sent_ms=min((a.started_ms for a in self._attempts.values()), default=None),
        )

    def stop(self, refusal: Refusal) -> None:
        """End the call now with this error: as an answer, or as the last event of a stream."""
        if self._done.done():
            return
        self._stopped = True
        self._respond(Respond(refusal=refusal, committed=self._relayer.reply.started))
        self._event(ClientGone())  # to the machine it is the same: nobody waits any more

    def _now_ms(self) -> float:
        return (time.monotonic() - self._exchange.call.began) * 1000

    def _event(self, event: Event) -> None:
        try:
            self._obey(self._machine.handle(event, self._now_ms()))
        except Exception as error:
            self._crash(error)

    def _obey(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            match command:
                case Send():
                    self._send(command)
                case Wait():
                    self._wait(command)
                case Relay():
                    self._relayer.relay(self._attempts[command.attempt], self._attempts)
                case RelayRest():
                    self._relay_rest(command)
                case Cancel():
                    self._attempts[command.attempt].close()
                case Respond():
                    self._respond(command)
                case Record():
                    self._finish(command)
                case _:
                    pass  # Hold: attempts hold what they read until they are relayed
        for record in self._machine.settled():
            self._around.settled(self._attempts[record.attempt].step, record)

    def _send(self, command: Send) -> None:
        attempt = Attempt(command.attempt, command.step, self._around.new_span_id(), self._now_ms())
        self._attempts[command.attempt] = attempt
        attempt.task = self._around.tasks.start(
            self._fly(attempt), name=f"attempt {command.attempt} to {command.step.backend.name}"
        )

    def _wait(self, command: Wait) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(0.0, (command.until_ms - self._now_ms()) / 1000)
        self._timer = self._loop.call_later(delay_s, self._event, DeadlinePassed())

    def _relay_rest(self, command: RelayRest) -> None:
        attempt = self._attempts[command.attempt]
        attempt.relaying = True
        if command.idle_ms is not None:
            attempt.idle_s = command.idle_ms / 1000
            self._watch_silence(attempt)

    def _respond(self, command: Respond) -> None:
        self._refusal = command.refusal
        if command.committed:
            self._relayer.break_off(command.refusal)
        else:
            self._relayer.refuse(command.refusal, len(self._attempts))

    def _finish(self, record: Record) -> None:
        if record.ending is Ending.ANSWERED:
            self._relayer.reply.finish()
        if not self._done.done():
            self._done.set_result(record)

    def _crash(self, error: Exception) -> None:
        """A bug must end the call, not leave its caller waiting for events that never come."""
        if not self._done.done():
            self._done.set_exception(error)

    def _clean_up(self) -> None:
        for handle in (self._timer, self._idle):
            if handle is not None:
                handle.cancel()
        for attempt in self._attempts.values():
            attempt.close()

    async def _fly(self, attempt: Attempt) -> None:
        """One attempt, from its request to the end of its answer."""
        try:
            await self._exchange_with(attempt)
        except UpstreamError as error:
            self._failed(attempt, error.failure, error.detail)
        except KeyMissingError as error:
            self._failed(attempt, Failure.CONNECT, str(error))
        except ConnectionError:
            pass  # the caller has gone: `run` is being cancelled for that
        except Exception as error:
            self._crash(error)
        finally:
            attempt.close()

    async def _exchange_with(self, attempt: Attempt) -> None:
        request = self._exchange.request(attempt.step, attempt.span_id)
        response = await self._around.upstream.open(request, attempt.note_sent)
        self._take_head(attempt, response)
        while not attempt.closed and (chunk := await self._read(attempt, response)):
            if attempt.first_chunk_ms is None:
                attempt.first_chunk_ms = self._now_ms() - attempt.started_ms
            await self._take_chunk(attempt, chunk)
        if not attempt.closed:
            self._take_end(attempt, response)

    async def _read(self, attempt: Attempt, response: UpstreamResponse) -> bytes:
        """More of the body; b"" at its end, which for a stream that has said all may be a cut."""
        try:
            return await response.read()
        except UpstreamError:
            reader = attempt.reader
            if reader is None or not reader.finished:
                raise
            reader.end()  # what came after the last whole event is not relayed
            return b""

    def _take_head(self, attempt: Attempt, response: UpstreamResponse) -> None:
        exchange = self._exchange
        attempt.take_head(
            response,
            exchange.dialect,
            exchange.endpoint,
            routed=exchange.routed,
            hide_usage=exchange.asks_usage,
        )
        self._event(
            HeadReceived(
                attempt=attempt.number,
                status=response.status,
                stream=attempt.body is Body.STREAM,
                whole=attempt.body is Body.WHOLE,
                retry_after_ms=retry_after_ms(response.headers, self._around.unix_time()),
            )
        )

    async def _take_chunk(self, attempt: Attempt, chunk: bytes) -> None:
        relaying = attempt.relaying
        out = attempt.take(chunk)
        error = attempt.reader.error if attempt.reader else None
        if not relaying:
            if attempt.body is Body.STREAM and (out or error):
                self._first_event(attempt, error)
            return
        if out:
            self._silence_over()
            self._relayer.write(out, failed=error is not None)
            await self._relayer.reply.drain()
        if error is not None:
            self._failed(attempt, Failure.STREAM_ERROR, error)
        elif not attempt.closed:
            self._watch_silence(attempt)

    def _first_event(self, attempt: Attempt, error: str | None) -> None:
        self._event(
            ChunkReceived(
                attempt=attempt.number,
                failed=error is not None,
                detail=self._relayer.without_keys(error or ""),
            )
        )

    def _take_end(self, attempt: Attempt, response: UpstreamResponse) -> None:
        reader = attempt.reader
        if reader is not None:
            tail = reader.end()
            if not response.framed and not reader.finished:
                self._failed(attempt, Failure.UNREADABLE, "the stream was cut before its end")
                return
            if self._exchange.routed and not (attempt.relaying or attempt.held or tail):
                self._failed(attempt, Failure.UNREADABLE, "the stream ended before its first event")
                return
            if tail and attempt.relaying:
                self._relayer.write(tail, failed=reader.error is not None)
            else:
                attempt.held += tail
        attempt.end(self._exchange.dialect, self._exchange.endpoint)
        self._event(AnswerEnded(attempt=attempt.number, readable=attempt.readable))

    def _failed(self, attempt: Attempt, failure: Failure, detail: str) -> None:
        if not attempt.closed:
            attempt.close()
            self._event(
                AttemptFailed(
                    attempt=attempt.number,
                    failure=failure,
                    detail=self._relayer.without_keys(detail),
                )
            )

    def _watch_silence(self, attempt: Attempt) -> None:
        """Begin to count the time in which a relayed stream says nothing. It is not counted while
        the caller is slow to read."""
        self._silence_over()
        if attempt.idle_s is not None and not attempt.closed:
            self._idle = self._loop.call_later(attempt.idle_s, self._silent, attempt)

    def _silence_over(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _silent(self, attempt: Attempt) -> None:
        assert attempt.idle_s is not None  # else it was not watched
        self._failed(attempt, Failure.TIMEOUT, f"silent for {attempt.idle_s * 1000:.0f} ms")
