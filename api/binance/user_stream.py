"""What happens to one account, told in the dialect: orders, fills, balances, positions.

It follows the account on every shard as the native channel `account` does. The dialect has no
numbers by which a client could see that it has missed something, so where the log itself was lost
the stream ends, and the client begins again with what REST says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from api import auth
from api.account_state import account_state
from api.auth import Caller
from api.binance import account_words
from api.binance.auth import known_caller
from api.binance.listen_keys import no_such_key
from api.binance.names import name_of
from api.binance.own_lists import OwnLists, list_status
from api.binance.own_orders import OwnOrder, OwnOrders
from api.binance.report_words import futures_reports, spot_report
from api.errors import Problem
from api.order_answers import recorded
from api.services import Services
from api.websocket.account import CLOSE_KEY_ENDED, FOLLOW_WEIGHT, KEY_SECONDS, STATE_SECONDS
from domain.customer import Scope
from domain.instrument import Instrument

CLOSE_EVENTS_LOST = 1012
_TOTALS_TRIES = 10
_TOTALS_SECONDS = 0.05

_encode = msgspec.json.Encoder().encode
Tell = Callable[[bytes], None]


class ShardEar:
    """Follows the account on one shard, and passes on what it hears."""

    def __init__(self, stream: UserStream, account_id: int) -> None:
        self.account_id = account_id
        self.sequence = -1
        self.is_gone = False
        self._stream = stream
        self._has_begun = False

    def snapshot(self, sequence: int, orders: Sequence[dict[str, Any]]) -> None:
        """Begin with the open orders; a second time means that events are lost."""
        self.sequence = sequence
        if self._has_begun:
            self._stream.lose()
            return
        self._has_begun = True
        self._stream.start(orders)

    def resume(self, sequence: int) -> None:
        """Go on after a sequence; a stream of the dialect never asks for that."""
        self.sequence = sequence

    def update(self, sequence: int, time_us: int, events: Sequence[dict[str, Any]]) -> None:
        """Pass on what a command did."""
        self._stream.hear(time_us, events)

    def margin_call(self, call: Mapping[str, Any]) -> None:
        """Pass on a warning."""
        self._stream.warn(call)


class UserStream:
    """One account's events in one kind of markets, for whoever `tell` passes them to."""

    def __init__(
        self, services: Services, tell: Tell, end: Callable[[int, str], None], *, perpetual: bool
    ) -> None:
        self._services = services
        self._perpetual = perpetual
        self._tell = tell
        self._end = end
        self._listen_key = ""
        self._place_of: int | None = None
        self._orders = OwnOrders(self._market_of, perpetual=perpetual)
        self._lists = OwnLists()
        self._standing = account_words.Standing(self._market_of)
        self._states: dict[int, dict[str, Any]] = {}
        self._ears: dict[int, ShardEar] = {}
        self._unknown: list[OwnOrder] = []
        self._waiting: list[tuple[int, Sequence[dict[str, Any]]]] | None = []
        self._statuses: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._reason = "ORDER"
        self._tasks: list[asyncio.Task[None]] = []

    async def open_by_key(self, listen_key: str, host: str) -> None:
        """Follow the account that a listen key was given out for; a `Refusal` if there is none.

        `host` is the address of who listens: where its API key may be used, the stream may, too.
        """
        found = await self._services.listen_keys.find(listen_key)
        market = "futures" if self._perpetual else "spot"
        if found is None or found.market != market:
            raise no_such_key()
        caller = await known_caller(self._services, found.key_id, host)
        auth.require_scope(caller, Scope.READ)
        self._listen_key = listen_key
        await self.open(caller)

    async def open(self, caller: Caller) -> None:
        """Follow a caller's account; a `Problem` while an engine is away, or with no room."""
        services = self._services
        services.accounts.take_place(caller.customer_id)
        self._place_of = caller.customer_id
        await services.limiter.charge_customer(caller.customer_id, caller.rate_class, FOLLOW_WEIGHT)
        for shard, tail in services.accounts.tails.items():
            ear = self._ears[shard] = ShardEar(self, caller.customer_id)
            await tail.join(ear, None, services)
            self._states[shard] = await account_state(services, shard, caller.customer_id)
        await self._find_totals(caller.customer_id)
        self._note_standing()
        waiting, self._waiting = self._waiting or [], None
        for time_us, events in waiting:
            self.hear(time_us, events)
        self._tasks = [
            asyncio.create_task(self._watch(caller.key_id)),
            asyncio.create_task(self._say_standing(caller.customer_id)),
            asyncio.create_task(self._say_lists(caller.customer_id)),
        ]

    async def close(self) -> None:
        """Follow no more."""
        for shard, ear in self._ears.items():
            self._services.accounts.tails[shard].leave(ear)
        self._ears.clear()
        if self._place_of is not None:
            self._services.accounts.leave_place(self._place_of)
            self._place_of = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, orders: Sequence[dict[str, Any]]) -> None:
        """Take the open orders of a shard."""
        self._unknown += self._orders.start(orders)
        self._lists.start(orders)

    def lose(self) -> None:
        """End: what happened between two places of the log is not known."""
        self._end(CLOSE_EVENTS_LOST, "events were lost: look with REST, and connect again")

    def hear(self, time_us: int, events: Sequence[dict[str, Any]]) -> None:
        """Tell what a command did; before the beginning is complete it waits."""
        if self._waiting is not None:
            self._waiting.append((time_us, events))
            return
        for report in self._orders.apply(events):
            if self._perpetual:
                for told in futures_reports(report, self._now_ms(), time_us):
                    self._say(told)
            else:
                self._say(spot_report(report, self._now_ms(), time_us))
        self._tell_lists(time_us, events)
        for event in events:
            self._reason = account_words.REASONS.get(event["event"], self._reason)
            self._tell_other(time_us, event)
        self._changed.set()

    def warn(self, call: Mapping[str, Any]) -> None:
        """Tell a margin call, with the positions as they stood last."""
        if not self._perpetual:
            return
        listed = [one for state in self._states.values() for one in state["positions"]]
        body = account_words.margin_call(call, listed, self._market_of)
        self._say({"e": "MARGIN_CALL", "E": self._now_ms(), **body})

    def _tell_lists(self, time_us: int, events: Sequence[dict[str, Any]]) -> None:
        """Tell what happened to lists of spot orders; those of perpetuals are told by no event."""
        for report in self._lists.apply(events):
            market = self._market_of(report.listed.symbol)
            if market is not None and market.terms is None and not self._perpetual:
                words = list_status(report, name_of(market), self._now_ms(), time_us)
                self._statuses.put_nowait(words)

    async def _say_lists(self, account_id: int) -> None:
        """Tell what happened to lists, one after the other, each by its name."""
        while True:
            words = await self._statuses.get()
            ids = [one["c"] for one in words["O"]]
            with suppress(ConnectionError):  # then it is called as its first order
                names = await self._services.list_names.of_orders(account_id, ids)
                words["C"] = next((names[one] for one in ids if one in names), words["C"])
            self._say(words)

    def _tell_other(self, time_us: int, event: Mapping[str, Any]) -> None:
        """Tell what is not about orders: money that came or went, and choices."""
        head = {"E": self._now_ms(), "T": time_us // 1_000}
        kind = event["event"]
        if kind in ("credited", "debited") and not self._perpetual:
            sign = "-" if kind == "debited" else ""
            amount = f"{sign}{event['amount']}"
            self._say({"e": "balanceUpdate", "a": event["asset"], "d": amount, **head})
        elif kind == "leverage_set" and self._perpetual:
            market = self._market_of(event["symbol"])
            if market is not None:
                chosen = {"s": name_of(market), "l": event["leverage"]}
                self._say({"e": "ACCOUNT_CONFIG_UPDATE", **head, "ac": chosen})

    async def _find_totals(self, account_id: int) -> None:
        """Ask the history what partly filled orders came to, waiting a moment for it to follow.

        The moment is one for all of them: where settlement stands still, each is asked for once.
        """
        tries = _TOTALS_TRIES
        for own in self._unknown:
            while True:
                try:
                    stored = await self._services.orders.order(account_id, int(own.order_id))
                except ConnectionError:
                    break
                told = None if stored is None else recorded(stored, self._services.listings)
                filled = own.market.quantity_text(own.filled_lots)
                if told is not None and told.filled_quantity == filled and told.filled_quote:
                    own.quote_units = own.market.quote.engine_units(told.filled_quote)
                    break
                tries -= 1
                if tries <= 0:
                    break
                await asyncio.sleep(_TOTALS_SECONDS)
        self._unknown = []

    async def _say_standing(self, account_id: int) -> None:
        """Tell balances and positions that have changed, after events and not too often."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                for shard in self._states:
                    self._states[shard] = await account_state(self._services, shard, account_id)
            except Problem:
                self._changed.set()  # the engine is away: ask again
            else:
                self._note_standing(self._say)
            await asyncio.sleep(STATE_SECONDS)

    def _note_standing(self, say: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Note how the account stands, and say what is different."""
        now_ms, states = self._now_ms(), self._states.values()
        reason, self._reason = self._reason, "ORDER"
        if not self._perpetual:
            changed = self._standing.spot_changes(states)
            if say is not None and changed:
                say({"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": changed})
            return
        balances, positions = self._standing.futures_changes(states)
        if say is not None and (balances or positions):
            body = {"m": reason, "B": balances, "P": positions}
            say({"e": "ACCOUNT_UPDATE", "T": now_ms, "E": now_ms, "a": body})

    async def _watch(self, key_id: str) -> None:
        """End when the API key is not valid any more, or the listen key is forgotten."""
        services = self._services
        while True:
            await asyncio.sleep(KEY_SECONDS)
            try:
                if await auth.valid_key(services.keys, key_id, services.now_ms) is None:
                    self._end(CLOSE_KEY_ENDED, "the API key is not valid any more")
                    return
                if not self._listen_key:
                    continue
                if await services.listen_keys.find(self._listen_key) is None:
                    ended = {"e": "listenKeyExpired", "E": self._now_ms()}
                    self._say({**ended, "listenKey": self._listen_key})
                    await asyncio.sleep(STATE_SECONDS)
                    self._end(CLOSE_KEY_ENDED, "the listen key has ended")
                    return
            except ConnectionError:
                continue

    def _market_of(self, symbol: str) -> Instrument | None:
        market = self._services.listings.market(symbol)
        return None if market is None else market.instrument

    def _now_ms(self) -> int:
        return self._services.now_ms()

    def _say(self, event: Mapping[str, Any]) -> None:
        self._tell(_encode(event))
