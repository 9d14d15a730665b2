"""What a client may send over `/v1/ws`, and how errors are written."""

from __future__ import annotations

from typing import Any

import msgspec

from api.errors import Problem

NO_PARAMS = msgspec.Raw(b"{}")


class ClientRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One request. `params` are an order's; `key` to `cancel_on_disconnect` a login's.

    A web session logs in by `token`, its access token, in the place of `key` to `signature`.

    `interval` is of the channel `candles`, "" for minutes.
    `after` is of the channel `account`: the last sequence of each shard.
    """

    op: str
    channel: str = ""
    symbol: str = ""
    interval: str = ""
    id: int | str | None = None
    after: dict[str, int] = {}
    key: str = ""
    timestamp: str = ""
    window: str = ""
    signature: str = ""
    token: str = ""
    cancel_on_disconnect: bool = False
    params: msgspec.Raw = NO_PARAMS


read_request = msgspec.json.Decoder(ClientRequest).decode
encode = msgspec.json.Encoder().encode


def error(request_id: int | str | None, code: str, message: str) -> bytes:
    """Return the answer to a request that is refused."""
    return encode({"op": "error", "id": request_id, "code": code, "message": message})


def refusal(request_id: int | str | None, problem: Problem) -> bytes:
    """Return the answer to an order's request that is refused: REST's problem is in it."""
    document: dict[str, Any] = problem.document("")
    del document["request_id"]  # a socket's requests have an id of their own
    if "Retry-After" in problem.headers:
        document["retry_after_seconds"] = int(problem.headers["Retry-After"])
    return encode(
        {
            "op": "error",
            "id": request_id,
            "code": problem.code,
            "message": problem.detail,
            "problem": document,
        }
    )


def result(request_id: int | str | None, status: int, document: bytes) -> bytes:
    """Return the answer to an order's request; `document` is REST's answer, encoded."""
    return b'{"op":"result","id":%b,"status":%d,"result":%b}' % (
        encode(request_id),
        status,
        document,
    )
