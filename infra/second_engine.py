"""A second engine beside the running one, rebuilt from its files up to a chosen sequence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from domain.checker_markets import EngineMarkets, rules_record
from domain.checker_records import EngineRecord
from domain.order import SymbolState
from matching.engine import Engine, create_engine
from matching.replay import engine_at
from matching.segments import JournalError, JournalFault


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
            return _record(shard, create_engine(shard))
        try:
            return _record(shard, engine_at(folder, sequence))
        except JournalError as error:
            if error.fault is not JournalFault.NOT_IN_JOURNAL:
                raise
            end = engine_at(folder)
            if end.sequence >= sequence:  # too old to be rebuilt, not missing
                raise
            return _record(shard, end)


def _record(shard: int, engine: Engine) -> EngineRecord:
    return EngineRecord(
        shard=shard,
        sequence=engine.sequence,
        balances_units={place: total for place, (total, _) in engine.balances().items()},
        fees_units=engine.fees(),
        trades=engine.trades(),
        administration=EngineMarkets(
            markets={
                market.rules.symbol_id: (
                    rules_record(market.rules),
                    market.state is SymbolState.DELISTED,
                )
                for market in engine.markets()
            },
            tiers=engine.tiers(),
        ),
    )
