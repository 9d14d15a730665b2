"""Cancel-on-disconnect: what it cancels, who shares it, and what is left where it cannot be set."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from api.auth import Caller
from api.ports import EngineAway
from api.services import Services
from api.websocket import order_entry
from api.websocket.disconnect_guard import ARM_WEIGHT, DisconnectGuards
from api.websocket.order_operations import OPERATIONS, Answer
from domain.events import DeadMansSwitchSet, OrderClosed
from tests.api.exchange import Exchange
from tests.api.waiting import eventually
from tests.api.websocket.trading import ORDER, Client, LogIn


def _switches(exchange: Exchange) -> list[int]:
    return [one.deadline_us for one in exchange.door.events if isinstance(one, DeadMansSwitchSet)]


async def test_orders_do_not_outlive_a_socket_that_asked_for_it(
    exchange: Exchange, log_in: LogIn
) -> None:
    """The login sets the switch; the end of the connection cancels and takes the switch back."""
    client = await log_in(cancel_on_disconnect=True)
    await client.ask("place", **ORDER)
    assert [deadline > 0 for deadline in _switches(exchange)] == [True]
    await client._let_go()
    assert any(isinstance(one, OrderClosed) for one in exchange.door.events)
    assert _switches(exchange)[-1] == 0


async def test_sockets_share_the_guard_of_their_account(exchange: Exchange, log_in: LogIn) -> None:
    """Any of them cancels when it ends, and the last one takes the switch back."""
    first, second = [await log_in(cancel_on_disconnect=True) for _ in range(2)]
    other = await log_in("key-2", cancel_on_disconnect=True)
    await second.ask("place", **ORDER)
    await other.ask("place", **ORDER)
    before = len(_switches(exchange))
    await first._let_go()
    assert exchange.door.engine.open_orders(1, 0) == []
    assert len(exchange.door.engine.open_orders(2, 0)) == 1
    assert len(_switches(exchange)) == before, "the second one is still under it"
    await second._let_go()
    assert _switches(exchange)[before:] == [0]
    assert _guarded(exchange) == {2}


async def test_a_guard_that_cannot_be_set_leaves_nobody_logged_in(
    exchange: Exchange, log_in: LogIn
) -> None:
    """The login is refused as a whole; another one may follow on the same connection."""
    client = Client(exchange.services)

    async def login(**how: Any) -> dict[str, Any]:
        await client.say(op="login", id=len(client.heard), **exchange.credentials(), **how)
        return client.heard[-1]

    exchange.door.failure = EngineAway("played")
    refused = await login(cancel_on_disconnect=True)
    assert (refused["op"], refused["code"]) == ("error", "engine_unavailable")
    exchange.door.failure = None
    assert _guarded(exchange) == set()
    assert (await client.ask("place", **ORDER))["code"] == "missing_credentials"
    await client.say(op="subscribe", channel="account", id=9)
    assert client.heard[-1]["code"] == "missing_credentials"
    assert (await login())["op"] == "logged_in"
    await client._let_go()
    await client._account.close()


async def test_a_guard_costs_something(exchange: Exchange, log_in: LogIn) -> None:
    """It is charged to the customer, beside the login."""
    spent = []
    for guarded in (False, True):
        before = _used(exchange)
        await log_in(cancel_on_disconnect=guarded)
        spent.append(_used(exchange) - before)
    assert spent[1] - spent[0] == ARM_WEIGHT


def _guarded(exchange: Exchange) -> set[int]:
    return set(exchange.services.accounts.guards._guards)


async def test_the_guard_cancels_after_what_is_still_carried_out(
    exchange: Exchange, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that reaches the engine late, as of a batch's second shard, is cancelled, too."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def late(asked: Any, caller: Caller, services: Services) -> Answer:
        begun.set()
        await go_on.wait()
        return await OPERATIONS["place"].run(asked, caller, services)

    monkeypatch.setitem(OPERATIONS, "dry_run", replace(OPERATIONS["dry_run"], run=late))
    monkeypatch.setattr(order_entry, "CLOSE_SECONDS", 30)
    client = await log_in(cancel_on_disconnect=True)
    await client.say(op="dry_run", id=7, params=ORDER)
    async with asyncio.timeout(30):
        await begun.wait()
        ending = asyncio.create_task(client._let_go())
        await asyncio.wait((ending,), timeout=0.1)
        go_on.set()
        await ending
        assert (await client.answer(7))["status"] == 201
    assert exchange.door.engine.open_orders(1, 0) == []


def _used(exchange: Exchange) -> int:
    return sum(
        count
        for (bucket, name), count in exchange.memory.used.items()
        if (bucket, name) == ("weight", "customer:1")
    )


async def test_what_hangs_is_given_up_when_the_connection_ends(
    exchange: Exchange, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not hold up the cancel, and does nothing afterwards."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hangs(_: Any, __: Caller, ___: Services) -> Answer:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    monkeypatch.setitem(OPERATIONS, "dry_run", replace(OPERATIONS["dry_run"], run=hangs))
    monkeypatch.setattr(order_entry, "CLOSE_SECONDS", 0.01)
    client = await log_in(cancel_on_disconnect=True)
    await client.say(op="dry_run", id=7, params=ORDER)
    async with asyncio.timeout(30):
        await begun.wait()
        await client._let_go()
    assert ended.is_set()
    assert _switches(exchange)[-1] == 0


async def test_a_gateway_that_stops_leaves_the_switch_set(
    exchange: Exchange, log_in: LogIn
) -> None:
    """What is asked is answered; then the client has the switch's time to come back elsewhere."""
    client = await log_in(cancel_on_disconnect=True)
    await client.say(op="place", id=7, params=ORDER)
    await client.drain()
    assert (await client.answer(7))["status"] == 201
    await client._let_go()
    assert not any(isinstance(one, OrderClosed) for one in exchange.door.events)
    assert _switches(exchange)[-1] > 0
    exchange.door.wait(30)
    assert any(isinstance(one, OrderClosed) for one in exchange.door.events)


async def test_only_who_trades_may_ask_for_the_guard(exchange: Exchange) -> None:
    """A key that may only read cannot have orders cancelled."""
    exchange.add_key(1, "reader", scopes="read")
    client = Client(exchange.services)
    signed = exchange.credentials("reader")
    await client.say(op="login", id=1, **signed, cancel_on_disconnect=True)
    assert client.heard[-1]["code"] == "missing_scope"
    assert _switches(exchange) == []


async def test_a_switch_that_another_gateway_takes_back_is_set_at_once(
    exchange: Exchange, log_in: LogIn
) -> None:
    """Its last socket has ended there; the one here is still under its guard."""
    here = await log_in(cancel_on_disconnect=True)
    following = asyncio.create_task(exchange.services.accounts.run(exchange.services))
    guard = exchange.services.accounts.guards._guards[1]
    await eventually(lambda: bool(guard._ears))
    elsewhere = DisconnectGuards()
    theirs = await elsewhere.arm(exchange.services, here._orders._caller)
    await elsewhere.release(theirs, cancels=True)
    await eventually(lambda: _switches(exchange)[-1] > 0)
    assert 0 in _switches(exchange)
    await here._let_go()
    assert _switches(exchange)[-1] == 0
    assert not exchange.services.accounts.tails[0].of(1)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
