"""The C++ core and the plain Python engine: same commands, same bytes, same state."""

from __future__ import annotations

import random
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import Any

import pytest

from domain import commands as c
from domain.errors import RejectReason
from domain.events import CommandRejected, OrderAccepted, OrderDuplicate
from domain.fees import FeeRates, fee_table, flat_fees
from domain.limits import HOUR_US
from domain.order import (
    OrderType,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
    TriggerSource,
)
from matching.codec import decode_events, encode_command, stamp
from matching.engine import create_engine, restore_engine
from matching.wire import SequenceError, WireError
from tests.matching.bracket_draw import draw_list
from tests.matching.oco_draw import spoiled

ACCOUNTS = (1, 2, 3, 4, 7, 2**40)
TIERS = fee_table(FeeRates(1_000, 2_000), FeeRates(300, 900), FeeRates(-400, 400))
EVERY_SEQUENCES = 25


class Stream:
    """A seeded stream of commands of every kind, sensible and not."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sequence = 0
        self.time_us = 10**12
        self.keys: list[tuple[int, int]] = []  # (account, client key) of what was placed
        self.placed = 0
        self.listings: list[c.ListSymbol] = []

    def encode(self, command: c.Command) -> bytes:
        """Return a command numbered and stamped; sometimes much time has passed."""
        self.sequence += 1
        steps = (0, 1, 1_000, 10**6)
        if self.random.random() < 0.02:
            steps = (HOUR_US // 2, 25 * HOUR_US, 49 * HOUR_US, 1)
        self.time_us += self.random.choice(steps)
        return encode_command(command, sequence=self.sequence, time_us=self.time_us)

    def opening(self) -> list[bytes]:
        """Three markets with drawn rules, and money for everybody."""
        pick = self.random.choice
        fees = pick([flat_fees(1_000, 2_000), TIERS, flat_fees(-500, 700), flat_fees(0, 0)])
        assets = {1: (2, 1), 2: (1, 2), 3: (2, 3)}
        self.listings = [
            c.ListSymbol(
                symbol_id=symbol,
                base_asset_id=base,
                quote_asset_id=quote,
                base_units_per_lot=pick([1, 10**5, 10**9]),
                quote_units_per_tick_lot=pick([1, 7, 100]),
                fees=fees,
                max_taker_fee_ppm=pick([2_000, 100_000]),
                band_ppm=pick([100_000, 10**9, 2_000_000]),
                listing_price_ticks=100,
                max_order_lots=10**6,
                max_open_orders=pick([5, 1_000]),
                max_position_lots=pick([0, 0, 150, 10**9, 10**12]),
            )
            for symbol, (base, quote) in assets.items()
        ]
        funding: list[c.Command] = [
            c.Credit(
                self.random.getrandbits(128) | 1, account, asset, pick([10**5, 10**16]), 10**12
            )
            for account in ACCOUNTS
            for asset in assets
        ]
        return [self.encode(command) for command in (*self.listings, *funding)]

    def next(self) -> bytes:
        """Draw the next command."""
        draw = self.random.random()
        if draw < 0.12:
            return self._list()
        if draw < 0.62:
            return self._order()
        if draw < 0.90:
            return self.encode(self._cancel())
        if draw < 0.95:
            return self.encode(self._money())
        return self.encode(self._other())

    def _symbol(self) -> int:
        return self.random.choice((1, 1, 1, 2, 3) if self.random.random() < 0.9 else (0, 9))

    def _order(self) -> bytes:
        rnd = self.random
        fresh = not self.keys or rnd.random() < 0.9
        account, key = rnd.choice(ACCOUNTS), rnd.getrandbits(128)
        if not fresh:
            account, key = rnd.choice(self.keys[-200:])
        self.keys.append((account, key))
        self.placed += 1
        kind = OrderType(rnd.choices(range(7), (9, 3, 1, 1, 1, 1, 1.5))[0])
        market = not kind.is_limit
        tifs: tuple[int, ...] = (0, 0, 3, 3, 1, 2)
        if market:
            tifs = (1, 1, 2) if kind is OrderType.MARKET else (0, 0, 3)
        if rnd.random() < 0.05:
            tifs = (0, 1, 2, 3)
        price = (
            rnd.randint(90, 110) if rnd.random() < 0.9 else rnd.choice((1, -1, 0, 30_000, 2**62))
        )
        lots = (
            rnd.randint(1, 50) if rnd.random() < 0.95 else rnd.choice((0, -3, 10**6, 10**7, 2**62))
        )
        tif = TimeInForce(rnd.choice(tifs))
        expires = tif is TimeInForce.GTD if rnd.random() < 0.95 else rnd.random() < 0.5
        budget = (
            kind is OrderType.MARKET
            and rnd.random() < 0.4
            and rnd.choice((1, 300, 4_000, 10**6, -1, 2**62))
        )
        if budget and rnd.random() < 0.9:
            lots = 0
        raw = bytearray(
            self.encode(
                c.PlaceOrder(
                    account_id=account,
                    client_key=key if rnd.random() < 0.99 else 0,
                    symbol_id=self._symbol(),
                    side=Side(rnd.randint(0, 1) if not budget or rnd.random() < 0.1 else 0),
                    order_type=kind,
                    time_in_force=tif,
                    price_ticks=0 if market else price,
                    quantity_lots=lots,
                    post_only=rnd.random() < 0.15,
                    self_trade=SelfTrade(rnd.randint(0, 3)),
                    client_text="" if rnd.random() < 0.6 else f"c-{rnd.randint(0, 99)}",
                    quote_budget_units=budget or 0,
                    expires_at_us=self.time_us + rnd.choice((0, 3_000, 10**6, 10**7, HOUR_US))
                    if expires
                    else 0,
                    display_lots=rnd.choice((1, 2, 5, lots, lots + 1, -1))
                    if tif in (0, 3) and rnd.random() < 0.25
                    else 0,
                    **self._trigger(kind),
                )
            )
        )
        if len(raw) == 192 and rnd.random() < 0.05:  # what must be zero
            raw[rnd.randint(168, 191)] = 1
        if rnd.random() < 0.02:  # flags that no client may send
            raw[22:24] = rnd.randbytes(2)
        return bytes(raw)

    def _list(self) -> bytes:
        """Draw an OCO or a bracket; now and then its head, or an order's stamp, is wrong."""
        rnd = self.random
        account, key = rnd.choice(ACCOUNTS), rnd.getrandbits(128)
        if self.keys and rnd.random() < 0.05:
            account, key = rnd.choice(self.keys[-50:])
        other_key = rnd.getrandbits(128) if rnd.random() < 0.97 else key
        keys = (key, other_key, rnd.getrandbits(128))
        self.keys += [(account, each) for each in keys]
        self.placed += 3
        drawn = draw_list(rnd, account, keys, self._symbol(), self.time_us)
        return spoiled(rnd, self.encode(drawn))

    def _trigger(self, kind: OrderType) -> dict[str, Any]:
        rnd = self.random
        waits = kind.is_triggered if rnd.random() < 0.97 else rnd.random() < 0.5
        if not waits:
            return {}
        trails = kind is OrderType.TRAILING_STOP
        odd = rnd.random() < 0.03
        price = (
            rnd.randint(92, 108) if rnd.random() < 0.95 else rnd.choice((-1, 1, 2**62, 2**63 - 1))
        )
        return {
            "trigger_price_ticks": 0 if trails != odd else price,
            "trailing_offset_ticks": rnd.choice((1, 2, 3, 6, 99, 2**63 - 1)) if trails else 0,
            "trigger_source": TriggerSource(rnd.choices(range(3), (98, 1, 1))[0]),
        }

    def _cancel(self) -> c.Command:
        rnd = self.random
        symbol = rnd.choice((0, self._symbol()))
        if rnd.random() < 0.1:
            return c.CancelAll(rnd.choice(ACCOUNTS), symbol, rnd.choice((None, *Side)))
        account, key = rnd.choice(self.keys[-60:]) if self.keys else (1, 0)
        order_id = 0
        if rnd.random() < 0.2:
            account, key, order_id = rnd.choice(ACCOUNTS), 0, rnd.randint(1, self.placed + 2)
        if rnd.random() < 0.5:
            return self._amend(account, symbol, order_id, key)
        return c.CancelOrder(account, symbol, order_id, key)

    def _amend(self, account: int, symbol: int, order_id: int, key: int) -> c.Command:
        rnd = self.random
        price = rnd.choice((rnd.randint(90, 110), rnd.randint(90, 110), 30_000, -1, 2**62))
        lots = rnd.choice((rnd.randint(1, 12), rnd.randint(1, 60), rnd.randint(1, 60), -1, 2**62))
        trigger = rnd.choice((rnd.randint(92, 108), rnd.randint(92, 108), -1, 2**62))
        return c.AmendOrder(
            account,
            symbol,
            order_id,
            key,
            price if rnd.random() < 0.5 else 0,
            lots if rnd.random() < 0.6 else 0,
            trigger if rnd.random() < 0.3 else 0,
        )

    def _money(self) -> c.Command:
        pick = self.random.choice
        return pick((c.Credit, c.Debit))(
            pick((self.random.getrandbits(128), 5, 6, 0)),
            pick((*ACCOUNTS, 0)),
            pick((1, 2, 3, 8)),
            pick((1, 100, 10**6, 0, -1, 2**62, 2**63 - 1)),
            pick((self.time_us, self.time_us - 25 * HOUR_US, -1, 0, self.time_us + 2 * HOUR_US)),
        )

    def _said(self) -> tuple[StateCause, str, str]:
        pick = self.random.choice
        cause = pick((*StateCause, StateCause.OPERATOR, StateCause.SETTLEMENT_BEHIND))
        return cause, pick(("", "ada", "x" * 32, "a\0b")), pick(("", "why", "y" * 96, "\n"))

    def _other(self) -> c.Command:
        choices: tuple[c.Command, ...] = (
            c.SetDeadMansSwitch(
                self.random.choice((*ACCOUNTS, 99, 0)),
                self.random.choice((0, 1_000, 10**7, HOUR_US, 25 * HOUR_US, -1)),
            ),
            c.SetSymbolState(
                self._symbol(), SymbolState(self.random.choice((0, 0, 0, 1, 2))), *self._said()
            ),
            c.SetShardMode(ShardMode(self.random.choice((0, 0, 0, 0, 1, 2))), *self._said()),
            c.SetAccountTier(
                self.random.choice((*ACCOUNTS, 99, 0)),
                self.random.choice((0, 1, 2, 7, 8, -1)),
                self.random.choice((0, 0, 7, 8, 9)),
            ),
            self._delisting(),
            self._parameters(),
            c.Started(3, 4),
            c.Tick(),
            c.Tick(),
        )
        return self.random.choice(choices)

    def _delisting(self) -> c.Command:
        """Delist a market, seldom: nothing happens in it afterwards."""
        if self.random.random() < 0.97:
            return c.Tick()
        symbol_id = self.random.choice((1, 2, 9))
        return c.DelistSymbol(symbol_id, "ada", self.random.choice(("", "it is over", "\n")))

    def _parameters(self) -> c.SetParameters:
        """Change a market's rules, now and then beyond what may be."""
        pick = self.random.choice
        listing = pick(self.listings)
        fields = {field.name: getattr(listing, field.name) for field in dataclass_fields(listing)}
        changed = c.SetParameters(**fields)
        changed = replace(
            changed,
            fees=pick((TIERS, flat_fees(-700, 700), flat_fees(0, 2_000), flat_fees(5, 3_000))),
            band_ppm=pick((100_000, 2_000_000, 10**9)),
            max_order_lots=pick((40, 10**6)),
            max_open_orders=pick((5, 50)),
            max_position_lots=pick((0, 60, 200, 10**9)),
            key=pick((0, 0, 0, 11, 12)),
        )
        if self.random.random() < 0.8:
            return changed
        broken: dict[str, Any] = pick(
            (
                {"symbol_id": 9},
                {"base_units_per_lot": 3},
                {"quote_asset_id": 4},
                {"max_taker_fee_ppm": 3_000},
                {"listing_price_ticks": 101},
                {"band_ppm": -1},
                {"max_position_lots": -1},
            )
        )
        return replace(changed, **broken)


