"""The registry of refusals is complete and answers in one shape."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from api.errors import PROBLEM_TYPE, PROBLEMS, Problem, code_of, refused
from domain.errors import RejectReason
from tests.api.exchange import Exchange

API = Path(__file__).parents[2] / "api"


@pytest.mark.parametrize("reason", [reason for reason in RejectReason if reason])
def test_every_reject_reason_has_a_code(reason: RejectReason) -> None:
    """A reason of the engine that the API cannot name would become a 500."""
    problem = refused(reason)
    assert problem.code == code_of(reason)
    assert 400 <= problem.kind.status < 500


def test_only_a_defect_is_a_500() -> None:
    """No business outcome is a server error; what is away is a 503."""
    assert [code for code, kind in PROBLEMS.items() if kind.status == 500] == ["internal_error"]
    assert all(kind.retryable for kind in PROBLEMS.values() if kind.status >= 500)


def test_every_code_in_the_source_is_registered() -> None:
    """`Problem("...")` with a code that is not in the registry would fail when it is needed."""
    pattern = re.compile(r"\bProblem\(\s*\"([a-z_]+)\"")
    used = {code for file in API.rglob("*.py") for code in pattern.findall(file.read_text())}
    assert used
    assert used <= PROBLEMS.keys()


def test_titles_are_distinct() -> None:
    """Two codes with one title would be one code too many."""
    titles = [kind.title for kind in PROBLEMS.values()]
    assert len(titles) == len(set(titles))


def test_the_document_has_the_members_of_rfc_9457() -> None:
    """Type, title, status and detail, and ours: code, retryable, request_id."""
    document = Problem("rate_limited", "Wait.", extra={"a": 1}).document("r-1")
    assert document == {
        "type": "urn:rialto:problem:rate_limited",
        "title": "Too many requests",
        "status": 429,
        "detail": "Wait.",
        "code": "rate_limited",
        "retryable": True,
        "request_id": "r-1",
        "a": 1,
    }


async def test_a_defect_is_answered_without_its_details(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception nobody expected becomes a 500 problem with the request id, and no trace."""

    async def explode(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(exchange.memory, "fills", explode)
    with capture_logs() as logs:
        answer = await exchange.call("GET", "/v1/fills", headers={"X-Request-Id": "r-7"})
    assert [line["log_level"] for line in logs] == ["error"]
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["content-type"] == PROBLEM_TYPE
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "r-7"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "target", ["/v1/fills", "/v1/orders?state=all", "/v1/deposits", "/v1/withdrawals"]
)
async def test_a_database_that_is_away_is_a_503(exchange: Exchange, target: str) -> None:
    """History needs PostgreSQL; its absence is retryable."""
    exchange.memory.away = True
    answer = await exchange.call("GET", target)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.json()["retryable"] is True


async def test_keys_that_cannot_be_read_are_a_503(exchange: Exchange) -> None:
    """Not knowing a key is not the same as its being wrong."""
    exchange.memory.keys_away = True
    answer = await exchange.call("GET", "/v1/orders")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("PATCH", "/v1/orders", 405, "method_not_allowed"),
        ("GET", "/static/../../pyproject.toml", 404, "not_found"),
    ],
)
async def test_the_frameworks_own_refusals_have_the_same_shape(
    exchange: Exchange, method: str, target: str, status: int, code: str
) -> None:
    """Unknown paths and methods are problems too."""
    answer = await exchange.http.request(method, target)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == PROBLEM_TYPE


@pytest.mark.parametrize("offered", ["", "x" * 65, "a b", "é", "../etc"])
async def test_a_request_id_that_could_hurt_a_log_is_replaced(
    exchange: Exchange, offered: str
) -> None:
    """Only harmless ids are taken over."""
    headers = [(b"X-Request-Id", offered.encode())]
    answer = await exchange.http.get("/v1/time", headers=headers)
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
