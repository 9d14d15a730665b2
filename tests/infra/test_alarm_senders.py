"""Each kind of alarm arrives: at a webhook, and as mail, on servers that listen here."""

from __future__ import annotations

import asyncio
import email
import json
from collections.abc import AsyncIterator
from email.message import Message

import httpx
import pytest

from domain.alarm import RUNBOOKS, Alarm, AlarmKind, Severity
from infra.alarm_senders import MailSender, WebhookSender

KINDS = list(AlarmKind)


def alarm(kind: AlarmKind, subject: str = "shard 0") -> Alarm:
    """Return an alarm as it was raised."""
    return Alarm(
        alarm_id=7,
        kind=kind,
        subject=subject,
        severity=Severity.CRITICAL,
        text=f"{subject} needs a person",
        runbook=RUNBOOKS[kind],
        workflow_url="http://127.0.0.1:8233/namespaces/rialto/workflows/settlement-0",
        raised_at="2026-01-31T12:00:00+00:00",
        seen_at="2026-01-31T12:00:00+00:00",
        times=1,
        acked_by="",
        acked_at="",
        cleared_at="",
    )


class Door:
    """A server on a loopback port that keeps what it was sent."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.port = 0

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (size,) = [
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        ]
        self.received.append(await reader.readexactly(size))
        writer.write(self.answer)
        await writer.drain()
        writer.close()

    async def smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                self.received.append(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")
            await writer.drain()
        writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Door]:
    """Give an HTTP server."""
    door = Door()
    async with await asyncio.start_server(door.http, "127.0.0.1", 0) as server:
        door.port = server.sockets[0].getsockname()[1]
        yield door


@pytest.fixture
async def post() -> AsyncIterator[Door]:
    """Give an SMTP server."""
    door = Door()
    async with await asyncio.start_server(door.smtp, "127.0.0.1", 0) as server:
        door.port = server.sockets[0].getsockname()[1]
        yield door


@pytest.mark.parametrize("kind", KINDS)
async def test_webhook_receives_each_kind(web: Door, kind: AlarmKind) -> None:
    """The receiver gets one JSON object with severity, subject, runbook and workflow link."""
    await WebhookSender(f"http://127.0.0.1:{web.port}/hook").send(alarm(kind))
    (body,) = web.received
    found = json.loads(body)
    assert (found["kind"], found["severity"], found["subject"]) == (kind, "critical", "shard 0")
    assert found["runbook"] == RUNBOOKS[kind]
    assert found["workflow_url"].endswith("/workflows/settlement-0")


async def test_webhook_that_refuses_is_a_failure(web: Door) -> None:
    """Whatever is not 2xx raises, so that the alarm is sent again."""
    web.answer = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(httpx.HTTPStatusError):
        await WebhookSender(f"http://127.0.0.1:{web.port}/hook").send(alarm(KINDS[0]))


@pytest.mark.parametrize("kind", KINDS)
async def test_mail_receives_each_kind(post: Door, kind: AlarmKind) -> None:
    """The mail says what is wrong, where to look and what to type."""
    sender = MailSender(f"smtp://127.0.0.1:{post.port}", "rialto@example.org", "ops@example.org")
    await sender.send(alarm(kind))
    message: Message = email.message_from_bytes(post.received[0])
    assert message["Subject"] == f"[critical] {kind}: shard 0"
    text = message.get_payload()
    assert RUNBOOKS[kind] in str(text)
    assert "rialto alarms ack 7" in str(text)


async def test_subject_cannot_add_a_header(post: Door) -> None:
    """A subject with line breaks stays one line, and adds no receiver."""
    sender = MailSender(f"smtp://127.0.0.1:{post.port}", "rialto@example.org", "ops@example.org")
    await sender.send(alarm(KINDS[0], "shard 0\r\nBcc: thief@example.org"))
    message = email.message_from_bytes(post.received[0])
    assert message["Bcc"] is None
    assert "Bcc: thief" in message["Subject"]


async def test_nobody_listening_is_a_failure() -> None:
    """A server that is away raises, for both."""
    with pytest.raises(httpx.ConnectError):
        await WebhookSender("http://127.0.0.1:1/").send(alarm(KINDS[0]))
    with pytest.raises(OSError, match="refused"):
        await MailSender("smtp://127.0.0.1:1", "a@example.org", "b@example.org").send(
            alarm(KINDS[0])
        )
