"""What is open is found by an index of the open rows alone, however many are final."""

from __future__ import annotations

import re
from collections.abc import Collection

import pytest
import sqlalchemy as sa

from domain import deposit, wallet_payment, withdrawal
from infra.postgres import tables

_OPEN = (
    (tables.withdrawal, "ix_withdrawal_open", withdrawal.FINAL_STATES),
    (tables.deposit, "ix_deposit_open", deposit.FINAL_STATES),
    (tables.wallet_payment, "ix_wallet_payment_open", wallet_payment.FINAL_STATES),
    (tables.wallet_payment, "ix_wallet_payment_one_of_address", wallet_payment.FINAL_STATES),
    (tables.wallet_payment, "ix_wallet_payment_one_goes_cold", wallet_payment.FINAL_STATES),
)


@pytest.mark.parametrize(("table", "name", "final"), _OPEN)
def test_an_index_leaves_out_just_the_final_states(
    table: sa.Table, name: str, final: Collection[str]
) -> None:
    """A state that is missing here makes the sweep read every row, or lets two be open."""
    (index,) = [one for one in table.indexes if one.name == name]
    which = str(index.dialect_options["postgresql"]["where"])
    left_out = which.partition("state NOT IN")[2]
    assert sorted(re.findall(r"'(\w+)'", left_out)) == sorted(final)
