"""Allow-lists and limits of the API's tests, in memory."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from domain.wallet_record import Barred, NewWithdrawal
from domain.withdrawal import policy_refusal
from domain.withdrawal_limits import (
    MAX_ADDRESSES,
    AddressNames,
    Allowance,
    ListedAddress,
    Tier,
    Window,
    allowance_checks,
    value_cents,
)

MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
_USDT_DECIMALS = 6


class AddressMemory:
    """Customers 1 and 2 may pay `ADDRESS`; what is added has to cool off for a day."""

    def __init__(self) -> None:
        mine = ListedAddress("ETH", ADDRESS, "mine", MOMENT, MOMENT)
        self.payable = {(customer, ADDRESS): mine for customer in (1, 2)}
        self.used_cents = 0

    async def listed(self, customer_id: int) -> list[ListedAddress]:
        return [one for (owner, _), one in self.payable.items() if owner == customer_id]

    async def add(
        self, customer_id: int, chain: str, address: str, names: AddressNames
    ) -> tuple[ListedAddress, bool] | None:
        found = self.payable.get((customer_id, address))
        if found is not None:
            return found, False
        if len(await self.listed(customer_id)) >= MAX_ADDRESSES:
            return None
        made = ListedAddress(
            chain,
            address,
            names.label,
            MOMENT + dt.timedelta(days=1),
            MOMENT,
            names.beneficiary,
            names.institution,
        )
        self.payable[customer_id, address] = made
        return made, True

    async def remove(self, customer_id: int, chain: str, address: str) -> ListedAddress | None:
        return self.payable.pop((customer_id, address), None)

    async def allowance(self, customer_id: int) -> Allowance:
        return Allowance(MOMENT, None, Tier.BASIC, 0, dict.fromkeys(Window, self.used_cents))

    def barred(self, request: NewWithdrawal) -> Barred | None:
        """Return what stands against a withdrawal of USDT."""
        listed = self.payable.get((request.customer_id, request.address))
        allowance = Allowance(
            MOMENT,
            None if listed is None else listed.usable_at,
            Tier.BASIC,
            value_cents(request.amount, _USDT_DECIMALS, Decimal(1)),
            dict.fromkeys(Window, self.used_cents),
        )
        rule = policy_refusal(allowance_checks(allowance))
        return None if rule is None else Barred(rule, allowance)
