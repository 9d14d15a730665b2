"""A venue's RFC 3339 time as microseconds since 1970, exact."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

VenueTime = Annotated[dt.datetime, msgspec.Meta(tz=True)]

_BEGIN = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def microseconds(time: dt.datetime) -> int:
    """Return the microseconds since 1970; the decoder has rounded what was finer."""
    return (time - _BEGIN) // _MICROSECOND
