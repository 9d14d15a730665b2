"""The channel `account`: who may hear it, what it tells, and how it goes on after a break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from api.ports import EngineAway
from api.services import Services
from api.websocket import account as account_module
from api.websocket import account_hub
from domain import risk_commands as r
from domain.margin_call import MarginCall
from domain.order_record import OrderRecord
from tests.api.memory import ALICE, BOB
from tests.api.perpetual_exchange import ETH_PERP, MIDDLE, PerpetualExchange
from tests.api.waiting import eventually
from tests.api.websocket.trading import OfflineConnection

SYMBOL = "ETH/USDT-PERP"


class Trader(OfflineConnection):
    """Somebody who follows his account."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.ended: tuple[int, str] | None = None

    def _end(self, code: int, reason: str) -> None:
        self.ended = (code, reason)

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request; return the first answer to it."""
        before = len(self.heard)
        await self._answer(msgspec.json.encode(request))
        return next(one for one in self.heard[before:] if "op" in one)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type of the channel."""
        return [one for one in self.heard if one.get("type") == kind]

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many messages of a type."""
        await eventually(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many events of updates, and return all of them."""
        await eventually(lambda: len(self.told()) >= count)
        return self.told()

    def told(self) -> list[dict[str, Any]]:
        """Return the events of all updates."""
        return [event for one in self.of("update") for event in one["events"]]


class Desk:
    """An exchange whose log is followed, and its traders."""

    def __init__(self) -> None:
        self.exchange = PerpetualExchange()
        self.traders: list[Trader] = []
        self.running = asyncio.create_task(self.exchange.services.accounts.run(self.services))

    @property
    def services(self) -> Services:
        return self.exchange.services

    async def trader(self, key_id: str = "key-1", after: dict[str, int] | None = None) -> Trader:
        """Return somebody who is logged in and follows his account."""
        made = Trader(self.services)
        self.traders.append(made)
        assert (await made.ask(op="login", **self.exchange.credentials(key_id)))[
            "op"
        ] == "logged_in"
        answer = await made.ask(op="subscribe", channel="account", after=after or {})
        assert answer["op"] == "subscribed", answer
        return made

    async def close(self) -> None:
        for trader in self.traders:
            await trader._account.close()
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
        await self.exchange.http.aclose()


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    """Give an exchange with a perpetual whose event log is followed."""
    made = Desk()
    yield made
    await made.close()


