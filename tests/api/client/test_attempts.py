"""The tries of a call: what is repeated, how long, and how it ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.client import orders, withdrawals
from api.client.account import ApiAccount, SigningClock
from api.client.attempts import LONGEST_PAUSE_SECONDS, Attempts, Pause
from api.client.call import Call
from api.client.errors import NotOurApi, OutcomeUnknown, Refused, Unreachable
from api.client.markets import clock
from api.errors import PROBLEM_TYPE, PROBLEMS, Problem
from api.schemas.accounts import WithdrawalIn
from api.schemas.markets import TimeOut
from api.schemas.orders import PlaceOrderIn
from domain.customer import KeyAlgorithm
from tests.api.address_memory import ADDRESS
from tests.api.exchange import Exchange
from tests.api.memory import ALICE

ME = ApiAccount("me", "key-1", "secret")
ORDER = orders.place(PlaceOrderIn(symbol="ETH/USDT", side="buy", price="1", quantity="1"))


class Tries:
    """A call that is tried against answers as they are written, at times as they are written."""

    def __init__(self, call: Call[Any] = ORDER, patience_seconds: float = 10.0) -> None:
        self.clock = SigningClock()
        self.attempts = Attempts(call, ME, self.clock, now=0.0, patience_seconds=patience_seconds)

    def refused(
        self, code: str, now: float = 0.0, *, retry_after: str = "", extra: Any = None
    ) -> Any:
        """Meet a refusal of the exchange."""
        problem = Problem(code, extra=extra)
        headers = {"content-type": PROBLEM_TYPE, "retry-after": retry_after}
        content = msgspec.json.encode(problem.document("r"))
        return self.attempts.answered(problem.kind.status, headers, content, now)

    def lost(self, now: float = 0.0, *, may_have_arrived: bool = True) -> Pause:
        """Meet silence."""
        return self.attempts.failed(OSError("lost"), now, may_have_arrived=may_have_arrived)


def _again(tries: Tries, code: str, now: float) -> float | None:
    """Return the pause after a refusal; None when it was the last."""
    try:
        return float(tries.refused(code, now).seconds)
    except Refused as refused:
        return None if refused.is_a(code) else 1e9


def test_an_answer_is_typed() -> None:
    """What the exchange says becomes the route's model; something else is not our API."""
    tries = Tries(clock())
    assert tries.attempts.answered(200, {}, b'{"time_ms": 7}', 0.0) == TimeOut(time_ms=7)
    with pytest.raises(NotOurApi):
        tries.attempts.answered(200, {"content-type": "text/html"}, b"<html>", 0.0)


def test_a_refusal_is_not_repeated() -> None:
    """A business outcome is final, even one that may pass later."""
    for code in ("insufficient_funds", "post_only_would_trade", "missing_scope"):
        with pytest.raises(Refused) as caught:
            Tries().refused(code)
        assert caught.value.is_a(code)
        assert caught.value.status == PROBLEMS[code].status
        assert not caught.value.after_unknown


def test_a_code_that_is_asked_for_is_registered() -> None:
    """A typing error in a program's own check cannot hide."""
    refused = Refused({"code": "not_found", "status": 404, "retryable": False})
    with pytest.raises(ValueError, match="not_fuond"):
        refused.is_a("not_fuond")


@pytest.mark.parametrize("code", ["engine_unavailable", "rate_limited", "store_unavailable"])
def test_what_passes_is_repeated_until_patience_ends(code: str) -> None:
    """The pauses grow, and the last word is the exchange's."""
    tries = Tries(clock(), patience_seconds=10.0)
    now, pauses = 0.0, []
    while (pause := _again(tries, code, now)) is not None:
        pauses.append(pause)
        now += pause
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert 8.0 < now <= 10.0