@pytest.mark.parametrize("seed", range(60))
def test_same_commands_same_bytes_and_digest(seed: int) -> None:
    """Events are equal byte for byte after every batch, states at every few; restores included."""
    stream = Stream(seed)
    reference, core = create_engine(kind="reference"), create_engine(kind="core")
    commands = stream.opening() + [stream.next() for _ in range(500)]
    at = 0
    while at < len(commands):
        size = stream.random.randint(1, 7)
        batch = b"".join(commands[at : at + size])
        at += size
        assert reference.apply(batch) == core.apply(batch), f"commands {at - size} to {at}"
        if stream.random.random() < 1 / EVERY_SEQUENCES:
            snapshot = reference.snapshot()
            assert snapshot == core.snapshot()
            core = restore_engine(snapshot, kind="core")
    assert reference.digest() == core.digest()
    _same_answers(reference, core)


def _rules(engine: Any) -> list[tuple[object, ...]]:
    """Return each market's rules without the key of the command that set them, and its state."""
    names = [field.name for field in dataclass_fields(c.MarketRules)]
    return [
        (*(getattr(market.rules, name) for name in names), market.state)
        for market in engine.markets()
    ]


def _same_answers(reference: object, core: object) -> None:
    for question in ("balances", "fees", "issued", "trades", "symbols", "chain", "tiers"):
        assert getattr(reference, question)() == getattr(core, question)(), question
    assert _rules(reference) == _rules(core)
    for field in ("shard", "sequence", "time_us", "epoch", "mode"):
        assert getattr(reference, field) == getattr(core, field), field
    for account in ACCOUNTS:
        for question in ("account_balances", "open_orders"):
            expected = getattr(reference, question)(account)
            assert expected == getattr(core, question)(account), question
    for symbol in (1, 2, 3, 9):
        assert reference.book(symbol, 5) == core.book(symbol, 5)  # type: ignore[attr-defined]