def folded(messages: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return order id -> status, from a snapshot and what followed, as a client would keep it."""
    orders: dict[str, str] = {}
    for message in messages:
        if message.get("type") == "snapshot":
            orders = {one["order_id"]: one["status"] for one in message["orders"]}
        for event in message.get("events", []):
            if event["event"] == "order_placed":
                orders[event["order"]["order_id"]] = "open"
            if event["event"] == "order_closed":
                orders[event["order_id"]] = event["status"]
    return orders


async def test_nobody_hears_without_a_login(desk: Desk) -> None:
    """No login, a wrong signature, a scope that is missing, a signature that was used."""
    trader = Trader(desk.services)
    answer = await trader.ask(op="subscribe", channel="account", id=3)
    assert (answer["op"], answer["code"], answer["id"]) == ("error", "missing_credentials", 3)
    wrong = desk.exchange.credentials() | {"signature": "0" * 64}
    assert (await trader.ask(op="login", **wrong))["code"] == "bad_signature"
    assert (await trader.ask(op="login"))["code"] == "missing_credentials"
    assert (await trader.ask(op="login", key="ключ"))["code"] == "bad_signature"
    desk.exchange.add_key(ALICE, "key-trade", "trade")
    answer = await trader.ask(op="login", **desk.exchange.credentials("key-trade"))
    assert answer["code"] == "missing_scope"
    once = desk.exchange.credentials()
    assert (await trader.ask(op="login", **once))["op"] == "logged_in"
    assert (await trader.ask(op="login", **desk.exchange.credentials()))[
        "code"
    ] == "invalid_combination"
    other = Trader(desk.services)
    assert (await other.ask(op="login", **once))["code"] == "request_replayed"
    await trader._account.close()


async def test_who_tries_keys_is_slowed_down(desk: Desk) -> None:
    """Wrong logins are charged to their address, and refused unseen after some."""
    trader = Trader(desk.services)
    wrong = desk.exchange.credentials() | {"signature": "0" * 64}
    codes = [(await trader.ask(op="login", **wrong))["code"] for _ in range(150)]
    assert codes[0] == "bad_signature"
    assert codes[-1] == "rate_limited"


async def test_a_snapshot_then_what_happens(desk: Desk) -> None:
    """Orders that were open, then each event once, in order; another's are not heard."""
    first = (await desk.exchange.place(price="2400")).json()
    trader = await desk.trader()
    (snapshot,) = trader.of("snapshot")
    assert [one["order_id"] for one in snapshot["orders"]] == [first["order_id"]]
    assert snapshot["seq"] == first["sequence"]
    sold = (await desk.exchange.place("key-2", side="sell", price="2400", quantity="0.4")).json()
    second = (await desk.exchange.place(price="2390")).json()
    await desk.exchange.call("DELETE", f"/v1/orders/{first['order_id']}")
    fill, placed, closed = await trader.events(3)
    assert fill == {
        "event": "fill", "order_id": first["order_id"], "symbol": "ETH/USDT",
        "trade_id": sold["fills"][0]["trade_id"], "side": "buy", "role": "maker",
        "price": "2400", "quantity": "0.4", "fee": "0.96", "fee_asset": "USDT",
    }  # fmt: skip
    assert placed["order"]["order_id"] == second["order_id"]
    assert (closed["event"], closed["status"], closed["filled_quantity"]) == (
        "order_closed", "cancelled", "0.4",
    )  # fmt: skip
    updates = trader.of("update")
    assert [one["prev_seq"] for one in updates] == [
        snapshot["seq"], *(one["seq"] for one in updates[:-1]),
    ]  # fmt: skip
    assert folded(trader.heard) == {first["order_id"]: "cancelled", second["order_id"]: "open"}
    assert all(event.get("order_id") != sold["order_id"] for event in trader.told())


async def test_the_state_follows(desk: Desk) -> None:
    """Balances and positions, each with the sequence at which it is true, as REST says them."""
    trader = await desk.trader()
    (first, *_) = await trader.until("state")
    assert first["positions"] == []
    assert {one["asset"]: one["total"] for one in first["balances"]}["USDT"] == "10000"
    await desk.exchange.call("POST", "/v1/leverage", {"symbol": SYMBOL, "leverage": 10})
    await desk.exchange.perpetual(quantity="2")
    leverage, _, fill, _ = await trader.events(4)
    assert leverage == {"event": "leverage_set", "symbol": SYMBOL, "leverage": 10}
    assert (fill["position"], fill["realised_profit"], fill["liquidation"]) == ("2", "0", False)
    await eventually(lambda: trader.of("state")[-1]["positions"])
    states = trader.of("state")
    (position,) = states[-1]["positions"]
    rest = await desk.exchange.position()
    assert {name: rest[name] for name in position} == position
    assert states[-1]["cross"]["margin_ratio_ppm"] == rest["margin_ratio_ppm"]
    assert states[-1]["seq"] == desk.exchange.door.engine.sequence


async def test_who_comes_back_hears_what_was_missed(desk: Desk) -> None:
    """From the sequence he had: exactly the events between, no snapshot, then live."""
    before = await desk.trader()
    placed = [(await desk.exchange.place(price=f"{2300 + n}")).json() for n in range(3)]
    heard = await before.events(3)
    reached = before._account.sequences
    await before.ask(op="unsubscribe", channel="account")
    for order in placed:
        await desk.exchange.call("DELETE", f"/v1/orders/{order['order_id']}")
    after = await desk.trader(after=reached)
    assert after.of("resumed") == [
        {"channel": "account", "type": "resumed", "shard": 0, "seq": reached["0"]}
    ]
    missed = await after.events(3)
    live = (await desk.exchange.place(price="2310")).json()
    newest = (await after.events(4))[-1]
    assert after.of("snapshot") == []
    assert [one["event"] for one in heard + missed] == ["order_placed"] * 3 + ["order_closed"] * 3
    assert newest["order"]["order_id"] == live["order_id"]
    assert after.of("update")[0]["prev_seq"] == reached["0"]
    assert len(await before.events(3)) == 3  # who has left hears no more


async def test_what_is_not_kept_any_more_is_a_snapshot(desk: Desk) -> None:
    """Also what never was: a sequence of another exchange, or from long ago."""
    await desk.exchange.place(price="2300")
    newest = desk.exchange.door.engine.sequence
    desk.exchange.door.kept_after = newest - 2
    for after in (newest - 3, newest + 50, -1):
        trader = await desk.trader(after={"0": after})
        snapshots = await trader.until("snapshot")
        assert [one["seq"] for one in snapshots] == [newest], after
    kept = await desk.trader(after={"0": newest - 1})
    assert kept.of("snapshot") == []


async def test_a_tail_that_falls_behind_starts_everybody_again(desk: Desk) -> None:
    """What was between is not guessed: a new snapshot says what is."""
    trader = await desk.trader()
    door = desk.exchange.door
    door.apply(r.SetLeverage(BOB, ETH_PERP.symbol_id, 3))
    door.kept_after = door.engine.sequence
    desk.services.accounts.tails[0].sequence = 1
    assert len(await trader.until("snapshot", 2)) == 2
    door.kept_after = 0
    await desk.exchange.place(price="2300")
    assert (await trader.events(1))[0]["event"] == "order_placed"


async def test_who_leaves_while_all_start_again_is_forgotten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is kept for a connection that has ended, and nothing is sent to it."""
    leaving, staying = await desk.trader(), await desk.trader("key-2")
    door, answers = desk.exchange.door, asyncio.Event()
    at_once = door.open_orders

    async def slowly(account_id: int, symbol_id: int) -> tuple[int, list[OrderRecord]]:
        await answers.wait()
        return await at_once(account_id, symbol_id)

    monkeypatch.setattr(door, "open_orders", slowly)
    door.apply(r.SetLeverage(BOB, ETH_PERP.symbol_id, 3))
    door.kept_after = door.engine.sequence
    await asyncio.sleep(0.05)
    await leaving.ask(op="unsubscribe", channel="account")
    answers.set()
    await staying.until("snapshot", 2)
    tail = desk.services.accounts.tails[0]
    assert [len(tail.of(account)) for account in (ALICE, BOB)] == [0, 1]
    assert len(leaving.of("snapshot")) == 1


async def test_one_account_does_not_take_the_room_of_all(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many connections follow an account and no more; who leaves makes room, for himself too."""
    monkeypatch.setattr(account_hub, "LARGEST_OF_ACCOUNT", 2)
    first, _ = [await desk.trader() for _ in range(2)]
    third = Trader(desk.services)
    desk.traders.append(third)
    await third.ask(op="login", **desk.exchange.credentials("key-1"))
    refused = await third.ask(op="subscribe", channel="account")
    assert (refused["op"], refused["code"]) == ("error", "rate_limited")
    await desk.trader("key-2")
    assert (await first.ask(op="resubscribe", channel="account"))["op"] == "subscribed"
    await first.ask(op="unsubscribe", channel="account")
    assert (await third.ask(op="subscribe", channel="account"))["op"] == "subscribed"
    desk.exchange.door.failure = EngineAway("played")
    assert (await third.ask(op="resubscribe", channel="account"))["op"] == "subscribed"
    assert third.heard[-1]["code"] == "engine_unavailable"
    desk.exchange.door.failure = None
    assert (await first.ask(op="subscribe", channel="account"))["op"] == "subscribed"


async def test_many_followers_of_two_accounts(desk: Desk) -> None:
    """All hear the same of their account, whenever they came; nobody hears twice."""
    traders = []
    for number in range(12):
        traders.append(await desk.trader(f"key-{1 + number % 2}"))
        await desk.exchange.place("key-1", price=f"{2300 + number}")
        await desk.exchange.place("key-2", side="sell", price=f"{2600 + number}")
    last = desk.exchange.door.engine.sequence
    await eventually(lambda: all(one._account.sequences["0"] >= last for one in traders))
    for number, trader in enumerate(traders):
        account = (ALICE, BOB)[number % 2]
        open_ids = {str(one.order_id) for one in desk.exchange.door.engine.open_orders(account, 0)}
        assert set(folded(trader.heard)) == open_ids
        numbers = [one["seq"] for one in trader.of("update")]
        assert numbers == sorted(set(numbers))


async def test_a_liquidation_and_a_funding_are_heard(desk: Desk) -> None:
    """From the funding to the last step: what was paid, what was closed, and by whom, unnamed."""
    exchange, symbol_id = desk.exchange, ETH_PERP.symbol_id
    trader = await desk.trader()
    await exchange.overextend()
    interval_us = 3_600 * 10**6
    funding_us = exchange.door.time_us // interval_us * interval_us + interval_us
    exchange.door.time_us = funding_us
    exchange.stand(MIDDLE)
    exchange.door.apply(r.SettleFunding(5, symbol_id, funding_us))
    exchange.fall_to(9, 10)
    exchange.door.apply(r.Freeze(6, ALICE, 0))
    version = exchange.door.engine.scope(ALICE, 0).version
    exchange.door.apply(r.Liquidate(7, ALICE, symbol_id, 100_000, 0, version, False))
    await eventually(lambda: any(one.get("liquidation") for one in trader.told()))
    names = [one["event"] for one in trader.told()]
    assert names == [
        "credited", "leverage_set", "order_placed", "fill", "order_closed", "funding",
        "liquidation_started", "fill",
    ]  # fmt: skip
    funding, _, step = trader.told()[5:]
    assert (funding["position"], funding["funding_time_us"]) == ("800", funding_us)
    assert float(funding["amount"]) * funding["rate_ppm"] <= 0
    assert (step["side"], step["role"], step["position"]) == ("sell", "taker", "700")
    assert step["realised_profit"].startswith("-")
    assert step["fee"] == "0"


async def test_a_margin_call_is_heard_by_whom_it_concerns(desk: Desk) -> None:
    """At once, by every connection of the account, and by nobody else."""
    alice, bob = await desk.trader(), await desk.trader("key-2")
    calls = desk.exchange.memory.calls
    for account, symbol_id in ((90, 0), (ALICE, 999), (ALICE, ETH_PERP.symbol_id)):
        calls.told.put_nowait(MarginCall(0, account, symbol_id, 4, 4_000, 120, 100))
    (heard,) = await alice.until("margin_call")
    assert (heard["symbol"], heard["equity"], heard["sequence"]) == (SYMBOL, "0.00012", 4)
    assert bob.of("margin_call") == []


async def test_a_revoked_key_hears_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ends with a code of its own."""
    monkeypatch.setattr(account_module, "KEY_SECONDS", 0.01)
    trader = await desk.trader()
    desk.exchange.memory.keys_away = True
    await asyncio.sleep(0.05)
    assert trader.ended is None  # the database is away: nothing is known
    desk.exchange.memory.keys_away = False
    del desk.exchange.memory.keys["key-1"]
    await eventually(lambda: trader.ended is not None)
    assert trader.ended is not None
    assert trader.ended[0] == account_module.CLOSE_KEY_ENDED


async def test_hostile_requests_are_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with a code; the connection goes on."""
    trader = await desk.trader()
    again = await trader.ask(op="subscribe", channel="account")
    assert again["code"] == "already_subscribed"
    assert (await trader.ask(op="resubscribe", channel="account"))["op"] == "subscribed"
    for after in ({"0": "1"}, {"0": None}, [1], {"0": 1.5}):
        answer = await trader.ask(op="resubscribe", channel="account", after=after)
        assert answer["code"] == "malformed_request", after
    nowhere = {"9": 1, "x": 2, "0": 2**62}
    await trader.ask(op="resubscribe", channel="account", after=nowhere)
    assert trader.of("snapshot")[-1]["seq"] == desk.exchange.door.engine.sequence
    desk.exchange.door.failure = RuntimeError("played")
    answer = await trader.ask(op="resubscribe", channel="account")
    assert answer["op"] == "subscribed"
    assert trader.heard[-1]["code"] == "engine_unavailable"
    desk.exchange.door.failure = None
    monkeypatch.setattr(account_hub, "LARGEST_FOLLOWER_COUNT", 0)
    assert (await trader.ask(op="resubscribe", channel="account"))["code"] == "rate_limited"


async def test_the_channel_is_charged(desk: Desk) -> None:
    """Replays read the log: they cost, and who asks too often is refused."""
    trader = await desk.trader()
    codes = []
    for _ in range(30):
        await trader.ask(op="resubscribe", channel="account")
        codes.append(trader.heard[-1].get("code"))
    assert "rate_limited" in codes
