"""Rows by the time of their creation; to clients, times are microseconds since 1970."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from domain.wallet_record import RowPlace

_BEGIN = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LONGEST_US = 253_402_300_799_999_999  # the last microsecond of the year 9999


def microseconds(column: Any) -> Any:
    """Return the expression for a column's time."""
    return sa.cast(sa.extract("epoch", column) * 1_000_000, sa.BigInteger)


def page(query: Any, created_at: Any, row_id: Any, before: RowPlace | None, limit: int) -> Any:
    """Return the query for a page, newest first, before (creation time, id).

    Rows may be of one time, those of one transaction are; then they go by their ids.
    """
    name = sa.cast(row_id, sa.Text)
    if before is not None:
        query = query.where(sa.tuple_(created_at, name) < sa.tuple_(_moment(before[0]), before[1]))
    return query.order_by(created_at.desc(), name.desc()).limit(limit)


def _moment(time_us: int) -> dt.datetime:
    """Return the time that a cursor names, or the nearest one that there can be."""
    return _BEGIN + dt.timedelta(microseconds=min(max(time_us, 0), _LONGEST_US))
