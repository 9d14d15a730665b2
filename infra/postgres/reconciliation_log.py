"""The runs of reconciliation, as rows."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.checker_records import Opening
from domain.checker_report import CheckReport
from infra.postgres import tables

_KEPT_RUNS = 10_000


class ReconciliationLog:
    """Append runs; remember where the newest clean one ended."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def last_clean(self, shard: int) -> Opening:
        """Return where the newest run without violations ended; empty before the first one."""
        run = tables.reconciliation_run.c
        async with self._engine.connect() as conn:
            positions = await conn.scalar(
                sa.select(run.positions)
                .where(run.shard == shard, sa.func.jsonb_array_length(run.violations) == 0)
                .order_by(run.run_id.desc())
                .limit(1)
            )
        if positions is None:
            return Opening()
        return Opening(
            heads={
                stream: (position, bytes.fromhex(digest))
                for stream, (position, digest) in positions["heads"].items()
            },
            last_sequences=positions["last_sequences"],
            last_trade_ids={
                int(number): trade for number, trade in positions["last_trade_ids"].items()
            },
        )

    async def append(
        self, shard: int, sequence: int, report: CheckReport, closing: Opening
    ) -> None:
        """Store one run; runs beyond the newest 10,000 are dropped."""
        run = tables.reconciliation_run
        async with self._engine.begin() as conn:
            run_id = await conn.scalar(
                sa.insert(run)
                .values(
                    shard=shard,
                    sequence=sequence,
                    invariants=[asdict(invariant) for invariant in report.invariants],
                    violations=[_plain(asdict(violation)) for violation in report.violations],
                    positions={
                        "heads": {
                            stream: [position, digest.hex()]
                            for stream, (position, digest) in closing.heads.items()
                        },
                        "last_sequences": dict(closing.last_sequences),
                        "last_trade_ids": {
                            str(number): trade for number, trade in closing.last_trade_ids.items()
                        },
                    },
                )
                .returning(run.c.run_id)
            )
            assert run_id is not None
            await conn.execute(sa.delete(run).where(run.c.run_id <= run_id - _KEPT_RUNS))


def _plain(violation: dict[str, object]) -> dict[str, object]:
    """Return a violation for JSON; the amount as text, since it may have 38 digits."""
    amount = violation["amount"]
    return {**violation, "amount": None if amount is None else str(amount)}
