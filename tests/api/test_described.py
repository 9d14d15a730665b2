"""The API is as it is described: whatever the description allows or forbids, no 500, no surprise.

Requests are drawn from the OpenAPI document, lawful ones and unlawful ones, and in sequences in
which later requests name what earlier ones made. Each answer has to be one that is described.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from domain.customer import Scope
from tests.api.perpetual_exchange import PerpetualExchange
from tests.api.test_access import BODIES

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


# What makes objects, with what is taken for certain: drawn ones seldom are.
_MADE = {
    f"POST {path}": BODIES[path]
    for path in ("/v1/orders", "/v1/order-lists", "/v1/withdrawals", "/v1/withdrawal-addresses")
}


class Described:
    """An exchange, its description, and a way to send what is drawn from it."""

    def __init__(self) -> None:
        self.begin()
        document = copy.deepcopy(self.exchange.app.openapi())
        for operations in document["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)  # whatever is drawn is signed
        self.schema = schemathesis.openapi.from_dict(document)
        self._loop = asyncio.new_event_loop()

    def begin(self) -> None:
        """Begin anew: what was sent before has left nothing behind."""
        self.exchange = PerpetualExchange()
        self.exchange.add_key(1, "key-1", rate_class="house")
        self.exchange.add_key(9, "key-staff", Scope.COMPLIANCE, rate_class="house")

    def send(self, case: Case[Any]) -> httpx.Response:
        """Send a case, signed; the limits do not count."""
        self.exchange.memory.used.clear()
        given = case.as_transport_kwargs(base_url="http://rialto")
        given.pop("timeout", None)
        drawn = requests.Request(**given).prepare()
        body = drawn.body.encode() if isinstance(drawn.body, str) else drawn.body or b""
        assert isinstance(body, bytes)
        headers = [(name, str(text)) for name, text in drawn.headers.items()]
        request = httpx.Request(str(drawn.method), str(drawn.url), headers=headers, content=body)
        staff = request.url.path.startswith("/v1/compliance")
        signed = self.exchange.signed(
            request.method,
            request.url.raw_path.decode("ascii"),
            body,
            key_id="key-staff" if staff else "key-1",
            idempotency_key=request.headers.get("idempotency-key", ""),
        )
        request.headers.update(signed)
        return self._loop.run_until_complete(self._sent(request))

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        return await self.exchange.http.send(request)

    def close(self) -> None:
        """End the loop of the requests."""
        self._loop.run_until_complete(self.exchange.http.aclose())
        self._loop.close()


@pytest.fixture
def described() -> Iterator[Described]:
    """Give an exchange and what is said of it."""
    made = Described()
    yield made
    made.close()


def _settings(examples: int, steps: int = 6) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def _try_each(described: Described, examples: int, number: int) -> None:
    """Send so many requests to each operation; all that is found is told at once."""
    found: list[str] = []
    for result in described.schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @seed(number)
        @_settings(examples)
        @given(case=operation.as_strategy())
        def one(case: Case[Any]) -> None:
            case.validate_response(described.send(case), checks=CHECKS)

        try:
            one()
        except Exception as failure:  # noqa: BLE001 - whatever it is, the others are tried, too
            found.append(f"{operation.label}: {failure}")
    assert found == []


def _try_sequences(described: Described, examples: int, number: int) -> None:
    """Send sequences of requests of which later ones name what earlier ones made."""
    named: list[str] = []

    class Sequences(described.schema.as_state_machine()):  # type: ignore[misc]
        def step(self, input: Any) -> Any:  # noqa: A002 - the machine's own word
            if input.is_applied and input.transition is not None:
                named.append(input.transition.id)
            return super().step(input)

        def setup(self) -> None:
            described.begin()
            self.keys = count()

        def before_call(self, case: Case[Any]) -> None:
            if case.operation.label in _MADE:  # so that there is something to name
                case.body = dict(_MADE[case.operation.label])
                case.headers["Idempotency-Key"] = f"k{next(self.keys)}"

        def call(self, case: Case[Any], **_: Any) -> Response:
            return Response.from_any(described.send(case))

        def validate_response(self, response: Response, case: Case[Any], **_: Any) -> None:
            case.validate_response(response, checks=CHECKS[:-1])

    seed(number)(Sequences)
    Sequences.run(settings=_settings(examples))
    assert named, "no request named what another one made"


def test_each_operation(described: Described) -> None:
    """A request to each, always the same ones."""
    _try_each(described, 1, 1)


def test_sequences(described: Described) -> None:
    """A few sequences, always the same ones."""
    _try_sequences(described, 4, 1)


@pytest.mark.long
def test_each_operation_for_long(described: Described) -> None:
    """Many requests to each operation; the seed is printed."""
    number = random.SystemRandom().randrange(2**32)
    print(f"seed {number}")
    _try_each(described, 100, number)


@pytest.mark.long
def test_sequences_for_long(described: Described) -> None:
    """Many sequences; the seed is printed."""
    number = random.SystemRandom().randrange(2**32)
    print(f"seed {number}")
    _try_sequences(described, 300, number)
