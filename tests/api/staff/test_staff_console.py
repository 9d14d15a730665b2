"""The console behind its page: who may decide what, what is refused, what is on record."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from api.staff.app import create_staff_app
from api.staff.shapes import (
    CustomerFile,
    Done,
    ParkedWork,
    ProposedWork,
    Refused,
    Screened,
    SuspenseItem,
    WithdrawalWork,
)
from domain.approval import Decision
from domain.decision_choices import retry_choice, signing_choice, withdrawal_choices
from domain.withdrawal import WithdrawalState
from tests.api.staff.world import ORIGIN, STOPPED, Office, World, services_of, sign_in, staffed

NAME = UUID("018f0000-0000-7000-8000-000000000001")
WITHDRAWAL = f"withdrawal-{NAME}"
DEPOSIT = "deposit-ETH-0xab-native"
DECISION = {
    "workflow_id": WITHDRAWAL,
    "action": "approve",
    "statement": '{"action":"approve"}',
    "signature_hex": "00" * 64,
}
POSTS: dict[str, dict[str, str]] = {
    "decisions": DECISION,
    "retries": {"workflow_id": WITHDRAWAL, "reason": "refilled"},
    "abandonments": {"workflow_id": "market-change-1", "reason": "a mistake"},
    "releases": {"deposit_id": DEPOSIT, "customer": "bob", "reason": "it is his"},
    "returns": {"deposit_id": DEPOSIT, "reason": "sent by mistake"},
    "standings": {"customer_id": "7", "standing": "frozen", "reason": "case 17"},
    "notes": {"customer_id": "7", "text": "asked for papers"},
}
ROWS: dict[str, Any] = {
    "withdrawals": WithdrawalWork(
        withdrawal_id=str(NAME),
        workflow_id=WITHDRAWAL,
        customer_id=7,
        customer="bob",
        standing="active",
        tier="basic",
        asset="USDT",
        amount="2000",
        amount_units="2000000000",
        decimals=6,
        fee="1",
        receives="1999",
        value_usd="2000",
        chain="ETH",
        address="0xA",
        beneficiary="Bob",
        institution="",
        state="screened",
        stage="approval",
        requested_at="2026-11-28T05:00:00+00:00",
        deadline="2026-11-29T05:00:00+00:00",
        needed=1,
        approved_by=[],
        review="",
        nonce=None,
        screened=Screened(4, {"value_is_known": True}, ["sanctions: clear"]),
        parked="",
        advice="",
        choices=withdrawal_choices(WithdrawalState.SCREENED, is_parked=False, needed=1, approved=0),
    ),
    "parked": ParkedWork(
        workflow_id="settlement-0",
        workflow_type="SettlementWorkflow",
        stage="failed:settle",
        account="",
        asset="",
        symbol="",
        amount="",
        about_usd=None,
        started_at="2026-11-28T05:00:00+00:00",
        is_paused=False,
        details="**Parked.**",
        runbook="docs/runbooks/settlement-parked.md",
        action="",
        statement="",
        choices=(retry_choice(),),
    ),
    "suspense": SuspenseItem(
        deposit_id=DEPOSIT,
        customer_id=7,
        customer="bob",
        asset="USDT",
        amount="0.5",
        about_usd=0,
        reason="below_minimum",
        sender="0xB",
        tx_hash="0xab",
        seen_at="2026-11-28T05:00:00+00:00",
        proposals=[],
        choices=(),
    ),
    "stopped": STOPPED,
    "proposals": ProposedWork(
        proposal_id="1",
        workflow_id="adjustment-1",
        kind="adjustment",
        action="adjust",
        lines=["5 USDT from capital:USDT to customer:7:main:USDT"],
        reason="a gift",
        proposed_by="olga",
        signed_by=["piero"],
        deadline="2026-11-29T05:00:00+00:00",
        statement="{}",
        failure="",
        choices=(signing_choice(1, "it is posted"),),
    ),
}
GETS = ("", "/me", f"/withdrawals/{NAME}", *(f"/{name}" for name in ROWS))


@pytest.fixture
def world() -> World:
    """Give one member of each role."""
    return staffed()


@pytest.fixture
def office() -> Office:
    """Give one row of each list."""
    return Office(rows={name: [row] for name, row in ROWS.items()})


@pytest_asyncio.fixture
async def browser(world: World, office: Office) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the application with a jar for its cookies."""
    app = create_staff_app(services_of(world, office))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=ORIGIN, headers={"origin": ORIGIN}
    ) as client:
        yield client


