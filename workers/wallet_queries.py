"""The searches by which staff and health find open work in Temporal."""

from __future__ import annotations

from infra.temporal.runs import OPEN

_IS_PARKED = "Stage STARTS_WITH 'failed:'"
ANY_PARKED = f"{OPEN} AND {_IS_PARKED}"
"""Whatever waits for somebody's decision: what is stopped for an operator shows its stage so."""
_WALLET = (
    "WorkflowType IN ('DepositWorkflow', 'WithdrawalWorkflow', 'ShardTransferWorkflow',"
    " 'AdjustmentWorkflow')"
)
OPEN_WORK = f"{OPEN} AND ({_WALLET} OR WorkflowType = 'MarketChangeWorkflow' OR {_IS_PARKED})"
"""What people begin and follow, parked or not; of the exchange's own work what is parked."""
PARKED_RISK = (
    f"{ANY_PARKED} AND WorkflowType IN ('LiquidationWorkflow', 'AutoDeleveragingWorkflow',"
    " 'UnwindWorkflow', 'FinalSettlementWorkflow')"
)
PARKED = f"{ANY_PARKED} AND {_WALLET}"
