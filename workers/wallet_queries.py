"""The searches by which staff and health find open work in Temporal."""

from __future__ import annotations

from infra.temporal.runs import OPEN

OPEN_WORK = (
    f"{OPEN} AND WorkflowType IN ('DepositWorkflow', 'WithdrawalWorkflow',"
    " 'ShardTransferWorkflow', 'AdjustmentWorkflow')"
)
PARKED_RISK = (
    f"{OPEN} AND WorkflowType IN ('LiquidationWorkflow', 'AutoDeleveragingWorkflow',"
    " 'UnwindWorkflow', 'FinalSettlementWorkflow') AND Stage STARTS_WITH 'failed:'"
)
PARKED = f"{OPEN_WORK} AND Stage STARTS_WITH 'failed:'"
