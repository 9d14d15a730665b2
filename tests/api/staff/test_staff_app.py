"""Nothing of Temporal without a login; with one, what the roles allow, and all of it on record."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis
from temporalio.api.common.v1 import Payload

from api.staff.app import create_staff_app
from domain.staff import login_statement
from infra.redis.staff_sessions import StaffSessions
from infra.temporal.codec_json import JsonCodec
from infra.temporal.payload_codec import SealingCodec
from infra.temporal.payload_keys import PayloadKeys, ensure_payload_keys
from tests.api.staff.world import ORIGIN, Office, World, services_of, sign_in, staffed

NAME = "Ludovico Planted"
HISTORY = "/api/v1/namespaces/rialto/workflows/withdrawal-1/history"
UPDATE = "/api/v1/namespaces/rialto/workflows/withdrawal-1/update/retry"
END = "/api/v1/namespaces/rialto/workflows/withdrawal-1/terminate"


@pytest.fixture
def world() -> World:
    """Give one member of each role."""
    return staffed()


@pytest.fixture
async def browser(world: World, redis_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the application with a jar for its cookies."""
    ring = tmp_path / "payload-keys.json"
    ensure_payload_keys(ring)
    redis = Redis.from_url(redis_url)
    codec = JsonCodec(SealingCodec(PayloadKeys(ring)))
    app = create_staff_app(services_of(world, Office(), sessions=StaffSessions(redis), codec=codec))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url=ORIGIN, headers={"origin": ORIGIN}
    ) as client:
        yield client
    await redis.aclose()


def _payloads(*values: str) -> dict[str, Any]:
    data = [base64.b64encode(json.dumps(value).encode()).decode() for value in values]
    encoding = {"encoding": base64.b64encode(b"json/plain").decode()}
    return {"payloads": [{"metadata": encoding, "data": one} for one in data]}


async def test_without_a_login_there_is_nothing(browser: httpx.AsyncClient, world: World) -> None:
    """Programs are refused, people are sent to the login, and the UI hears of neither."""
    for method, path in (
        ("GET", "/"),
        ("GET", HISTORY),
        ("GET", "/namespaces/rialto/workflows"),
        ("GET", "/_app/immutable/entry.js"),
        ("GET", "/staff/../codec/decode"),
        ("POST", "/codec/decode"),
        ("POST", "/codec/encode"),
        ("POST", UPDATE),
        ("DELETE", "/anything"),
    ):
        answer = await browser.request(method, path)
        assert answer.status_code == 401, (method, path)
    page = await browser.get("/namespaces/x?query=a%3D1", headers={"accept": "text/html"})
    assert page.headers["location"] == "/login?next=%2Fnamespaces%2Fx%3Fquery%3Da%253D1"
    assert world.passed_on == []


async def test_a_login_opens_what_was_sealed(browser: httpx.AsyncClient, world: World) -> None:
    """The UI's way: encode, decode; what was no payload is refused, what does not open stays."""
    signed = await sign_in(browser, world, "olga")
    cookie = signed.headers["set-cookie"]
    assert signed.json() == {"name": "olga", "roles": ["operator"]}
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    where = {"referer": f"{ORIGIN}/namespaces/rialto/workflows/withdrawal-1/r/history"}
    sealed = await browser.post("/codec/encode", json=_payloads(NAME))
    assert NAME not in base64.b64decode(sealed.json()["payloads"][0]["data"]).decode("latin-1")
    opened = await browser.post(
        "/codec/decode?preserveStorageRefs=true", json=sealed.json(), headers=where
    )
    assert opened.json() == _payloads(NAME)
    broken = Payload(metadata={"encoding": b"binary/encrypted"}, data=b"no")
    raw = {"metadata": {"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="}, "data": "bm8="}
    assert broken.data == b"no"
    assert (await browser.post("/codec/decode", json={"payloads": [raw]})).json() == {
        "payloads": [raw]
    }
    for wrong in (b"", b"[1]", b'{"payloads": 7}', b"\xff\xfe", b"[" * 100_000):
        assert (await browser.post("/codec/decode", content=wrong)).status_code == 400
    assert ("olga", "withdrawal-1", "file_read") in world.records


async def test_requests_are_passed_on_without_the_session(
    browser: httpx.AsyncClient, world: World
) -> None:
    """Method, path, query and body as they came; our cookie stays here; answers stream back."""
    await sign_in(browser, world, "olga")
    answer = await browser.get("/namespaces/rialto/workflows?query=%60Stage%60%3D%22x%22")
    assert (answer.text, answer.headers["set-cookie"]) == ("the UI", "_csrf=abc; Path=/")
    await browser.post(UPDATE, content=b"{}", headers={"x-csrf-token": "abc"})
    (_, target, headers, _), (method, _, more, body) = world.passed_on
    assert target == b"/namespaces/rialto/workflows?query=%60Stage%60%3D%22x%22"
    assert "rialto_staff" not in str(headers)
    assert (method, body, more["x-csrf-token"]) == ("POST", b"{}", "abc")
    assert more["cookie"] == "_csrf=abc"
    assert world.records == [
        ("olga", "staff-login", "signed_in"),
        ("olga", "withdrawal-1", "staff_acted"),
    ]


