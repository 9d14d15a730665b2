"""Which commands of a run concern an account: as many as decoding all of them says."""

from __future__ import annotations

import random

from domain.events import CommandRejected, KeyDuplicate, OrderDuplicate, ScopeState
from matching.account_events import command_of, concerned
from matching.codec import decode_events, encode_command
from tests.matching.perpetual_draw import Draw, drawn_desk

_NAMES = ("account_id", "maker_account_id", "taker_account_id", "counterparty_id")
_TOLD_TO_THE_ASKER = (CommandRejected, KeyDuplicate, OrderDuplicate, ScopeState)


def test_the_filter_finds_what_names_an_account() -> None:
    """Of every kind of event that a long random stream has; one command's stripes decode alone."""
    desk = drawn_desk(random.Random(7))
    draw = Draw(desk, random.Random(7))
    log: list[bytes] = []
    for _ in range(1_500):
        for command in draw.next():
            sequence = desk.engine.sequence + 1
            desk.time_us += 1_000
            stripes = encode_command(command, sequence=sequence, time_us=desk.time_us)
            log.append(bytes(desk.engine.apply(stripes)))
    raw = b"".join(log)
    events = [event for event in decode_events(raw) if not isinstance(event, _TOLD_TO_THE_ASKER)]
    assert len({type(event) for event in events}) > 20
    for accounts in ([1], [2, 90], [12_345], range(1, 6)):
        named: dict[int, set[int]] = {}
        for event in events:
            found = {getattr(event, name, None) for name in _NAMES} & set(accounts)
            if found:
                named.setdefault(event.sequence, set()).update(filter(None, found))
        assert {sequence: set(found) for sequence, found in concerned(raw, accounts)} == named
    sequence, _ = concerned(raw, [1])[-1]
    alone = decode_events(command_of(raw, sequence))
    assert {event.sequence for event in alone} == {sequence}
    assert alone[0].index == 0
