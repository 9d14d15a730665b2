"""What each verb's exit codes mean: one table, and every `--help` tells its verb's part of it.

The numbers are the same everywhere (`workers/cli/context.py`): 0 done, 1 looked at and found wrong
or refused, 2 not understood, 3 nobody there to ask. A test holds the table against the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workers.cli.context import EXIT_FAILED, EXIT_NOT_RUNNING, EXIT_OK, EXIT_USAGE

EXIT_INTERRUPTED = 130  # Ctrl-C, as shells count signals

_MISUNDERSTOOD = "the command was not understood"
_NOT_RUNNING = "the exchange does not run, or is still starting"
_NO_DATABASE = "no exchange ever ran in this folder, or its database does not answer"
_NO_DESK = "no exchange ever ran in this folder, or its database or Temporal does not answer"
_NO_STAFF = "the exchange does not run, or one of its servers does not answer"
_NO_GATEWAY = "the exchange does not run, or its gateway does not answer"
_NO_CUSTOMER = "there is no such customer"
_NOT_GENUINE = "a record is not what was written"
_NOT_DONE = "it was not done; the message says why"


@dataclass(frozen=True, slots=True)
class ExitCodes:
    """What the ends of a verb mean; an empty text is an end that the verb does not have.

    `usage` is what ends with 2 beside words that nobody understands, as all verbs do.
    """

    failed: str = ""
    usage: str = ""
    away: str = ""
    ok: str = "done"

    def meanings(self) -> dict[int, str]:
        """Return each exit code's meaning, in the order of the codes."""
        usage = f"{_MISUNDERSTOOD}, or {self.usage}" if self.usage else _MISUNDERSTOOD
        ends = {EXIT_OK: self.ok, EXIT_FAILED: self.failed, EXIT_USAGE: usage}
        ends[EXIT_NOT_RUNNING] = self.away
        return {code: text for code, text in ends.items() if text}


_SWITCH = ExitCodes("an engine refused, or one of several is away", "", "no engine answers")
_OFFICER = ExitCodes("nothing waits for this decision, or nobody agreed to sign", "", _NO_STAFF)
_PROCESS = ExitCodes(
    "it cannot start or go on; its log says why",
    "a setting (RIALTO_...) is missing or wrong",
    ok="told to stop, and stopped",
)

