"""The WebSocket below the application: frames go straight to the transport, none waits for a task.

A book's update goes to a thousand sockets in one turn of the loop, so what it costs a socket is
one frame and one write. The application finds this in its scope, under `WIRE`. What the peer has
not taken yet waits in the transport; how much that is tells who reads too slowly.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from fastapi import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

WIRE = "rialto.wire"
CLOSE_GOING_AWAY = 1001
GOING_AWAY = "the gateway is stopping: connect again"
_TEXT = 0x81  # the last fragment of a text message, which is the only one
_SLICE_BYTES = 4_096
_SMALL, _MEDIUM = 126, 1 << 16


def text_frame(payload: bytes) -> bytes:
    """Return a server's text frame: never masked, never compressed."""
    size = len(payload)
    if size < _SMALL:
        return bytes((_TEXT, size)) + payload
    if size < _MEDIUM:
        return struct.pack("!BBH", _TEXT, 126, size) + payload
    return struct.pack("!BBQ", _TEXT, 127, size) + payload


class Wire(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket with a second way out, for whole messages that are encoded already.

    `counted` is asked before a ping is answered or a fragment kept, which no message counts;
    `left` is told of the end.
    """

    counted: Callable[[], bool] | None = None
    left: Callable[[], None] | None = None
    _is_flooded = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits for it."""
        super().connection_lost(exc)
        if self.left is not None:
            self.left()

    def data_received(self, data: bytes) -> None:
        """Read on, a slice at a time: of a flood no more is parsed than until it is noticed."""
        for start in range(0, len(data), _SLICE_BYTES):
            if self._is_flooded:
                return
            super().data_received(data[start : start + _SLICE_BYTES])

    def handle_ping(self) -> None:
        """Answer, unless there are too many."""
        if self._is_counted():
            super().handle_ping()

    def handle_cont(self, event: Frame) -> None:
        """Keep a fragment, unless there are too many: empty ones have no size that is bounded."""
        if self._is_counted():
            super().handle_cont(event)

    def _is_counted(self) -> bool:
        self._is_flooded = self._is_flooded or not (self.counted is None or self.counted())
        return not self._is_flooded

    def handle_connect(self, event: Request) -> None:
        """Let the application find this connection."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][WIRE] = self  # type: ignore[assignment]

    def write_text(self, payload: bytes) -> int:
        """Write a text message; return how many bytes waited before it.

        One that comes before the handshake, or after the close frame, is dropped.
        """
        transport = self.transport
        if self.close_sent or not self.handshake_complete or transport.is_closing():
            return 0
        waiting = transport.get_write_buffer_size()
        transport.write(text_frame(payload))
        return waiting

    def shutdown(self) -> None:
        """End a connection that is left when the server stops."""
        if self.handshake_complete and not self.close_sent and not self.disconnected:
            self.stop_keepalive()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": CLOSE_GOING_AWAY})
            self.conn.send_close(CLOSE_GOING_AWAY, GOING_AWAY)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
            return
        super().shutdown()


def wire_of(socket: WebSocket) -> Wire:
    """Return the wire of an accepted WebSocket; the server has to run with `ws=Wire`."""
    wire = socket.scope["extensions"][WIRE]
    assert isinstance(wire, Wire)
    return wire
