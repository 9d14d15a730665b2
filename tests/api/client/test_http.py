"""The clients against the exchange: the real application in this process, and a running one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from api.client import accounts, markets, orders, withdrawals
from api.client.account import ApiAccount
from api.client.errors import OutcomeUnknown, Refused, Unreachable
from api.client.http import AsyncClient, Client
from api.schemas.accounts import WithdrawalIn
from api.schemas.orders import PlaceOrderIn
from tests.api.address_memory import ADDRESS
from tests.api.exchange import Exchange
from tests.api.memory import ALICE
from tests.api.running import RunningExchange

ALICES = ApiAccount("alice", "key-1", "key-1"[::-1])
BOBS = ApiAccount("bob", "key-2", "key-2"[::-1])
BUY = PlaceOrderIn(symbol="ETH/USDT", side="buy", price="2500", quantity="1")


class Lossy(httpx.ASGITransport):
    """Delivers every request, and loses the answers to the first `losses`."""

    losses = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        if self.losses > 0:
            self.losses -= 1
            raise httpx.ReadTimeout("played", request=request)
        return answer


@pytest_asyncio.fixture
async def lossy(exchange: Exchange) -> Lossy:
    """Give the way to the exchange that loses answers."""
    return Lossy(exchange.app)


@pytest_asyncio.fixture
async def client(lossy: Lossy) -> AsyncIterator[AsyncClient]:
    """Give alice's client on that way."""
    async with AsyncClient("http://rialto", ALICES, transport=lossy) as made:
        yield made


async def test_calls_are_answered_with_the_schemas(client: AsyncClient) -> None:
    """Place, look, cancel, and what is refused is a value with its code."""
    placed = await client.send(orders.place(BUY))
    assert (placed.status, placed.price) == ("open", "2500")
    assert (await client.send(orders.one(placed.order_id))).order_id == placed.order_id
    (listed,) = (await client.send(orders.listed(symbol="ETH/USDT"))).orders
    assert listed == placed
    assert (await client.send(orders.cancel(placed.order_id))).remaining_quantity == "1"
    with pytest.raises(Refused) as caught:
        await client.send(orders.cancel(placed.order_id))
    assert caught.value.is_a("order_not_found")
    with pytest.raises(Refused) as caught:
        await client.send(orders.one(placed.order_id), BOBS)
    assert caught.value.is_a("order_not_found")
    assert (await client.send(markets.listed())).markets[0].symbol == "ETH/USDT"


async def test_a_lost_answer_places_no_second_order(
    exchange: Exchange, client: AsyncClient, lossy: Lossy
) -> None:
    """Both ways to lose it: on the wire, and between gateway and engine."""
    lossy.losses = 2
    placed = await client.send(orders.place(BUY))
    assert placed.duplicate
    exchange.door.loses_answers = True
    impatient = AsyncClient("http://rialto", ALICES, patience_seconds=0.3, transport=lossy)
    unknown = orders.place(BUY)
    with pytest.raises(OutcomeUnknown):
        await impatient.send(unknown)
    exchange.door.loses_answers = False
    found = await client.send(unknown)
    assert found.duplicate
    _, resting = await exchange.door.open_orders(ALICE, 0)
    assert {str(order.order_id) for order in resting} == {placed.order_id, found.order_id}


async def test_a_lost_answer_withdraws_no_second_time(
    exchange: Exchange, client: AsyncClient, lossy: Lossy
) -> None:
    """One key, one withdrawal."""
    lossy.losses = 1
    body = WithdrawalIn(asset="USDT", amount="20", address=ADDRESS)
    await client.send(withdrawals.request(body))
    assert len(exchange.memory.withdrawals_written) == 1


async def test_a_wrong_clock_sets_itself(exchange: Exchange, client: AsyncClient) -> None:
    """An exchange whose clock is an hour ahead is asked at its own time."""
    exchange.clock_ms = exchange.services.now_ms() + 3_600_000
    assert len((await client.send(accounts.balances())).balances) == 2


async def test_pages_follow_each_other(exchange: Exchange, client: AsyncClient) -> None:
    """All orders, newest first, however small the pages are."""
    small = BUY.model_copy(update={"quantity": "0.1"})
    placed = [(await client.send(orders.place(small))).order_id for _ in range(5)]
    found = [
        order.order_id
        async for page in client.pages(orders.listed(limit=2))
        for order in page.orders
    ]
    assert found == placed[::-1]


def test_who_is_not_there_is_unreachable() -> None:
    """Nothing was sent: that is not the same as unknown."""
    nobody = Client("http://127.0.0.1:1", ALICES, patience_seconds=0.1)
    with nobody as client, pytest.raises(Unreachable):
        client.send(orders.place(BUY))


@pytest.mark.servers
def test_the_waiting_client(running: RunningExchange) -> None:
    """The same calls on a real gateway, without an event loop."""
    with Client(running.base_url, running.accounts["alice"]) as client:
        placed = client.send(orders.place(BUY.model_copy(update={"price": "2300"})))
        pages = client.pages(orders.listed(limit=1))
        assert placed.order_id in {order.order_id for page in pages for order in page.orders}
        assert client.send(orders.cancel(placed.order_id)).remaining_quantity == "1"
