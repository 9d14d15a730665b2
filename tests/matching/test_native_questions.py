"""Questions to the C++ loop's engine: answered between two groups, each at one sequence."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain.commands import PlaceOrder
from domain.order import OrderType, Side, TimeInForce
from matching.codec import encode_command
from matching.core_engine import CoreEngine
from matching.engine import Engine
from matching.replay import replay_to
from matching.storage import FileStorage
from tests.matching.desk import ETH_USDT
from tests.matching.native_flow import batch, opening, trade
from tests.matching.native_loop import NativeLoop

_BATCHES = 30  # at a time


def _order(account: int, key: int, price_ticks: int) -> bytes:
    limit = (OrderType.LIMIT, TimeInForce.GTC, price_ticks, 1)
    return encode_command(PlaceOrder(account, key, ETH_USDT, Side.BUY, *limit))


_QUESTIONS: tuple[Callable[[Engine], Any], ...] = (
    lambda engine: engine.account_balances(2),
    lambda engine: engine.open_orders(3),
    lambda engine: engine.book(ETH_USDT, 50),
    lambda engine: engine.order(4, client_key=17),
    lambda engine: engine.dry_run(_order(1, 10**6, 990)),
    lambda engine: engine.symbols(),
    lambda engine: engine.trades(),
)


def _trading(loop: NativeLoop, seed: int, enough: threading.Event) -> threading.Thread:
    """Trade in a thread of its own until `enough` is set."""

    def run() -> None:
        chance = random.Random(seed)
        while not enough.is_set():
            trade(loop, chance, _BATCHES)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_answers_during_load_are_those_of_a_replay_to_their_sequence(tmp_path: Path) -> None:
    """Whatever is asked while commands are applied is true at the sequence that comes with it."""
    answers: dict[int, list[tuple[int, Any]]] = {}
    views = []
    with NativeLoop(tmp_path) as loop:
        loop.submit(opening())
        engine = loop.sequencer.engine
        enough = threading.Event()
        trading = _trading(loop, 5, enough)
        chance = random.Random(6)
        while not enough.is_set():
            which = chance.randrange(len(_QUESTIONS))
            sequence, found = engine.with_sequence(lambda: _QUESTIONS[which](engine))  # noqa: B023
            answers.setdefault(sequence, []).append((which, found))
            views.append(engine.view(with_digest=chance.random() < 0.1))
            orders = any(found for told in answers.values() for which, found in told if which == 1)
            if (len(answers) > 20 and orders) or not trading.is_alive():
                enough.set()
        trading.join()
    assert len(answers) > 20, "the loop stopped, or its sequence stands still"
    storage = FileStorage(tmp_path, read_only=True)
    for sequence in chance.sample(sorted(answers), 20):
        replayed = replay_to(storage, 0, sequence)
        for which, found in answers[sequence]:
            assert _QUESTIONS[which](replayed) == found, (sequence, which)
    for view in [*(view for view in views if view.digest), *chance.sample(views, 10)]:
        assert replay_to(storage, 0, view.sequence).view(with_digest=bool(view.digest)) == view


def test_many_ask_at_once(tmp_path: Path) -> None:
    """Each of several threads gets the answer to its own question."""
    with NativeLoop(tmp_path) as loop:
        loop.submit(opening())
        engine = loop.sequencer.engine
        wrong: list[object] = []

        def ask(account: int) -> None:
            key = 10**6 + account
            for _ in range(200):
                order = engine.order(account, client_key=key)
                if order is None or (order.account_id, order.client_key) != (account, key):
                    wrong.append((account, order))

        for account in range(1, 6):
            loop.submit(_order(account, 10**6 + account, 980))
        threads = [threading.Thread(target=ask, args=(account,)) for account in range(1, 6)]
        enough = threading.Event()
        trading = _trading(loop, 9, enough)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        enough.set()
        trading.join()
        assert wrong == []


def test_an_engine_that_is_driven_is_changed_by_its_loop_alone(tmp_path: Path) -> None:
    """Applying beside the loop is refused; before and after it, questions are answered as ever."""
    loop = NativeLoop(tmp_path)
    engine = loop.sequencer.engine
    before = engine.sequence
    with loop:
        loop.submit(opening())
        with pytest.raises(RuntimeError, match="the engine's loop alone"):
            engine.apply(b"")
        driven = engine.sequence
    assert before < driven <= engine.sequence
    assert engine.view().sequence == engine.sequence


def test_a_question_that_fails_fails_for_who_asked(tmp_path: Path) -> None:
    """The loop goes on, and the next answer is right."""
    with NativeLoop(tmp_path) as loop:
        loop.submit(opening())
        engine = loop.sequencer.engine
        with pytest.raises(ValueError, match="stripes"):
            engine.dry_run(_order(1, 5, 990)[:-1])
        assert engine.open_orders(1) == []
        loop.submit(_order(1, 5, 990))
        assert [order.price_ticks for order in engine.open_orders(1)] == [990]


def test_what_holds_the_loop_up_is_told_by_its_work(tmp_path: Path) -> None:
    """A question about all state of thousands of orders is a stall by its own name."""
    chance = random.Random(1)
    with NativeLoop(tmp_path) as loop:
        loop.submit(opening())
        loop.submit(b"".join(_order(5, 1_000 + key, 980) for key in range(500)))
        for _ in range(10):
            loop.submit(batch(chance, 400))
        engine = loop.sequencer.engine
        assert isinstance(engine, CoreEngine)
        engine.view()
        assert loop.sequencer.loop_times().page_faults > 0  # the first answer has it, too
        for _ in range(20):
            engine.snapshot()
        engine.view()  # the thread is measured at questions: this one tells of those before
        times = loop.sequencer.loop_times()
    assert times.priority == "normal"
    assert times.page_faults > 0
    stalls = {stall.work: stall for stall in times.stalls}
    asked = stalls["questions"]
    assert 50_000 * asked.count <= asked.total_ns <= asked.longest_ns * asked.count
