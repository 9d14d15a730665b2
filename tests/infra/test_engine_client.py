"""The client shares frames, heals, and says honestly what it does not know."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from domain.commands import CancelOrder, PlaceOrder, PlaceOrderList
from domain.events import CommandRejected, OrderAccepted, OrderDuplicate, OrderRested
from domain.order import ListKind, OrderType, Side, TimeInForce
from domain.order_id import client_key
from infra.engine_client import EngineClient
from infra.engine_errors import EngineRefused, EngineUnavailable, OutcomeUnknown
from infra.engine_host import EngineHost
from matching.storage import FileStorage
from tests.infra.engine_rig import Rig, running


def _order(number: int, side: Side = Side.BUY, price: int = 950) -> PlaceOrder:
    return PlaceOrder(
        1 + number % 4,
        client_key(f"n{number}"),
        1,
        side,
        OrderType.LIMIT,
        TimeInForce.GTC,
        price,
        5,
        client_text=f"n{number}",
    )


async def test_concurrent_submits_get_their_own_answers() -> None:
    """A thousand callers at once share frames, and each gets the events of its order."""
    async with running() as rig:
        await rig.open_market()
        client = await rig.client()
        numbers = range(1_000)
        answers = await asyncio.gather(*(client.submit(_order(n)) for n in numbers))
        for number, answer in zip(numbers, answers, strict=True):
            outcome = answer[0]
            assert isinstance(outcome, OrderAccepted)
            assert outcome.client_text == f"n{number}"
        sequences = [answer[0].sequence for answer in answers]
        assert sequences == sorted(sequences)


async def test_a_list_of_orders_is_one_command() -> None:
    """Its record goes between others, its orders are one group, and a repeat tells both."""
    async with running() as rig:
        await rig.open_market()
        client = await rig.client()
        better = replace(_order(0, Side.SELL, 1_050), post_only=True)
        worse = replace(
            better,
            client_key=client_key("stop"),
            client_text="",
            order_type=OrderType.STOP,
            post_only=False,
            price_ticks=0,
            trigger_price_ticks=900,
        )
        oco = PlaceOrderList(ListKind.OCO, (better, worse))
        before, listed, again, after = await client.submit_many([_order(1), oco, oco, _order(2)])
        assert [type(event) for event in listed] == [OrderAccepted, OrderAccepted, OrderRested]
        assert [type(event) for event in again] == [OrderDuplicate, OrderDuplicate]
        assert listed[0].sequence == before[0].sequence + 1 == after[0].sequence - 2


async def test_submit_many_keeps_order_over_frames() -> None:
    """More commands than fit a frame are answered one group each, in order."""
    async with running() as rig:
        await rig.open_market()
        client = await rig.client()
        count = 2_500
        groups = await client.submit_many([_order(n) for n in range(count)])
        assert [group[0].sequence for group in groups] == list(
            range(groups[0][0].sequence, groups[0][0].sequence + count)
        )
        assert await client.submit_many([]) == []


async def test_trades_come_with_their_order() -> None:
    """The taker's answer holds outcome, trades and closes."""
    async with running(ack_policy="os") as rig:
        await rig.open_market()
        client = await rig.client()
        await client.submit(_order(0, Side.SELL, 1_000))
        kinds = [type(e).__name__ for e in await client.submit(_order(1, Side.BUY, 1_000))]
        assert kinds == ["OrderAccepted", "Trade", "OrderClosed", "OrderClosed"]


async def test_without_an_engine_nothing_is_sent(tmp_path: Path) -> None:
    """While the engine is away, `EngineUnavailable` says that nothing happened."""
    client = await EngineClient.connect(str(tmp_path / "none"), wait_seconds=0.1)
    assert not client.connected
    with pytest.raises(EngineUnavailable):
        await client.submit(CancelOrder(1, 0, 5))
    await client.close()


async def test_a_wrong_token_is_refused() -> None:
    """A client that is not let in says so at once."""
    async with running() as rig:
        with pytest.raises(EngineRefused, match="BAD_TOKEN"):
            await EngineClient.connect(rig.socket, "gateway", "wrong")


