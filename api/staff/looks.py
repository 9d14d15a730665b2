"""Who has looked at what: a record for each look, or no look."""

from __future__ import annotations

from api.staff.gate import Caller
from api.staff.ports import StaffServices
from domain.hash_chain import JsonValue
from domain.withdrawal_story import FILE_READ


async def note_look(services: StaffServices, caller: Caller, subject: str, *, by: str) -> None:
    """Write down whose file is read, once an hour for each session; no record, no reading."""
    sessions = services.sessions
    if not await sessions.first_in_an_hour(caller.token, f"{by}:{subject}"):
        return
    try:
        detail: dict[str, JsonValue] = {"by": by}
        await services.records.append(caller.member.name, subject, FILE_READ, detail)
    except ConnectionError:
        await sessions.forget(caller.token, f"{by}:{subject}")
        raise
