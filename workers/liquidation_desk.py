"""What staff do with liquidations, for the command line: look at them, sign a shortfall."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError

from domain.liquidation_story import LIQUIDATION_WORKFLOW, LiquidationRecord, line_of
from domain.shortfall import Shortfall
from infra.engine_errors import EngineError
from infra.postgres.liquidation_store import LiquidationStore
from infra.postgres.markets import MarketStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.runs import OPEN, list_runs
from workers.liquidation_log import record_in_logs
from workers.officer_desk import DeskError, why
from workers.signing_desk import hand_over, signed_decision
from workflows.search_attributes import STAGE

_SHOWN = 50
_ID = re.compile(r"[0-9a-f]{32}")
_NUMBERS = ("marks", "before", "book", "fills", "ranks", "after")


@dataclass(frozen=True, slots=True)
class _Signable:
    """A shortfall's statement as the workflow gave it."""

    text: str
    noun = Shortfall.noun
    action = Shortfall.action
    expiry = 0
    state = "proposed"
    is_open = True

    def statement(self) -> str:
        """Return the one text that officers sign."""
        return self.text


def workflow_id_of(scope: str) -> str:
    """Return the workflow of a scope's name, or of its workflow's id."""
    return scope if scope.startswith("liquidation-") else f"liquidation-{scope}"


async def open_ones(settings: Settings) -> list[dict[str, Any]]:
    """Return the open liquidations with their stages."""
    client = await connect(settings)
    query = f"{OPEN} AND WorkflowType = '{LIQUIDATION_WORKFLOW}'"
    return [
        {
            "workflow_id": run.workflow_id,
            "stage": run.attributes.get(STAGE) or "",
            "started_at": run.started_at,
        }
        async for run in list_runs(client, query)
    ]


async def ended_ones(engine: AsyncEngine) -> list[dict[str, Any]]:
    """Return the newest liquidations that have ended."""
    found = await LiquidationStore(engine).newest(_SHOWN)
    return [{**asdict(record.request), **_ending(record)} for record in found]


def _ending(record: LiquidationRecord) -> dict[str, Any]:
    return {
        "ended": record.ended,
        "began_us": record.began_us,
        "ended_us": record.ended_us,
        "last_sequence": record.last_sequence,
    }


async def record(
    engine: AsyncEngine, settings: Settings, liquidation_id: str
) -> dict[str, Any] | None:
    """Return a liquidation's whole record for JSON, with its steps as sentences beside.

    Of one without a row (it goes on, or nobody could write it) what the engine's log says.
    """
    found = await LiquidationStore(engine).read(liquidation_id)
    if found is None and _ID.fullmatch(liquidation_id):
        with contextlib.suppress(EngineError):
            found = await record_in_logs(settings, liquidation_id)
    if found is None:
        return None
    listings = await MarketStore(engine).listings()
    names = {one.instrument.symbol_id: one.instrument.symbol for one in listings.markets}
    met = {step.symbol_id for step in found.steps} | {found.request.symbol_id}
    return {
        **asdict(found),
        "markets": {number: names[number] for number in sorted(met & names.keys())},
        "story": [line_of(step) for step in found.steps],
    }


async def shortfall_of(settings: Settings, scope: str) -> str:
    """Return the statement that waits for officers; `DeskError` when there is none."""
    handle = (await connect(settings)).get_workflow_handle(workflow_id_of(scope))
    try:
        statement = str(await handle.query("shortfall"))
    except WorkflowQueryFailedError as error:
        raise DeskError(str(error)) from error
    except RPCError as error:
        raise DeskError(why(error)) from error
    if not statement:
        raise DeskError(f"no shortfall of {workflow_id_of(scope)} waits for officers")
    return statement


async def sign(settings: Settings, officer: str, scope: str, statement: str) -> int:
    """Sign a shortfall's statement and hand the signature over; return how many there are."""
    proposal = _Signable(statement)
    decision = signed_decision(settings, officer, proposal)
    return await hand_over(settings, workflow_id_of(scope), decision)


def _moment(time_us: int) -> str:
    moment = dt.datetime.fromtimestamp(time_us / 1_000_000, dt.UTC)
    return moment.isoformat(" ", timespec="milliseconds").removesuffix("+00:00") + " UTC"


def text_of(found: dict[str, Any]) -> str:
    """Return a record as text: the story, and under each step the numbers it was computed from."""
    request = found["request"]
    kind = f"isolated in market {request['symbol_id']}" if request["symbol_id"] else "cross margin"
    lines = [
        f"liquidation {request['liquidation_id']}",
        f"  account {request['account_id']} ({kind}), shard {request['shard']}",
        f"  frozen at {request['frozen_sequence']}, {found['ended']} at {found['last_sequence']}",
        f"  from {_moment(found['began_us'])} to {_moment(found['ended_us'])}",
        *(f"  market {number} is {name}" for number, name in found["markets"].items()),
    ]
    for step, line in zip(found["steps"], found["story"], strict=True):
        lines += [f"  {line}", f"     at     {_moment(step['time_us'])}"]
        lines.append(f"     key    {step['key']}")
        lines += [f"     {name:<7}{json.dumps(step[name])}" for name in _NUMBERS if step[name]]
    for name, signature in sorted(found["signatures"].items()):
        lines.append(f"  signed by {name}: {signature}")
    return "\n".join(lines)
