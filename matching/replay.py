"""Bringing an engine to a sequence: newest good snapshot, then the journal's tail.

Start-up, recovery, reconciliation and the shadow that takes snapshots all come through here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from matching import snapshot
from matching.ahead import ahead
from matching.codec import split_commands
from matching.engine import Engine, create_engine
from matching.event_log import EventLog, chain_name
from matching.journal import Journal
from matching.journal_scan import JournalScan, Run
from matching.segments import HEADER_BYTES, JournalError, JournalFault, SegmentHeader
from matching.storage import FileStorage, Storage
from matching.wire import WireError

_AHEAD_BYTES = 1 << 20  # long stretches for both threads: handing over costs the interpreter's lock


@dataclass(frozen=True, slots=True)
class Recovered:
    """A shard as it was when it stopped, ready to go on."""

    engine: Engine
    journal: Journal
    events: EventLog
    erased_bytes: int
    replayed: int


@contextmanager
def _known_commands() -> Iterator[None]:
    """Name commands whose checksum holds and that this build cannot read: another build's."""
    try:
        yield
    except WireError as error:
        raise JournalError(
            JournalFault.UNKNOWN_FORMAT,
            f"the journal is of another version of Rialto ({error}); start the version that wrote "
            "it, or forget a demo's data with `rialto reset`",
        ) from error


