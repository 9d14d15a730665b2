"""Your statement: every change of your money in a period, to read or to file."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.schemas.statements import FormatText, StatementOut
from api.statements import as_csv, statement_lines
from domain.customer import Scope
from domain.money import INT64_MAX

router = APIRouter(prefix="/v1", tags=["account"], route_class=EdgeRoute)

USUAL_PERIOD_US = 30 * 24 * 3_600 * 1_000_000
Moment = Annotated[int | None, Query(ge=0, le=INT64_MAX, description="In microseconds since 1970.")]


@router.get(
    "/statements",
    response_model=StatementOut,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
@access(Scope.READ, weight=50)
async def statement(
    caller: CallerDep,
    services: ServicesDep,
    from_us: Moment = None,
    to_us: Moment = None,
    format: FormatText = "json",  # noqa: A002 - the parameter's name
) -> StatementOut | Response:
    """Return what changed your money from `from_us` on and before `to_us`, oldest first.

    Without `to_us` it ends now, without `from_us` it begins 30 days before its end. It has what
    settlement has booked: fills with their fees, funding and the other events of positions, and
    deposits and withdrawals that are final, at the time when they were made. Moves between your own
    places change nothing in sum and are not there. At most 10,000 lines: ask for shorter periods.
    """
    end = services.now_ms() * 1_000 if to_us is None else to_us
    start = max(0, end - USUAL_PERIOD_US) if from_us is None else from_us
    if start > end:
        raise Problem("invalid_field", "query.from_us: It is after to_us.")
    lines = await statement_lines(services, caller.customer_id, start, end)
    if format == "csv":
        name = f'attachment; filename="statement-{start}-{end}.csv"'
        headers = {"Content-Disposition": name}
        return Response(as_csv(lines), media_type="text/csv", headers=headers)
    return StatementOut(from_us=start, to_us=end, lines=lines)
