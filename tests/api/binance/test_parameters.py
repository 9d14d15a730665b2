"""The raw bytes of a request: what they say, and what a signature covers of them."""

from __future__ import annotations

import pytest

from api.binance.auth import sign
from api.binance.errors import Refusal
from api.binance.parameters import Parameters, json_list, read

# The published example of the dialect's documentation: an independent word on the algorithm.
SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
QUERY = b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
FORM = b"quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
IN_ONE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
MIXED = "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"


@pytest.mark.parametrize(
    ("query", "form", "signature"),
    [
        (QUERY + b"&" + FORM, b"", IN_ONE),
        (b"", QUERY + b"&" + FORM, IN_ONE),
        (QUERY, FORM, MIXED),
    ],
)
def test_the_signature_is_that_of_the_published_example(
    query: bytes, form: bytes, signature: str
) -> None:
    """In the query, in the form, or in both: the bytes are signed as they come."""
    ended = f"&signature={signature}".encode()
    signed = read(query, form + ended) if form else read(query + ended)
    assert signed.signature == signature
    assert sign(SECRET, signed.message) == signature


def test_what_is_signed_is_not_encoded_anew() -> None:
    """Two spellings of one value have two signatures, and one meaning."""
    plain, encoded = read(b"a=x[1]&signature=0"), read(b"a=x%5B1%5D&signature=0")
    assert plain.message == b"a=x[1]"
    assert encoded.message == b"a=x%5B1%5D"
    assert plain.parameters == encoded.parameters == Parameters({"a": "x[1]"})


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"a=1&a=2", -1101),
        (b"signature=0&signature=1", -1101),
        (b"a=%ff", -1100),
        (b"&".join(b"p%d=1" % number for number in range(201)), -1101),
    ],
)
def test_ambiguous_parameters_are_refused(query: bytes, code: int) -> None:
    """A name means one thing, and a request has a bounded number of them."""
    with pytest.raises(Refusal) as refused:
        read(query)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "text", ["1e3", "0x10", " 1", "9" * 19, "1.0", "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_numbers_are_plain(text: str) -> None:
    """What is not a whole number of 64 bits is -1100, never a crash."""
    with pytest.raises(Refusal) as refused:
        Parameters({"n": text}).integer("n")
    assert refused.value.code == -1100


def test_lists_are_json() -> None:
    """`symbols` is a JSON list of texts and nothing else."""
    assert Parameters({"s": '["A","B"]'}).names("s") == ["A", "B"]
    for text in ("A", "[1]", '{"a": 1}', "[" * 100_000):
        with pytest.raises(Refusal):
            Parameters({"s": text}).names("s")


def test_a_name_is_once_in_an_object() -> None:
    """In a list of orders as among parameters: which of two values is meant is not guessed."""
    assert json_list("batchOrders", '[{"a": 1}, {"a": 2}]', number=str) == [{"a": "1"}, {"a": "2"}]
    with pytest.raises(Refusal) as refused:
        json_list("batchOrders", '[{"price": "1", "price": "2"}]', number=str)
    assert (refused.value.code, "'price'" in refused.value.message) == (-1101, True)
