"""Transfers between shards."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.schemas.common import DecimalText, Input, Output

ShardNumber = Annotated[int, Field(strict=True, ge=0, le=65_535)]


class TransferIn(Input):
    """A transfer between two shards."""

    asset: Annotated[
        str, StringConstraints(strict=True, min_length=1, max_length=16), Field(examples=["USDT"])
    ]
    amount: DecimalText
    from_shard: ShardNumber
    to_shard: ShardNumber


class TransferOut(Output):
    """A transfer and how far it is."""

    transfer_id: str
    asset: str
    amount: str
    from_shard: int
    to_shard: int
    state: str
    reason: str | None
    time_us: int