async def test_nothing_of_the_console_without_a_login(
    browser: httpx.AsyncClient, world: World, office: Office
) -> None:
    """No list, no file, no decision; a person is sent to the login and back."""
    for path in GETS:
        assert (await browser.get(f"/console{path}")).status_code == 401
    for path, form in POSTS.items():
        assert (await browser.post(f"/console/{path}", json=form)).status_code == 401
    page = await browser.get("/console", headers={"accept": "text/html"})
    assert page.headers["location"] == "/login?next=%2Fconsole"
    assert (office.asked, world.records) == ([], [])


async def test_the_page_is_bound_to_this_host(browser: httpx.AsyncClient, world: World) -> None:
    """The home is the console; its policy allows no inline script and no other host."""
    await sign_in(browser, world, "marta")
    assert (await browser.get("/")).headers["location"] == "/console"
    page = await browser.get("/console")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    for part in ("<style", "onclick", "style=", "http://", "https://"):
        assert part not in page.text
    assert page.text.count("<script") == 1
    for name in ("staff-console.js", "staff-rows.js", "staff-dialog.js", "format.js", "staff.css"):
        assert (await browser.get(f"/staff/{name}")).status_code == 200
    lost = await browser.get("/console/nowhere")
    assert (lost.status_code, world.passed_on) == (404, [])


@pytest.mark.parametrize("name", list(ROWS))
async def test_lists_say_what_a_decider_must_know(
    browser: httpx.AsyncClient, world: World, name: str
) -> None:
    """Every field of the row, and one record an hour that its lists were looked at."""
    await sign_in(browser, world, "clara")
    for _ in range(2):
        answer = await browser.get(f"/console/{name}")
    (row,) = answer.json()["rows"]
    assert set(row) == set(type(ROWS[name]).__slots__)
    assert answer.headers["cache-control"] == "no-store"
    assert world.records.count(("clara", "staff-console", "file_read")) == 1


async def test_no_record_no_list(browser: httpx.AsyncClient, world: World, office: Office) -> None:
    """With the audit log away nobody reads; with a server away that is said, and no more."""
    await sign_in(browser, world, "clara")
    world.log_is_away = True
    assert (await browser.get("/console/withdrawals")).status_code == 503
    world.log_is_away = False
    office.is_away = True
    answer = await browser.get("/console/parked")
    assert (answer.status_code, answer.json()) == (
        503,
        {"message": "not now: a server that this needs is away"},
    )


async def test_me_says_what_i_may(browser: httpx.AsyncClient, world: World) -> None:
    """Roles as rights, the public half of the key, and the named searches."""
    rights = {}
    for name in ("olga", "marta", "clara", "ada"):
        await sign_in(browser, world, name)
        me = (await browser.get("/console/me")).json()
        rights[name] = (me["may_decide"], me["may_retry"], me["may_keep_files"])
        assert me["public_key"] == world.keys[name].public_key().public_bytes_raw().hex()
    assert rights == {
        "olga": (False, True, False),
        "marta": (True, True, False),
        "clara": (False, False, True),
        "ada": (False, True, True),
    }
    assert me["links"] == [{"title": "Parked", "href": "/namespaces/rialto/workflows?query=Stage"}]


