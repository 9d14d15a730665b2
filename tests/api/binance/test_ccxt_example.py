"""The example's classes are ccxt's client with our addresses, methods and classes of refusals."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.binance.clients import ccxt_example, ccxt_options


@pytest.fixture(scope="module")
def example() -> Any:
    """Give the example's module."""
    return ccxt_example()


def test_both_faces_are_described_alike(example: Any) -> None:
    """Addresses are those of the tests, which drive the client without the example."""
    wanted = ccxt_options("http://host:1")["urls"]["api"]
    clients = [
        kind({"baseUrl": "http://host:1/"}) for kind in (example.Rialto, example.AsyncRialto)
    ]
    for client in clients:
        api = client.urls["api"]
        assert api == {name: wanted[name] for name in api}
        assert (client.id, client.has["createOrder"], client.has["fetchGreeks"]) == (
            "rialto",
            True,
            False,
        )
        assert all(value == "ccxt-" for value in client.options["broker"].values())


def test_what_is_said_to_be_served_is_known_to_ccxt(example: Any) -> None:
    """No name of the list is misspelt: each is a method or a feature that ccxt has."""
    client = example.Rialto()
    named = set(example._SERVED.split())
    assert {name for name, value in client.has.items() if value} == named


def test_refusals_of_perpetuals_have_the_perpetuals_classes(example: Any) -> None:
    """A code that means another thing in spot is not taken for that."""
    import ccxt

    client = example.Rialto()

    def refused(path: str, code: int, message: str) -> None:
        body = {"code": code, "msg": message}
        url = f"http://127.0.0.1:8080/binance/{path}"
        client.handle_errors(400, "", url, "POST", {}, str(body), body, {}, None)

    for path, code, expected in (
        ("fapi/v1/order", -2022, ccxt.InvalidOrder),
        ("fapi/v1/order", -2019, ccxt.InsufficientFunds),
        ("fapi/v1/order", -4400, ccxt.PermissionDenied),
        ("api/v3/order/cancelReplace", -2022, ccxt.BadResponse),
    ):
        with pytest.raises(expected):
            refused(path, code, "In words of no table.")
