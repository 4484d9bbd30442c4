"""What the attempts machine tells the shell to do, in order."""

from __future__ import annotations

from dataclasses import dataclass

from tiermesh_sidecar.core.decision import Refusal, Step
from tiermesh_sidecar.core.outcome import AttemptRecord, Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Open attempt number `attempt` to this step's backend."""

    attempt: int
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Deliver `DeadlinePassed` at this time (milliseconds since the call began), unless a later
    `Wait` replaces it. There is one timer per call."""

    until_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Keep what this attempt has sent and sends: it may become the answer."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The commit: send this attempt's head and all that was held to the caller."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRest:
    """Relay everything that still comes without asking; report only the end, failure or silence."""

    attempt: int
    idle_ms: int | None = None
    """Silence longer than this is reported as `AttemptFailed` with `Failure.TIMEOUT`: the shell
    sees each chunk, the machine does not. Set for streams, for which no `Wait` counts any more
    (one that still fires is ignored). None: the `Wait`s go on to bound the whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Close this attempt's connection; nothing more of it is wanted, nor of what was held."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """Answer with our own error. After the commit (`committed`): an error event in the caller's
    dialect and the end of the stream, without its terminator; the event is left out where the
    provider's own error event was relayed. An answer that is no stream is cut off instead: its
    connection is closed without the proper end, so that nobody takes it for whole."""

    refusal: Refusal
    committed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The call is over; nothing follows."""

    ending: Ending
    attempts: tuple[AttemptRecord, ...]


Command = Send | Wait | Hold | Relay | RelayRest | Cancel | Respond | Record