@_known_commands()
def recover(
    storage: Storage,
    shard: int,
    fresh_journal_id: bytes,
    *,
    kind: str = "auto",
    cursors: dict[str, int] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Recovered:
    """Return the shard's engine, journal and events; an empty folder becomes a new journal.

    Snapshot, tail and events are checked against each other. `cursors` are what readers are known
    to have: one beyond the journal stops the start with JOURNAL_BEHIND_LEDGER.
    """
    for name in storage.names("journal"):
        if name.endswith(".new"):  # made ahead and never needed
            storage.remove(name)
    scan = JournalScan(storage, shard)
    if not scan.segments:
        refuse_cursors_beyond(0, cursors or {})
        journal = Journal.begin(storage, shard, fresh_journal_id)
        events = EventLog(storage, shard, fresh_journal_id)
        return Recovered(create_engine(shard, kind), journal, events, 0, 0)
    events = EventLog(storage, shard, _journal_id(storage, scan))
    engine = _starting_engine(storage, shard, scan, events, kind)
    started_at = engine.sequence
    if events.last_sequence < started_at:
        events.reset(started_at)
    for run in scan.runs(engine.sequence + 1):
        _replay_run(engine, events, run)
        progress(engine.sequence)
    scan.judge_tail()
    _refuse_journal_behind(scan, engine)
    refuse_cursors_beyond(engine.sequence, cursors or {})
    events.cut_after(engine.sequence)
    _compare(engine, events)
    erased = scan.cut_tail()
    end = scan.end()
    scan.harden_tail()
    journal = Journal(storage, shard, end)
    return Recovered(engine, journal, events, erased, engine.sequence - started_at)


def _journal_id(storage: Storage, scan: JournalScan) -> bytes:
    name = scan.segments[0]
    return SegmentHeader.decode(storage.read(name, 0, HEADER_BYTES), name).journal_id


def _starting_engine(
    storage: Storage, shard: int, scan: JournalScan, events: EventLog, kind: str
) -> Engine:
    """Return the newest good snapshot that the events reach up to, else the oldest, else none."""
    oldest: Engine | None = None
    journal_id = _journal_id(storage, scan)
    for engine in snapshot.good_engines(storage, shard, journal_id, kind=kind):
        if engine.sequence + 1 < scan.oldest_sequence:
            break
        if engine.sequence <= events.last_sequence:
            return engine
        oldest = engine
    if scan.oldest_sequence == 1:
        return create_engine(shard, kind)
    if oldest is None:
        raise JournalError(
            JournalFault.MISSING_SEGMENT,
            f"the journal begins at {scan.oldest_sequence} and no good snapshot reaches it",
        )
    return oldest


def _replay_run(engine: Engine, events: EventLog, run: Run) -> None:
    """Apply a run, compare where the recorded events end, and write those that are missing."""
    payload, first = run.payload, run.first_sequence
    if first <= engine.sequence:  # the snapshot lies inside the run
        payload, first = _from(payload, engine.sequence + 1), engine.sequence + 1
    if first <= events.last_sequence <= run.last_sequence:
        known = _until(payload, events.last_sequence)
        engine.replay(known)
        _compare(engine, events)
        payload, first = payload[len(known) :], events.last_sequence + 1
    if first > run.last_sequence:
        return
    if events.last_sequence >= first:
        engine.replay(payload)
    else:
        events.append(first, run.last_sequence, engine.apply(payload), engine.chain())


def _compare(engine: Engine, events: EventLog) -> None:
    """Stop where replay gives other events than were published."""
    if not events.chain_name or events.last_sequence != engine.sequence:
        return
    if events.chain_name != chain_name(engine.chain()):
        raise JournalError(
            JournalFault.DIGEST_MISMATCH,
            f"replay to {engine.sequence} differs from the recorded events: another build, or "
            "damaged events/ (remove that folder to have it rebuilt)",
        )


def _refuse_journal_behind(scan: JournalScan, engine: Engine) -> None:
    """Stop where a snapshot, which is taken of durable commands only, has more than the journal."""
    if scan.next_sequence - 1 < engine.sequence:
        raise JournalError(
            JournalFault.JOURNAL_BEHIND_LEDGER,
            f"a snapshot has {engine.sequence}, the journal ends at {scan.next_sequence - 1}",
        )


def refuse_cursors_beyond(sequence: int, cursors: dict[str, int]) -> None:
    """Stop with JOURNAL_BEHIND_LEDGER where a reader has more than the journal up to `sequence`."""
    for name, cursor in sorted(cursors.items()):
        if cursor > sequence:
            raise JournalError(
                JournalFault.JOURNAL_BEHIND_LEDGER,
                f"{name} has read up to {cursor}, the journal ends at {sequence}: this journal "
                "is not the one that was read",
            )


def _from(payload: bytes, sequence: int) -> bytes:
    """Return the commands of a block from `sequence` on."""
    for place in split_commands(payload):
        if int.from_bytes(payload[place.offset : place.offset + 8], "little") >= sequence:
            return payload[place.offset :]
    return b""


def _until(payload: bytes, sequence: int) -> bytes:
    """Return the commands of a block up to and with `sequence`."""
    for place in split_commands(payload):
        if int.from_bytes(payload[place.offset : place.offset + 8], "little") > sequence:
            return payload[: place.offset]
    return payload


def _between(run: Run, after: int, until: int | None) -> bytes:
    """Return the commands of a run after one sequence, up to and with another."""
    payload = run.payload
    if run.first_sequence <= after:
        payload = _from(payload, after + 1)
    if until is not None and run.last_sequence > until:
        payload = _until(payload, until)
    return payload


@_known_commands()
def replay_to(
    storage: Storage,
    shard: int,
    until: int | None,
    *,
    from_genesis: bool = False,
    kind: str = "auto",
    progress: Callable[[Run, int], None] = lambda _run, _event_bytes: None,
) -> Engine:
    """Return an engine at exactly `until`, or, for None, at the last durable block known.

    Reads only, and only complete blocks, so the folder may belong to a running engine. One thread
    reads and checks while this one applies; `progress` gets each run and its bytes of events. A
    sequence that is not (or no longer) there is `JournalError` NOT_IN_JOURNAL.
    """
    scan = JournalScan(storage, shard)
    engine: Engine | None = None
    if scan.segments and (not from_genesis or scan.oldest_sequence > 1):
        journal_id = _journal_id(storage, scan)
        engine = next(snapshot.good_engines(storage, shard, journal_id, until, kind), None)
    engine = engine or create_engine(shard, kind)
    if until is not None and engine.sequence > until:
        raise JournalError(JournalFault.NOT_IN_JOURNAL, f"{until} is before what is kept")
    runs = scan.runs(engine.sequence + 1, _AHEAD_BYTES) if engine.sequence != until else iter(())
    with ahead(runs) as ready:
        for run in ready:
            if until is not None and run.first_sequence > until:
                break
            first = max(run.first_sequence, engine.sequence + 1)
            payload = _between(run, engine.sequence, until)
            event_bytes = engine.replay(payload)
            done = Run(first, engine.sequence, run.blocks, run.durable_sequence, payload)
            progress(done, event_bytes)
    if until is None or engine.sequence != until:
        scan.judge_tail()
        if scan.segments:
            _refuse_journal_behind(scan, engine)
    if until is not None and engine.sequence != until:
        raise JournalError(
            JournalFault.NOT_IN_JOURNAL,
            f"{until} is wanted, the journal reaches {engine.sequence}",
        )
    return engine


def events_again(
    storage: Storage, shard: int, until: int, *, kind: str = "auto"
) -> Iterator[tuple[Engine, bytes]]:
    """Yield an engine where the journal begins, then with the events of each run up to `until`.

    The first pair has no events. Where the beginning is no longer kept, it is the oldest good
    snapshot that the journal follows. Reads only; a journal that ends before `until`
    just ends, unless it is damaged there.
    """
    scan = JournalScan(storage, shard)
    engine = create_engine(shard, kind)
    if scan.segments and scan.oldest_sequence > 1:
        journal_id = _journal_id(storage, scan)
        for found in snapshot.good_engines(storage, shard, journal_id, until, kind):
            if found.sequence + 1 >= scan.oldest_sequence:
                engine = found
    yield engine, b""
    runs = scan.runs(engine.sequence + 1) if scan.segments and engine.sequence < until else ()
    for run in runs:
        if run.first_sequence > until:
            return
        payload = _between(run, engine.sequence, until)
        with _known_commands():
            events = engine.apply(payload)
        yield engine, events
    if scan.segments and engine.sequence < until:
        scan.judge_tail()


def shard_of(storage: Storage) -> int:
    """Return whose journal lies in the folder; an empty one is NOT_IN_JOURNAL."""
    for name in JournalScan(storage, 0).segments:
        return SegmentHeader.decode(storage.read(name, 0, HEADER_BYTES), name).shard
    raise JournalError(JournalFault.NOT_IN_JOURNAL, "there is no journal in this folder")


def engine_at(directory: Path, sequence: int | None = None) -> Engine:
    """Return a second engine of the shard folder at exactly `sequence` (None: all there is).

    A reader asks for a sequence that it has seen as an event, which is durable by then.
    """
    for attempt in range(2):
        storage = FileStorage(directory, read_only=True)
        try:
            return replay_to(storage, shard_of(storage), sequence)
        except FileNotFoundError as error:  # retention took a file away under our eyes
            if attempt:
                raise JournalError(JournalFault.NOT_IN_JOURNAL, str(error)) from error
        finally:
            storage.close()
    raise AssertionError
