"""Web sessions: signing in, refreshing, stepping up, and everything that ends them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.limits import ATTEMPTS_OF_NAME
from api.websocket import account
from domain.totp import code_at
from domain.web_login import Where
from tests.api.address_memory import ADDRESS
from tests.api.exchange import Exchange
from tests.api.login_memory import INVITATION, PASSWORD
from tests.api.waiting import eventually
from tests.api.websocket.test_account_channel import Trader

START_MS = 1_780_000_000_000
NEW_PASSWORD = "another horse, as correct"
WITHDRAWAL = {"asset": "USDT", "amount": "20", "address": ADDRESS}
OTHER = Where("192.0.2.1", "another")


@pytest_asyncio.fixture
async def site(exchange: Exchange) -> Exchange:
    """Give an exchange whose clock stands until a test moves it."""
    exchange.clock_ms = START_MS
    return exchange


async def _sign_in(site: Exchange, **members: Any) -> httpx.Response:
    body = {"name": "alice", "password": PASSWORD, "code": site.logins.code(), **members}
    return await site.http.post("/v1/sessions", json=body)


async def _with(site: Exchange, token: str, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    return await site.http.request(method, path, headers=headers, **more)


async def test_from_signing_in_to_signing_out(site: Exchange) -> None:
    """The token opens the account until the session is ended; the cookie no script reads."""
    signed = await _sign_in(site)
    assert signed.status_code == 201
    assert signed.headers["cache-control"] == "no-store"
    cookie = signed.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/v1/sessions", "Max-Age=43200"):
        assert part in cookie
    told = signed.json()
    assert told["access_token"] not in cookie
    assert cookie.split("=")[1].split(";")[0] not in signed.text
    token = told["access_token"]
    assert (await _with(site, token, "GET", "/v1/balances")).status_code == 200
    listed = (await _with(site, token, "GET", "/v1/sessions")).json()["sessions"]
    assert [(one["session_id"], one["is_this"]) for one in listed] == [(told["session_id"], True)]
    order = {"symbol": "ETH/USDT", "side": "buy", "price": "2500", "quantity": "1"}
    placed = [await _with(site, token, "POST", "/v1/orders", json=order) for _ in range(2)]
    assert len({one.json()["order_id"] for one in placed}) == 2  # two wishes, two orders
    ended = await _with(site, token, "DELETE", f"/v1/sessions/{told['session_id']}")
    assert "Max-Age=0" in ended.headers["set-cookie"]
    answer = await _with(site, token, "GET", "/v1/balances")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


async def test_a_link_signs_in_once(site: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    """A second use is refused, and so is any link where no demo runs. No log tells it."""
    secret = "x" * 43
    site.links.open[secret] = 1
    signed = await site.http.post("/v1/sessions/link", json={"link": secret})
    assert signed.status_code == 201, signed.text
    assert "HttpOnly" in signed.headers["set-cookie"]
    token = signed.json()["access_token"]
    assert (await _with(site, token, "GET", "/v1/balances")).status_code == 200
    again = await site.http.post("/v1/sessions/link", json={"link": secret})
    assert (again.status_code, again.json()["code"]) == (401, "bad_login")
    assert "used before" in again.json()["detail"]
    foreign = {"link": secret}, {"origin": "https://evil.example"}
    site.links.open[secret] = 1
    refused = await site.http.post("/v1/sessions/link", json=foreign[0], headers=foreign[1])
    assert refused.json()["code"] == "wrong_origin"
    object.__setattr__(site.web, "links", None)
    none = await site.http.post("/v1/sessions/link", json={"link": secret})
    assert (none.status_code, none.json()["code"]) == (401, "bad_login")
    assert secret not in caplog.text + again.text


@pytest.mark.parametrize(
    "wrong", [{"name": "nobody"}, {"password": "wrong horse battery"}, {"code": "000000"}]
)
async def test_what_is_wrong_is_not_told(site: Exchange, wrong: dict[str, str]) -> None:
    """Name, password and code are one refusal, letter by letter."""
    answer = await _sign_in(site, **wrong)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    body = {name: text for name, text in answer.json().items() if name != "request_id"}
    assert body == {
        "type": "urn:rialto:problem:bad_login",
        "title": "The name, the password or the code is not right",
        "status": 401,
        "detail": "The name, the password or the code is not right",
        "code": "bad_login",
        "retryable": False,
    }


async def test_a_code_signs_in_once(site: Exchange) -> None:
    """Who has looked over a shoulder comes too late."""
    code = site.logins.code()
    assert (await _sign_in(site, code=code)).status_code == 201
    assert (await _sign_in(site, code=code)).status_code == 401


async def test_guessing_is_bounded(site: Exchange) -> None:
    """After ten tries the right code helps no more; where nobody counts, nobody signs in."""
    for _ in range(ATTEMPTS_OF_NAME):
        assert (await _sign_in(site, code="000000")).status_code == 401
    answer = await _sign_in(site)
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0
    assert (await _sign_in(site, name="bob")).status_code == 201
    site.memory.redis_away = True
    answer = await _sign_in(site, name="bob")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


async def test_an_access_token_ends_and_is_refreshed(site: Exchange) -> None:
    """After ten minutes; the session goes on with the next token, without a fresh factor."""
    told = (await _sign_in(site)).json()
    site.clock_ms += 600_000
    answer = await _with(site, told["access_token"], "GET", "/v1/balances")
    assert answer.json()["code"] == "session_ended"
    fresh = (await site.http.post("/v1/sessions/refresh")).json()
    assert fresh["session_id"] == told["session_id"]
    assert (await _with(site, fresh["access_token"], "GET", "/v1/balances")).status_code == 200
    answer = await _with(site, fresh["access_token"], "POST", "/v1/withdrawals", json=WITHDRAWAL)
    assert answer.json()["code"] == "step_up_required"


async def test_a_stolen_cookie_ends_the_session(site: Exchange) -> None:
    """The thief refreshes first; when the owner's page does, both are signed out."""
    told = (await _sign_in(site)).json()
    stolen = site.http.cookies["rialto_session"]
    thief = httpx.AsyncClient(transport=site.http._transport, base_url="http://rialto")
    header = {"Cookie": f"rialto_session={stolen}"}
    theirs = (await thief.post("/v1/sessions/refresh", headers=header)).json()["access_token"]
    assert (await _with(site, theirs, "GET", "/v1/balances")).status_code == 200
    site.clock_ms += 11_000
    answer = await site.http.post("/v1/sessions/refresh")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    for token in (theirs, told["access_token"]):
        assert (await _with(site, token, "GET", "/v1/balances")).status_code == 401
    await thief.aclose()


