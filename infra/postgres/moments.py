"""Moments of rows as the rest of the exchange counts them."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa


def microseconds(moment: sa.ColumnElement[datetime]) -> sa.ColumnElement[int]:
    """Return the microseconds since 1970 of a row's moment, exactly."""
    return sa.cast(sa.extract("epoch", moment) * 1_000_000, sa.BigInteger)
