"""Transfers between the main account and shards."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.schemas.common import DecimalText, Input, Output

ShardNumber = Annotated[int, Field(strict=True, ge=0, le=32_767)]


class TransferIn(Input):
    """A transfer between two places: shards by number, the main account by leaving it out."""

    asset: Annotated[
        str, StringConstraints(strict=True, min_length=1, max_length=16), Field(examples=["USDT"])
    ]
    amount: DecimalText
    from_shard: ShardNumber | None = None
    to_shard: ShardNumber | None = None


class TransferOut(Output):
    """A transfer and how far it is."""

    transfer_id: str
    asset: str
    amount: str
    from_shard: int | None
    to_shard: int | None
    state: str
    reason: str | None
    time_us: int
    expires_us: int
