"""The worker of the task queue `risk-{shard}`: liquidations and what perpetual markets need."""

from __future__ import annotations

import time

from activities.auto_deleveraging import DeleveragingActivities
from activities.liquidation import LiquidationActivities
from activities.liquidation_record import LiquidationRecordActivities
from activities.perpetual_care import PerpetualCareActivities
from activities.risk_ports import RiskDoor, RiskNews
from activities.shortfall import ShortfallActivities
from infra.postgres.liquidation_store import LiquidationStore
from infra.wallet.officers import pinned_path, verify_ed25519
from infra.wallet.pinned_officers import PinnedOfficers
from workers.risk_news import ShardNews
from workers.wiring import Connections, Wiring
from workflows.auto_deleveraging import AutoDeleveragingWorkflow
from workflows.liquidation import LiquidationWorkflow
from workflows.liquidation_record import LiquidationRecordWorkflow
from workflows.perpetual_care import (
    DustSweepWorkflow,
    FinalSettlementWorkflow,
    FundingWorkflow,
    UnwindWorkflow,
)
from workflows.task_queues import risk_queue

MOST_AT_ONCE = 400
"""Activities at a time: one of every open liquidation, and records that are being written."""


def wire_risk(to: Connections, news: ShardNews, door: RiskDoor, admin: RiskDoor) -> Wiring:
    """Return the worker of a shard's risk service; `admin` ends markets."""

    def doors(_: int) -> tuple[RiskDoor, RiskNews]:
        return door, news

    def admins(_: int) -> tuple[RiskDoor, RiskNews]:
        return admin, news

    liquidating = LiquidationActivities(doors)
    deleveraging = DeleveragingActivities(doors)
    recording = LiquidationRecordActivities(LiquidationStore(to.database))
    caring = PerpetualCareActivities(doors, admins)
    deciding = ShortfallActivities(
        doors,
        PinnedOfficers(pinned_path(to.settings.data_dir)),
        verify_ed25519,
        lambda: int(time.time()),
    )
    return Wiring(
        task_queue=risk_queue(news.picture.shard),
        workflows=(
            LiquidationWorkflow,
            AutoDeleveragingWorkflow,
            LiquidationRecordWorkflow,
            FundingWorkflow,
            UnwindWorkflow,
            FinalSettlementWorkflow,
            DustSweepWorkflow,
        ),
        activities=(
            liquidating.advance,
            deleveraging.deleverage,
            recording.write,
            caring.fund,
            caring.unwind,
            caring.settle,
            caring.sweep,
            deciding.restrict,
            deciding.check,
        ),
        at_once=MOST_AT_ONCE,
    )
