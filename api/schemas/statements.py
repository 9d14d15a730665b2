"""Statements: what changed a customer's money in a period."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.common import Output

StatementKind = Literal[
    "trade",
    "fee",
    "realised_profit",
    "insurance",
    "funding",
    "takeover",
    "deleveraging",
    "settlement",
    "deposit",
    "withdrawal",
    "withdrawal_fee",
]
FormatText = Literal["json", "csv"]


class StatementLineOut(Output):
    """One change of one asset."""

    time_us: int
    kind: StatementKind
    asset: str
    change: str = Field(description="Signed: negative is what went.", examples=["-2500.5"])
    symbol: str | None = Field(None, description="Of a market's lines.")
    order_id: str | None = Field(None, description="Of a fill's lines.")
    reference: str = Field(
        description="The trade, deposit or withdrawal; of other lines the engine's sequence."
    )


class StatementOut(Output):
    """All lines from `from_us` on, before `to_us`, oldest first."""

    from_us: int
    to_us: int
    lines: list[StatementLineOut]
