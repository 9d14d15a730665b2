"""The list of addresses that a customer may withdraw to, and the limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.schemas.common import Input, Output

NetworkText = Annotated[str, StringConstraints(min_length=1, max_length=16)]
AddressText = Annotated[str, StringConstraints(min_length=1, max_length=128)]
NameText = Annotated[str, StringConstraints(max_length=128)]


class WithdrawalAddressIn(Input):
    """An address to be listed, with its mixed-case checksum (EIP-55)."""

    network: NetworkText = Field("ETH", examples=["ETH"])
    address: AddressText = Field(examples=["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"])
    label: Annotated[str, StringConstraints(max_length=64)] = Field(
        "", description="What you call it."
    )
    beneficiary: NameText = Field(
        "", description="Whose address it is. Above 1,000 USD an officer has to look without it."
    )
    institution: NameText = Field(
        "", description="The exchange or bank that holds it; empty when its owner does."
    )


class WithdrawalAddressOut(Output):
    """A listed address."""

    network: str
    address: str
    label: str
    beneficiary: str
    institution: str
    usable_us: int = Field(description="From then on, in microseconds since 1970, it may be paid.")


class WithdrawalAddressList(Output):
    """Your addresses, oldest first; at most 100."""

    addresses: list[WithdrawalAddressOut]


class WithdrawalLimitOut(Output):
    """What one window of time allows; values in USD as decimal text."""

    window: str = Field(examples=["24h"])
    limit_usd: str
    used_usd: str
    left_usd: str


class WithdrawalLimits(Output):
    """What your tier may withdraw."""

    tier: str = Field(examples=["basic"])
    limits: list[WithdrawalLimitOut]