async def test_a_lost_answer_does_not_end_the_session(site: Exchange) -> None:
    """The page was left while the new cookie came: within ten seconds the old one still counts."""
    await _sign_in(site)
    old = {"Cookie": f"rialto_session={site.http.cookies['rialto_session']}"}
    async with httpx.AsyncClient(transport=site.http._transport, base_url="http://rialto") as page:
        for _ in range(2):
            assert (await page.post("/v1/sessions/refresh", headers=old)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/sessions/refresh", "/v1/login/enrolment"])
async def test_pages_of_other_sites_are_refused(site: Exchange, path: str) -> None:
    """Whatever they send; our own page, and who is no browser, is not."""
    body = {"name": "alice", "password": PASSWORD, "code": site.logins.code()}
    if "enrolment" in path:
        body = {"name": "alice", "password": NEW_PASSWORD, "invitation": INVITATION}
    if "refresh" in path:
        body = {}
        await _sign_in(site)
    for origin, refused in (
        ("http://evil.example", True),
        ("null", True),
        ("http://rialto", False),
    ):
        answer = await site.http.post(path, json=body or None, headers={"Origin": origin})
        assert (answer.status_code == 403) == refused, answer.text
        assert not refused or answer.json()["code"] == "wrong_origin"


async def test_stepping_up(site: Exchange) -> None:
    """Signing in counts for five minutes; afterwards a fresh code does, and a used one does not."""
    told = (await _sign_in(site)).json()
    key = {"Idempotency-Key": "w-1"}
    for seconds, status in ((299, 202), (1, 403)):
        site.clock_ms += seconds * 1000
        answer = await _with(
            site, told["access_token"], "POST", "/v1/withdrawals", json=WITHDRAWAL, headers=key
        )
        assert answer.status_code == status, answer.text
    code = {"code": site.logins.code()}
    stepped = await _with(site, told["access_token"], "POST", "/v1/sessions/step-up", json=code)
    assert "set-cookie" not in stepped.headers
    token = stepped.json()["access_token"]
    answer = await _with(site, token, "POST", "/v1/withdrawals", json=WITHDRAWAL, headers=key)
    assert answer.status_code == 200  # the same withdrawal again
    again = await _with(site, token, "POST", "/v1/sessions/step-up", json=code)
    assert (again.status_code, again.json()["code"]) == (401, "bad_login")


async def test_a_token_cannot_be_changed(site: Exchange) -> None:
    """Neither its session, its end, nor its second factor's; nor is it a key's name."""
    told = (await _sign_in(site)).json()
    session_id, expires, until, mac = told["access_token"].split(".")
    changed = "B" if mac.endswith("A") else "A"
    other = site.logins.begin(2, OTHER).session_id
    for forged in (
        f"{other}.{expires}.{until}.{mac}",
        f"{session_id}.{int(expires) + 1}.{until}.{mac}",
        f"{session_id}.{expires}.{int(until) + 1}.{mac}",
        f"{session_id}.{expires}.{until}.{mac[:-1]}{changed}",
        session_id,
        "",
    ):
        answer = await _with(site, forged, "GET", "/v1/balances")
        assert answer.status_code == 401, forged
    signed = site.signed("GET", "/v1/balances", key_id=session_id)
    assert (await site.http.get("/v1/balances", headers=signed)).json()["code"] == "bad_signature"
    both = {**site.signed("GET", "/v1/balances"), "Authorization": f"Bearer {told['access_token']}"}
    assert (await site.http.get("/v1/balances", headers=both)).json()["code"] == "bad_signature"
    keyed = {"X-MBX-APIKEY": session_id}
    answer = await site.http.post("/binance/api/v3/userDataStream", headers=keyed)
    assert answer.status_code == 401


async def test_a_session_hears_its_account_until_it_ends(
    site: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket logs in by the token, trades, and is closed soon after the session has ended."""
    monkeypatch.setattr(account, "KEY_SECONDS", 0.01)
    told = (await _sign_in(site)).json()
    trader = Trader(site.services)
    token = told["access_token"]
    mixed = await trader.ask(op="login", token=token, key="key-1")
    assert mixed["code"] == "bad_signature"
    assert (await trader.ask(op="login", token=token[:-1]))["code"] == "session_ended"
    assert (await trader.ask(op="login", token=token))["op"] == "logged_in"
    await trader._answer(
        b'{"op":"place","id":7,"params":{"symbol":"ETH/USDT","side":"buy","price":"2500",'
        b'"quantity":"1"}}'
    )
    await eventually(lambda: any(one.get("id") == 7 for one in trader.heard))
    assert next(one for one in trader.heard if one.get("id") == 7)["op"] == "result"
    await _with(site, token, "DELETE", f"/v1/sessions/{told['session_id']}")
    await eventually(lambda: trader.ended is not None)
    assert trader.ended is not None
    assert trader.ended[0] == 4001
    await trader._leave()


async def test_an_invitation_makes_a_login(site: Exchange) -> None:
    """A password, then a code of the app: then, and only then, the new login counts."""
    body = {"name": "alice", "invitation": INVITATION, "password": NEW_PASSWORD}
    wrong = await site.http.post("/v1/login/enrolment", json={**body, "invitation": "A" * 32})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_invitation")
    weak = await site.http.post("/v1/login/enrolment", json={**body, "password": "short"})
    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
    enrolled = (await site.http.post("/v1/login/enrolment", json=body)).json()
    assert enrolled["picture"].startswith("data:image/svg+xml")
    assert enrolled["secret"] in enrolled["uri"]
    assert (await _sign_in(site, password=NEW_PASSWORD)).status_code == 401
    shown = {"name": "alice", "invitation": INVITATION, "code": "000000"}
    assert (await site.http.post("/v1/login/activation", json=shown)).status_code == 401
    code = code_at(site.logins.invited["alice"].secret, START_MS // 30_000)
    done = await site.http.post("/v1/login/activation", json={**shown, "code": code})
    assert done.json()["recovery_codes"]
    assert (await _sign_in(site)).status_code == 401
    assert (await _sign_in(site, password=NEW_PASSWORD)).status_code == 201


async def test_password_and_second_factor_are_changed(site: Exchange) -> None:
    """With the old password; with a code of the new app."""
    token = (await _sign_in(site)).json()["access_token"]
    body = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    wrong = await _with(
        site, token, "POST", "/v1/login/password", json={**body, "password": "not this one"}
    )
    assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_login")
    weak = await _with(
        site, token, "POST", "/v1/login/password", json={**body, "new_password": "short"}
    )
    assert weak.json()["code"] == "weak_password"
    assert (await _with(site, token, "POST", "/v1/login/password", json=body)).status_code == 200
    enrolled = await _with(site, token, "POST", "/v1/login/second-factor")
    assert enrolled.json()["picture"]
    path = "/v1/login/second-factor/confirmation"
    assert (await _with(site, token, "POST", path, json={"code": "000000"})).status_code == 401
    confirmed = await _with(site, token, "POST", path, json={"code": site.logins.code()})
    assert confirmed.json()["recovery_codes"]
