"""The signed requests that newcomers copy: from the screen, and from the README."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.api.running import RunningExchange
from workers.screen import copyable, screen

README = Path(__file__).parents[2] / "README.md"


def _bash(script: str, **variables: str) -> dict[str, object]:
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.servers
async def test_the_printed_line_places_an_order(running: RunningExchange) -> None:
    """It takes only curl and openssl, as it stands, in one line."""
    await running.place("bob", "sell", "2500", "0.01")
    demo = {"base_url": running.base_url, "accounts": [running.accounts["alice"].as_json()]}
    line = copyable(demo, None)["curl"]
    assert "\n" not in line
    answer = _bash(line)
    assert (answer["status"], answer["filled_quantity"]) == ("filled", "0.01"), answer


def test_the_screen_says_where_staff_decides() -> None:
    """The console is at the origin of the staff, with the keys of an operator and an officer."""
    demo = {
        "base_url": "http://h:1",
        "temporal_ui": "http://h:2/namespaces/rialto/workflows",
        "staff_key": "/data/secrets/staff-olga.pem",
        "healthy_seconds": 9,
        "accounts": [{"name": "demo", "api_key": "k", "api_secret": "s"}],
    }
    lines = screen(demo, None).splitlines()
    at = lines.index("  staff console  http://h:2/console")
    assert lines[at + 1].endswith("as olga (an operator) with the key /data/secrets/staff-olga.pem")
    assert lines[at + 2].endswith("as marta (an officer) with /data/secrets/officer-marta.pem")


def test_the_screen_names_every_gateway() -> None:
    """The first as the page, the others below it."""
    urls = ["http://h:1", "http://h:2", "http://h:3"]
    demo = {
        "base_url": urls[0],
        "gateways": urls,
        "temporal_ui": "",
        "healthy_seconds": 9,
        "accounts": [{"name": "demo", "api_key": "k", "api_secret": "s"}],
    }
    lines = screen(demo, None).splitlines()
    at = lines.index("  page           http://h:1/")
    assert "login" not in screen(demo, None)
    linked = screen(demo, None, "http://h:1/#login=abc").splitlines()
    assert "     sign in     http://h:1/#login=abc" in linked
    assert [line.split()[-1] for line in lines[at + 1 : at + 3]] == ["http://h:2/", "http://h:3/"]


@pytest.mark.servers
async def test_the_readmes_request_places_an_order(running: RunningExchange) -> None:
    """Its lines work once URL, KEY and SECRET are set."""
    await running.place("bob", "sell", "2500", "0.1")
    found = re.search(r"^ +T=\$\(date.*?\"\$BODY\"$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    alice = running.accounts["alice"]
    answer = _bash(found.group(0), URL=running.base_url, KEY=alice.api_key, SECRET=alice.api_secret)
    assert (answer["status"], answer["filled_quantity"]) == ("filled", "0.1"), answer
