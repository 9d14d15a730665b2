"""Web sessions in the client: the same calls for who waits and for who does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.client import accounts, keys, sessions
from api.client import session as module
from api.client.errors import Refused
from api.client.http import AsyncClient, Client
from api.client.session import Session
from api.schemas.keys import KeyIn
from api.schemas.sessions import ActivationIn, EnrolmentIn, PasswordIn, SignInIn
from domain.totp import base32_of, code_at
from tests.api.client.test_documented import snippets
from tests.api.exchange import Exchange
from tests.api.login_memory import INVITATION, PASSWORD

NEW_PASSWORD = "another horse, as correct"


class Waiting(httpx.BaseTransport):
    """A way to the application for who waits: each request is carried out to its end."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._carried_out(request))

    async def _carried_out(self, request: httpx.Request) -> httpx.Response:
        answer = await httpx.ASGITransport(self._exchange.app).handle_async_request(request)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)


@pytest_asyncio.fixture
async def client(exchange: Exchange) -> AsyncIterator[AsyncClient]:
    """Give a client of the application, whose clock a test moves."""
    exchange.clock_ms = 1_780_000_000_000
    transport = httpx.ASGITransport(exchange.app)
    async with AsyncClient("http://rialto", transport=transport, patience_seconds=0.5) as made:
        yield made


def _login(exchange: Exchange) -> SignInIn:
    code = exchange.logins.code(ahead=1)
    return SignInIn(name="alice", password=PASSWORD, code=code)


async def test_a_session_from_signing_in_to_its_end(
    exchange: Exchange, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refreshed by the client, needs a fresh code for what needs one, and then ends."""
    session = Session(await client.send(sessions.sign_in(_login(exchange))))
    assert (await client.send(accounts.balances(), session)).balances
    token = session.headers("GET", "/")["Authorization"]
    monkeypatch.setattr(module, "_FRESH_SECONDS", -1.0)
    exchange.clock_ms += 9 * 60_000
    assert (await client.send(accounts.balances(), session)).balances
    monkeypatch.undo()
    assert session.headers("GET", "/")["Authorization"] != token
    wanted = keys.make(KeyIn(label="bot", scopes=["read"]))
    with pytest.raises(Refused) as refused:
        await client.send(wanted, session)
    assert refused.value.is_a("step_up_required")
    session.take(await client.send(sessions.step_up(exchange.logins.code()), session))
    assert (await client.send(wanted, session)).key_id
    (listed,) = (await client.send(sessions.listed(), session)).sessions
    assert (listed.session_id, listed.is_this) == (session.session_id, True)
    ended = await client.send(sessions.end(session.session_id), session)
    assert ended.session_id == session.session_id
    with pytest.raises(Refused) as refused:
        await client.send(accounts.balances(), session)
    assert refused.value.is_a("session_ended")


async def test_a_login_made_and_changed(exchange: Exchange, client: AsyncClient) -> None:
    """By an invitation; then another password and another app."""
    asked = EnrolmentIn(name="alice", invitation=INVITATION, password=NEW_PASSWORD)
    factor = await client.send(sessions.enrol_invited(asked))
    secret = exchange.logins.invited["alice"].secret
    assert factor.secret == base32_of(secret)
    step = int(exchange.now().timestamp()) // 30
    shown = ActivationIn(name="alice", invitation=INVITATION, code=code_at(secret, step))
    assert (await client.send(sessions.activate(shown))).recovery_codes
    login = SignInIn(name="alice", password=NEW_PASSWORD, code=exchange.logins.code(ahead=1))
    session = Session(await client.send(sessions.sign_in(login)))
    other = PasswordIn(password=NEW_PASSWORD, new_password=PASSWORD)
    changed = await client.send(sessions.change_password(other), session)
    assert changed.session_id == session.session_id
    await client.send(sessions.enrol(), session)
    code = code_at(exchange.logins.logins["alice"].next_secret, step)
    assert (await client.send(sessions.confirm(code), session)).recovery_codes


async def test_a_demos_link(exchange: Exchange, client: AsyncClient) -> None:
    """Once."""
    exchange.links.open["x" * 43] = 1
    session = Session(await client.send(sessions.sign_in_by_link("x" * 43)))
    assert (await client.send(sessions.listed(), session)).sessions
    with pytest.raises(Refused) as refused:
        await client.send(sessions.sign_in_by_link("x" * 43))
    assert refused.value.is_a("bad_login")


async def test_the_documented_session_runs(exchange: Exchange) -> None:
    """The page's snippet as it stands, with the client that waits."""
    names: dict[str, Any] = {}
    exec(next(one for one in snippets() if "sign_in" in one), names)
    login = _login(exchange)

    def work() -> Any:
        with Client("http://rialto", transport=Waiting(exchange)) as waiting:
            return names["make_key"](waiting, login.name, login.password, login.code)

    made = await asyncio.to_thread(work)
    assert made.key_id in exchange.memory.keys
    assert not [key for key in exchange.memory.keys if key.startswith("rs_")]
