"""Drawn streams of commands on perpetual markets beside spot ones, sensible and not."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

from domain import commands as c
from domain import risk_commands as r
from domain.fees import FeeRates, fee_table, flat_fees
from domain.limits import HOUR_US
from domain.market_rules import MarketRules
from domain.order import OrderType, TriggerSource
from domain.perpetual_terms import BracketRow, PerpetualTerms
from matching.codec import encode_command
from matching.reference import ReferenceEngine
from tests.matching.test_engines_agree import ACCOUNTS, Stream

PERPETUALS = (11, 12)
COLLATERAL = 1
_FLAGS, _QUANTITY = struct.Struct("<H"), struct.Struct("<q")
_REDUCES, _CLOSES = 1 << 14, 1 << 15
_ROWS = (
    (BracketRow(0, 4_000, 8_000),),
    (BracketRow(0, 5_000, 10_000), BracketRow(10_000, 10_000, 20_000)),
    (BracketRow(0, 50_000, 100_000), BracketRow(2_000, 100_000, 250_000)),
)


class PerpetualStream(Stream):
    """Commands of every kind on two perpetuals; prices wander around 100, and now and then leap.

    `engine` is the reference engine that applies them: steps of a liquidation name what it has.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.engine = ReferenceEngine()
        self.price = 100
        self.risk_keys: list[int] = []

    def encode(self, command: c.Command) -> bytes:
        """Return a command numbered and stamped; time passes more evenly than elsewhere."""
        self.sequence += 1
        steps = (0, 1_000, 10**6, 3 * 10**6)
        if self.random.random() < 0.004:
            steps = (HOUR_US // 2, 9 * HOUR_US, 25 * HOUR_US, 1)
        self.time_us += self.random.choice(steps)
        if isinstance(command, c.PlaceOrderList):
            command = self._changed_list(command)
        return encode_command(command, sequence=self.sequence, time_us=self.time_us)

    def opening(self, *, quick: bool = False) -> list[bytes]:
        """Spot markets and money as elsewhere, then two perpetuals, known and calm.

        `quick`: an index is fresh for an hour, and half of one passes.
        """
        opening = super().opening()
        pick = self.random.choice
        fees = fee_table(FeeRates(200, 500), FeeRates(-100, 300))
        for symbol_id, base in zip(PERPETUALS, (2, 3), strict=True):
            rules = MarketRules(
                symbol_id=symbol_id,
                base_asset_id=base,
                quote_asset_id=COLLATERAL,
                base_units_per_lot=pick((1, 10**5)),
                quote_units_per_tick_lot=pick((1, 7, 100)),
                fees=pick((fees, flat_fees(0, 0), flat_fees(1_000, 2_000))),
                max_taker_fee_ppm=2_000,
                band_ppm=pick((50_000, 100_000, 300_000)),
                listing_price_ticks=100,
                max_order_lots=10**6,
                max_open_orders=pick((8, 1_000)),
                max_position_lots=pick((0, 0, 200)),
            )
            terms = self.terms()
            if quick:
                terms = replace(terms, index_max_age_us=HOUR_US, breaker_max_empty_us=HOUR_US)
            opening.append(self.encode(r.ListPerpetual(rules, terms, pick((0, 77)))))
        opening += [self.encode(self.heard(symbol_id)) for symbol_id in PERPETUALS]
        for account in ACCOUNTS:
            for symbol_id in PERPETUALS:
                leverage = pick((1, 5, 20, 50))
                opening.append(self.encode(r.SetLeverage(account, symbol_id, leverage)))
        for _ in range(1 if quick else 55):  # until the marks are fresh
            self.time_us += HOUR_US // 2 + 12 - self.time_us % 16 if quick else 3 * 10**6
            opening += [self.encode(self.heard(symbol_id)) for symbol_id in PERPETUALS]
        return opening

    def terms(self) -> PerpetualTerms:
        """Draw lawful terms."""
        pick = self.random.choice
        lower, upper = pick(((0, 0), (10**4, 10**6), (0, 10**5)))
        return PerpetualTerms(
            brackets=pick(_ROWS),
            cap_units=pick((10**6, 10**12)),
            impact_units=pick((1_000, 50_000)),
            max_leverage=pick((20, 100)),
            oi_lower_units=lower,
            oi_upper_units=upper,
            share_ppm=pick((0, 0, 400_000)),
            share_free_units=pick((0, 20_000)),
            slice_min_units=pick((1, 500)),
            slice_whole_below_units=pick((0, 10**4)),
            index_max_age_us=pick((10**7, 6 * 10**7)),
            funding_interval_seconds=pick((60, 28_800)),
            fund_cap_ppm=pick((1_000_000, 4_000_000)),
            max_slices=pick((1, 5)),
        )

    def next(self) -> bytes:
        """Draw the next command."""
        draw = self.random.random()
        if draw < 0.14:
            return self.encode(self.heard(self.random.choice(PERPETUALS)))
        if draw < 0.26:
            return self.encode(self._risk())
        return super().next()

    def heard(self, symbol_id: int) -> r.SetIndex:
        """Draw what the sources say: most agree, some are old or far away."""
        rnd = self.random
        self.price = max(20, self.price + rnd.choice((-1, 0, 0, 0, 1)))
        if rnd.random() < 0.01:
            self.price = max(20, round(self.price * rnd.choice((0.8, 0.93, 1.08, 1.25))))
        prices = [self.price + rnd.choice((-1, 0, 0, 1)) for _ in range(rnd.choice((4, 5, 8)))]
        if rnd.random() < 0.1:
            prices[rnd.randrange(len(prices))] = rnd.choice((0, 1, 10**6, 2**40, -1, 2**41))
        if rnd.random() < 0.03:
            prices = prices[:2]
        times = [self.time_us - rnd.choice((0, 0, 1_000, 10**6)) for _ in prices]
        if rnd.random() < 0.02:
            times[0] = rnd.choice((0, -1, 2**62 + 1))
        empty = (0,) * (8 - len(prices))
        return r.SetIndex(symbol_id, (*prices, *empty), (*times, *empty))

    def _symbol(self) -> int:
        choices = (11, 11, 11, 12, 1, 2) if self.random.random() < 0.95 else (0, 9, 3)
        return self.random.choice(choices)

    def _order(self) -> bytes:
        """Draw an order as elsewhere; many may only close, some close all there is."""
        raw = bytearray(super()._order())
        rnd = self.random
        (flags,) = _FLAGS.unpack_from(raw, 22)
        if rnd.random() < 0.25:
            flags |= _REDUCES
        if (flags >> 1 & 15 in (1, 2, 4, 6) and rnd.random() < 0.3) or rnd.random() < 0.01:
            flags |= _CLOSES
            if rnd.random() < 0.9:
                _QUANTITY.pack_into(raw, 56, 0)
        _FLAGS.pack_into(raw, 22, flags & 0xFFFF)
        return bytes(raw)

    def _trigger(self, kind: OrderType) -> dict[str, Any]:
        """Draw a trigger as elsewhere; half of them are by mark or index."""
        drawn = super()._trigger(kind)
        source = TriggerSource(self.random.choices(range(3), (5, 3, 2))[0])
        return drawn and {**drawn, "trigger_source": source}

    def _changed_list(self, drawn: c.PlaceOrderList) -> c.PlaceOrderList:
        """Let most exits only reduce, and wait for any price."""
        first, *others = drawn.orders
        changed = [
            replace(
                order,
                reduce_only=self.random.random() < 0.6,
                trigger_source=TriggerSource(self.random.choice((0, 1, 2)))
                if order.order_type.is_triggered
                else order.trigger_source,
            )
            for order in others
        ]
        return replace(drawn, orders=(first, *changed))

    def _other(self) -> c.Command:
        found = super()._other()
        if isinstance(found, (c.Started, c.SetShardMode, c.SetSymbolState)):
            return c.Tick() if self.random.random() < 0.85 else found
        return found

    def _delisting(self) -> c.Command:
        return c.Tick() if self.random.random() < 0.9 else super()._delisting()

    # -- risk -----------------------------------------------------------------------------

    def _key(self) -> int:
        rnd = self.random
        if self.risk_keys and rnd.random() < 0.05:
            return rnd.choice(self.risk_keys)
        self.risk_keys.append(rnd.getrandbits(128) | 1)
        return self.risk_keys[-1] if rnd.random() < 0.99 else 0

    def _risk(self) -> c.Command:
        draw = self.random.random()
        if draw < 0.15:
            return self._seat()
        if draw < 0.25:
            return self._market()
        if draw < 0.35:
            return self._fund()
        return self._step()

    def _about(self) -> tuple[int, int]:
        rnd = self.random
        return rnd.choice((*ACCOUNTS, r.FUND_ACCOUNT, 0)), rnd.choice((11, 11, 12, 0, 1, 9))

    def _seat(self) -> c.Command:
        account, symbol_id = self._about()
        rnd = self.random
        choices: tuple[c.Command, ...] = (
            r.SetLeverage(account, symbol_id, rnd.choice((1, 3, 10, 20, 50, 100, 0, -1))),
            r.SetMarginMode(account, symbol_id, r.MarginMode(rnd.randint(0, 1))),
            r.MoveMargin(
                self._key(),
                account,
                symbol_id,
                rnd.choice((1, 1_000, 50_000, -1, -500, -(10**5), 0, 2**62)),
                self.time_us,
            ),
        )
        return rnd.choice(choices)

    def _market(self) -> c.Command:
        _, symbol_id = self._about()
        rnd, key = self.random, self._key()
        draw = rnd.random()
        if draw < 0.2:
            return r.SetRiskParameters(symbol_id, self._changed_terms(), rnd.choice((0, key)))
        if draw < 0.6:
            interval = rnd.choice((60, 28_800)) * 10**6
            instant = self.time_us - self.time_us % interval + rnd.choice((0, 0, 0, interval, 1))
            return r.SettleFunding(key, symbol_id, instant)
        if draw < 0.65:
            return r.SettleMarket(key, symbol_id)
        trigger = rnd.choice((r.Trigger.RESUME, *r.Trigger, r.Trigger.RESUME, r.Trigger.RESUME))
        if trigger is r.Trigger.SETTLE and rnd.random() < 0.8:
            trigger = r.Trigger.RESUME
        said = (rnd.choice(("", "ada", "x" * 32)), rnd.choice(("", "why", "y" * 96)))
        return r.SetPerpetualState(symbol_id, trigger, *said)

    def _changed_terms(self) -> PerpetualTerms:
        terms, pick = self.terms(), self.random.choice
        if self.random.random() < 0.6:
            return terms
        broken: dict[str, Any] = pick(
            (
                {"brackets": ()},
                {"brackets": (BracketRow(1, 5, 6),)},
                {"brackets": (BracketRow(0, 5, 6), BracketRow(7, 6, 7))},
                {"brackets": (BracketRow(0, 5, 6), BracketRow(10**6, 5, 7))},
                {"brackets": (BracketRow(0, 5, 5),)},
                {"cap_units": 2**57},
                {"max_leverage": 0},
                {"fund_stop_ppm": 1},
                {"share_ppm": 2**22 + 1},
                {"funding_interval_seconds": 61},
                {"index_min_sources": 9},
                {"oi_lower_units": 5, "oi_upper_units": 5},
            )
        )
        return replace(terms, **broken)

    def _fund(self) -> c.Command:
        pick = self.random.choice
        if self.random.random() < 0.7:
            amount = pick((10**3, 10**4, 10**5, 0, -1))
            return r.TopUpFund(self._key(), pick((1, 1, 1, 2, 9)), amount, self.time_us)
        return r.SweepDust(self._key(), pick((1, 1, 2, 9)), self.time_us)

    def _step(self) -> c.Command:
        """Draw a step of a liquidation, most often of a scope that is frozen."""
        rnd = self.random
        account, symbol_id = self._about()
        frozen = list(self.engine.state.frozen.items())
        if not frozen or rnd.random() < 0.3:
            return r.Freeze(self._key(), account, rnd.choice((0, 0, symbol_id)))
        (account, scope), found = rnd.choice(frozen)
        version = found.version if rnd.random() < 0.95 else rnd.choice((0, 1, 2**63))
        market = scope or rnd.choice(PERPETUALS)
        lots = rnd.choice((1, 2, 5, 10, 50, 10**6, 0, -1))
        limit = rnd.choice((0, 0, 0, self.price, 1, 10**4, -1))
        key = self._key()
        other = rnd.choice((*ACCOUNTS, r.FUND_ACCOUNT, 99))
        choices: tuple[c.Command, ...] = (
            r.Unfreeze(key, account, scope, version),
            r.Liquidate(
                key, account, market, lots, limit, version, fund_may_pay=rnd.random() < 0.5
            ),
            r.Liquidate(key, account, market, lots, limit, version, fund_may_pay=True),
            r.TakeOver(key, account, market, lots, version),
            r.Deleverage(key, account, market, other, min(lots, 5), version),
            r.Unwind(key, market, lots, limit),
        )
        return rnd.choice(choices)
