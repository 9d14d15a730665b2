"""Rows by the time of their creation; to clients, times are microseconds since 1970."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def microseconds(column: Any) -> Any:
    """Return the expression for a column's time."""
    return sa.cast(sa.extract("epoch", column) * 1_000_000, sa.BigInteger)


def page(query: Any, created_at: Any, before: tuple[int, ...] | None, limit: int) -> Any:
    """Return the query for a page, newest first, before (creation time)."""
    if before is not None:
        query = query.where(microseconds(created_at) < before[0])
    return query.order_by(created_at.desc()).limit(limit)
