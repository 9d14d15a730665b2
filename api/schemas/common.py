"""Building blocks of the schemas: strict input, decimal text, cursors."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.errors import Problem
from domain.wallet_record import RowPlace

Content = TypeVar("Content")
DecimalText = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=64),
    Field(
        description='A plain decimal number in text, e.g. "2500.01"; no sign, no exponent.',
        examples=["2500.01"],
    ),
]
SymbolText = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=32), Field(examples=["ETH/USDT"])
]


class Input(BaseModel):
    """A request body: unknown members are refused, types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Output(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True)


def identity_from(text: str) -> UUID:
    """Return the id in an address; one that cannot exist is not found."""
    try:
        return UUID(text)
    except ValueError as error:
        raise Problem("not_found") from error


def microseconds(moment: dt.datetime) -> int:
    """Return a moment as answers tell it, in microseconds since 1970; exact."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def encode_cursor(endpoint: str, position: tuple[int, ...]) -> str:
    """Return an opaque cursor that only `endpoint` accepts."""
    return _encoded((endpoint, position))


def decode_cursor(endpoint: str, cursor: str | None, length: int) -> tuple[int, ...] | None:
    """Return the position in a cursor of `endpoint`, None without a cursor, or refuse it."""
    if cursor is None:
        return None
    name, position = _decoded(cursor, tuple[str, tuple[int, ...]])
    if name != endpoint or len(position) != length or not all(map(_fits, position)):
        raise Problem("invalid_cursor")
    return position


def encode_row_cursor(endpoint: str, place: RowPlace) -> str:
    """Return an opaque cursor of rows that go by time and id, which only `endpoint` accepts."""
    return _encoded((endpoint, place))


def decode_row_cursor(endpoint: str, cursor: str | None) -> RowPlace | None:
    """Return the place in such a cursor of `endpoint`, None without a cursor, or refuse it."""
    if cursor is None:
        return None
    name, (time_us, row_id) = _decoded(cursor, tuple[str, tuple[int, str]])
    if name != endpoint or not _fits(time_us) or not row_id.isprintable():
        raise Problem("invalid_cursor")
    return time_us, row_id


def _encoded(content: tuple[str, tuple[int | str, ...]]) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(content)).decode().rstrip("=")


def _decoded(cursor: str, kind: type[Content]) -> Content:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.msgpack.decode(raw, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise Problem("invalid_cursor") from error


def _fits(number: int) -> bool:
    return -(2**63) <= number < 2**63