# By verb; what is not named has the codes of its group.
_CODES: Mapping[str, ExitCodes] = {
    "up": ExitCodes(
        "it did not start, or --once found something wrong",
        "the folder's exchange runs already, or has more shards",
        ok="stopped as asked; with --once: everything holds",
    ),
    "status": ExitCodes("something is not healthy", "", "no exchange runs", ok="all is healthy"),
    "logs": ExitCodes(usage="there is no such log"),
    "reset": ExitCodes(
        "nobody agreed, or a file belongs to another user",
        "the exchange runs, or the folder is not Rialto's",
    ),
    "version": ExitCodes(),
    "top": ExitCodes(usage="there is no such market or account", away=_NOT_RUNNING),
    "doctor": ExitCodes("something is wrong; each has its advice", ok="nothing is wrong"),
    "feed": ExitCodes(
        "it could not be played, or books or settlement do not add up",
        "the flow cannot be read",
        _NOT_RUNNING,
    ),
    "order": ExitCodes("refused; the reason is printed", away=_NO_GATEWAY),
    "order cancel": ExitCodes(
        "refused, or a halted market kept an order that --all names", away=_NO_GATEWAY
    ),
    "position": ExitCodes("refused; the reason is printed", away=_NO_GATEWAY),
    "position close": ExitCodes("refused, or there is no position", away=_NO_GATEWAY),
    "ops": ExitCodes(_NOT_DONE, "Temporal cannot read the query", _NO_STAFF),
    "approve": _OFFICER,
    "reject": _OFFICER,
    "void": _OFFICER,
    "faucet": ExitCodes("nothing was sent; the message says why", "", _NO_STAFF),
    "signer": ExitCodes("the signer's files or the passphrase do not allow it"),
    "signer log": ExitCodes("a line was changed, or the log cannot be read"),
    "payload-keys": ExitCodes("the keys cannot be used, or not be changed", "", _NOT_RUNNING),
    "staff": ExitCodes("the staff's file does not allow it, or cannot be used"),
    "cold": ExitCodes("not signed, written or stored; the message says why", away=_NO_DATABASE),
    "cold init": ExitCodes("the wallet was not made", "no terminal asks for the passphrase"),
    "cold sign": ExitCodes(
        "not signed: the request is wrong, or nobody agreed",
        "the target exists, or nobody is at the terminal",
    ),
    "wallet": ExitCodes(_NOT_DONE, "", _NO_DESK),
    "audit withdrawal": ExitCodes(f"there is no such withdrawal, or {_NOT_GENUINE}", "", _NO_DESK),
    "audit about": ExitCodes(_NOT_GENUINE, "", _NO_DESK),
    "audit history": ExitCodes(
        "there is no such history, or it is not what was exported", "", _NO_DESK
    ),
    "audit export": ExitCodes(_NOT_GENUINE, "", _NO_DESK),
    "audit verify": ExitCodes(_NOT_GENUINE, "", _NO_DESK, ok="the log is genuine"),
    "audit trade": ExitCodes(f"there is no such trade, or {_NOT_GENUINE}", "", _NO_DESK),
    "audit order": ExitCodes(f"there is no such order, or {_NOT_GENUINE}", "", _NO_DESK),
    "audit liquidation": ExitCodes("there is no such liquidation", "", _NO_DESK),
    "compliance": ExitCodes(_NO_CUSTOMER, "no reason was given", _NO_DESK),
    "compliance key": ExitCodes(_NOT_DONE, "", _NO_DATABASE),
    "compliance tier": ExitCodes(_NO_CUSTOMER, "no such tier, no reason", _NO_DATABASE),
    "compliance note": ExitCodes(_NO_CUSTOMER, "the note is empty or too long", _NO_DATABASE),
    "compliance rescreen": ExitCodes(
        "somebody was found, or the screener does not answer", "", _NO_DATABASE
    ),
    "key": ExitCodes("there is no such customer or key, or the key is no good", "", _NO_DATABASE),
    "login": ExitCodes(_NOT_DONE, "", _NO_DESK),
    "halt": _SWITCH,
    "cancel-only": _SWITCH,
    "resume": _SWITCH,
    "market": ExitCodes(_NOT_DONE, "", _NO_DESK),
    "market halt": _SWITCH,
    "market cancel-only": _SWITCH,
    "market resume": _SWITCH,
    "market perpetual": ExitCodes("the engine refused", "", "the engine does not answer"),
    "fees": ExitCodes("that day was not assessed", "", _NO_DESK),
    "liquidation": ExitCodes(_NOT_DONE, "", _NO_DESK),
    "liquidation sign": ExitCodes(
        "nothing waits for this decision, or nobody agreed to sign", "", _NOT_RUNNING
    ),
    "prices watch": ExitCodes("a market has no index: too few sources"),
    "prices shock": ExitCodes(away=_NOT_RUNNING),
    "verify": ExitCodes("a rule is violated", "", _NO_DATABASE, ok="every rule holds"),
    "ledger": ExitCodes(away=_NO_DATABASE),
    "ledger balances": ExitCodes("the time is archived", away=_NO_DATABASE),
    "statement": ExitCodes(
        "the books do not add up, or the period is archived", _NO_CUSTOMER, _NO_DATABASE
    ),
    "alarms": ExitCodes("an alarm is open that nobody looks after", "", _NO_DATABASE),
    "alarms ack": ExitCodes("there is none, or somebody looks after it", "", _NO_DATABASE),
    "adjust": ExitCodes(_NOT_DONE, "", _NO_DESK),
    "suspense": ExitCodes(_NOT_DONE, "", _NO_DESK),
    "replay": ExitCodes(
        "the journal is damaged, or has not that sequence", "", "there is no journal"
    ),
    "conform": ExitCodes("a difference", "the data is not there, or cannot be read"),
    "conform tracebook-adapter": ExitCodes(usage="a line is not of the protocol"),
    "vectors": ExitCodes("a case fails", "a file or a case cannot be read"),
    "simulate": ExitCodes("a rule is violated; seed and step show it again"),
    "fuzz": ExitCodes("something broke", "there is no compiler or no input to use"),
    "chaos": ExitCodes("something was refused, late, lost or wrong; `problems` says what"),
    "bench": ExitCodes("the measured run was wrong, or there was nothing to measure"),
    "bench settlement": ExitCodes(),
    "bench growth": ExitCodes(),
    "bench picture": ExitCodes(usage="the file is no report"),
    "bench core": ExitCodes("the fills are wrong, or no core is built", "the flow cannot be read"),
    "bench ledger": ExitCodes("an update was lost"),
    "bench wallet": ExitCodes("the books do not add up afterwards"),
    "test": ExitCodes("something fails"),
    "matching-engine": _PROCESS,
    "wallet-signer": _PROCESS,
    "temporal-worker": _PROCESS,
    "chain-watcher": _PROCESS,
    "market-data": _PROCESS,
    "risk-monitor": _PROCESS,
    "order-history": _PROCESS,
    "gateway": _PROCESS,
    "bots": _PROCESS,
}

OF_ALL = {
    EXIT_OK: "done",
    EXIT_FAILED: "looked at, and wrong or refused; the message says what",
    EXIT_USAGE: _MISUNDERSTOOD,
    EXIT_NOT_RUNNING: "what the verb talks to is not there; it may be started and tried again",
    EXIT_INTERRUPTED: "Ctrl-C",
}


def codes_of(verb: str) -> ExitCodes:
    """Return what the exit codes of `verb`, such as "market add", mean."""
    return _CODES[verb] if verb in _CODES else _CODES[verb.rpartition(" ")[0]]