async def test_it_finds_the_engine_again() -> None:
    """After a restart of the engine the same client goes on; a retry finds its order."""
    folder = Path(tempfile.mkdtemp(prefix="rialto-"))
    async with running(folder=folder) as rig:
        await rig.open_market()
        client = await EngineClient.connect(rig.socket, "gateway", rig.tokens.of("gateway"))
        assert isinstance((await client.submit(_order(1)))[0], OrderAccepted)
    with pytest.raises((EngineUnavailable, OutcomeUnknown)):
        await client.submit(_order(2))
    async with running(folder=folder) as rig:
        assert await client.wait_connected(30)
        outcome = (await client.submit(_order(1)))[0]
        assert isinstance(outcome, OrderDuplicate)
        assert outcome.same_body
        assert client.welcome is not None
        assert client.welcome.epoch == 2
        await client.close()


class _GatedStorage(FileStorage):
    """Real files whose sync waits for the test."""

    gate = threading.Event()

    def sync(self, name: str) -> None:
        """Wait, then sync."""
        assert self.gate.wait(30)
        super().sync(name)


async def _waits_for_the_disk(rig: Rig) -> None:
    """Wait until a client's command is carried out and not yet durable."""
    assert isinstance(rig.host, EngineHost)
    async with asyncio.timeout(30):
        while not rig.host._waiting:  # noqa: ASYNC110 - the engine's loop does not say
            await asyncio.sleep(0.01)


async def test_an_fsync_answer_leaves_only_after_the_sync() -> None:
    """While the disk works there is no answer; the event log shows nothing either."""
    _GatedStorage.gate.set()
    async with running(storage=_GatedStorage) as rig:
        client = await rig.client(timeout_seconds=30)
        _GatedStorage.gate.clear()
        question = asyncio.create_task(client.submit(CancelOrder(1, 0, 5)))
        await _waits_for_the_disk(rig)
        assert not question.done()
        sequencer = rig.host.sequencer
        assert sequencer.sequence > sequencer.durable_sequence
        assert sequencer.read_events(sequencer.durable_sequence, 1) is None
        _GatedStorage.gate.set()
        assert isinstance((await question)[0], CommandRejected)


async def test_no_answer_in_time_is_unknown() -> None:
    """A client never waits for ever, and does not guess."""
    _GatedStorage.gate.set()
    async with running(storage=_GatedStorage) as rig:
        client = await rig.client(timeout_seconds=0.1)
        _GatedStorage.gate.clear()
        with pytest.raises(OutcomeUnknown):
            await client.submit(CancelOrder(1, 0, 5))
        _GatedStorage.gate.set()


async def test_a_stopping_engine_still_answers() -> None:
    """What was read before the stop is carried out and answered; nothing more is read."""
    _GatedStorage.gate.set()
    async with running(storage=_GatedStorage) as rig:
        client = await rig.client(timeout_seconds=30)
        _GatedStorage.gate.clear()
        question = asyncio.create_task(client.submit(CancelOrder(1, 0, 5)))
        await _waits_for_the_disk(rig)
        rig.door.stop_reading()
        late = asyncio.create_task(client.submit(CancelOrder(1, 0, 6)))
        await asyncio.sleep(0.1)
        _GatedStorage.gate.set()
        assert isinstance((await question)[0], CommandRejected)
        await rig.host.stop()
        await rig.door.close()
        with pytest.raises(OutcomeUnknown):
            await late


async def test_a_failed_sync_answers_nobody() -> None:
    """When the disk fails, the engine stops: no acknowledgement, and the failure is named."""

    class Failing(FileStorage):
        broken = False

        def sync(self, name: str) -> None:
            if Failing.broken:
                raise OSError(5, "input/output error")
            super().sync(name)

    async with running(storage=Failing) as rig:
        client = await rig.client(timeout_seconds=0.3)
        Failing.broken = True
        with pytest.raises(OutcomeUnknown):
            await client.submit(CancelOrder(1, 0, 5))
        await asyncio.wait({rig.host.failed}, timeout=30)
        Failing.broken = False
        with pytest.raises(OutcomeUnknown):
            await client.submit(CancelOrder(1, 0, 5))
        assert "SYNC_FAILED" in str(rig.host.failed.exception())
