"""A second engine beside the running one, rebuilt from its files up to a chosen sequence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from domain.checker_markets import EngineMarkets, rules_record, with_terms
from domain.checker_records import EngineRecord
from domain.order import ShardMode, SymbolState
from domain.perpetual_state import PerpetualState
from domain.perpetual_terms import terms_record
from domain.position import Position
from domain.risk_commands import FUND_ACCOUNT
from matching.engine import Engine, create_engine
from matching.perpetual_state_codec import SeatLine
from matching.replay import engine_at
from matching.segments import JournalError, JournalFault

ANSWER_US = 10_000_000
"""How long the risk monitor may take to freeze who has less than nothing."""


class SecondEngines:
    """Reads the shard folders, which may belong to running engines; never writes.

    A journal that cannot be read raises `JournalError`: it may only be that the running engine
    has just tidied up. With `names_faults` it becomes the record's `fault`, for the checker.
    """

    def __init__(self, folder_of: Callable[[int], Path], *, names_faults: bool = False) -> None:
        self._folder_of = folder_of
        self._names_faults = names_faults

    async def at(self, shard: int, sequence: int) -> EngineRecord:
        """Return the state after exactly `sequence`.

        Where the journal ends before it, return the state at its end, whose `sequence` says so:
        the checker names a ledger that knows more than the journal.
        """
        try:
            return await asyncio.to_thread(self._at, shard, sequence)
        except JournalError as error:
            if not self._names_faults:
                raise
            return EngineRecord(shard, 0, {}, {}, 0, fault=str(error))

    def _at(self, shard: int, sequence: int) -> EngineRecord:
        folder = self._folder_of(shard)
        if sequence == 0:
            return record_of(shard, create_engine(shard))
        try:
            engine = engine_at(folder, sequence)
            return replace(record_of(shard, engine), ruined=_unanswered(folder, engine))
        except JournalError as error:
            if error.fault is not JournalFault.NOT_IN_JOURNAL:
                raise
            end = engine_at(folder)
            if end.sequence >= sequence:  # too old to be rebuilt, not missing
                raise
            return record_of(shard, end)


def ruined_scopes(engine: Engine) -> dict[tuple[int, int], int]:
    """Return {scope: equity} of those below 0 at fresh marks that no liquidation has.

    None on a shard that is halted, or in a market that ends: nobody can be frozen there.
    """
    if engine.mode is ShardMode.HALTED:
        return {}
    fresh = {
        market.symbol_id
        for market in engine.perpetuals()
        if market.mark_is_fresh and market.phase is not PerpetualState.SETTLEMENT
    }
    frozen = {(one.account_id, one.symbol_id) for one in engine.frozen()}
    markets: dict[tuple[int, int], set[int]] = {}
    for seat in engine.seats():
        if seat.lots and seat.account_id != FUND_ACCOUNT:
            markets.setdefault(_scope(seat), set()).add(seat.symbol_id)
    found = {}
    for scope, symbols in markets.items():
        if scope not in frozen and symbols <= fresh:
            equity = engine.scope(*scope).equity_units
            if equity < 0:
                found[scope] = equity
    return found


def _scope(seat: SeatLine) -> tuple[int, int]:
    return seat.account_id, seat.symbol_id if seat.is_isolated else 0


def _unanswered(folder: Path, engine: Engine) -> dict[tuple[int, int], int]:
    """Return the ruined scopes that were so some time before, too.

    A mark may ruin a scope in the last command of all: the risk monitor freezes it a moment later.
    """
    ruined, back = ruined_scopes(engine), 256
    while ruined and back < engine.sequence:
        try:
            before = engine_at(folder, engine.sequence - back)
        except JournalError:
            break
        if before.time_us <= engine.time_us - ANSWER_US:
            earlier = ruined_scopes(before)
            return {scope: equity for scope, equity in ruined.items() if scope in earlier}
        back *= 4
    return {}


def record_of(shard: int, engine: Engine) -> EngineRecord:
    """Return what the checker compares of an engine, as it is now."""
    markets, seats = engine.markets(), engine.seats()
    settled_in = {market.rules.symbol_id: market.rules.quote_asset_id for market in markets}
    totals = {place: total for place, (total, _) in engine.balances().items()}
    for seat in seats:  # an isolated position's cash is its owner's, like the account's
        if seat.margin_units:
            place = (seat.account_id, settled_in[seat.symbol_id])
            totals[place] = totals.get(place, 0) + seat.margin_units
    dust = engine.dust()
    terms = {market.symbol_id: terms_record(market.terms) for market in engine.perpetuals()}
    return EngineRecord(
        shard=shard,
        sequence=engine.sequence,
        balances_units=totals,
        fees_units=engine.fees(),
        trades=engine.trades(),
        administration=EngineMarkets(
            markets={
                market.rules.symbol_id: (
                    with_terms(rules_record(market.rules), terms.get(market.rules.symbol_id)),
                    market.state is SymbolState.DELISTED,
                )
                for market in markets
            },
            tiers=engine.tiers(),
        ),
        positions={
            (seat.account_id, seat.symbol_id): Position(seat.lots, seat.cost_units)
            for seat in seats
            if seat.lots
        },
        scopes=len({_scope(seat) for seat in seats if seat.lots}),
        rounding_units={
            settled_in[market.symbol_id]: dust for market in engine.perpetuals() if dust
        },
    )
