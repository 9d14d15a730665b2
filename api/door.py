"""The first thing that a connection meets: how many there may be, and how long a request may take.

uvicorn bounds neither the open connections nor a request's head nor the time until it is whole.
Who is refused here has cost no task, no look at Redis and no memory that stays.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import PROBLEM_TYPE, Problem
from api.websocket.wire import Wire

LARGEST_OPEN_COUNT = 6_000  # sockets of a gateway, WebSockets and others
LARGEST_OPEN_ADDRESS_COUNT = 3_000  # of them, from one address
LARGEST_HEAD_BYTES = 64 * 1024
REQUEST_SECONDS = 15.0  # from the connection, or a request's first byte, until it is whole


class Places:
    """How many connections are open, and whose; those of `exempt` count for the whole only."""

    def __init__(
        self,
        most: int = LARGEST_OPEN_COUNT,
        most_of_address: int = LARGEST_OPEN_ADDRESS_COUNT,
        exempt: Collection[str] = (),
    ) -> None:
        self.open = 0
        self.refused = 0
        self._most = most
        self._most_of_address = most_of_address
        self._exempt = frozenset(exempt)
        self._of: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """Take a place for an address; False, and none taken, when there is none."""
        is_counted = address not in self._exempt
        full = self.open >= self._most
        if full or (is_counted and self._of[address] >= self._most_of_address):
            self.refused += 1
            return False
        self.open += 1
        if is_counted:
            self._of[address] += 1
        return True

    def give_back(self, address: str) -> None:
        """Give back a place that was taken."""
        self.open -= 1
        if address not in self._exempt:
            self._of[address] -= 1
            if not self._of[address]:
                del self._of[address]


def _refusal(code: str, detail: str) -> bytes:
    """Return a whole answer, after which the connection ends."""
    answer = Problem(code, detail, headers={"Retry-After": "1"}).response("")
    head = (
        f"HTTP/1.1 {answer.status_code} Refused\r\nContent-Type: {PROBLEM_TYPE}\r\n"
        f"Retry-After: 1\r\nContent-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + bytes(answer.body)


_NO_PLACE = _refusal("too_many_connections", "No connection more, from your address or at all.")
_TOO_SLOW = _refusal("request_too_slow", f"A request is whole within {REQUEST_SECONDS:g} s.")
_HEAD_TOO_LARGE = _refusal("head_too_large", f"The limit is {LARGEST_HEAD_BYTES} bytes.")


class Door(HttpToolsProtocol):
    """uvicorn's HTTP connection behind the bounds; made by `door`."""

    places: Places

    _address = ""
    _has_place = False
    _head_bytes = -1  # of a request's head so far; -1 between the head and the next request
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or end."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else "unknown"
        self._has_place = self.places.take(self._address)
        if not self._has_place:
            self._refuse(_NO_PLACE)
            return
        self._head_bytes = 0
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        super().connection_lost(exc)
        self._left()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on; its place is given back when that ends."""
        self._received()
        super().handle_websocket_upgrade()
        wire = self.transport.get_protocol()
        assert isinstance(wire, Wire)
        wire.left = self._left

    def data_received(self, data: bytes) -> None:
        """Read on, as long as the head of a request stays within its bound."""
        if self.transport.is_closing():
            return
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > LARGEST_HEAD_BYTES:
            self._refuse(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin a request; the first one's time runs from the connection."""
        super().on_message_begin()
        self._head_bytes = max(0, self._head_bytes)
        if self._deadline is None:
            self._expect_request()

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._head_bytes = -1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        self._received()
        super().on_message_complete()

    def _expect_request(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._too_slow)

    def _received(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        """End a connection whose request does not become whole."""
        if self.cycle is None or self.cycle.response_complete:
            self._refuse(_TOO_SLOW)
        else:
            self.transport.abort()  # an answer may be under way: ours would stand in it

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    def _left(self) -> None:
        self._received()
        if self._has_place:
            self._has_place = False
            self.places.give_back(self._address)


def door(places: Places) -> type[Door]:
    """Return the class of a server's connections, which share its places."""
    return type("Door", (Door,), {"places": places})
