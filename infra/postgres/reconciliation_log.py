"""The runs of reconciliation, as rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.checker_records import Opening
from domain.checker_report import CheckReport, Violation
from infra.postgres import tables

_KEPT_RUNS = 10_000


class ReconciliationLog:
    """Append runs; remember where the newest clean one ended."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def last_clean(self, shard: int) -> Opening:
        """Return where the newest run without violations ended; empty before the first one.

        Empty, too, after a full run with violations: they may lie in what is not new, and stay
        named until a full run is clean.
        """
        run = tables.reconciliation_run.c
        async with self._engine.connect() as conn:
            trouble = await conn.scalar(
                sa.select(sa.func.jsonb_array_length(run.violations))
                .where(run.shard == shard, run.full)
                .order_by(run.run_id.desc())
                .limit(1)
            )
            if trouble:
                return Opening()
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
            audit=(positions["audit"][0], bytes.fromhex(positions["audit"][1])),
            in_transit=tuple(positions["in_transit"]),
            taken_at=positions["taken_at"],
        )

    async def append(
        self, shard: int, sequence: int, report: CheckReport, closing: Opening, *, full: bool
    ) -> None:
        """Store one run; runs beyond the newest 10,000 are dropped."""
        run = tables.reconciliation_run
        async with self._engine.begin() as conn:
            run_id = await conn.scalar(
                sa.insert(run)
                .values(
                    shard=shard,
                    sequence=sequence,
                    full=full,
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
                        "audit": [closing.audit[0], closing.audit[1].hex()],
                        "in_transit": list(closing.in_transit),
                        "taken_at": closing.taken_at,
                    },
                )
                .returning(run.c.run_id)
            )
            assert run_id is not None
            await conn.execute(sa.delete(run).where(run.c.run_id <= run_id - _KEPT_RUNS))

    async def checked_positions(self) -> dict[str, int]:
        """Return {stream: last position} that the last clean run of every shard has read."""
        run = tables.reconciliation_run.c
        async with self._engine.connect() as conn:
            shards = (await conn.execute(sa.select(run.shard).distinct())).scalars().all()
        found: dict[str, int] = {}
        for number, shard in enumerate(shards):
            heads = (await self.last_clean(shard)).heads
            positions = {stream: position for stream, (position, _) in heads.items()}
            found = (
                positions
                if number == 0
                else {
                    stream: min(position, positions.get(stream, 0))
                    for stream, position in found.items()
                }
            )
        return found

    async def newest(self) -> dict[int, tuple[list[Violation], dict[str, bool]]]:
        """Return shard -> (violations of its newest run, invariant -> whether it holds)."""
        run = tables.reconciliation_run.c
        query = (
            sa.select(run.shard, run.violations, run.invariants)
            .ext(distinct_on(run.shard))
            .order_by(run.shard, run.run_id.desc())
        )
        async with self._engine.connect() as conn:
            rows = (await conn.execute(query)).all()
        return {
            row.shard: (
                [_violation(found) for found in row.violations],
                {found["name"]: found["ok"] for found in row.invariants},
            )
            for row in rows
        }

    async def failing(self) -> list[str]:
        """Return what the newest run of each shard found, one text a shard; none when clean."""
        return [
            f"shard {shard}: {violations[0].text}"
            for shard, (violations, _) in (await self.newest()).items()
            if violations
        ]


def _violation(stored: dict[str, Any]) -> Violation:
    amount = stored["amount"]
    return Violation(**{**stored, "amount": None if amount is None else int(amount)})


def _plain(violation: dict[str, object]) -> dict[str, object]:
    """Return a violation for JSON; the amount as text, since it may have 38 digits."""
    amount = violation["amount"]
    return {**violation, "amount": None if amount is None else str(amount)}
