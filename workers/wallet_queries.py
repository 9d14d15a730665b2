"""The searches by which staff and health find open work in Temporal."""

from __future__ import annotations

from infra.temporal.runs import OPEN

ANY_PARKED = f"{OPEN} AND Stage STARTS_WITH 'failed:'"
"""Whatever waits for somebody's decision: what is stopped for an operator shows its stage so."""
_WALLET = (
    "WorkflowType IN ('DepositWorkflow', 'WithdrawalWorkflow', 'ShardTransferWorkflow',"
    " 'AdjustmentWorkflow')"
)
OPEN_WORK = (
    f"{OPEN} AND ({_WALLET} OR WorkflowType = 'MarketChangeWorkflow'"
    " OR Stage STARTS_WITH 'failed:')"
)
"""What people begin and follow, parked or not; of the exchange's own work what is parked."""
PARKED_RISK = (
    f"{OPEN} AND WorkflowType IN ('LiquidationWorkflow', 'AutoDeleveragingWorkflow',"
    " 'UnwindWorkflow', 'FinalSettlementWorkflow') AND Stage STARTS_WITH 'failed:'"
)
PARKED = f"{ANY_PARKED} AND {_WALLET}"
