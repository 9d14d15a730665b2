"""The channel `account` of one connection: log in, follow, and say how the account stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.datastructures import Headers

from api import auth
from api.account_state import account_state
from api.auth import Caller, SignedParts
from api.errors import Problem
from api.services import Services
from domain.customer import Scope

PATH = b"/v1/ws"
STATE_SECONDS = 0.25  # the shortest time between two states of an account
MARKS_SECONDS = 1.0  # with a position, its value is looked at so often
KEY_SECONDS = 2.0
LOGIN_WEIGHT = 10
FOLLOW_WEIGHT = 50  # a replay reads the log
CLOSE_KEY_ENDED = 4001

_encode = msgspec.json.Encoder().encode
Offer = Callable[[bytes], None]


class ShardFollower:
    """One shard of an account: numbers its messages, and notes that the state has changed."""

    def __init__(self, shard: int, account_id: int, offer: Offer, changed: asyncio.Event) -> None:
        self.shard = shard
        self.account_id = account_id
        self.sequence = -1
        self.is_gone = False
        self.is_changed = True
        self._told = -1
        self._offer = offer
        self._changed = changed

    def snapshot(self, sequence: int, orders: Sequence[dict[str, Any]]) -> None:
        """Begin at a sequence, with the orders that are open there."""
        self.sequence = self._told = sequence
        self._send({"type": "snapshot", "seq": sequence, "orders": orders})

    def resume(self, sequence: int) -> None:
        """Go on after a sequence that was told to it before."""
        self.sequence = self._told = sequence
        self._send({"type": "resumed", "seq": sequence})

    def update(self, sequence: int, time_us: int, events: Sequence[dict[str, Any]]) -> None:
        """Go on with what a command did."""
        body = {"type": "update", "seq": sequence, "prev_seq": self._told, "time_us": time_us}
        self._told = sequence
        self._send({**body, "events": events})

    def margin_call(self, call: Mapping[str, Any]) -> None:
        """Hear a warning, which has no place among the commands."""
        self._send({"type": "margin_call", **call})

    def state(self, state: Mapping[str, Any]) -> None:
        """Say how the account stands."""
        self._offer(_encode({"channel": "account", "type": "state", "shard": self.shard, **state}))

    def _send(self, message: Mapping[str, Any]) -> None:
        self._offer(_encode({"channel": "account", "shard": self.shard, **message}))
        self.is_changed = True
        self._changed.set()


class AccountChannel:
    """Who is logged in on a connection, and what it hears of the account."""

    def __init__(self, services: Services, offer: Offer, end: Callable[[int, str], None]) -> None:
        self._services = services
        self._offer = offer
        self._end = end
        self._caller: Caller | None = None
        self._followers: dict[int, ShardFollower] = {}
        self._changed = asyncio.Event()
        self._has_place = False
        self._key_watch: asyncio.Task[None] | None = None
        self._states: asyncio.Task[None] | None = None

    @property
    def sequences(self) -> dict[str, int]:
        """Return up to which sequence everything was told, by shard."""
        return {str(shard): one.sequence for shard, one in self._followers.items()}

    async def login(
        self, credentials: Mapping[str, str], address: str, *, trades: bool = False
    ) -> Caller:
        """Return who signed `GET /v1/ws`; a `Problem` says what is wrong. Each signature once.

        Tries are charged to the address they come from, as unsigned requests are. One that
        `trades` needs the scope for it.
        """
        services = self._services
        await services.limiter.charge_address(address, LOGIN_WEIGHT)
        if self._caller is not None:
            raise Problem("invalid_combination", "This connection is logged in already.")
        if not all(text.isascii() for text in credentials.values()):
            raise Problem("bad_signature", "A credential is not well formed.")
        caller = await self._who(credentials, address)
        auth.require_scope(caller, Scope.READ)
        if trades:
            auth.require_scope(caller, Scope.TRADE, winds_down=True)
        await self._charge(caller, LOGIN_WEIGHT)
        await services.limiter.once(caller.signature, auth.REMEMBERED_SECONDS)
        self._caller = caller
        self._key_watch = asyncio.create_task(self._watch_key(caller))
        return caller

    async def _who(self, credentials: Mapping[str, str], address: str) -> Caller:
        """Return who has signed, or whose session's access token it is."""
        services, now_ms = self._services, self._services.now_ms()
        if set(credentials) == {"token"}:
            token = credentials["token"]
            return await auth.session_caller(token, services.web.tokens, services.keys, now_ms)
        if "token" in credentials:
            raise Problem("bad_signature", "Send an access token or a signature.")
        headers = Headers({f"rialto-{name}": text for name, text in credentials.items()})
        parts = SignedParts("GET", PATH)
        return await auth.authenticate(headers, parts, services.keys, now_ms, address)

    def require(self) -> None:
        """Refuse (`Problem`) who is not logged in, or one more where many follow."""
        if self._caller is None:
            raise Problem("missing_credentials", "Log in first: the op is `login`.")
        if not self._has_place:
            self._services.accounts.take_place(self._caller.customer_id)
            self._has_place = True

    async def follow(self, after: Mapping[str, int]) -> None:
        """Follow the account on every shard, from `after` or from a snapshot.

        A `Problem` while an engine is away; then nothing is followed.
        """
        caller, services = self._caller, self._services
        assert caller is not None, "who is not logged in was refused"
        self._stop()
        try:
            await self._charge(caller, FOLLOW_WEIGHT)
            for shard, tail in services.accounts.tails.items():
                follower = ShardFollower(shard, caller.customer_id, self._offer, self._changed)
                self._followers[shard] = follower
                await tail.join(follower, after.get(str(shard)), services)
        except BaseException:
            self.unsubscribe()
            raise
        self._changed.set()
        self._states = asyncio.create_task(self._say_states(caller.customer_id))

    def unsubscribe(self) -> None:
        """Follow no more, and leave room to others."""
        self._stop()
        if self._has_place and self._caller is not None:
            self._services.accounts.leave_place(self._caller.customer_id)
            self._has_place = False

    def log_out(self) -> None:
        """Forget who has logged in, of whom nothing has been told yet."""
        self._caller = None
        if self._key_watch is not None:
            self._key_watch.cancel()

    def _stop(self) -> None:
        for shard, follower in self._followers.items():
            self._services.accounts.tails[shard].leave(follower)
        self._followers.clear()
        if self._states is not None:
            self._states.cancel()

    async def close(self) -> None:
        """End everything."""
        self.unsubscribe()
        tasks = [task for task in (self._key_watch, self._states) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _charge(self, caller: Caller, weight: int) -> None:
        limiter = self._services.limiter
        await limiter.charge_customer(caller.customer_id, caller.rate_class, weight)

    async def _watch_key(self, caller: Caller) -> None:
        """End the connection when its key is revoked, has expired, or its account is closed."""
        services = self._services
        while True:
            await asyncio.sleep(KEY_SECONDS)
            try:
                key = await auth.valid_key(services.keys, caller.key_id, services.now_ms)
            except ConnectionError:
                continue
            if key is None:
                self._end(CLOSE_KEY_ENDED, "the API key, or the session, is not valid any more")
                return

    async def _say_states(self, account_id: int) -> None:
        """Say each shard's state when it has changed: after events, and as marks move."""
        said: dict[int, dict[str, Any]] = {}
        while True:
            for shard, follower in list(self._followers.items()):
                before = said.get(shard)
                if not follower.is_changed and not (before and before["positions"]):
                    continue
                follower.is_changed = False
                try:
                    state = await account_state(self._services, shard, account_id)
                except Problem:
                    follower.is_changed = True  # the engine is away: ask again
                    continue
                if before is None or _content(state) != _content(before):
                    said[shard] = state
                    follower.state(state)
            await asyncio.sleep(STATE_SECONDS)
            self._changed.clear()
            try:
                async with asyncio.timeout(MARKS_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue


def _content(state: Mapping[str, Any]) -> list[Any]:
    """Return what a state says, without the sequences at which it is true."""
    positions = [{**one, "sequence": 0} for one in state["positions"]]
    cross = None if state["cross"] is None else {**state["cross"], "sequence": 0}
    return [state["balances"], positions, cross]
