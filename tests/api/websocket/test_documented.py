"""docs/websocket.md against the code: its examples are read by it, its table is complete."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import msgspec

from api.websocket.account_words import told
from api.websocket.hub import CHANNELS, FeedMessage
from api.websocket.order_operations import OPERATIONS, parsed
from api.websocket.requests import read_request
from domain import events as e
from domain.errors import RejectReason
from domain.market import Listings, Market
from domain.order import Side
from matching.codec import decode_events, encode_command
from tests.api.memory import ETH_USDT, LISTINGS
from tests.api.perpetual_exchange import ETH_PERP
from tests.matching.perpetual_desk import PERP
from tests.matching.perpetual_draw import OTHER, Draw, drawn_desk

TEXT = (Path(__file__).parents[3] / "docs" / "websocket.md").read_text()
PERPETUAL_FILL = {"realised_profit", "insurance", "position", "liquidation"}


def _examples() -> list[dict[str, Any]]:
    """Return the JSON objects of the page's indented blocks."""
    blocks = re.findall(r"(?:^    .*\n)+", TEXT, flags=re.M)
    found = []
    decoder = json.JSONDecoder()
    for block in blocks:
        rest = block.strip()
        while rest.startswith("{"):
            value, end = decoder.raw_decode(rest)
            found.append(value)
            rest = rest[end:].strip()
    return found


def _table() -> dict[str, set[str]]:
    """Return event -> members, as the page's table has them."""
    events = TEXT[TEXT.index("| `event` |") : TEXT.index("## Orders")]
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| ([^|]*)\| .*\|$", events, flags=re.M)
    return {
        name: set(re.findall(r"`([a-z_]+)`", members))
        for names, members in rows
        for name in re.findall(r"`([a-z_]+)`", names)
        if name != "event"
    }


def test_examples_are_what_the_code_reads_and_writes() -> None:
    """Requests decode as requests, the feed's messages as the feed's."""
    channels = set()
    for example in _examples():
        if "op" in example and example["op"] not in ("result", "error"):
            request = read_request(json.dumps(example))
            if request.op in OPERATIONS:
                parsed(OPERATIONS[request.op], request.params)
        elif "op" in example:
            continue
        elif example["channel"] != "account":
            msgspec.convert(example, FeedMessage)
            channels.add(example["channel"])
    assert channels == set(CHANNELS)
    kinds = {
        one["type"] for one in _examples() if one.get("channel") == "account" and "op" not in one
    }
    assert kinds == {"snapshot", "update", "state", "resumed", "margin_call"}


def test_every_operation_of_orders_is_in_the_table() -> None:
    """With the address of REST whose body its `params` are."""
    rows = dict(
        re.findall(r"^\| `([a-z_]+)` \| `((?:POST|PATCH|DELETE) /v1/[^`]*)` \|", TEXT, re.M)
    )
    assert set(rows) == set(OPERATIONS)


def test_every_event_is_in_the_table_with_its_members() -> None:
    """Of a long random stream of a desk whose traders are liquidated, and of rarer events."""
    table = _table()
    seen: dict[str, set[str]] = {}
    for words in _everything_told():
        members = set(words) - {"event"}
        if words["event"] == "fill":
            members -= PERPETUAL_FILL
        assert members == table[words["event"]], words
        seen[words["event"]] = members
    assert set(seen) == set(table)


def _everything_told() -> list[dict[str, Any]]:
    """Return what many accounts were told of many commands."""
    found = []
    listings = _listings()
    for seed in (1, 2, 3):
        desk = drawn_desk(random.Random(seed))
        draw = Draw(desk, random.Random(seed))
        for _ in range(1_200):
            for command in draw.next():
                sequence = desk.engine.sequence + 1
                desk.time_us += 1_000
                stripes = encode_command(command, sequence=sequence, time_us=desk.time_us)
                events = decode_events(bytes(desk.engine.apply(stripes)))
                for account in range(1, 6):
                    found += told(listings, account, events)
    for events in _rare():
        found += told(listings, 1, events)
    return found


def _listings() -> Listings:
    """Return listings in which the desk's markets are; units are not what matters here."""
    from dataclasses import replace

    markets = [
        Market(replace(ETH_PERP, symbol_id=number, symbol=f"P{number}"), 0)
        for number in (PERP, OTHER)
    ]
    return Listings([Market(ETH_USDT, 0), *markets], LISTINGS.assets)


def _rare() -> list[list[e.Event]]:
    """Return commands that the desk does not draw."""
    return [
        [e.DeadMansSwitchSet(1, 0, 1, 1, 5)],
        [e.Ticked(1, 0, 1), e.DeadMansSwitchFired(1, 1, 1, 5, 0)],
        [e.Ticked(1, 0, 1), e.OrderArmed(1, 1, 1, 1, 7, Side.BUY, 5, 9, 0, RejectReason.NONE)],
        [e.Ticked(1, 0, 1), e.SelfTradePrevented(1, 1, 1, Side.BUY, 1, 7, 8, 9, 1)],
        [
            e.MarketSettled(1, 0, 1, 5, PERP, 100, 1),
            e.PositionSettled(1, 1, PERP, 1, 4, 400, -7, isolated=False),
        ],
    ]
