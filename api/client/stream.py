"""The WebSocket as a client keeps it: books that are checked, an account without gaps.

A `Stream` connects, logs in and subscribes, again and again as connections end. Books resync on
their socket when a message is missing or a checksum differs; the account goes on after the last
sequence that was heard, so that every event is told once.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from api.client.account import ApiAccount, SigningClock
from api.client.book import Book
from api.client.errors import Refused
from api.errors import PROBLEMS
from api.websocket.hub import FeedMessage

SILENCE_SECONDS = 15.0  # three heartbeats that did not come: the connection is dead
GOODBYE_SECONDS = 1.0  # for the close frame of who does not answer any more
SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
LARGEST_MESSAGE_BYTES = 16 * 2**20  # a snapshot of a deep book is one message
PATH = "/v1/ws"
_KEY_ENDED = 4001


class AccountMessage(msgspec.Struct, omit_defaults=True):
    """A message of the channel `account`, as docs/websocket.md has them."""

    type: Literal["snapshot", "resumed", "update", "state", "margin_call"]
    shard: int = -1
    seq: int = 0
    prev_seq: int = 0
    time_us: int = 0
    orders: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    balances: list[dict[str, Any]] = []
    positions: list[dict[str, Any]] = []
    cross: dict[str, Any] | None = None
    symbol: str | None = None
    asset: str = ""
    equity: str = ""
    maintenance_margin: str = ""
    margin_ratio_ppm: int | None = None
    sequence: int = 0


class Interrupted(msgspec.Struct):
    """The connection ended, `why`; books are not live until their next snapshot."""

    why: str


Heard = FeedMessage | AccountMessage | Interrupted


class _Missed(Exception):  # noqa: N818 - what happened
    """A message of the account is missing: connect again, and go on after the last one."""


class Stream:
    """Follows markets and, with an `account`, that account. Iterate over it to keep it going.

    `books` are markets whose book is kept; `channels` pairs of (channel, symbol) to follow beside
    them, of candles also (channel, symbol, interval). `after` says from where the account goes on,
    by shard: what is told later than that is told again. Everything that is heard is yielded, and
    each break as `Interrupted`.
    """

    def __init__(
        self,
        base_url: str,
        account: ApiAccount | None = None,
        *,
        books: Iterable[str] = (),
        channels: Iterable[tuple[str, ...]] = (),
        after: dict[int, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.books = {symbol: Book(symbol) for symbol in books}
        self.after = dict(after or {})
        self.resync_count = 0
        self._url = base_url.rstrip("/").replace("http", "ws", 1) + PATH
        self._tls = tls
        self._account = account
        self._clock = SigningClock()
        self._channels = list(channels)
        self._told: dict[int, int] = {}  # by shard: the message that the next one follows

    async def __aiter__(self) -> AsyncIterator[Heard]:
        """Yield what is heard, through every break; `Refused` when the login is refused."""
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            try:
                async with connect(
                    self._url,
                    max_size=LARGEST_MESSAGE_BYTES,
                    ssl=self._tls,
                    close_timeout=GOODBYE_SECONDS,
                ) as socket:
                    await self._begin(socket)
                    async for heard in self._heard(socket):
                        pause = SHORTEST_PAUSE_SECONDS
                        yield heard
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, _Missed) as error:
                if isinstance(error, ConnectionClosed) and _code(error) == _KEY_ENDED:
                    raise Refused(_problem("bad_signature", str(error))) from error
                why = str(error) or type(error).__name__
            for book in self.books.values():
                book.lose()
            yield Interrupted(why)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all come at once
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _begin(self, socket: ClientConnection) -> None:
        """Log in and subscribe to everything; the answers come among what is heard."""
        wanted = [*(("book", symbol) for symbol in self.books), *self._channels]
        for one in wanted:
            named = dict(zip(("channel", "symbol", "interval"), one, strict=False))
            await _say(socket, op="subscribe", **named)
        if self._account is None:
            return
        headers = self._account.headers("GET", PATH, timestamp_ms=self._clock.next_ms())
        signed = ("key", "timestamp", "signature")
        await _say(
            socket, op="login", **{name: headers[f"RIALTO-{name.upper()}"] for name in signed}
        )
        after = {str(shard): sequence for shard, sequence in self.after.items()}
        await _say(socket, op="subscribe", channel="account", after=after)

    async def _heard(self, socket: ClientConnection) -> AsyncIterator[FeedMessage | AccountMessage]:
        while True:
            async with asyncio.timeout(SILENCE_SECONDS):
                raw = await socket.recv()
            content = msgspec.json.decode(raw)
            if "op" in content:
                _check(content)
            elif content["channel"] == "heartbeat":
                self._beat(content)
            elif content["channel"] == "account":
                message = msgspec.convert(content, AccountMessage)
                if self._is_new(message):
                    yield message
            else:
                feed = msgspec.convert(content, FeedMessage)
                if feed.channel == "book" and not self.books[feed.symbol].take(feed):
                    self.resync_count += 1
                    await _say(socket, op="resubscribe", channel="book", symbol=feed.symbol)
                yield feed

    def _is_new(self, message: AccountMessage) -> bool:
        """Keep the account's place; return whether the message was not told before."""
        if message.type in ("snapshot", "resumed"):
            self._told[message.shard] = self.after[message.shard] = message.seq
        elif message.type == "update":
            if message.seq <= self.after.get(message.shard, -1):
                return False
            if message.prev_seq != self._told.get(message.shard):
                raise _Missed(f"after {message.prev_seq} on shard {message.shard}")
            self._told[message.shard] = self.after[message.shard] = message.seq
        return True

    def _beat(self, content: dict[str, Any]) -> None:
        """Note up to where the account was told, though nothing happened to it."""
        for shard, sequence in content.get("account", {}).items():
            self.after[int(shard)] = max(self.after.get(int(shard), -1), sequence)


async def _say(socket: ClientConnection, **request: Any) -> None:
    await socket.send(msgspec.json.encode(request).decode())


def _check(answer: dict[str, Any]) -> None:
    """Raise the refusal that an answer is; one that passes ends the connection, to try again."""
    if answer["op"] != "error":
        return
    problem = _problem(answer["code"], answer["message"])
    if problem["retryable"]:
        raise _Missed(f"{answer['code']}: {answer['message']}")
    raise Refused(problem)


def _problem(code: str, detail: str) -> dict[str, Any]:
    """Return a refusal of the socket with the members that one of REST has."""
    kind = PROBLEMS.get(code)
    return {
        "code": code,
        "detail": detail,
        "status": kind.status if kind else 400,
        "retryable": kind.retryable if kind else False,
    }


def _code(error: ConnectionClosed) -> int | None:
    return error.rcvd.code if error.rcvd is not None else None
