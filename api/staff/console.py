"""The console: what waits for somebody of the staff, and the decisions about it.

Nothing here signs: a decision comes with the signature that the officer's browser has made, and
the workflow checks it. What is refused is answered as it was refused, and leaves a record.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from api.staff.form import form_of
from api.staff.gate import PAGE_HEADERS, Caller, refusal
from api.staff.login import STATIC
from api.staff.looks import note_look
from api.staff.ports import StaffServices
from api.staff.shapes import Done, Refused
from domain.approval import Decision
from domain.customer import LONGEST_NOTE, Standing
from domain.decision_choices import ABANDON, RELEASE, RETRY, RETURN
from domain.staff import StaffMember
from domain.two_signatures import MAX_REASON

BY = "console"
LISTS = "staff-console"  # the subject of looks at the lists, which name customers
_LONGEST_NAME = 200
_ACTION = re.compile(r"[a-z][a-z-]{1,31}")
_May = Callable[[StaffMember], bool]
_CarryOut = Callable[[str, str, str], Awaitable[Done | Refused]]


class Console:
    """The routes of the console."""

    def __init__(self, services: StaffServices) -> None:
        self._services = services

    # ---- looking ------------------------------------------------------------------------------

    async def page(self, request: Request, caller: Caller) -> Response:
        """Serve the page."""
        return FileResponse(STATIC / "staff-console.html", headers=PAGE_HEADERS)

    async def me(self, request: Request, caller: Caller) -> Response:
        """Say who is signed in, what he may do, and which searches in Temporal's UI have names."""
        member = caller.member
        return _json(
            {
                "name": member.name,
                "public_key": member.public_key_hex,
                "roles": sorted(member.roles),
                "may_decide": member.may_decide(),
                "may_retry": member.may_send_updates(),
                "may_keep_files": member.may_keep_files(),
                "workflows_path": self._services.workflows_path,
                "links": [asdict(link) for link in self._services.work.links()],
            }
        )

    async def withdrawals(self, request: Request, caller: Caller) -> Response:
        """List the withdrawals that wait for officers or are parked."""
        await self._note_list(caller)
        return _rows(await self._services.work.withdrawals())

    async def parked(self, request: Request, caller: Caller) -> Response:
        """List what else is parked."""
        await self._note_list(caller)
        return _rows(await self._services.work.parked())

    async def suspense(self, request: Request, caller: Caller) -> Response:
        """List the deposits in suspense."""
        await self._note_list(caller)
        return _rows(await self._services.work.suspense())

    async def proposals(self, request: Request, caller: Caller) -> Response:
        """List what waits for two officers' signatures."""
        await self._note_list(caller)
        return _rows(await self._services.work.proposals())

    async def stopped(self, request: Request, caller: Caller) -> Response:
        """Say what stops payments out."""
        await self._note_list(caller)
        return _rows(await self._services.work.stopped())

    async def story(self, request: Request, caller: Caller) -> Response:
        """Tell a withdrawal's whole story, from the audit log."""
        try:
            name = UUID(request.path_params["withdrawal_id"])
        except ValueError:
            return refusal(404, "this is no withdrawal's id")
        found = await self._services.files.story(name, _reader(caller))
        return refusal(404, "there is no such withdrawal") if found is None else _json(found)

    async def customer(self, request: Request, caller: Caller) -> Response:
        """Show a customer's file, by name or number."""
        who = request.query_params.get("who", "")
        if not 0 < len(who) <= _LONGEST_NAME or not who.isprintable():
            return refusal(400, "name a customer: ?who=NAME")
        found = await self._services.files.customer(who, _reader(caller))
        return refusal(404, "there is no such customer") if found is None else _json(asdict(found))

    async def _note_list(self, caller: Caller) -> None:
        await note_look(self._services, caller, LISTS, by=BY)

    # ---- deciding -----------------------------------------------------------------------------

    async def decide(self, request: Request, caller: Caller) -> Response:
        """Hand over what the caller's own key has signed."""
        form = await form_of(request, "workflow_id", "action", "statement", "signature_hex")
        decision = Decision(
            caller.member.name, form["action"], form["statement"], form["signature_hex"]
        )
        if _ACTION.fullmatch(form["action"]) is None:
            return refusal(400, "this is no decision that somebody signs")
        subject, detail = form["workflow_id"], {"statement": form["statement"][:2_000]}
        if not caller.member.may_decide():
            return await self._forbid(caller, subject, form["action"], "approver", detail)
        result = await self._services.desk.decide(subject, decision)
        return await self._told(caller, subject, form["action"], result, detail)

    async def retry(self, request: Request, caller: Caller) -> Response:
        """Try a parked step again."""
        return await self._steer(request, caller, RETRY, self._services.desk.retry)

    async def abandon(self, request: Request, caller: Caller) -> Response:
        """Give a change of a market up."""
        return await self._steer(request, caller, ABANDON, self._services.desk.abandon)

    async def _steer(
        self, request: Request, caller: Caller, action: str, carry_out: _CarryOut
    ) -> Response:
        """Have done to a workflow what takes a reason and no signature, on record beforehand."""
        form = await form_of(request, "workflow_id", "reason")
        subject, reason = form["workflow_id"], form["reason"]
        if answer := await self._unfit(caller, subject, action, reason):
            return answer
        await self._note_act(caller, subject, action, reason)
        result = await carry_out(subject, caller.member.name, reason)
        return await self._told(caller, subject, action, result)

    async def propose_release(self, request: Request, caller: Caller) -> Response:
        """Propose that a deposit in suspense is released."""
        form = await form_of(request, "deposit_id", "customer", "reason")
        subject = form["deposit_id"]
        if answer := await self._unfit(caller, subject, RELEASE, form["reason"]):
            return answer
        result = await self._services.desk.propose_release(
            subject, form["customer"], caller.member.name, form["reason"]
        )
        return await self._told(caller, subject, RELEASE, result)

    async def propose_return(self, request: Request, caller: Caller) -> Response:
        """Propose that a deposit in suspense is paid back to its sender."""
        form = await form_of(request, "deposit_id", "reason")
        subject = form["deposit_id"]
        if answer := await self._unfit(caller, subject, RETURN, form["reason"]):
            return answer
        result = await self._services.desk.propose_return(
            subject, caller.member.name, form["reason"]
        )
        return await self._told(caller, subject, RETURN, result)

    async def set_standing(self, request: Request, caller: Caller) -> Response:
        """Freeze a customer, let him only withdraw, or let him do everything again."""
        form = await form_of(request, "customer_id", "standing", "reason")
        number, standing = _number(form["customer_id"]), form["standing"]
        if number is None or standing not in frozenset(Standing):
            return refusal(400, f"a customer's number, and one of {', '.join(Standing)}")
        if answer := await self._unfit(
            caller, f"customer-{number}", "standing", form["reason"], may=_keeps_files
        ):
            return answer
        result = await self._services.files.set_standing(
            number, Standing(standing), caller.member.name, form["reason"]
        )
        return await self._told(caller, f"customer-{number}", "standing", result)

    async def note(self, request: Request, caller: Caller) -> Response:
        """Append a case note, which nobody can change."""
        form = await form_of(request, "customer_id", "text")
        number, text = _number(form["customer_id"]), form["text"]
        if number is None or not text.strip() or len(text) > LONGEST_NOTE:
            return refusal(400, f"a customer's number, and a note of 1 to {LONGEST_NOTE} letters")
        if not caller.member.may_keep_files():
            return await self._forbid(caller, f"customer-{number}", "note", "compliance or admin")
        result = await self._services.files.note(number, caller.member.name, text)
        return await self._told(caller, f"customer-{number}", "note", result)

    # ---- refusing, and writing down -----------------------------------------------------------

    async def _unfit(
        self, caller: Caller, subject: str, action: str, reason: str, *, may: _May | None = None
    ) -> Response | None:
        """Return the answer to what may not even be asked for: no reason, or not by this role."""
        if not reason.strip() or len(reason) > MAX_REASON:
            return refusal(400, f"give a reason of at most {MAX_REASON} letters")
        if not (may or StaffMember.may_send_updates)(caller.member):
            roles = "compliance or admin" if may else "operator, approver or admin"
            return await self._forbid(caller, subject, action, roles)
        return None

    async def _forbid(
        self,
        caller: Caller,
        subject: str,
        action: str,
        roles: str,
        detail: Mapping[str, str] | None = None,
    ) -> Response:
        why = f"this takes the role {roles}"
        await self._note_refusal(caller, subject, action, why, detail)
        return refusal(403, why)

    async def _told(
        self,
        caller: Caller,
        subject: str,
        action: str,
        result: Done | Refused,
        detail: Mapping[str, str] | None = None,
    ) -> Response:
        if isinstance(result, Refused):
            await self._note_refusal(caller, subject, action, result.why, detail)
            return refusal(409, result.why)
        return _json(asdict(result))

    async def _note_act(self, caller: Caller, subject: str, action: str, reason: str) -> None:
        """Write down what is asked for, before it is: the workflow's history says how it went."""
        await self._services.records.append(
            caller.member.name,
            subject[:_LONGEST_NAME],
            "staff_acted",
            {"by": BY, "action": action, "reason": reason},
        )

    async def _note_refusal(
        self,
        caller: Caller,
        subject: str,
        action: str,
        why: str,
        detail: Mapping[str, str] | None,
    ) -> None:
        """Write down who has tried what in vain: a refused update leaves no trace elsewhere."""
        await self._services.records.append(
            caller.member.name,
            subject[:_LONGEST_NAME],
            f"{action}_refused",
            {"by": BY, "officer": caller.member.name, "refused": why[:500], **(detail or {})},
        )


def _keeps_files(member: StaffMember) -> bool:
    return member.may_keep_files()


def _reader(caller: Caller) -> str:
    return f"staff:{caller.member.name}"


def _number(text: str) -> int | None:
    """Return a customer's number; None for what cannot be one."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        return None
    return int(text)


def _rows(found: Iterable[Any]) -> JSONResponse:
    return _json({"rows": [asdict(row) for row in found]})


def _json(content: Any) -> JSONResponse:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return JSONResponse(content, headers=headers)
