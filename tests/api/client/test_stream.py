"""The stream's client: against a server that plays tricks, and against a running exchange."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from api.client import markets, orders
from api.client.account import ApiAccount
from api.client.errors import Refused
from api.client.http import AsyncClient
from api.client.stream import AccountMessage, Heard, Interrupted, Stream
from api.schemas.orders import PlaceOrderIn, SideText
from domain.market_data import checksum
from tests.api.client.cutting import CuttingProxy
from tests.api.memory import ETH, USDT
from tests.api.running import RunningExchange

ME = ApiAccount("me", "key", "secret")
_BID = [["99", "1"]]


def _book(kind: str, seq: int, **more: Any) -> dict[str, Any]:
    told = {"bids": _BID, "asks": [], "checksum": checksum([("99", "1")], []), **more}
    return {"channel": "book", "symbol": "E", "type": kind, "seq": seq, **told}


class Tricks:
    """A server whose connections each play one script: what to send, in order."""

    def __init__(self, *scripts: list[dict[str, Any]]) -> None:
        self.asked: list[list[dict[str, Any]]] = []
        self._scripts = list(scripts)

    async def play(self, socket: ServerConnection) -> None:
        """Play the next script; after the last one listen until the client has gone."""
        with suppress(ConnectionClosed):
            await self._play(socket)

    async def _play(self, socket: ServerConnection) -> None:
        asked: list[dict[str, Any]] = []
        self.asked.append(asked)
        script = self._scripts.pop(0) if self._scripts else []
        for message in script:
            if "expect" in message:
                while not asked or asked[-1]["op"] != message["expect"]:
                    asked.append(json.loads(await socket.recv()))
            else:
                await socket.send(json.dumps(message))
        if self._scripts:
            return
        while True:
            asked.append(json.loads(await socket.recv()))

    @asynccontextmanager
    async def stream(self, **wanted: Any) -> AsyncIterator[Stream]:
        async with serve(self.play, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            yield Stream(f"http://127.0.0.1:{port}", **wanted)


async def _until(
    stream: Stream, wanted: Callable[[Heard], object], seconds: float = 30.0
) -> list[Heard]:
    """Return what is heard until something is so."""
    found = []
    async with asyncio.timeout(seconds):
        async for heard in stream:
            found.append(heard)
            if wanted(heard):
                return found
    raise AssertionError("a stream does not end")


async def test_a_gap_and_a_wrong_checksum_are_resynced() -> None:
    """On the same socket, and the book is live again with the snapshot."""
    wrong = _book("delta", 44, prev_seq=43, checksum=1)
    tricks = Tricks(
        [
            _book("snapshot", 40),
            _book("delta", 43, prev_seq=41),
            {"expect": "resubscribe"},
            _book("snapshot", 43),
            wrong,
            _book("delta", 45, prev_seq=44),
            _book("snapshot", 46),
        ]
    )
    async with tricks.stream(books=["E"]) as stream:
        book = stream.books["E"]
        await _until(stream, lambda heard: book.sequence == 46)
        assert (book.is_live, stream.resync_count) == (True, 2)
    assert [one["op"] for one in tricks.asked[0]][:2] == ["subscribe", "resubscribe"]


async def test_the_account_goes_on_after_what_was_heard() -> None:
    """Each update once, from the last one on; one that is missing ends the connection."""

    def update(seq: int, prev_seq: int) -> dict[str, Any]:
        told = {"type": "update", "seq": seq, "prev_seq": prev_seq, "events": [{"event": str(seq)}]}
        return {"channel": "account", "shard": 0, **told}

    def begins(kind: str, seq: int) -> dict[str, Any]:
        return {"channel": "account", "shard": 0, "type": kind, "seq": seq}

    asked = {"expect": "subscribe"}
    beat = {"channel": "heartbeat", "account": {"0": 50}}
    tricks = Tricks(
        [asked, begins("snapshot", 40), update(41, 40), update(45, 44)],
        [asked, begins("resumed", 41), update(43, 41), beat],
        [asked, begins("resumed", 50), update(50, 43), update(52, 50)],
    )
    async with tricks.stream(account=ME) as stream:
        heard = await _until(stream, lambda one: isinstance(one, AccountMessage) and one.seq == 52)
    updates = [one.seq for one in heard if isinstance(one, AccountMessage) and one.events]
    assert updates == [41, 43, 52]
    assert len([one for one in heard if isinstance(one, Interrupted)]) == 2
    assert stream.after == {0: 52}
    assert [asked[-1]["after"] for asked in tricks.asked] == [{}, {"0": 41}, {"0": 50}]


async def test_a_login_that_is_refused_ends_it() -> None:
    """A wrong key is not tried again and again; what passes is."""
    refused = {"op": "error", "id": None, "code": "bad_signature", "message": "no"}
    passing = {"op": "error", "id": None, "code": "engine_unavailable", "message": "later"}
    asked = {"expect": "subscribe"}
    tricks = Tricks([asked, passing], [asked, refused])
    heard: list[Heard] = []
    async with tricks.stream(account=ME) as stream:
        with pytest.raises(Refused) as caught:
            await _until(stream, heard.append)
    assert caught.value.is_a("bad_signature")
    assert heard == [Interrupted("engine_unavailable: later")]


_SIDES: tuple[SideText, ...] = ("buy", "sell")


async def _trade(client: AsyncClient, stopping: asyncio.Event, seed: int) -> set[str]:
    """Place, let fill and cancel orders until told to stop; return the ids of what was placed."""
    chance, placed = random.Random(seed), set()
    while not stopping.is_set():
        order = PlaceOrderIn(
            symbol="ETH/USDT",
            side=chance.choice(_SIDES),
            price=f"{2500 + chance.randrange(-500, 500) / 100:.2f}",
            quantity=f"{chance.randrange(1, 50) / 1000:.3f}",
        )
        with suppress(Refused):
            made = (await client.send(orders.place(order))).order_id
            placed.add(made)
            if chance.random() < 0.5:
                await client.send(orders.cancel(made))
        await asyncio.sleep(chance.random() / 20)
    await client.send(orders.cancel_all("ETH/USDT"))
    return placed


class Notes:
    """What a customer's program has heard of its orders; `begun` with the account's snapshot."""

    def __init__(self) -> None:
        self.placed: set[str] = set()
        self.told: list[str] = []
        self.begun = asyncio.Event()

    async def follow(self, stream: Stream) -> None:
        """Note everything until cancelled."""
        async for one in stream:
            if not isinstance(one, AccountMessage):
                continue
            if one.type == "snapshot":
                assert not self.begun.is_set(), "it did not go on where it was"
                self.begun.set()
            for event in one.events:
                self.told.append(f"{one.seq}/{json.dumps(event, sort_keys=True)}")
                if event["event"] == "order_placed":
                    self.placed.add(event["order"]["order_id"])


async def _followed_through_drops(running: RunningExchange, seconds: float, seed: int) -> None:
    """Follow a market and an account over connections that are cut, and compare at the end."""
    name = f"follower-{seed}"
    account = await running.add_customer(name)
    await running.credit(name, USDT, "1000000")
    await running.credit(name, ETH, "1000")
    stopping, notes = asyncio.Event(), Notes()
    async with (
        CuttingProxy(running.port, seed) as proxy,
        AsyncClient(running.base_url, account) as client,
    ):
        stream = Stream(proxy.url, account, books=["ETH/USDT"])
        following = asyncio.create_task(notes.follow(stream))
        async with asyncio.timeout(30):
            await notes.begun.wait()
        trading = asyncio.create_task(_trade(client, stopping, seed))
        await asyncio.sleep(seconds)
        stopping.set()
        placed = await trading
        proxy.cuts = False
        async with asyncio.timeout(60):
            while not (placed <= notes.placed and await _is_equal(client, stream)):
                assert not following.done(), following.result()
                await asyncio.sleep(0.1)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert proxy.cut_count >= 1
    assert placed
    assert len(notes.told) == len(set(notes.told)), "an event was told twice"


async def _is_equal(client: AsyncClient, stream: Stream) -> bool:
    """Return whether the book is live and the exchange's; at one sequence it must not differ."""
    mine = stream.books["ETH/USDT"]
    theirs = await client.send(markets.book("ETH/USDT", 500))
    if not mine.is_live or theirs.seq != mine.sequence:
        return False
    assert (mine.bids(500), mine.asks(500)) == (theirs.bids, theirs.asks)
    return True


@pytest.mark.servers
async def test_a_short_while_with_drops(running: RunningExchange) -> None:
    """Cut every now and then, and nothing differs at the end."""
    await _followed_through_drops(running, 2.0, seed=1)


@pytest.mark.servers
@pytest.mark.long
async def test_minutes_with_drops(running: RunningExchange) -> None:
    """As the short one, for three minutes; the seed is printed."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    await _followed_through_drops(running, 180.0, seed)
