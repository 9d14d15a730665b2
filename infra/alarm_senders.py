"""Alarms leave the house: a JSON webhook, and mail over SMTP."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import asdict
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import httpx

from domain.alarm import Alarm
from infra.tls import trusted

_SECONDS = 10.0


class WebhookSender:
    """POSTs each alarm as JSON; anything but 2xx is a failure, and it is sent again."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, alarm: Alarm) -> None:
        """Send, or raise. A receiver may get an alarm twice: `alarm_id` tells."""
        async with httpx.AsyncClient(timeout=_SECONDS, verify=trusted()) as client:
            answer = await client.post(
                self._url,
                json=asdict(alarm),
                headers={"Idempotency-Key": f"alarm-{alarm.alarm_id}"},
            )
            answer.raise_for_status()


class MailSender:
    """Sends each alarm as a mail. `url`: smtp://[user:password@]host[:port], or smtps://."""

    name = "mail"

    def __init__(self, url: str, sender: str, receivers: str) -> None:
        self._url = urlsplit(url)
        self._sender = sender
        self._receivers = receivers

    async def send(self, alarm: Alarm) -> None:
        """Send, or raise."""
        await asyncio.to_thread(self._send, self._message(alarm))

    def _message(self, alarm: Alarm) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = self._receivers
        subject = f"[{alarm.severity}] {alarm.kind}: {alarm.subject}"
        message["Subject"] = " ".join(subject.split())[:200]  # a line break would end the header
        message["Message-ID"] = f"<alarm-{alarm.alarm_id}@rialto>"
        message.set_content(
            f"{alarm.text}\n\n"
            f"alarm     {alarm.alarm_id}, raised {alarm.raised_at}\n"
            f"runbook   {alarm.runbook}\n"
            f"workflow  {alarm.workflow_url or '-'}\n\n"
            f"rialto alarms ack {alarm.alarm_id}\n"
        )
        return message

    def _send(self, message: EmailMessage) -> None:
        host, port = self._url.hostname or "localhost", self._url.port
        if self._url.scheme == "smtps":
            context = ssl.create_default_context()
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port or 465, timeout=_SECONDS, context=context
            )
        else:
            client = smtplib.SMTP(host, port or 25, timeout=_SECONDS)
        with client:
            if self._url.username:
                client.login(unquote(self._url.username), unquote(self._url.password or ""))
            client.send_message(message)