async def test_a_decision_is_the_callers_own(
    browser: httpx.AsyncClient, world: World, office: Office
) -> None:
    """The officer is who is signed in; a form that names another one is none."""
    await sign_in(browser, world, "marta")
    answer = await browser.post("/console/decisions", json=DECISION)
    assert (answer.status_code, answer.json()) == (200, {"text": "recorded"})
    signed = Decision("marta", "approve", DECISION["statement"], DECISION["signature_hex"])
    assert office.asked == [("decide", WITHDRAWAL, signed)]
    forged = await browser.post("/console/decisions", json=DECISION | {"officer": "piero"})
    assert forged.status_code == 400


async def test_refusals_are_shown_as_they_are_and_recorded(
    browser: httpx.AsyncClient, world: World, office: Office
) -> None:
    """In the workflow's own words, with who has tried and what he had signed."""
    await sign_in(browser, world, "marta")
    for why in ("already_decided", "officer_is_requester", "expired"):
        office.answer = Refused(why)
        answer = await browser.post("/console/decisions", json=DECISION)
        assert (answer.status_code, answer.json()) == (409, {"message": why})
        assert world.records[-1] == ("marta", WITHDRAWAL, "approve_refused")
        assert world.details[-1] == {
            "by": "console",
            "officer": "marta",
            "refused": why,
            "statement": DECISION["statement"],
        }


async def test_who_has_not_answered_may_still_do_it(
    browser: httpx.AsyncClient, world: World, office: Office
) -> None:
    """That is said, and is no refusal."""
    await sign_in(browser, world, "marta")
    office.is_late = True
    answer = await browser.post("/console/decisions", json=DECISION)
    assert (answer.status_code, "may still happen" in answer.json()["message"]) == (504, True)
    assert not [record for record in world.records if record[2].endswith("_refused")]


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("decisions", {"marta"}),
        ("retries", {"olga", "marta", "ada"}),
        ("abandonments", {"olga", "marta", "ada"}),
        ("releases", {"olga", "marta", "ada"}),
        ("returns", {"olga", "marta", "ada"}),
        ("standings", {"clara", "ada"}),
        ("notes", {"clara", "ada"}),
    ],
)
async def test_each_role_does_its_own(
    browser: httpx.AsyncClient, world: World, office: Office, path: str, may: set[str]
) -> None:
    """Who lacks the role is told so, nothing is carried out, and the attempt is on record."""
    for name in world.keys:
        await sign_in(browser, world, name)
        office.asked.clear()
        answer = await browser.post(f"/console/{path}", json=POSTS[path])
        assert answer.status_code == (200 if name in may else 403), (name, path)
        assert len(office.asked) == (name in may)
        if name not in may:
            assert answer.json()["message"].startswith("this takes the role ")
            assert (world.records[-1][0], world.records[-1][2][-8:]) == (name, "_refused")