@pytest.mark.parametrize(
    ("name", "update", "end"), [("olga", 200, 200), ("marta", 200, 403), ("clara", 403, 403)]
)
async def test_roles_say_how_far_one_may_go(
    browser: httpx.AsyncClient, world: World, name: str, update: int, end: int
) -> None:
    """Everybody reads; approvers send updates, operators end workflows."""
    await sign_in(browser, world, name)
    assert (await browser.get(HISTORY)).status_code == 200
    assert (await browser.post(UPDATE, json={})).status_code == update
    assert (await browser.post(END, json={})).status_code == end
    assert (await browser.request("QUERY", HISTORY)).status_code == 405


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("withdrawal-1/query/stage", 200),
        ("withdrawal-1%2Fquery%2Fstage", 403),  # as the UI reads it, a workflow of that name
        ("settlement-0/query/%2E%2E", 400),
        ("settlement-0/runs/%2e./query/x", 400),
    ],
)
async def test_no_path_passes_as_another(
    browser: httpx.AsyncClient, world: World, path: str, status: int
) -> None:
    """Whoever only reads may ask workflows, and starts none by a path that becomes another."""
    await sign_in(browser, world, "clara")
    target = f"/api/v1/namespaces/rialto/workflows/{path}"
    assert (await browser.post(target, json={})).status_code == status
    passed = [one[1] for one in world.passed_on]
    assert passed == ([target.encode()] if status == 200 else [])


async def test_each_file_is_on_record_once_an_hour_or_is_not_read(
    browser: httpx.AsyncClient, world: World
) -> None:
    """No record, no reading."""
    await sign_in(browser, world, "clara")
    world.log_is_away = True
    assert (await browser.get(HISTORY)).status_code == 503
    world.log_is_away = False
    for _ in range(3):
        assert (await browser.get(HISTORY)).status_code == 200
    assert world.records.count(("clara", "withdrawal-1", "file_read")) == 1


@pytest.mark.parametrize("case", ["other key", "other origin", "unknown", "twice", "no signature"])
async def test_refused_logins(browser: httpx.AsyncClient, world: World, case: str) -> None:
    """One answer for all of them, no cookie, and a record."""
    if case == "other key":
        answer = await sign_in(browser, world, "olga", key="marta")
    elif case == "other origin":
        answer = await sign_in(browser, world, "olga", origin="http://evil.test")
    elif case == "unknown":
        answer = await sign_in(browser, world, "nobody", key="olga")
    elif case == "no signature":
        answer = await browser.post("/login/sign-in", json={"name": "olga", "signature_hex": "zz"})
    else:
        challenge = (await browser.post("/login/challenge", json={"name": "olga"})).json()
        text = login_statement(ORIGIN, "olga", challenge["challenge"])
        signature = world.keys["olga"].sign(text.encode()).hex()
        form = {"name": "olga", "signature_hex": signature, **challenge}
        assert (await browser.post("/login/sign-in", json=form)).status_code == 200
        browser.cookies.clear()
        answer = await browser.post("/login/sign-in", json=form)
    assert answer.status_code == 403
    assert answer.json() == {"message": "unknown name, or another key"}
    assert "set-cookie" not in answer.headers
    assert world.records[-1][1:] == ("staff-login", "login_refused")


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
async def test_texts_that_nobody_can_write_down(browser: httpx.AsyncClient, text: str) -> None:
    """Half a letter and a zero byte are no name and no challenge, and nothing breaks by them."""
    body = json.dumps({"name": text})
    assert (await browser.post("/login/challenge", content=body)).status_code == 400
    for form in ({"name": text}, {"name": "olga", "challenge": text}):
        answer = await browser.post("/login/sign-in", content=json.dumps(form))
        assert answer.status_code == 403


async def test_other_sites_and_names_are_refused(browser: httpx.AsyncClient, world: World) -> None:
    """Another origin with our cookie, none at all, and a name bound to our address."""
    await sign_in(browser, world, "olga")
    for origin in ("http://evil.test", "null", ""):
        refused = await browser.post("/codec/decode", json=_payloads(), headers={"origin": origin})
        assert refused.status_code == 403
    assert (await browser.get(HISTORY, headers={"host": "evil.test"})).status_code == 421
    assert world.passed_on == []


async def test_a_session_ends_with_its_key_and_by_signing_out(
    browser: httpx.AsyncClient, world: World
) -> None:
    """A rotated key and a member who left count at the next request."""
    await sign_in(browser, world, "olga")
    world.keys["olga"] = Ed25519PrivateKey.generate()
    assert (await browser.get(HISTORY)).status_code == 401
    await sign_in(browser, world, "olga")
    assert (await browser.get(HISTORY)).status_code == 200
    await browser.post("/logout")
    assert (await browser.get(HISTORY)).status_code == 401


async def test_guessing_is_slowed_down_and_large_bodies_are_refused(
    browser: httpx.AsyncClient, world: World
) -> None:
    """Ten attempts a minute, so that of 21 in at most two minutes one is too many; 4 MiB."""
    assert (await browser.post("/login/challenge", content=b"x" * (2**22 + 1))).status_code == 413
    answers = [(await browser.post("/login/challenge", json={"name": "olga"})) for _ in range(21)]
    assert {answer.status_code for answer in answers} == {200, 429}
