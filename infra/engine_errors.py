"""What can go wrong between a client and the engine.

EngineError
EngineUnavailable    nothing was sent: try again, or answer "unavailable"
OutcomeUnknown       sent, no answer: ask again with the same client order id or key
EngineRefused        the engine does not speak with this client (version, role, token)
JournalBehindLedger  the engine's journal is older than what the reader has: stop
EventsNotRetained    the wanted events are older than what the engine keeps
"""

from __future__ import annotations


class EngineError(RuntimeError):
    """Any failure between a client and the engine."""


class EngineUnavailable(EngineError):  # noqa: N818 - a state of the engine, not a defect
    """Nothing was sent."""


class OutcomeUnknown(EngineError):  # noqa: N818 - a state of the command, not a defect
    """Sent, and no answer: the command may or may not have happened."""


class EngineRefused(EngineError):  # noqa: N818 - the engine's answer
    """The engine does not take this client: another version, a wrong role or token."""


class JournalBehindLedger(EngineError):  # noqa: N818 - the journal's named fault
    """The reader has more than the journal: this engine runs on an older journal."""


class EventsNotRetained(EngineError):  # noqa: N818 - the engine's answer
    """The events are older than what the engine keeps."""