def test_a_malformed_batch_changes_neither() -> None:
    """Broken framing or numbering is refused before any effect, by the same error."""
    good = Stream(0).opening()
    cases = [
        (b"".join(good)[:-1], WireError),
        (good[0] + good[2], SequenceError),
        (good[0][:16] + b"\xff" + good[0][17:], WireError),
        (good[0] + good[1][:16] + b"\x01\x07" + good[1][18:], WireError),
    ]
    for raw, error in cases:
        for kind in ("core", "reference"):
            engine = create_engine(kind=kind)
            before = engine.snapshot()
            with pytest.raises(error):
                engine.apply(raw)
            assert engine.snapshot() == before, kind


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["core", "reference"])
def test_a_dry_run_is_what_happens(kind: str, seed: int) -> None:
    """Asked at the order's own time it gives the same reason or hold, and changes nothing."""
    stream, engine = Stream(seed), create_engine(kind=kind)
    engine.apply(b"".join(stream.opening()))
    told = set[RejectReason]()
    for _ in range(600):
        raw = bytearray(stream.next())
        if raw[16] not in (c.Opcode.PLACE_ORDER, c.Opcode.PLACE_ORDER_LIST):
            engine.apply(bytes(raw))
            continue
        stream.time_us = engine.time_us
        stamp(raw, 0, stream.sequence, engine.time_us)
        reason, hold_units, list_position = engine.dry_run(bytes(raw))
        outcome, *others = decode_events(engine.apply(bytes(raw)))
        told.add(reason)
        if isinstance(outcome, OrderDuplicate):
            assert reason is RejectReason.DUPLICATE_CLIENT_ORDER_ID
        elif isinstance(outcome, CommandRejected):
            found = (outcome.reason, 0, outcome.list_position)
            assert (reason, hold_units, list_position) == found
        else:
            accepted = [e for e in (outcome, *others) if isinstance(e, OrderAccepted)]
            found = (RejectReason.NONE, sum(e.hold_units for e in accepted), 0)
            assert (reason, hold_units, list_position) == found
    assert len(told) > 8


@pytest.mark.parametrize("kind", ["core", "reference"])
def test_a_dry_run_takes_one_order_and_nothing_else(kind: str) -> None:
    """Other commands, several and broken ones are refused, and the state stays as it is."""
    engine, stream = create_engine(kind=kind), Stream(1)
    engine.apply(b"".join(stream.opening()))
    before = engine.snapshot()
    order = encode_command(c.PlaceOrder(1, 5, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 99, 1))
    assert engine.dry_run(order).reason is RejectReason.NONE
    for raw in (b"", order[:-1], order * 2, encode_command(c.Tick()), bytes(64)):
        with pytest.raises(WireError):
            engine.dry_run(raw)
    assert engine.snapshot() == before