def test_the_exchange_says_how_long_to_wait() -> None:
    """`Retry-After` is the least; a date or nonsense is none."""
    assert Tries().refused("rate_limited", retry_after="7") == Pause(7.0)
    assert Tries().refused("rate_limited", retry_after="Tue, 1 Jan").seconds < 1.0


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    """An order whose tries may have arrived ends as unknown, a question never does."""
    for meet in (Tries.lost, lambda tries, now: tries.refused("outcome_unknown", now)):
        tries = Tries()
        meet(tries, 0.0)
        with pytest.raises(OutcomeUnknown):
            meet(tries, 100.0)
    with pytest.raises(Unreachable):
        Tries(clock()).lost(100.0)
    with pytest.raises(Unreachable):
        Tries().lost(100.0, may_have_arrived=False)
    with pytest.raises(Refused) as caught:
        Tries().refused("engine_unavailable", 100.0, extra={"outcome": "nothing sent"})
    assert caught.value.is_a("engine_unavailable")


def test_a_refusal_after_silence_says_so() -> None:
    """A cancel that is repeated may find nothing because the first one worked."""
    tries = Tries(orders.cancel("1"))
    tries.lost()
    with pytest.raises(Refused) as caught:
        tries.refused("order_not_found")
    assert caught.value.after_unknown


def test_each_try_is_signed_anew() -> None:
    """The same call, its own signature: a replay guard takes each once."""
    tries = Tries()
    signed = [tries.attempts.request() for _ in range(50)]
    assert len({one.headers["RIALTO-SIGNATURE"] for one in signed}) == 50
    assert {one.body for one in signed} == {ORDER.body}


def test_our_clock_is_set_once() -> None:
    """A refusal of the time tells the exchange's; if that does not help, it is the answer."""
    tries = Tries()
    skewed = {"server_time_ms": 1_000_000_000_000}
    assert tries.refused("timestamp_ahead", extra=skewed) == Pause(0.0)
    stamp = int(tries.attempts.request().headers["RIALTO-TIMESTAMP"])
    assert 0 <= stamp - 1_000_000_000_000 < 60_000
    with pytest.raises(Refused):
        tries.refused("timestamp_ahead", extra=skewed)


def test_a_call_waits_for_what_it_is_told_to() -> None:
    """An address that cools off is a refusal, unless the caller waits for it."""
    body = WithdrawalIn(asset="USDT", amount="20", address=ADDRESS)
    with pytest.raises(Refused):
        Tries(withdrawals.request(body)).refused("address_cooling_off")
    patient = withdrawals.request(body).waiting_for("address_cooling_off")
    assert Tries(patient).refused("address_cooling_off").seconds > 0


@pytest.mark.parametrize("status", [502, 504])
def test_an_answer_from_between_is_like_silence(status: int) -> None:
    """A proxy's own page says nothing about the order."""
    tries = Tries()
    assert tries.attempts.answered(status, {}, b"<html>", 0.0).seconds > 0
    with pytest.raises(OutcomeUnknown):
        tries.attempts.answered(status, {}, b"<html>", 100.0)


@pytest.mark.parametrize("status", [200, 301, 403, 404, 413])
def test_what_is_not_our_api_does_not_tell_of_an_order(status: int) -> None:
    """A question has met something else; an order may have been passed on to the exchange."""
    page = ({"content-type": "text/html"}, b"<html>", 0.0)
    with pytest.raises(NotOurApi):
        Tries(clock()).attempts.answered(status, *page)
    with pytest.raises(OutcomeUnknown):
        Tries().attempts.answered(status, *page)


async def test_an_ed25519_key_signs(exchange: Exchange) -> None:
    """The secret is the PEM of its private half; no other PEM is taken."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes_raw()
    exchange.add_key(ALICE, "key-ed", algorithm=KeyAlgorithm.ED25519, secret=public)
    account = ApiAccount("me", "key-ed", pem)
    headers = account.headers("GET", "/v1/balances?", timestamp_ms=exchange.services.now_ms())
    answer = await exchange.http.get("/v1/balances", headers=headers)
    assert answer.status_code == 200, answer.text
    assert pem not in repr(account)
    for wrong in ("-----BEGIN PRIVATE KEY-----\n", pem.replace("M", "N")):
        with pytest.raises(ValueError, match="private key"):
            ApiAccount("me", "key-ed", wrong)