async def test_the_actor_is_who_is_signed_in(
    browser: httpx.AsyncClient, world: World, office: Office
) -> None:
    """Retry, release, standing and note go on in the caller's name; what steers is noted first."""
    await sign_in(browser, world, "ada")
    for path in ("retries", "abandonments", "releases", "returns", "standings", "notes"):
        await browser.post(f"/console/{path}", json=POSTS[path])
    assert office.asked == [
        ("retry", WITHDRAWAL, "ada", "refilled"),
        ("abandon", "market-change-1", "ada", "a mistake"),
        ("release", DEPOSIT, "bob", "ada", "it is his"),
        ("return", DEPOSIT, "ada", "sent by mistake"),
        ("standing", 7, "frozen", "ada", "case 17"),
        ("note", 7, "ada", "asked for papers"),
    ]
    acts = [record for record in world.records if record[2] == "staff_acted"]
    assert acts == [("ada", WITHDRAWAL, "staff_acted"), ("ada", "market-change-1", "staff_acted")]
    world.log_is_away = True
    assert (await browser.post("/console/retries", json=POSTS["retries"])).status_code == 503
    assert len(office.asked) == 6


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("decisions", {"action": "Approve it"}),
        ("decisions", {"statement": "a\nb"}),
        ("decisions", {"statement": "x" * 8_001}),
        ("decisions", {"statement": "\ud800"}),
        ("decisions", {"signature_hex": 7}),
        ("decisions", {"more": "x"}),
        ("retries", {"reason": " "}),
        ("retries", {"reason": "x" * 501}),
        ("releases", {"customer": None}),
        ("returns", {"address": "0xElse"}),
        ("standings", {"standing": "rich"}),
        ("standings", {"customer_id": "-7"}),
        ("standings", {"customer_id": "\u0667"}),
        ("standings", {"customer_id": "9" * 19}),
        ("standings", {"reason": ""}),
        ("notes", {"text": ""}),
        ("notes", {"text": "x" * 2_001}),
    ],
)
async def test_forms_are_exact(
    browser: httpx.AsyncClient, world: World, office: Office, path: str, changed: dict[str, Any]
) -> None:
    """What is missing, too much, of another type or not printable is refused before anything."""
    await sign_in(browser, world, "marta" if path == "decisions" else "ada")
    body = json.dumps(POSTS[path] | changed).encode()
    answer = await browser.post(f"/console/{path}", content=body)
    assert answer.status_code == 400
    assert office.asked == []


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff", b"[" * 100_000, b"{" * 17, b"7"])
async def test_bodies_that_are_no_form(
    browser: httpx.AsyncClient, world: World, office: Office, body: bytes
) -> None:
    """Bytes of whatever kind are answered in words."""
    await sign_in(browser, world, "marta")
    answer = await browser.post("/console/decisions", content=body)
    assert (answer.status_code, office.asked) == (400, [])
    assert answer.json()["message"].startswith("a JSON object with exactly these texts")


async def test_other_sites_decide_nothing(
    browser: httpx.AsyncClient, world: World, office: Office
) -> None:
    """Their requests carry the cookie, and their own origin or none."""
    await sign_in(browser, world, "marta")
    for origin in ("http://evil.test", "null", ""):
        for path, form in POSTS.items():
            answer = await browser.post(f"/console/{path}", json=form, headers={"origin": origin})
            assert answer.status_code == 403
    assert office.asked == []
    assert (await browser.get("/console/decisions")).status_code == 404


async def test_files_are_opened_in_the_readers_name(
    browser: httpx.AsyncClient, world: World, office: Office
) -> None:
    """A story and a customer's file; whoever asks for what is not there is told."""
    office.stories[NAME] = {"state": "settled"}
    office.customers["bob"] = CustomerFile(7, "bob", "customer", "active", "basic", "2026-11-28")
    await sign_in(browser, world, "clara")
    assert (await browser.get(f"/console/withdrawals/{NAME}")).json() == {"state": "settled"}
    assert (await browser.get("/console/customer?who=bob")).json()["customer_id"] == 7
    assert office.asked == [("story", NAME, "staff:clara"), ("customer", "bob", "staff:clara")]
    for path in (f"withdrawals/{UUID(int=1)}", "withdrawals/seven", "customer?who=eve"):
        assert (await browser.get(f"/console/{path}")).status_code == 404
    for query in ("", "?who=", f"?who={'x' * 201}", "?who=%00"):
        assert (await browser.get(f"/console/customer{query}")).status_code == 400


async def test_an_answer_is_not_a_promise(
    browser: httpx.AsyncClient, world: World, office: Office
) -> None:
    """What came of it is told in the desk's words."""
    await sign_in(browser, world, "marta")
    office.answer = Done("recorded: 1 of 2 approvals, state screened")
    answer = await browser.post("/console/decisions", json=DECISION)
    assert answer.json() == {"text": "recorded: 1 of 2 approvals, state screened"}
