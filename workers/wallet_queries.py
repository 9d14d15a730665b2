"""The searches by which staff and health find open work in Temporal."""

from __future__ import annotations

import datetime as dt
from urllib.parse import quote

from infra.temporal.runs import OPEN

_IS_PARKED = "Stage STARTS_WITH 'failed:'"
ANY_PARKED = f"{OPEN} AND {_IS_PARKED}"
"""Whatever waits for somebody's decision: what is stopped for an operator shows its stage so."""
_WALLET = (
    "WorkflowType IN ('DepositWorkflow', 'WithdrawalWorkflow', 'ShardTransferWorkflow',"
    " 'AdjustmentWorkflow', 'WalletPaymentWorkflow')"
)
OPEN_WORK = f"{OPEN} AND ({_WALLET} OR WorkflowType = 'MarketChangeWorkflow' OR {_IS_PARKED})"
"""What people begin and follow, parked or not; of the exchange's own work what is parked."""
PARKED_RISK = (
    f"{ANY_PARKED} AND WorkflowType IN ('LiquidationWorkflow', 'AutoDeleveragingWorkflow',"
    " 'UnwindWorkflow', 'FinalSettlementWorkflow')"
)
PARKED = f"{ANY_PARKED} AND {_WALLET}"
_WITHDRAWALS = f"WorkflowType = 'WithdrawalWorkflow' AND {OPEN}"
_DEADLINE = dt.timedelta(hours=24)
_MUCH_USD = 10_000


def named_links(path: str, now: dt.datetime) -> list[tuple[str, str]]:
    """Return (title, address) of searches in Temporal's UI that staff needs often, as of `now`.

    The UI keeps views in the browser that made them, so they cannot be shipped; an address can.
    """
    yesterday = (now - _DEADLINE).strftime("%Y-%m-%dT%H:%M:%SZ")
    queries = (
        (
            "Waiting for approval",
            f"{_WITHDRAWALS} AND Stage IN ('approval', 'approval-overdue')",
        ),
        ("Parked", ANY_PARKED),
        ("Older than the deadline", f"{_WITHDRAWALS} AND StartTime < '{yesterday}'"),
        ("Over 10,000 USD", f"{OPEN} AND NotionalUsd > {_MUCH_USD}"),
    )
    return [(title, f"{path}?query={quote(query, safe='')}") for title, query in queries]
